# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters, caches and memory against what publishers state and engines reported.

The figures and where they come from: tests/benchmarks/resources/published.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources import engine_memory, kv_cache
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import Architecture
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.engine_memory import GIB
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.source import Described, describe

TOLD = json.loads((Path(__file__).resolve().parents[2] / "benchmarks/resources/published.json").read_text())


def model(name: str) -> Described:
    return describe(config=TOLD["models"][name]["config"])


@pytest.mark.parametrize("name", [name for name, one in TOLD["models"].items() if not one.get("coarse")])
def test_parameters_are_what_the_publisher_states(name: str) -> None:
    assert model(name).count.total == pytest.approx(TOLD["models"][name]["published_parameters"], rel=0.02)


@pytest.mark.parametrize(
    "name", ["Llama-2-7b", "Llama-3.1-8B", "Llama-3.1-70B", "Mistral-7B-v0.1", "Mixtral-8x7B-v0.1", "Qwen2-7B", "GPT-2"]
)
def test_parameters_are_exact_where_the_weights_were_counted(name: str) -> None:
    assert model(name).count.total == TOLD["models"][name]["published_parameters"]


@pytest.mark.parametrize("name", ["gpt-oss-120b", "gpt-oss-20b"])
def test_checkpoints_with_experts_in_four_bits(name: str) -> None:
    assert model(name).weights("", "").total / GIB == pytest.approx(TOLD["models"][name]["checkpoint_gib"], rel=0.02)


@pytest.mark.parametrize("row", TOLD["cache"], ids=lambda row: row["what"])
def test_cache_a_token_is_what_engines_reported(row: dict[str, Any]) -> None:
    one = kv_cache.bytes_per_token(model(row["model"]).architecture, 2.0, row.get("tensor_parallel", 1))
    assert one * row["tokens"] / GIB == pytest.approx(row["cache_gib"], rel=0.02)


def activation(row: dict[str, Any]) -> float:
    return (
        engine_memory.peak_activation(
            model(row["model"]).architecture,
            tokens=row["max_batched_tokens"],
            sequences=row["max_sequences"],
            parallel=row["tensor_parallel"],
            version=tuple(int(part) for part in row["version"].split(".")),
        )
        / GIB
    )


@pytest.mark.parametrize(
    "row", TOLD["vllm"], ids=lambda row: f"{row['model']}-{row['tensor_parallel']}-{row['version']}"
)
def test_memory_is_what_vllm_reported(row: dict[str, Any]) -> None:
    weights = model(row["model"]).weights(row.get("precision", ""), "vllm").on_each(row["tensor_parallel"]) / GIB
    assert weights == pytest.approx(row["weights_gib"], rel=0.02)
    told = row["weights_gib"] + row["activation_gib"]
    assert weights + activation(row) == pytest.approx(told, rel=0.10)


@pytest.mark.parametrize("row", TOLD["activation"], ids=lambda row: row["model"])
def test_the_peak_of_a_step_is_what_vllm_reported(row: dict[str, Any]) -> None:
    assert activation(row) == pytest.approx(row["activation_gib"], rel=0.10)


def test_windows_bound_the_cache() -> None:
    """Gemma 2 9B: 21 of 42 layers keep 4096 + 1024 tokens, the others all 8192; 2·8·256·2 bytes each."""
    arch = model("Gemma-2-9B").architecture
    rules = kv_cache.CacheRules(block=16, step_tokens=1024)
    assert arch.windowed_layers == 21
    assert kv_cache.sequence_bytes(arch, 2.0, 8192, rules) == 21 * (8192 + 5120) * 2 * 8 * 256 * 2
    assert kv_cache.sequence_bytes(arch, 2.0, 1000, rules) == 42 * 1008 * 2 * 8 * 256 * 2


@pytest.mark.parametrize(("parallel", "heads"), [(1, 4), (2, 2), (4, 1), (8, 1), (16, 1)])
def test_heads_are_divided_until_each_accelerator_has_one(parallel: int, heads: int) -> None:
    arch = model("Qwen3-30B-A3B").architecture
    assert kv_cache.layer_bytes_per_token(arch, 2.0, parallel) == 2 * heads * 128 * 2


def test_the_latent_vector_is_kept_by_every_accelerator() -> None:
    arch: Architecture = model("DeepSeek-V3").architecture
    assert kv_cache.bytes_per_token(arch, 2.0, 8) == kv_cache.bytes_per_token(arch, 2.0) == 61 * 576 * 2
