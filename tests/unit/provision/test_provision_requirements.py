"""What a host lacks, in the operator's words."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision import findings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.findings import Findings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.requirements import (
    Requirements,
    WantedPort,
    at_least,
    unmet,
)
from ansible_collections.modelops.datacenter.plugins.modules import host_preflight_info

GOOD = Findings(
    system="ubuntu",
    system_version="22.04",
    architecture="x86_64",
    cpu_flags=frozenset({"avx2", "fma"}),
    memory_gib=512.0,
    free_gib={"/opt/modelops": 900.0},
    accelerator_vendor="nvidia",
    accelerator_count=8,
    driver_version="550.54.15",
    runtime_versions={"cuda": "12.4"},
    clock_offset_seconds=0.4,
    clock_synchronised=True,
    listeners={8000: "modelops-chat-0", 8001: "sshd", 9100: "prometheus-node-exporter"},
    own_ports=frozenset({8001}),
)
WANTED = Requirements(
    systems={"debian": ["12", "13"], "ubuntu": ["22.04"], "rocky": ["9"]},
    architectures=["x86_64"],
    cpu_flags=["avx2"],
    driver_versions={"nvidia": "550", "amd": "6.0"},
    runtime_versions={"cuda": "12.4", "rocm": "6.1"},
    accelerators=8,
    memory_gib=64.0,
    disk_gib={"/opt/modelops": 500.0},
    max_clock_offset_seconds=2.0,
    clock_synchronised=True,
    ports=[
        WantedPort(8000, "for replicas", count=4, owners=["modelops-*"]),
        WantedPort(9100, "for node_exporter", owners=["prometheus-node-exporter"]),
    ],
)


def test_a_host_that_has_everything_lacks_nothing() -> None:
    assert unmet(GOOD, WANTED) == []
    assert unmet(Findings(), Requirements()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"system_version": "20.04"}, "It runs ubuntu 20.04, supported are debian 12/13, rocky 9, ubuntu 22.04"),
        ({"system": "", "system_version": ""}, "It runs an unknown system"),
        ({"architecture": "riscv64"}, "It is riscv64"),
        ({"cpu_flags": frozenset({"fma"})}, "Its processor lacks avx2"),
        (
            {"accelerator_count": 7},
            "The inventory gives it 8 accelerators and the vendor's tool finds 7 nvidia devices",
        ),
        (
            {"accelerator_count": 0, "accelerator_vendor": "none", "runtime_versions": {}},
            "the vendor's tool finds no devices. Install the driver",
        ),
        ({"driver_version": "535.183.01"}, "Its nvidia driver is 535.183.01, at least 550 is needed"),
        ({"driver_version": ""}, "Its nvidia driver is of unknown version"),
        ({"runtime_versions": {"cuda": "12.2"}}, "Its driver offers cuda 12.2, at least 12.4 is needed"),
        ({"memory_gib": 31.3}, "It has 31.3 GiB of memory, at least 64 GiB are needed"),
        ({"free_gib": {"/opt/modelops": 12.0}}, "/opt/modelops has 12.0 GiB free, at least 500 GiB are needed"),
        ({"clock_offset_seconds": -5.0}, "Its clock is at least 5.0 s behind the controller's"),
        ({"clock_synchronised": False}, "Its clock is not kept by a time service"),
        ({"listeners": {8002: "nginx"}}, "Port 8002 (for replicas) is taken by nginx"),
        ({"listeners": {9100: "nginx"}}, "Port 9100 (for node_exporter) is taken by nginx"),
    ],
)
def test_each_lack_is_one_sentence_with_what_to_do(change: dict[str, Any], says: str) -> None:
    (problem,) = unmet(replace(GOOD, **change), WANTED)
    assert says in problem
    assert problem.count(". ") >= 1 and problem.endswith(".")


def test_a_minor_release_counts_as_its_release_and_a_longer_number_does_not() -> None:
    assert unmet(replace(GOOD, system="rocky", system_version="9.4"), WANTED) == []
    assert len(unmet(replace(GOOD, system="debian", system_version="120"), WANTED)) == 1


def test_a_slow_way_to_the_host_is_not_taken_for_a_clock_that_is_ahead() -> None:
    assert unmet(replace(GOOD, clock_offset_seconds=31.2), WANTED) == []


def test_a_container_has_the_clock_of_its_machine() -> None:
    assert unmet(replace(GOOD, clock_synchronised=False, container=True), WANTED) == []


@given(st.lists(st.integers(0, 999), min_size=1, max_size=4), st.lists(st.integers(0, 999), min_size=1, max_size=4))
def test_versions_are_ordered_as_numbers(have: list[int], want: list[int]) -> None:
    longest = max(len(have), len(want))
    padded = [numbers + [0] * (longest - len(numbers)) for numbers in (have, want)]
    assert at_least(".".join(map(str, have)), ".".join(map(str, want))) is (padded[0] >= padded[1])


def test_who_listens_is_seen_on_this_machine(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert list(findings.listeners({port})) == [port]
        params = {name: option.get("default") for name, option in host_preflight_info.ARGUMENT_SPEC.items()} | {
            "ports": [{"port": port, "purpose": "for replicas", "count": 1, "owners": ["modelops-*"]}]
        }
        state = tmp_path / "modelops.fact"
        params["state_file"] = str(state)
        (problem,) = host_preflight_info.execute(params, True, False)["unmet"]
        assert f"Port {port} (for replicas) is taken by" in problem
        state.write_text(json.dumps({"replicas": [{"port": port}]}), encoding="utf-8")
        assert host_preflight_info.execute(params, True, False)["unmet"] == []
    assert findings.listeners({port}) == {}


def test_this_machine_is_described() -> None:
    system, version = findings.read_os_release()
    assert system and version and findings.read_cpu_flags()
    assert findings.free_gib("/not/there/yet") == pytest.approx(findings.free_gib("/"), abs=1.0)
    assert findings.clock_synchronised() in (True, False, None)
