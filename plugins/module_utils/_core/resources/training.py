# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Memory and accelerator-hours of training and fine-tuning.

States (Rajbhandari et al. 2020, ZeRO, arXiv:1910.02054, section 3): with Adam in mixed precision a
trained parameter takes 2 bytes itself, 2 its gradient and 12 its optimiser state (32-bit copy,
momentum, variance). Stage 1 divides the optimiser state over the replicas, stage 2 the gradients
too, stage 3 the parameters too. 8-bit Adam: Dettmers et al. 2022, arXiv:2110.02861.

Activations (Korthikanti et al. 2022, arXiv:2205.05198, section 4): of a layer, for s·b tokens,
s·b·(8·h + 2·(2·a·d + 2·g·d) + 4·f or 8·f where gated) bytes and 5·a·s per token where the scores
are kept; with a = g, a·d = h, f = 4·h and dropout that is their s·b·h·(34 + 5·a·s/h). Tensor parallelism
with sequence parallelism divides them by t. Full recomputation keeps 2·s·b·h a layer and one layer whole.

Operations (Narayanan et al. 2021, arXiv:2104.04473, appendix): forward 2 a parameter and token and
4·s·a·d a layer and token for the scores; backward twice that, once where most weights are frozen; full
recomputation adds one forward. Hours = operations / (peak · utilisation) / 3600.

