# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fits where: shapes, the largest concurrency, and the resources of a catalogue entry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.estimate import (
    Wish,
    estimate,
    estimate_lines,
    refuse_unfitting,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.kv_cache import (
    CacheRules,
    bytes_per_token,
    sequence_bytes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.serving import Demand, need_on, shapes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.source import describe

TOLD = json.loads((Path(__file__).resolve().parents[2] / "benchmarks/resources/published.json").read_text())["models"]
H100 = Host("a", accelerator_type="h100-80gb", accelerator_count=8, accelerator_memory_gib=79.2, memory_gib=1000)
L40S = Host("b", accelerator_type="l40s-48gb", accelerator_count=4, accelerator_memory_gib=44.99, memory_gib=500)
CPU = Host("c", accelerator_type="cpu", memory_gib=128)


def model(name: str) -> Any:
    return describe(config=TOLD[name]["config"])


def test_seventy_billion_parameters_need_several_accelerators() -> None:
    told = estimate(model("Llama-3.1-70B"), Wish(context=8192), [H100, L40S])
    assert told["types"]["h100-80gb"]["smallest"] == 2
    assert told["types"]["l40s-48gb"]["smallest"] == 4
    assert told["accelerator_type"] == "h100-80gb"
    assert told["resources"]["accelerators"] == 2
    assert 131 < told["resources"]["accelerator_memory_gib"] < 160
    assert any("h100-80gb: 2 x" in line for line in estimate_lines(told))


def test_a_model_too_big_for_every_host_is_refused_with_what_is_missing() -> None:
    told = estimate(model("DeepSeek-V3"), Wish(context=8192), [L40S])
    with pytest.raises(InputError, match=r"fits no host: on 4 x l40s-48gb, which comes nearest, each needs 3\d\d"):
        refuse_unfitting(told)
    assert told["resources"] is None


def test_on_a_host_without_accelerators_memory_is_asked_for() -> None:
    told = estimate(model("Llama-3.1-8B"), Wish(engine="llama_cpp", context=4096), [CPU])
    assert set(told["resources"]) == {"memory_gib"}
    assert 15 < told["resources"]["memory_gib"] < 17


def test_vllm_takes_the_same_steps_on_every_cpu_and_brings_its_processes() -> None:
    """On CPU it computes 2048 tokens of 128 sequences a step, however much memory there is (vLLM 0.32, arg_utils.py)."""
    hosts = [Host(str(size), accelerator_type=f"cpu-{size}", memory_gib=size) for size in (64, 512)]
    told = estimate(model("Llama-3.1-8B"), Wish(context=4096), hosts)["types"]
    small, large = (told[f"cpu-{size}"]["shapes"][0] for size in (64, 512))
    assert small["activation_gib"] == large["activation_gib"]
    asked = Wish(context=4096, step_tokens=2048, sequences=128)
    assert (
        small["activation_gib"]
        == estimate(model("Llama-3.1-8B"), asked, hosts)["types"]["cpu-64"]["shapes"][0]["activation_gib"]
    )
    on_card = estimate(model("Llama-3.1-8B"), Wish(context=4096), [H100])["types"]["h100-80gb"]["shapes"][0]
    assert on_card["runtime_gib"] < 0.2 < 1.0 < small["runtime_gib"]


def test_a_window_lies_across_one_block_more() -> None:
    """vLLM 0.32 on CPU, six layers with a window of 512: 6 blocks of 128 a sequence at steps of 32 tokens, measured."""
    config = {"model_type": "mistral", "hidden_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 16}
    config |= {"num_key_value_heads": 4, "vocab_size": 512, "sliding_window": 512, "max_position_embeddings": 4096}
    arch = describe(config=config).architecture
    kept = sequence_bytes(arch, 2.0, 2048, CacheRules(128, 32, straddled=True))
    assert kept == 6 * 128 * bytes_per_token(arch, 2.0)
    assert sequence_bytes(arch, 2.0, 600, CacheRules(128, 512, straddled=True)) == 640 * bytes_per_token(arch, 2.0)


def test_vllm_halves_what_is_stored_in_thirty_two_bits() -> None:
    """Measured: its dtype is 16 bits wide then, unless one is named; llama.cpp's is what is stored."""
    stored = describe(config={**TOLD["Llama-3.1-8B"]["config"], "torch_dtype": "float32"})
    halved, whole = (estimate(stored, Wish(context=4096, precision=one), [H100]) for one in ("", "float32"))
    assert halved["weights"]["gib"] == pytest.approx(whole["weights"]["gib"] / 2, rel=0.01)
    assert halved["cache"]["precision"] == "bfloat16"
    kept = estimate(stored, Wish(engine="llama_cpp", context=4096), [CPU])
    assert kept["weights"]["gib"] == pytest.approx(whole["weights"]["gib"], rel=0.01)


def test_heads_decide_how_many_can_share() -> None:
    assert shapes(model("Llama-3.1-8B").architecture, "vllm", 8) == [1, 2, 4, 8]
    odd = replace(model("Qwen2-7B").architecture, heads=28, kv_heads=4)
    assert shapes(odd, "vllm", 8) == [1, 2, 4]
    assert shapes(odd, "llama_cpp", 3) == [1, 2, 3]


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Wish(precision="float5"), "precision 'float5' is not known"),
        (Wish(cache_precision="x"), "cache_precision 'x' is not known"),
        (Wish(accelerator_type="b200-180gb"), "no host has accelerators of type b200-180gb"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wish: Wish, says: str) -> None:
    with pytest.raises(InputError, match=says):
        estimate(model("Llama-3.1-8B"), wish, [H100])


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(["Llama-3.1-8B", "Qwen3-30B-A3B", "Gemma-2-9B", "DeepSeek-V2-Lite"]),
    engine=st.sampled_from(["vllm", "sglang", "llama_cpp"]),
    context=st.integers(64, 32768),
    memory=st.floats(24, 192),
    parallel=st.sampled_from([1, 2, 4]),
)
def test_the_largest_concurrency_fits_and_one_more_does_not(
    name: str, engine: str, context: int, memory: float, parallel: int
) -> None:
    found = model(name)
    weights = found.weights("", engine)
    demand = Demand(engine, context, 1, 2.0)
    most = need_on(found.architecture, weights, demand, memory, parallel).largest_concurrency
    if most == 0:
        assert not need_on(found.architecture, weights, demand, memory, parallel).fits
        return
    assert need_on(found.architecture, weights, replace(demand, concurrency=most), memory, parallel).fits
    assert not need_on(found.architecture, weights, replace(demand, concurrency=most + 1), memory, parallel).fits


@settings(max_examples=50, deadline=None)
@given(context=st.integers(1, 100000), more=st.integers(1, 5000), concurrency=st.integers(1, 64))
def test_more_context_or_more_requests_never_need_less(context: int, more: int, concurrency: int) -> None:
    found = model("Gemma-2-9B")
    weights, demand = found.weights("", "vllm"), Demand("vllm", context, concurrency, 2.0)
    need = need_on(found.architecture, weights, demand, 80, 1).total_gib
    assert need_on(found.architecture, weights, replace(demand, context=context + more), 80, 1).total_gib >= need
    assert need_on(found.architecture, weights, replace(demand, concurrency=concurrency + 1), 80, 1).total_gib > need
