# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""resource_estimate as Ansible runs it, against a real llama.cpp, and a plan that goes by it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gateway_bench
import jsonschema
import module_command
import pytest

from ansible_collections.modelops.datacenter.plugins.filter.filled_resources import filled_resources

SCHEMA = json.loads((gateway_bench.ROOT / "docs/schemas/estimate.schema.json").read_text())
CONFIG = {
    **{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32},
    **{"num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072},
    "torch_dtype": "bfloat16",
}
HOSTS = [
    {"name": "a", "accelerator_type": "h100-80gb", "accelerator_count": 8, "accelerator_memory_gib": 79.2},
    {"name": "b", "accelerator_type": "l4-24gb", "accelerator_count": 4, "accelerator_memory_gib": 22.5},
]
LOAD = """
import os, sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.hostnames, params.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
params.n_ctx, params.n_parallel, params.n_gpu_layers, params.verbosity = 2048, 4, 0, 4
server = xllamacpp.Server(params)
time.sleep(0.3)
os._exit(0)
"""


def estimate(**options: Any) -> dict[str, Any]:
    return module_command.run_alone("resource_estimate", options)


def test_the_ladder_check_mode_write_same_again_changed(tmp_path: Path) -> None:
    dest = tmp_path / "estimate.json"
    options = {"config": CONFIG, "context_tokens": 8192, "concurrency": 32, "hosts": HOSTS, "dest": str(dest)}
    looked = module_command.run_module("resource_estimate", options, "--check")
    assert looked["changed"] is True
    assert not dest.exists()
    first = estimate(**options)
    assert first["changed"] is True
    jsonschema.validate(json.loads(dest.read_text()), SCHEMA)
    assert json.loads(dest.read_text())["resources"] == first["resources"] == looked["resources"]
    assert estimate(**options)["changed"] is False
    assert estimate(**{**options, "concurrency": 33})["changed"] is True
    # 8,030,261,248 parameters of 2 bytes, and 32 requests of a GiB each
    assert first["weights"]["gib"] == pytest.approx(8030261248 * 2 / 2**30, abs=1e-3)
    assert first["cache"]["bytes_per_token"] == 131072
    assert first["types"]["h100-80gb"]["smallest"] == 1
    assert first["types"]["l4-24gb"]["smallest"] == 4


def test_what_a_real_llama_cpp_reports_when_it_loads_the_demo_model(tmp_path: Path) -> None:
    path = gateway_bench.tiny_model(tmp_path)
    port = gateway_bench.free_ports(1)[0]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path), str(port)], capture_output=True, text=True, timeout=60, check=False
    )
    told = {
        what: sum(float(one) for one in re.findall(rf"{what} size =\s+([\d.]+) MiB", done.stdout + done.stderr))
        for what in ("model buffer", "KV buffer", "compute buffer")
    }
    cpu = [{"name": "c", "accelerator_type": "cpu", "memory_gib": 4}]
    found = estimate(path=str(path), engine="llama_cpp", context_tokens=512, concurrency=4, hosts=cpu)
    shape = found["types"]["cpu"]["shapes"][0]
    assert shape["weights_gib"] * 1024 == pytest.approx(told["model buffer"], abs=1.1)
    assert found["weights"]["gib"] * 1024 == pytest.approx(told["model buffer"], abs=0.06)
    assert 4 * found["cache"]["bytes_per_token"] * 512 / 2**20 == pytest.approx(told["KV buffer"], rel=0.02)
    assert shape["total_gib"] * 1024 == pytest.approx(sum(told.values()), abs=2.1)


def test_a_plan_goes_by_the_estimate() -> None:
    found = estimate(config=CONFIG, context_tokens=8192, concurrency=32, hosts=HOSTS, accelerator_type="l4-24gb")
    catalogue = {"chat": {"engine": "vllm", "capacity": {"l4-24gb": {"requests_per_second": 1}}, "min_replicas": 2}}
    models = filled_resources(catalogue, {"chat": found})
    options = {"hosts": HOSTS, "models": models, "demand": {"chat": {"0.5": 1.0, "0.9": 1.5, "0.95": 2.0}}}
    plan = module_command.run_alone("capacity_plan", options)
    assert [len(one["accelerators"]) for one in plan["plan"]["placements"]] == [4]
    assert plan["plan"]["shortages"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "one of the following is required: path, config, architecture"),
        ({"config": {"model_type": "llama"}}, "the configuration has no hidden_size, num_hidden_layers"),
        (
            {"config": CONFIG, "hosts": HOSTS[1:], "context_tokens": 131072, "concurrency": 9},
            "the model fits no host: on 4 x l4-24gb",
        ),
        ({"config": CONFIG, "concurrency": 0}, "concurrency must be between 1"),
        ({"config": CONFIG, "memory_share": 1.5}, "memory_share must be between 0.05 and 1"),
        ({"config": CONFIG, "training": {"method": "wish"}}, "method must be one of full, lora, qlora"),
        ({"path": "/nowhere"}, "there is no such file"),
    ],
)
def test_bad_input_gives_one_clear_message(options: dict[str, Any], says: str) -> None:
    found = estimate(**options)
    assert found["failed"] is True
    assert says in found["msg"]


def test_a_truncated_gguf(tmp_path: Path) -> None:
    path = gateway_bench.tiny_model(tmp_path)
    path.write_bytes(path.read_bytes()[:200_000])
    found = estimate(path=str(path), engine="llama_cpp")
    assert found["failed"] is True
    assert found["msg"].endswith("bytes of its weights are missing. Fetch the file again and compare its checksum.")


def test_hours_of_a_fine_tuning() -> None:
    training = {"method": "lora", "tokens": 2e8, "sequence_tokens": 4096, "recompute": "full"}
    found = estimate(config=CONFIG, hosts=HOSTS, training=training)
    assert found["training"]["fits"] == ["h100-80gb", "l4-24gb"]
    # three forward passes' worth, 2 operations a parameter and token each, and 4·s·h a layer and token for the scores
    operations = 2e8 * (3 * (2 * 6_979_588_096 + 4 * 4096 * 32 * 4096) + 4 * 128256 * 4096)
    assert found["training"]["operations"] == pytest.approx(operations, rel=0.01)
    assert found["training"]["accelerator_hours"]["h100-80gb"] == pytest.approx(
        operations / (989e12 * 0.4) / 3600, rel=0.01
    )
    assert any(line.startswith("training: ") for line in found["lines"])