Adapters (Hu et al. 2021, LoRA, arXiv:2106.09685): r·(in + out) parameters for each matrix adapted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import (
    Architecture,
    count_parameters,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.engine_memory import GIB
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.weights import computed_weights

METHODS = ("full", "lora", "qlora")
RECOMPUTE = ("none", "selective", "full")
# Bytes of optimiser state a trained parameter, its 32-bit copy included.
OPTIMISERS = {"adamw": 12.0, "adamw_8bit": 6.0, "sgd_momentum": 8.0, "sgd": 4.0, "lion": 8.0, "adamw_bf16": 4.0}
# Dense 16-bit TFLOP/s without sparsity, from the vendors' data sheets.
PEAK_TFLOPS = {
    "v100": 125.0,
    "a10": 125.0,
    "l4": 121.0,
    "a100": 312.0,
    "l40s": 362.0,
    "h100": 989.0,
    "h200": 989.0,
    "b200": 2250.0,
    "mi250x": 383.0,
    "mi300x": 1307.0,
    "910b": 320.0,
}


@dataclass(frozen=True)
class TrainingPlan:
    """How it is trained; ``micro_batch`` sequences at once on each replica, ``tokens`` in all, over all epochs."""

    method: str = "full"
    optimiser: str = "adamw"
    tokens: float = 0.0
    sequence: int = 4096
    micro_batch: int = 1
    recompute: str = "selective"
    replicas: int = 1
    parallel: int = 1
    zero_stage: int = 0
    rank: int = 16
    utilisation: float = 0.4
    peak_tflops: float = 0.0


def read_training(record: Mapping[str, Any], *, where: str = "training") -> TrainingPlan:
    """The plan from an option.

    Raises:
        InputError: an unknown key or choice, or a value out of range.
    """
    known = {
        **{"method": "method", "optimiser": "optimiser", "tokens": "tokens", "sequence_tokens": "sequence"},
        **{"micro_batch": "micro_batch", "recompute": "recompute", "data_parallel": "replicas"},
        **{"tensor_parallel": "parallel", "zero_stage": "zero_stage", "lora_rank": "rank"},
        **{"utilisation": "utilisation", "peak_tflops": "peak_tflops"},
    }
    unknown = sorted(set(record) - set(known))
    if unknown:
        raise InputError(f"{', '.join(unknown)} is not known", where=where, remedy=f"Known are {', '.join(known)}")
    choices = {"method": METHODS, "optimiser": tuple(OPTIMISERS), "recompute": RECOMPUTE}
    limits = {"utilisation": (0.01, 1.0), "zero_stage": (0, 3), "tokens": (0, 1e20), "peak_tflops": (0, 1e9)}
    values: dict[str, Any] = {}
    for key, value in record.items():
        if key in choices:
            if value not in choices[key]:
                raise InputError(f"{key} must be one of {', '.join(choices[key])}, not {value!r}", where=where)
            values[known[key]] = value
            continue
        low, high = limits.get(key, (1, 1e9))
        number = expect_number(value, what=key, where=where, minimum=low, maximum=high)
        values[known[key]] = number if key in ("tokens", "utilisation", "peak_tflops") else int(number)
    return TrainingPlan(**values)


def activation_bytes(arch: Architecture, plan: TrainingPlan, *, dropout: bool = False) -> float:
    """Bytes of activations kept for the backward pass, on each accelerator."""
    tokens, h = plan.sequence * plan.micro_batch, arch.width
    queries, keys = arch.heads * arch.head_width, arch.kv_heads * arch.head_width
    per_width = 8 if arch.gated else 4
    expert_layers = arch.experts.layers if arch.experts else 0
    wide = (arch.layers - expert_layers) * arch.feed_forward
    if arch.experts:
        wide += expert_layers * (arch.experts.active * arch.experts.width + arch.experts.shared_width)
    of_layers = (
        arch.layers * (8.0 * h + 2.0 * (2 * queries + 2 * keys) + (2.0 * h if dropout else 0.0)) + per_width * wide
    )
    if plan.recompute == "none":
        of_layers += arch.layers * 5.0 * arch.heads * plan.sequence
    if plan.recompute == "full":
        of_layers = 2.0 * h * arch.layers + of_layers / arch.layers
    return tokens * (of_layers + 4.0 * (h + arch.vocabulary)) / plan.parallel


def trained_parameters(arch: Architecture, plan: TrainingPlan) -> int:
    """All of them, or the adapters of rank r on every projection of the layers, experts left out."""
    if plan.method == "full":
        return count_parameters(arch).total
    h, queries, keys = arch.width, arch.heads * arch.head_width, arch.kv_heads * arch.head_width
    per_layer = 2 * (h + queries) + 2 * (h + keys)
    matrices = 3 if arch.gated else 2
    dense = arch.layers - (arch.experts.layers if arch.experts else 0)
    return plan.rank * (arch.layers * per_layer + dense * matrices * (h + arch.feed_forward))


def operations(arch: Architecture, plan: TrainingPlan) -> float:
    """Floating-point operations for ``plan.tokens``."""
    head = arch.vocabulary * arch.width
    matrices = count_parameters(arch).active - head
    scores = 4.0 * plan.sequence * arch.layers * arch.heads * arch.head_width
    passes = (3.0 if plan.method == "full" else 2.0) + (1.0 if plan.recompute == "full" else 0.0)
    return plan.tokens * (passes * (2.0 * matrices + scores) + (6.0 if plan.method == "full" else 4.0) * head)


def estimate_training(arch: Architecture, plan: TrainingPlan) -> dict[str, Any]:
    """Memory of each accelerator and, for known tokens and peak, operations and accelerator-hours."""
    count, stage = count_parameters(arch), plan.zero_stage
    trained = trained_parameters(arch, plan)
    shard = float(plan.parallel)
    frozen = 0.0 if plan.method == "full" else computed_weights(arch, count, _frozen(arch, plan)).total / shard
    weights = frozen + 2.0 * trained / shard / (plan.replicas if stage >= 3 and plan.method == "full" else 1)
    gradients = 2.0 * trained / shard / (plan.replicas if stage >= 2 else 1)
    states = OPTIMISERS[plan.optimiser] * trained / shard / (plan.replicas if stage >= 1 else 1)
    activations = activation_bytes(arch, plan)
    result: dict[str, Any] = {
        "trained_parameters": trained,
        "weights_gib": round(weights / GIB, 3),
        "gradients_gib": round(gradients / GIB, 3),
        "optimiser_gib": round(states / GIB, 3),
        "activations_gib": round(activations / GIB, 3),
        "total_gib": round((weights + gradients + states + activations) / GIB, 3),
        "accelerators": plan.replicas * plan.parallel,
    }
    if plan.tokens:
        result["operations"] = operations(arch, plan)
    return result


def accelerator_hours(arch: Architecture, plan: TrainingPlan, accelerator_type: str) -> float | None:
    """Hours of one accelerator of this type; None where its peak is not known."""
    product = accelerator_type.lower().split("-")[0]
    peak = plan.peak_tflops or PEAK_TFLOPS.get(product)
    if not peak or not plan.tokens:
        return None
    return operations(arch, plan) / (peak * 1e12 * plan.utilisation) / 3600.0


def _frozen(arch: Architecture, plan: TrainingPlan) -> str:
    if plan.method == "qlora":
        return "nf4"
    return arch.precision if arch.precision in ("bfloat16", "float16") else "bfloat16"
