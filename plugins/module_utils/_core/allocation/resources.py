# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a host has and what a replica needs, as vectors over the same resources.

A resource that a host record does not state (0) does not limit; accelerators are the
exception: a host that states none has none. On a host of type ``cpu`` a model whose
capacity map names ``cpu`` runs without accelerators. A model fits only the types in
its capacity map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica

RESOURCES = ("accelerators", "GiB of accelerator memory", "CPU cores", "GiB of memory", "replica slots")
CPU_TYPE = "cpu"
MAX_REPLICAS_PER_HOST = 128  # where nothing else limits: ports and process tables do
TOLERANCE = 1e-9

Vector = tuple[float, ...]


def room(host: Host) -> Vector:
    """What the empty host offers, in the order of :data:`RESOURCES`; infinite where it does not limit."""
    on_cpu = host.accelerator_type == CPU_TYPE
    memory = host.open_accelerators * host.accelerator_memory_gib
    slots = MAX_REPLICAS_PER_HOST if host.max_replicas is None else min(host.max_replicas, MAX_REPLICAS_PER_HOST)
    return (
        math.inf if on_cpu else float(host.open_accelerators),
        math.inf if on_cpu or host.accelerator_memory_gib == 0 or not host.accelerator_count else memory,
        host.cpu_cores or math.inf,
        host.memory_gib or math.inf,
        float(slots),
    )


def need(model: Model, accelerator_type: str) -> Vector:
    """What one replica takes on a host of this type, in the order of :data:`RESOURCES`."""
    on_cpu = accelerator_type == CPU_TYPE
    return (
        0.0 if on_cpu else model.accelerators,
        0.0 if on_cpu else model.accelerator_memory_gib,
        model.cpu_cores,
        model.memory_gib,
        1.0,
    )


def replicas_per_host(model: Model, host: Host) -> int:
    """phi: how many replicas of the model fit the empty host, at most the model's per-host limit."""
    if host.accelerator_type not in model.capacity:
        return 0
    takes = need(model, host.accelerator_type)
    fits = min(_times(available, taken) for available, taken in zip(room(host), takes))
    if takes[0] > 0:
        fits = min(fits, _replicas_on_accelerators(model, host))
    if model.max_replicas_per_host is not None:
        fits = min(fits, model.max_replicas_per_host)
    return int(fits)


def dominant_share(takes: Vector, available: Vector) -> float:
    """The largest share of any resource that ``takes`` is of ``available``: what it costs of the host."""
    return max(
        (taken / offered for taken, offered in zip(takes, available) if taken > 0 and 0 < offered < math.inf),
        default=0.0,
    )


def _replicas_on_accelerators(model: Model, host: Host) -> int:
    """Whole accelerators are exclusive; shares of one must not exceed it, in compute nor in memory."""
    memory = host.accelerator_memory_gib or math.inf
    if model.accelerators >= 1:
        fits_memory = model.accelerator_memory_gib / model.accelerators <= memory * (1 + TOLERANCE)
        return int(_times(host.open_accelerators, model.accelerators)) if fits_memory else 0
    share = max(model.accelerators, model.accelerator_memory_gib / memory)
    return host.open_accelerators * int(_times(1.0, share))


def _times(available: float, taken: float) -> float:
    """How often ``taken`` goes into ``available``; at most the limit of a host."""
    if taken <= 0:
        return float(MAX_REPLICAS_PER_HOST)
    return float(min(MAX_REPLICAS_PER_HOST, math.floor(min(available / taken, 1e9) * (1 + TOLERANCE) + TOLERANCE)))


def free_accelerators(hosts: Sequence[Host], replicas: Sequence[Replica]) -> dict[str, int]:
    """Accelerators that no replica uses, not even a share of, on hosts that take something new; by name of host.

    Reserved ones are among them: this is what serving leaves to jobs, which hold them.
    """
    taken: dict[str, set[int]] = {}
    for replica in replicas:
        taken.setdefault(replica.host, set()).update(replica.accelerators)
    return {
        host.name: sum(1 for index in range(host.accelerator_count) if index not in taken.get(host.name, ()))
        for host in sorted(hosts, key=lambda one: one.name)
        if host.accelerator_count and host.takes_new_replicas
    }
