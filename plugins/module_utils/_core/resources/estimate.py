# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The whole estimate of one model as a document, and in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import Architecture
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.engine_memory import GIB
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.kv_cache import (
    bytes_per_token,
    sequence_bytes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import (
    bytes_of,
    named_precision,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.serving import (
    Demand,
    cache_rules,
    fits_by_type,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.source import Described
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.training import (
    TrainingPlan,
    accelerator_hours,
    estimate_training,
)

_HALVED = "bfloat16"


@dataclass(frozen=True)
class Wish:
    """What is asked: see the options of ``resource_estimate``; 0 and "" leave the choice to the model or the engine."""

    engine: str = "vllm"
    engine_version: str = ""
    precision: str = ""
    cache_precision: str = ""
    context: int = 0
    concurrency: int = 1
    step_tokens: int = 0
    sequences: int = 0
    share: float = 0.0
    accelerator_type: str = ""


def estimate(model: Described, wish: Wish, hosts: list[Host], training: TrainingPlan | None = None) -> dict[str, Any]:
    """What the model needs, where it fits, and what training it takes.

    Raises:
        InputError: a precision or a context that cannot be, or an accelerator type the fleet does not have.
    """
    arch, count = model.architecture, model.count
    precision = (
        named_precision(wish.precision, what="precision") if wish.precision else chosen_precision(wish.engine, arch)
    )
    context = wish.context or arch.context
    if context <= 0:
        raise InputError("the model does not say its context", where=model.source, remedy="Set context_tokens")
    weights = model.weights(precision, wish.engine)
    cache_precision = _cache_precision(wish, precision if precision == _HALVED else arch.precision)
    demand = Demand(
        engine=wish.engine,
        context=context,
        concurrency=wish.concurrency,
        cache_bytes=bytes_of(cache_precision),
        step_tokens=wish.step_tokens,
        sequences=wish.sequences,
        share=wish.share,
        version=_version(wish.engine_version),
    )
    fits = fits_by_type(arch, weights, demand, hosts)
    cache = cache_rules(wish.engine, wish.step_tokens or (512 if wish.engine == "llama_cpp" else 8192))
    document: dict[str, Any] = {
        "schema_version": 1,
        "kind": "estimate",
        "source": model.source,
        "engine": wish.engine,
        "parameters": {**asdict(count), "total": count.total, "stored": None if model.packed else model.values or None},
        "weights": {
            "gib": round(weights.total / GIB, 4),
            "precision": precision or ("as stored" if model.stored_bytes else arch.quantised or arch.precision),
            "from": "headers" if model.stored_bytes and not precision else "configuration",
        },
        "cache": {
            "precision": cache_precision,
            "bytes_per_token": bytes_per_token(arch, demand.cache_bytes),
            "sequence_gib": round(sequence_bytes(arch, demand.cache_bytes, context, cache) / GIB, 4),
            "windowed_layers": arch.windowed_layers,
            "window_tokens": arch.window,
        },
        "context_tokens": context,
        "concurrency": wish.concurrency,
        "types": fits,
        "accelerator_type": _chosen(fits, wish.accelerator_type),
        "resources": None,
    }
    if document["accelerator_type"]:
        document["resources"] = fits[document["accelerator_type"]]["resources"]
    if training is not None:
        document["training"] = _training(model, training, fits)
    return document


def estimate_lines(document: Mapping[str, Any]) -> list[str]:
    """The same in words: one line on the model, one an accelerator type, one on training."""
    cache, weights = document["cache"], document["weights"]
    lines = [
        f"{document['parameters']['total'] / 1e9:.2f} billion parameters, {weights['gib']:.2f} GiB as {weights['precision']};"
        f" {cache['bytes_per_token'] / 1024:.1f} KiB of cache a token,"
        f" {cache['sequence_gib']:.2f} GiB for {document['context_tokens']} tokens"
    ]
    for kind, fit in document["types"].items():
        shape = next((one for one in fit["shapes"] if one["accelerators"] == fit["smallest"]), None)
        if shape is None:
            nearest = fit["shapes"][-1] if fit["shapes"] else None
            need = (
                f": {nearest['total_gib']:.1f} of {nearest['room_gib']:.1f} GiB on each of {nearest['accelerators']}"
                if nearest
                else ""
            )
            lines.append(f"{kind}: does not fit{need}")
            continue
        lines.append(
            f"{kind}: {shape['accelerators']} x {shape['total_gib']:.1f} of {shape['room_gib']:.1f} GiB,"
            f" up to {shape['largest_concurrency']} requests of {document['context_tokens']} tokens at once"
        )
    training = document.get("training")
    if training:
        hours = {kind: value for kind, value in training["accelerator_hours"].items() if value is not None}
        told = ", ".join(f"{value:,.0f} hours of {kind}" for kind, value in hours.items())
        lines.append(
            f"training: {training['total_gib']:.1f} GiB on each of {training['accelerators']} accelerators{'; ' if told else ''}{told}"
        )
    return lines


def refuse_unfitting(document: Mapping[str, Any]) -> None:
    """Raises where accelerators are there and none of them can hold the model.

    Raises:
        InputError: with what is missing on the type that comes nearest.
    """
    types = document["types"]
    if not types or any(fit["smallest"] is not None for fit in types.values()):
        return
    shapes = [(one["total_gib"] - one["room_gib"], kind, one) for kind, fit in types.items() for one in fit["shapes"]]
    if not shapes:
        raise InputError("no number of accelerators of any host divides the model's heads", where=document["source"])
    lack, kind, one = min(shapes, key=lambda entry: (entry[0], entry[1], entry[2]["accelerators"]))
    raise InputError(
        f"the model fits no host: on {one['accelerators']} x {kind}, which comes nearest, each needs {one['total_gib']:.1f} GiB"
        f" and has {one['room_gib']:.1f}, {lack:.1f} too few",
        where=document["source"],
        remedy="Lower context_tokens, concurrency or max_sequences, store it in fewer bits, or add larger accelerators",
    )


def chosen_precision(engine: str, arch: Architecture) -> str:
    """vLLM loads what is stored in 32 bits in 16, unless its ``dtype`` says otherwise (measured with 0.32)."""
    return _HALVED if engine == "vllm" and arch.precision == "float32" and not arch.quantised else ""


def _cache_precision(wish: Wish, stored: str) -> str:
    if wish.cache_precision:
        return named_precision(wish.cache_precision, what="cache_precision")
    if wish.engine == "llama_cpp":
        return "float16"
    return stored if stored in ("float32", "bfloat16", "float16") else "bfloat16"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _chosen(fits: Mapping[str, Any], wanted: str) -> str | None:
    """The type asked for, else the one that holds the model with the fewest accelerators and least memory."""
    if wanted and wanted not in fits:
        raise InputError(
            f"no host has accelerators of type {wanted}",
            where="accelerator_type",
            remedy=f"The fleet has {', '.join(fits) or 'none'}",
        )
    if wanted:
        return wanted
    able = [(fit["smallest"], fit["memory_gib"], kind) for kind, fit in fits.items() if fit["smallest"] is not None]
    return min(able)[2] if able else None


def _training(model: Described, plan: TrainingPlan, fits: Mapping[str, Any]) -> dict[str, Any]:
    arch = model.architecture
    hours = {kind: accelerator_hours(arch, plan, kind) for kind in fits}
    result = estimate_training(arch, plan)
    return {
        **result,
        "accelerator_hours": {kind: None if value is None else round(value, 2) for kind, value in hours.items()},
        "fits": sorted(
            kind
            for kind, fit in fits.items()
            if fit["accelerators_on_a_host"] and result["total_gib"] <= 0.95 * fit["memory_gib"]
        ),
    }
