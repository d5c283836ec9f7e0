# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: against the figures of the papers the formulas come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import (
    Architecture,
    count_parameters,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.training import (
    TrainingPlan,
    accelerator_hours,
    activation_bytes,
    estimate_training,
    operations,
    read_training,
    trained_parameters,
)

# GPT-3 as in Korthikanti et al. 2022, table 3: a = 96, h = 12288, L = 96, s = 2048, V = 51200.
GPT3 = Architecture("gpt3", 96, 12288, 96, 96, 128, 4 * 12288, 51200, 2048, gated=False, tied=True)
LLAMA_405B = Architecture("llama", 126, 16384, 128, 8, 128, 53248, 128256, 131072)
LLAMA_70B = Architecture("llama", 80, 8192, 64, 8, 128, 28672, 32000, 4096)


@pytest.mark.parametrize("parallel", [1, 8])
def test_activations_follow_the_published_formula(parallel: int) -> None:
    s, b, h, a = 2048, 2, 12288, 96
    layers = 96 * s * b * h * (34 + 5 * a * s / h) / parallel
    end = 4 * s * b * (h + 51200) / parallel
    plan = TrainingPlan(sequence=s, micro_batch=b, recompute="none", parallel=parallel)
    assert activation_bytes(GPT3, plan, dropout=True) == pytest.approx(layers + end)


def test_selective_and_full_recomputation_keep_less() -> None:
    plan = TrainingPlan(sequence=2048, recompute="none")
    kept = [activation_bytes(GPT3, replace(plan, recompute=how)) for how in ("none", "selective", "full")]
    # Without the scores 34 of 34 + 80 are left, as in section 5 of the paper; then 2 of 34 and one layer.
    assert kept[1] / kept[0] == pytest.approx(32 / (32 + 80), rel=0.02)
    assert kept[2] < kept[1] / 8


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_operations_follow_narayanan(recompute: str) -> None:
    """96·B·s·L·h²·(1 + s/6h + V/16Lh) with full recomputation, of which a quarter of the layers' part is the recomputation."""
    s, L, h, V = 2048, 96, 12288, 51200
    layers = 96 * s * L * h**2 * (1 + s / (6 * h)) * (1 if recompute == "full" else 0.75)
    plan = TrainingPlan(tokens=s, sequence=s, recompute=recompute)
    assert operations(GPT3, plan) == pytest.approx(layers + 6 * s * h * V, rel=1e-3)


def test_operations_of_llama_405b() -> None:
    """3.8e25 operations on 15.6T tokens (arXiv:2407.21783, section 3.4), counted without the scores of attention."""
    assert count_parameters(LLAMA_405B).total == pytest.approx(405e9, rel=0.01)
    assert operations(LLAMA_405B, TrainingPlan(tokens=15.6e12, sequence=1)) == pytest.approx(3.8e25, rel=0.01)


def test_hours_of_llama_2_70b() -> None:
    """1,720,320 hours of A100 for 2T tokens (arXiv:2307.09288, table 2): a utilisation that such runs reach."""
    plan = TrainingPlan(tokens=2e12, sequence=4096, utilisation=1.0)
    hours = accelerator_hours(LLAMA_70B, plan, "a100-80gb")
    assert hours is not None
    assert 0.40 < hours / 1_720_320 < 0.50


@pytest.mark.parametrize(("stage", "gigabytes"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_states_divide_as_in_the_zero_paper(stage: int, gigabytes: float) -> None:
    """7.5 billion parameters over 64 replicas (arXiv:1910.02054, figure 1)."""
    layers = 36
    arch = Architecture("paper", layers, 4096, 32, 32, 128, 4 * 4096, 1000, 1024, gated=False, tied=True)
    arch = replace(arch, extra=7_500_000_000 - count_parameters(arch).total)
    told = estimate_training(arch, TrainingPlan(replicas=64, zero_stage=stage))
    held = told["weights_gib"] + told["gradients_gib"] + told["optimiser_gib"]
    assert held * 2**30 / 1e9 == pytest.approx(gigabytes, rel=0.02)


def test_adapters_train_what_their_rank_says() -> None:
    """Llama 2 7B, rank 8 on all seven projections: 19,988,480 parameters, as PEFT counts them."""
    arch = Architecture("llama", 32, 4096, 32, 32, 128, 11008, 32000, 4096)
    assert trained_parameters(arch, TrainingPlan(method="lora", rank=8)) == 19_988_480


def test_four_bit_fine_tuning_takes_less_than_sixteen() -> None:
    arch = Architecture("llama", 32, 4096, 32, 32, 128, 11008, 32000, 4096)
    told = {how: estimate_training(arch, TrainingPlan(method=how)) for how in ("full", "lora", "qlora")}
    assert told["qlora"]["total_gib"] < told["lora"]["total_gib"] < told["full"]["total_gib"]
    assert told["full"]["optimiser_gib"] == pytest.approx(12 * 6738415616 / 2**30, rel=1e-3)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"method": "magic"}, "method must be one of full, lora, qlora"),
        ({"epochs": 3}, "epochs is not known"),
        ({"utilisation": 1.2}, "between 0.01 and 1"),
        ({"zero_stage": 4}, "between 0 and 3"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(record: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_training(record)
