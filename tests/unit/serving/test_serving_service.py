# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a catalogue entry and a placement to a service, for every engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import ENGINES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.engines import PROFILES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.service import (
    Service,
    as_record,
    build_service,
    service_name,
)

H100 = {"accelerator_type": "h100-80gb"}


def make(model: dict[str, Any], *, slot: int = 0, accelerators: list[Any] | None = None, **kwargs: Any) -> Service:
    placement = {
        "model": "chat-8b",
        "slot": slot,
        "port": 8100 + slot,
        "version": "1",
        "accelerators": accelerators or [],
    }
    kwargs.setdefault("paths", {"model_path": "/models/chat-8b/1"})
    return build_service(placement, model, **kwargs)


def after(service: Service, flag: str) -> str:
    return service.argv[service.argv.index(flag) + 1]


def test_vllm_by_its_console_script() -> None:
    service = make({"engine": "vllm", "drain_seconds": 45}, accelerators=[0, 1], **H100)
    assert service.argv[:3] == ("vllm", "serve", "/models/chat-8b/1")
    assert after(service, "--tensor-parallel-size") == "2"
    assert after(service, "--served-model-name") == "chat-8b"
    assert after(service, "--shutdown-timeout") == "45"
    assert service.stop_timeout_seconds > 45
    assert service.restart == "always", "vLLM exits with 0 when its engine dies"
    assert service.shared_memory_gib >= 8


@pytest.mark.parametrize(
    ("executable", "start"),
    [
        ("/opt/v/bin/vllm serve", ["/opt/v/bin/vllm", "serve", "/models/chat-8b/1"]),
        (
            ["python3", "-m", "vllm.entrypoints.openai.api_server"],
            ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "/models/chat-8b/1"],
        ),
    ],
)
def test_vllm_in_other_ways(executable: Any, start: list[str]) -> None:
    service = make({"engine": "vllm", "executable": executable})
    assert list(service.argv[: len(start)]) == start


def test_one_accelerator_needs_no_parallelism() -> None:
    assert "--tensor-parallel-size" not in make({"engine": "vllm"}, accelerators=[0], **H100).argv


@pytest.mark.parametrize(
    ("engine", "flag", "share"),
    [
        ("vllm", "--gpu-memory-utilization", 0.46),
        ("sglang", "--mem-fraction-static", 0.44),
        ("tgi", "--cuda-memory-fraction", 0.5),
    ],
)
def test_two_replicas_of_half_an_accelerator_fit_on_it(engine: str, flag: str, share: float) -> None:
    service = make({"engine": engine, "resources": {"accelerators": 0.5}}, accelerators=[0], **H100)
    assert float(after(service, flag)) == pytest.approx(share)
    assert float(after(service, flag)) * 2 <= 1


def test_sglang() -> None:
    service = make({"engine": "sglang"}, accelerators=[0, 1], **H100)
    assert service.argv[:3] == ("python3", "-m", "sglang.launch_server")
    assert "--enable-metrics" in service.argv
    assert after(service, "--tp-size") == "2"
    assert service.ready_path == "/ready"
    assert "SIGKILL" in service.success_exit_statuses


def test_tgi_gives_every_listener_its_own_port() -> None:
    first, second = (make({"engine": "tgi"}, slot=slot, accelerators=[slot], **H100) for slot in (0, 1))
    for flag in ("--port", "--prometheus-port", "--master-port", "--shard-uds-path"):
        assert after(first, flag) != after(second, flag)
    assert after(first, "--graceful-termination-timeout") == "30"


def test_triton_flags_are_joined_and_metrics_have_their_port() -> None:
    service = make({"engine": "triton", "engine_args": {"backend-config": ["a,b=1", "c,d=2"]}})
    assert service.argv[-2:] == ("--backend-config=a,b=1", "--backend-config=c,d=2")
    assert "--exit-timeout-secs=30" in service.argv
    assert service.metrics_url == "http://127.0.0.1:9100/metrics"
    assert service.health_path == "/v2/health/live"


def test_llama_cpp_on_a_cpu_host() -> None:
    service = make(
        {
            "engine": "llama_cpp",
            "executable": ["{python}", "{launcher}"],
            "engine_args": {"np": 2, "ctx_size": 512, "metrics": False},
            "resources": {"cpu_cores": 2},
            "api_key_file": "/etc/key",
        },
        paths={"model_path": "/m/x.gguf", "python": "/venv/bin/python", "launcher": "/srv/llama_server.py"},
    )
    assert service.argv == (
        *("/venv/bin/python", "/srv/llama_server.py", "--model", "/m/x.gguf", "--alias", "chat-8b"),
        *("--host", "127.0.0.1", "--port", "8100", "--threads", "2", "-np", "2", "--ctx-size", "512"),
    )
    assert service.environment == {"LLAMA_ARG_API_KEY_FILE": "/etc/key"}


