"""A start that is doomed is not tried."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting import gates


def host(*devices: dict[str, Any], vendor: str = "nvidia") -> dict[str, Any]:
    return {"vendor": vendor, "devices": [{"index": index, **device} for index, device in enumerate(devices)]}


def check(found: dict[str, Any], *, needed: float = 20.0, exclusive: bool = True, indexes: Any = (0,)) -> list[float]:
    naps: list[float] = []
    gates.require_free_accelerators(
        indexes, needed, exclusive=exclusive, look=lambda: found, where="chat", sleep=naps.append
    )
    return naps


def test_a_free_accelerator_opens_at_once() -> None:
    assert check(host({"memory_free_gib": 79.0, "processes": []})) == []


def test_no_vendor_tool_means_nothing_to_look_at() -> None:
    assert check(host(vendor="none")) == []


def test_an_orphan_is_named_after_a_wait() -> None:
    with pytest.raises(ModelOpsError, match="pid 4711") as caught:
        check(host({"memory_free_gib": 2.0, "processes": [4711]}))
    assert caught.value.where == "chat"


def test_memory_given_back_in_time_is_waited_for() -> None:
    looks = iter([host({"memory_free_gib": 1.0}), host({"memory_free_gib": 1.0}), host({"memory_free_gib": 79.0})])
    naps: list[float] = []
    gates.require_free_accelerators(
        [0], 20.0, exclusive=True, look=lambda: next(looks), where="chat", sleep=naps.append
    )
    assert len(naps) == 2


def test_a_shared_accelerator_needs_only_its_memory() -> None:
    taken = {"memory_free_gib": 30.0, "processes": [1]}
    assert check(host(taken), exclusive=False) == []
    with pytest.raises(ModelOpsError, match=r"40 GiB on accelerator 0 and 30\.0 GiB are free"):
        check(host(taken), exclusive=False, needed=40.0)


def test_an_index_the_host_lacks_is_said() -> None:
    with pytest.raises(ModelOpsError, match="no accelerator 3, only 0"):
        check(host({"memory_free_gib": 79.0}), indexes=[3])


def test_a_listening_port_is_taken() -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        with pytest.raises(ModelOpsError, match=f"port {port} on 127.0.0.1 is taken"):
            gates.require_free_port("127.0.0.1", port, where="chat")
    gates.require_free_port("127.0.0.1", port, where="chat")


def test_available_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       65536000 kB\nMemAvailable:   16777216 kB\n")
    gates.require_free_memory(16.0, where="chat", meminfo=str(meminfo))
    with pytest.raises(ModelOpsError, match=r"needs 17 GiB of memory and 16\.0 GiB are available"):
        gates.require_free_memory(17.0, where="chat", meminfo=str(meminfo))
    gates.require_free_memory(17.0, where="chat", meminfo="/nowhere")
