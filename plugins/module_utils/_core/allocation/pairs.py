# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which model may run on which host class, and what is known of each such pair.

A pair (model, class) is admissible when the model serves on that accelerator type and a
replica fits the empty host. A draining class takes nothing new: its pairs keep at most
what runs. Pairs are ordered by model, then class; P is their number, M that of models,
K that of classes, R that of resources.

Everything is worked out for all models and classes at once, as arrays of shape (M, K).
The scalar functions of resources.py say the same for one model and one host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.classes import HostClass
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Model, Replica

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
ACCELERATORS, ACCELERATOR_MEMORY = 0, 1  # columns of resources.RESOURCES


@dataclass(frozen=True, eq=False)
class Pairs:
    """Arrays of shape (P,): ``model`` and ``host_class`` (indices), ``rate`` (requests/s a replica),
    ``fits`` (phi, replicas on an empty host), ``running`` (x0), ``upper`` (most replicas),
    ``cost`` (currency/h a replica), ``draining``; ``need`` has shape (P, R).
    """

    model: Array
    host_class: Array
    rate: Array
    fits: Array
    running: Array
    upper: Array
    cost: Array
    draining: Array
    need: Array


def admissible_pairs(models: Sequence[Model], classes: Sequence[HostClass], running: Sequence[Replica]) -> Pairs:
    """The pairs of these models and classes, with what runs now."""
    rate = _rates(models, classes)
    fits = np.where(rate > 0, _fits(models, classes), 0.0)
    runs = _running(models, classes, running)
    draining = np.array([one.draining for one in classes], dtype=bool)
    model, host_class = np.nonzero((fits > 0) & ((runs > 0) | ~draining))
    need = _needs(models, classes, model, host_class)
    hosts = np.array([len(one.hosts) for one in classes], dtype=float)
    hourly = np.array([one.cost_per_hour for one in classes], dtype=float)
    fits, runs = fits[model, host_class], runs[model, host_class]
    return Pairs(
        model=model,
        host_class=host_class,
        rate=rate[model, host_class],
        fits=fits,
        running=runs,
        upper=np.where(draining[host_class], runs, fits * hosts[host_class]),
        cost=hourly[host_class] * _dominant_share(need, _rooms(classes)[host_class]),
        draining=draining[host_class],
        need=need,
    )


def _rates(models: Sequence[Model], classes: Sequence[HostClass]) -> Array:
    """Requests/s of one replica, 0 where the model does not serve; shape (M, K)."""
    types = sorted({one.example.accelerator_type for one in classes})
    column = {kind: i for i, kind in enumerate(types)}
    by_type = np.zeros((len(models), len(types)))
    for m, model in enumerate(models):
        for kind, capacity in model.capacity.items():
            if kind in column:
                by_type[m, column[kind]] = capacity.requests_per_second
    return by_type[:, [column[one.example.accelerator_type] for one in classes]]


def _running(models: Sequence[Model], classes: Sequence[HostClass], running: Sequence[Replica]) -> Array:
    class_of = {host: k for k, one in enumerate(classes) for host in one.hosts}
    row_of = {model.name: m for m, model in enumerate(models)}
    runs = np.zeros((len(models), len(classes)))
    counts = Counter((one.model, class_of[one.host]) for one in running if one.host in class_of)
    for (name, k), count in counts.items():
        if name in row_of:
            runs[row_of[name], k] = count
    return runs


def _rooms(classes: Sequence[HostClass]) -> Array:
    return np.array([one.room for one in classes], dtype=float).reshape(len(classes), len(resources.RESOURCES))


def _model_needs(models: Sequence[Model]) -> Array:
    """What a replica takes on a host with accelerators; shape (M, R)."""
    rows = [(one.accelerators, one.accelerator_memory_gib, one.cpu_cores, one.memory_gib, 1.0) for one in models]
    return np.array(rows, dtype=float).reshape(len(models), len(resources.RESOURCES))


def _needs(models: Sequence[Model], classes: Sequence[HostClass], model: Array, host_class: Array) -> Array:
    need = _model_needs(models)[model]
    on_cpu = np.array([one.example.accelerator_type == resources.CPU_TYPE for one in classes], dtype=bool)
    need[on_cpu[host_class], :2] = 0.0
    return need


def _fits(models: Sequence[Model], classes: Sequence[HostClass]) -> Array:
    """phi as replicas_per_host of resources.py counts it, shape (M, K)."""
    needs, rooms = _model_needs(models), _rooms(classes)
    on_cpu = np.array([one.example.accelerator_type == resources.CPU_TYPE for one in classes], dtype=bool)
    fits = np.full((len(models), len(classes)), float(resources.MAX_REPLICAS_PER_HOST))
    for r in range(len(resources.RESOURCES)):
        taken = np.where(on_cpu & (r <= ACCELERATOR_MEMORY), 0.0, needs[:, r, None])
        fits = np.minimum(fits, _times(rooms[None, :, r], taken))
    takes_accelerators = (needs[:, ACCELERATORS, None] > 0) & ~on_cpu
    fits = np.where(takes_accelerators, np.minimum(fits, _on_accelerators(needs, classes)), fits)
    limits = np.array(
        [np.inf if one.max_replicas_per_host is None else one.max_replicas_per_host for one in models], dtype=float
    )
    return np.minimum(fits, limits[:, None])


def _on_accelerators(needs: Array, classes: Sequence[HostClass]) -> Array:
    """Whole accelerators are exclusive; shares of one must not exceed it, in compute nor in memory."""
    count = np.array([one.example.open_accelerators for one in classes], dtype=float)
    memory = np.array([one.example.accelerator_memory_gib or np.inf for one in classes], dtype=float)
    accelerators, gib = needs[:, ACCELERATORS, None], needs[:, ACCELERATOR_MEMORY, None]
    holds = gib / np.maximum(accelerators, 1.0) <= memory * (1 + resources.TOLERANCE)
    whole = np.where(holds, _times(count[None, :], accelerators), 0.0)
    shared = count * _times(np.ones((1, 1)), np.maximum(accelerators, gib / memory))
    return np.where(accelerators >= 1, whole, shared)


def _times(available: Array, taken: Array) -> Array:
    """How often ``taken`` goes into ``available``; at most the limit of a host."""
    available, taken = np.broadcast_arrays(available, taken)
    ratio = np.minimum(available / np.where(taken > 0, taken, 1.0), 1e9)
    times = np.floor(ratio * (1 + resources.TOLERANCE) + resources.TOLERANCE)
    return np.where(taken > 0, np.minimum(times, resources.MAX_REPLICAS_PER_HOST), resources.MAX_REPLICAS_PER_HOST)


def _dominant_share(need: Array, room: Array) -> Array:
    """The largest share of any resource of its host that a replica takes, shape (P,)."""
    limits = (need > 0) & (room > 0) & np.isfinite(room)
    share = np.where(limits, need / np.where(limits, room, 1.0), 0.0)
    return share.max(axis=1) if share.size else np.zeros(len(need))
