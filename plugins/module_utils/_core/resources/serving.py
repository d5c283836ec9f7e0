# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A replica's memory on accelerators of one size, and what fits on the fleet's.

For each accelerator type the shapes 1, 2, 4, ... accelerators up to what one host has are tried.
On each accelerator: weights + cache of the requests at once + peak of a step + runtime must stay
within the engine's share of its memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.architecture import Architecture
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.engine_memory import (
    ENGINE_RULES,
    GIB,
    default_step,
    llama_buffer,
    peak_activation,
    runtime_bytes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.kv_cache import (
    CacheRules,
    sequence_bytes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.weights import Weights

_MOST_PARALLEL = 64
_MOST_REQUESTS = 1 << 20
CPU_SHARE = 0.9


@dataclass(frozen=True)
class Demand:
    """How the replica is to be run. ``step_tokens``, ``sequences`` and ``share`` are the engine's own choice where 0."""

    engine: str
    context: int
    concurrency: int
    cache_bytes: float
    step_tokens: int = 0
    sequences: int = 0
    share: float = 0.0
    version: tuple[int, ...] = ()
    on_cpu: bool = False


@dataclass(frozen=True)
class Need:
    """GiB on each of ``accelerators``; ``room`` is what the engine may fill there."""

    accelerators: int
    weights_gib: float
    cache_gib: float
    activation_gib: float
    runtime_gib: float
    room_gib: float
    largest_concurrency: int

    @property
    def total_gib(self) -> float:
        return self.weights_gib + self.cache_gib + self.activation_gib + self.runtime_gib

    @property
    def fits(self) -> bool:
        return self.total_gib <= self.room_gib

    def as_record(self) -> dict[str, Any]:
        fields = {**asdict(self), "total_gib": self.total_gib}
        rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
        return {**rounded, "fits": self.fits}


def cache_rules(engine: str, step_tokens: int) -> CacheRules:
    """How the engine keeps keys and values, where a step computes up to so many tokens."""
    rules = ENGINE_RULES[engine]
    return CacheRules(rules.block, step_tokens, straddled=rules.splits_heads)


def need_on(arch: Architecture, weights: Weights, demand: Demand, memory_gib: float, parallel: int) -> Need:
    """What ``parallel`` accelerators of ``memory_gib`` each would hold."""
    rules = ENGINE_RULES[demand.engine]
    tokens, sequences = default_step(demand.engine, memory_gib * GIB, on_cpu=demand.on_cpu)
    tokens, sequences = demand.step_tokens or tokens, demand.sequences or sequences
    cache = cache_rules(demand.engine, tokens)
    if rules.splits_heads:
        part = 1.0
        one = sequence_bytes(arch, demand.cache_bytes, demand.context, cache, parallel)
        held = weights.on_each(parallel)
    else:
        # Layers are dealt out whole: the fullest accelerator counts.
        part = ceil(arch.layers / parallel) / arch.layers
        one = sequence_bytes(arch, demand.cache_bytes, demand.context, cache) * part
        held = weights.total * part

    def activation(concurrency: int) -> float:
        if not rules.splits_heads:
            cells = ceil(demand.context / rules.block) * rules.block
            return llama_buffer(arch, tokens=tokens, outputs=concurrency, cells=cells)
        version = demand.version
        return peak_activation(arch, tokens=tokens, sequences=sequences, parallel=parallel, version=version)

    runtime = runtime_bytes(demand.engine, parallel, on_cpu=demand.on_cpu)
    room = memory_gib * GIB * (demand.share or rules.share) - rules.reserve
    return Need(
        accelerators=parallel,
        weights_gib=held / GIB,
        cache_gib=one * demand.concurrency / GIB,
        activation_gib=activation(demand.concurrency) / GIB,
        runtime_gib=runtime / GIB,
        room_gib=room / GIB,
        largest_concurrency=_largest(lambda count: held + activation(count) + runtime + one * count <= room),
    )


def _largest(fits: Callable[[int], bool]) -> int:
    """The largest count that fits, 0 where none does; found by doubling, then halving."""
    if not fits(1):
        return 0
    low, high = 1, 2
    while high < _MOST_REQUESTS and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def shapes(arch: Architecture, engine: str, most: int) -> list[int]:
    """Numbers of accelerators that can share the model, up to ``most``.

    Tensor parallelism divides query heads evenly, and key-value heads evenly or one to several
    accelerators; layers can be dealt out to any number.
    """
    if not ENGINE_RULES[engine].splits_heads:
        return list(range(1, min(most, arch.layers) + 1))
    found, parallel = [], 1
    while parallel <= min(most, _MOST_PARALLEL):
        whole_heads = arch.kv_heads % parallel == 0 or parallel % arch.kv_heads == 0 or arch.latent is not None
        if arch.heads % parallel == 0 and whole_heads:
            found.append(parallel)
        parallel *= 2
    return found


def fits_by_type(
    arch: Architecture, weights: Weights, demand: Demand, hosts: Iterable[Host]
) -> dict[str, dict[str, Any]]:
    """By accelerator type: every shape with its :class:`Need`, and the smallest that fits.

    Hosts of one type may differ; the largest host counts for the number, the smallest memory for the size.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, (count, memory) in sorted(_stock(hosts).items()):
        on_cpu = count == 0
        rules = replace(demand, share=demand.share or CPU_SHARE, on_cpu=True) if on_cpu else demand
        tried = [
            need_on(arch, weights, rules, memory, parallel) for parallel in shapes(arch, demand.engine, max(1, count))
        ]
        smallest = next((need for need in tried if need.fits), None)
        found[kind] = {
            "accelerators_on_a_host": count,
            "memory_gib": memory,
            "shapes": [need.as_record() for need in tried],
            "smallest": None if smallest is None else smallest.accelerators,
            "largest_concurrency": max((need.largest_concurrency for need in tried), default=0),
            "resources": None if smallest is None else catalogue_resources(smallest, on_cpu=on_cpu),
        }
    return found


def catalogue_resources(need: Need, *, on_cpu: bool) -> dict[str, float]:
    """The same as ``resources`` of a catalogue entry: GiB over all accelerators of the replica, rounded up."""
    total = ceil(need.total_gib * need.accelerators * 10 - 1e-9) / 10
    return {"memory_gib": total} if on_cpu else {"accelerators": need.accelerators, "accelerator_memory_gib": total}


def _stock(hosts: Iterable[Host]) -> dict[str, tuple[int, float]]:
    stock: dict[str, tuple[int, float]] = {}
    for host in hosts:
        memory = host.accelerator_memory_gib if host.accelerator_count else host.memory_gib
        if memory <= 0:
            continue
        count, smallest = stock.get(host.accelerator_type, (0, memory))
        stock[host.accelerator_type] = (max(count, host.accelerator_count), min(smallest, memory))
    return stock