def test_a_command_of_ones_own() -> None:
    service = make(
        {
            "engine": "command",
            "executable": ["/bin/serve", "--at", "{host}:{port}", "--name={alias}-{slot}"],
            "engine_args": ["--json", '{"port": "{port}", "x": "{other}"}'],
            "environment": {"MODEL": "{model_path}", "N": 3, "ON": True},
            "probe": "health",
            "health_path": "/up",
            "served_model_name": "chat",
        },
        bind_address="::1",
    )
    assert service.argv == (
        "/bin/serve",
        "--at",
        "::1:8100",
        "--name=chat-0",
        "--json",
        '{"port": "8100", "x": "{other}"}',
    )
    assert service.environment == {"MODEL": "/models/chat-8b/1", "N": "3", "ON": "1"}
    assert as_record(service)["health_url"] == "http://[::1]:8100/up"


@pytest.mark.parametrize(
    "engine_args", [{"tp": 4}, {"tensor_parallel_size": 4}, {"--tensor-parallel-size": 4}, ["-tp", "4"]]
)
def test_the_catalogues_flags_win(engine_args: Any) -> None:
    argv = make({"engine": "vllm", "engine_args": engine_args}, accelerators=[0, 1], **H100).argv
    spelled = [word for word in argv if word in ("-tp", "--tensor-parallel-size")]
    assert len(spelled) == 1
    assert argv[argv.index(spelled[0]) + 1] == "4"


def test_a_flag_of_ours_can_be_taken_away_and_values_of_all_kinds_given() -> None:
    service = make(
        {
            "engine": "vllm",
            "engine_args": {
                "shutdown-timeout": False,
                "enforce-eager": True,
                "max-model-len": 8192,
                "speculative-config": {"method": "ngram", "n": 3},
                "lora-modules": ["a=/x", "b=/y"],
            },
        }
    )
    assert "--shutdown-timeout" not in service.argv
    assert service.argv[-8:] == (
        *("--enforce-eager", "--max-model-len", "8192", "--speculative-config", '{"method": "ngram", "n": 3}'),
        *("--lora-modules", "a=/x", "b=/y"),
    )


@pytest.mark.parametrize(
    ("engine", "engine_args", "expected"),
    [
        # Both are on unless they are said to be off: left out, false would mean true.
        ("vllm", {"enable-chunked-prefill": False}, ["--no-enable-chunked-prefill"]),
        ("vllm", {"enable_prefix_caching": False, "seed": 1}, ["--no-enable-prefix-caching", "--seed", "1"]),
        ("vllm", {"enable-chunked-prefill": None}, []),
        ("vllm", {"no-enable-chunked-prefill": True}, ["--no-enable-chunked-prefill"]),
        ("vllm", {"disable-log-stats": False}, []),
        ("sglang", {"disable-radix-cache": False}, []),
    ],
)
def test_a_switch_that_is_on_by_default_can_be_switched_off(
    engine: str, engine_args: dict[str, Any], expected: list[str]
) -> None:
    ours = make({"engine": engine}).argv
    assert make({"engine": engine, "engine_args": engine_args}).argv == (*ours, *expected)


def test_vllm_knows_the_negatives() -> None:
    """What its help listed: of the switches that have one, and of none of those that are left out instead."""
    facts = json.loads((Path(__file__).parent / "engine_facts" / "vllm.json").read_text(encoding="utf-8"))
    assert "--no-enable-chunked-prefill" in facts["flags"] and "--no-enable-prefix-caching" in facts["flags"]
    for flag in PROFILES["vllm"].style.switches:
        assert flag in facts["flags"] and f"--no-{flag[2:]}" not in facts["flags"]


