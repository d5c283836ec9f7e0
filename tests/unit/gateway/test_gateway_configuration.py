"""The configuration: the same for the same input, in keywords the release knows, and accepted by HAProxy itself."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_samples import CATALOGUE, gateway

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import (
    floors,
    frame_digest,
    map_files,
    panic_floor,
    render,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import (
    Member,
    parse_members,
    resolved,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.models import (
    agent_models,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import parse_settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import (
    HaproxyVersion,
    parse_version,
)

A = Member("chat", "gpu-a1", 0, "10.0.0.1", 8100)
B = Member("chat", "gpu-a2", 0, "10.0.0.2", 8100)
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")


def test_members_do_not_change_the_frame_and_settings_do() -> None:
    frame = frame_digest(gateway([A]))
    assert frame_digest(gateway([A, B])) == frame
    assert frame_digest(gateway([replace(A, out=True, weight=7)])) == frame
    assert frame_digest(gateway([A], check_seconds=9.0)) != frame
    assert frame_digest(gateway([A], queue_seconds=9.0)) != frame


def test_a_member_that_is_out_is_so_in_the_file() -> None:
    lines = render(gateway([replace(A, out=True), B])).splitlines()
    assert sum(line.endswith(" disabled") for line in lines) == 2
    assert all("gpu-a1-0" in line for line in lines if line.endswith(" disabled"))


def test_a_replica_gets_what_its_engine_works_on_at_once() -> None:
    models = parse_models(
        {
            **CATALOGUE,
            "sg": {"engine": "sglang", "engine_args": ["--max-running-requests=7"]},
            "own": {"engine": "command", "gateway_concurrency": 3},
            "plain": {"engine": "sglang"},
            "bare": {"engine": "llama_cpp"},
        },
        default_concurrency=64,
    )
    assert {name: model.concurrency for name, model in models.items()} == {
        "chat": 32,
        "code": 4,
        "sg": 7,
        "own": 3,
        "plain": 64,
        "bare": 1,
    }


def test_a_panic_begins_below_the_share_and_never_with_a_floor_of_nothing() -> None:
    fleet = [replace(A, slot=slot) for slot in range(6)]
    assert [panic_floor(fleet[:count], 0.3) for count in (0, 1, 2, 3, 4, 6)] == [1, 1, 1, 1, 2, 2]
    assert floors(gateway([*fleet[:4], replace(fleet[4], out=True)]))["chat"] == "2"


def test_models_answer_to_their_served_names() -> None:
    assert map_files(gateway([]))["models.map"] == "chat chat\ncode code\ncoder code\n"
    with pytest.raises(InputError, match="both answer to 'chat'"):
        parse_models({"chat": {}, "other": {"served_model_name": "chat"}}, default_concurrency=1)


def test_names_and_settings_that_haproxy_could_not_take_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be a name in HAProxy"):
        parse_models({"meta/llama": {}}, default_concurrency=1)
    with pytest.raises(InputError, match="no setting nonsense"):
        parse_settings({"nonsense": 1})
    with pytest.raises(InputError, match="one line only"):
        parse_settings({"extra_global": ["a\nb"]})
    with pytest.raises(InputError, match="two replicas in one slot"):
        parse_members([A.as_record(), {**A.as_record(), "model": "code"}], what="replicas")


def test_a_name_that_is_not_known_keeps_its_address() -> None:
    def unknown(name: str) -> str:
        raise OSError("not known")

    named = replace(A, address="gpu-a1.example")
    assert resolved([named], known=[A], resolve=unknown) == [A]
    with pytest.raises(InputError, match="Set modelops_address"):
        resolved([named], resolve=unknown)


def test_versions_decide_about_keywords() -> None:
    old, new = HaproxyVersion(2, 4, "2.4.22"), HaproxyVersion(3, 2, "3.2.1")
    assert "var(txn.at,1000000000000)" not in render(gateway([A], version=old))
    assert "init-state down" in render(gateway([A], version=new))
    assert "init-state" not in render(gateway([A]))
    assert parse_version("HAProxy version 2.6.12-1+deb12u4 2026/10/17").adds_servers
    with pytest.raises(InputError, match="too old"):
        parse_version("HA-Proxy version 2.2.9-2 2021/03/15")


def test_what_the_agent_knows_holds_no_key_and_asks_what_can_answer() -> None:
    found = agent_models({"t": {"engine": "triton"}, "v": {"engine": "vllm", "api_key_file": "/k"}, "c": {}})
    assert {name: one["probe"] for name, one in found.items()} == {"t": "health", "v": "completion", "c": "health"}
    assert found["t"]["health_path"] == "/v2/health/ready"


@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
@pytest.mark.parametrize("keys", [False, True])
def test_haproxy_accepts_it(tmp_path: Path, keys: bool) -> None:
    made = gateway(
        [A, B, Member("code", "gpu-a2", 1, "::1", 8101, out=True)],
        config_dir=str(tmp_path),
        user="",
        group="",
        require_api_key=keys,
        hosts=(("chat.example.com", "chat"),),
        agent_port_offset=5000,
        max_connections=100,
    )
    (tmp_path / "api_keys.map").write_text("00 nobody\n")
    (tmp_path / "backend_keys.map").write_text("chat secret\n")
    made = replace(made, secrets=(("backend_keys.map", "x"),) if keys else ())
    for name, text in {"haproxy.cfg": render(made), **map_files(made)}.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [str(HAPROXY), "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret" not in render(made)