@pytest.mark.parametrize(
    ("accelerator_type", "vendor", "uuids", "expected"),
    [
        ("h100-80gb", "", ["GPU-a", "GPU-b"], {"CUDA_VISIBLE_DEVICES": "GPU-b"}),
        ("h100-80gb", "", [], {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
        ("mi300x-192gb", "", ["x", "y"], {"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "1"}),
        ("max-1550-128gb", "", [], {"ZE_AFFINITY_MASK": "1"}),
        ("910b3-64gb", "", [], {"ASCEND_RT_VISIBLE_DEVICES": "1"}),
        ("oddity-1", "nvidia", ["GPU-a", "GPU-b"], {"CUDA_VISIBLE_DEVICES": "GPU-b"}),
    ],
)
def test_devices_are_pinned_in_the_vendors_way(
    accelerator_type: str, vendor: str, uuids: list[str], expected: dict[str, str]
) -> None:
    service = make(
        {"engine": "command", "executable": "x"},
        accelerators=[1],
        accelerator_type=accelerator_type,
        accelerator_vendor=vendor,
        accelerator_uuids=uuids,
    )
    assert service.environment == expected


def test_devices_by_index_when_the_engine_wants_it_and_by_uuid_when_the_plan_says_so() -> None:
    model = {"engine": "command", "executable": "x"}
    by_index = make({**model, "pin_by": "index"}, accelerators=[1], accelerator_uuids=["GPU-a", "GPU-b"], **H100)
    assert by_index.environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert make(model, accelerators=["GPU-c"], **H100).environment == {"CUDA_VISIBLE_DEVICES": "GPU-c"}


def test_a_replica_without_accelerators_cannot_take_a_neighbours() -> None:
    assert make({"engine": "llama_cpp"}, **H100).environment["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_key_reaches_the_engine_and_no_argv(tmp_path: Any) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret $x\n")
    probe = tmp_path / "probe"
    probe.write_text('#!/bin/sh\necho "key=$VLLM_API_KEY"\ntr "\\0" " " < /proc/$$/cmdline\n')
    probe.chmod(0o755)
    service = make({"engine": "vllm", "executable": [str(probe)], "api_key_file": str(key)})
    assert service.secret_environment == {"VLLM_API_KEY": str(key)}
    assert "s3cret" not in str(as_record(service))
    ran = subprocess.run(service.argv, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    assert ran.stdout.startswith("key=s3cret $x\n")
    assert "s3cret" not in ran.stdout.partition("\n")[2]
    assert "serve /models/chat-8b/1" in ran.stdout
    key.unlink()
    assert subprocess.run(service.argv, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    ("model", "kwargs", "message"),
    [
        ({"engine": "vllm"}, {"paths": {}}, "nothing to load"),
        ({"engine": "nope"}, {}, "engine must be one of"),
        ({"engine": "command"}, {}, "needs to know what to run"),
        ({"engine": "command", "executable": "x {model_path}"}, {"paths": {}}, "model_path"),
        ({"engine": "vllm", "engine_args": {"api-key": "x"}}, {}, "put a secret"),
        ({"engine": "vllm", "engine_args": ["--api-key=x"]}, {}, "put a secret"),
        ({"engine": "sglang", "api_key_file": "/k"}, {}, "configuration file only"),
        ({"engine": "triton", "api_key_file": "/k"}, {}, "knows no API key"),
        ({"engine": "vllm", "engine_args": "x"}, {}, "engine_args must be"),
        ({"engine": "vllm", "drain_seconds": "soon"}, {}, "drain_seconds must be a number"),
        ({"engine": "vllm", "environment": {"A": "x\ny"}}, {}, "line break"),
        ({"engine": "vllm", "environment": ["A"]}, {}, "environment must be a mapping"),
        ({"engine": "vllm", "executable": 'a "b'}, {}, "executable"),
        ({"engine": "vllm"}, {"accelerators": [0]}, "host's type is 'cpu'"),
        ({"engine": "vllm"}, {"accelerators": [0], "accelerator_type": "oddity"}, "modelops_accelerator_vendor"),
    ],
)
def test_bad_input_is_one_clear_message(model: dict[str, Any], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match="chat-8b") as caught:
        make(model, **kwargs)
    assert message in caught.value.message


@pytest.mark.parametrize("missing", ["model", "slot", "port"])
def test_a_placement_must_be_whole(missing: str) -> None:
    placement = {"model": "m", "slot": 0, "port": 1, "version": "1"}
    del placement[missing]
    with pytest.raises(InputError, match=missing):
        build_service(placement, {"engine": "command", "executable": "x"})


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_stops_within_a_bound_above_its_drain(engine: str) -> None:
    service = make({"engine": engine, "executable": "x", "drain_seconds": 100})
    drains = engine != "llama_cpp"
    assert service.stop_timeout_seconds >= (115 if drains else 15)
    assert service.kill_mode == "control-group"


def test_the_digest_follows_the_settings_and_nothing_else() -> None:
    model = {"engine": "vllm", "engine_args": {"max-model-len": 100}}
    digest = as_record(make(model))["digest"]
    assert as_record(make(dict(model)))["digest"] == digest
    assert as_record(make({**model, "engine_args": {"max-model-len": 101}}))["digest"] != digest
    assert as_record(make({**model, "environment": {"A": "1"}}))["digest"] != digest


def test_listening_everywhere_without_a_key_is_said() -> None:
    open_to_all = make({"engine": "vllm", "bind_address": "0.0.0.0"})
    assert any("without an API key" in note for note in open_to_all.notes)
    assert open_to_all.url == "http://127.0.0.1:8100"
    guarded = make({"engine": "vllm", "bind_address": "0.0.0.0", "api_key_file": "/k"})
    assert not any("without an API key" in note for note in guarded.notes)


def test_names_are_safe_for_units_and_files() -> None:
    assert service_name("chat-8b", 3) == "modelops-chat-8b-3"
    assert service_name("org/model:v1 x", 0) == "modelops-org-model-v1-x-0"
