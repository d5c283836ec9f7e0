# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is occupied on a host while replicas start and stop.

Resources are counted per slot, port and accelerator, and in total as in
:mod:`allocation.resources`. A replica that needs a share below one accelerator takes that
share of the accelerator it names, any other takes the ones it names whole; its accelerator
memory is spread evenly over them. A replica whose model the catalogue no longer lists is
taken to hold its accelerators whole, and no cores or memory.

The bound of each resource is what the host has, or what the target uses where that is
more: a target that was planned can always be reached, and nothing on the way exceeds both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Union

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica

TOLERANCE = 1e-9

Resource = tuple[str, Union[int, str]]


def taken_by(replica: Replica, model: Model | None, host: Host | None) -> dict[Resource, float]:
    """How much of each resource of its host one replica takes."""
    taken: dict[Resource, float] = {("slot", replica.slot): 1.0}
    if replica.port:
        taken[("port", replica.port)] = 1.0
    share = model.accelerators if model is not None and 0 < model.accelerators < 1 else 1.0
    for index in replica.accelerators:
        taken[("accelerator", index)] = share
        if model is not None:
            taken[("accelerator memory", index)] = model.accelerator_memory_gib / len(replica.accelerators)
    if model is not None and host is not None:
        totals = resources.need(model, host.accelerator_type)
        taken.update({("total", name): amount for name, amount in zip(resources.RESOURCES, totals)})
    return taken


def bounds_of(host: Host | None) -> dict[str, float]:
    """What the host has: of each slot, port and accelerator, and in total by name; infinite where it does not limit."""
    units = {"slot": 1.0, "port": 1.0, "accelerator": 1.0}
    if host is None:
        return units
    totals = dict(zip(resources.RESOURCES, resources.room(host)))
    return {**units, **totals, "accelerator memory": host.accelerator_memory_gib or math.inf}


class Occupancy:
    """The resources of one host, with what takes them now."""

    def __init__(
        self,
        host: Host | None,
        present: Iterable[Replica],
        target: Iterable[Replica],
        models: Mapping[str, Model],
    ) -> None:
        self._host = host
        self._models = models
        self._bounds = bounds_of(host)
        self._used: dict[Resource, float] = {}
        self._target: dict[Resource, float] = {}
        self._taken: dict[Replica, dict[Resource, float]] = {}
        self._lacking: dict[Replica, dict[Resource, float]] = {}  # of what is used now
        for replica in target:
            self._add(self._target, replica, 1.0)
        for replica in present:
            self._add(self._used, replica, 1.0)

    def start(self, replica: Replica) -> None:
        self._add(self._used, replica, 1.0)

    def stop(self, replica: Replica) -> None:
        self._add(self._used, replica, -1.0)

    def lacking(self, replica: Replica) -> dict[Resource, float]:
        """What would have to be freed, and how much of it, before ``replica`` can start."""
        if replica not in self._lacking:
            lacking = {}
            for resource, amount in self.taken_by(replica).items():
                excess = self._used.get(resource, 0.0) + amount - self._bound(resource)
                if amount and excess > TOLERANCE * max(1.0, amount):
                    lacking[resource] = excess
            self._lacking[replica] = lacking
        return self._lacking[replica]

    def taken_by(self, replica: Replica) -> dict[Resource, float]:
        """How much of each resource ``replica`` takes here."""
        if replica not in self._taken:
            self._taken[replica] = taken_by(replica, self._models.get(replica.model), self._host)
        return self._taken[replica]

    def _bound(self, resource: Resource) -> float:
        kind, which = resource
        has = self._bounds.get(str(which) if kind == "total" else kind, 0.0)
        return max(has, self._target.get(resource, 0.0))

    def _add(self, ledger: dict[Resource, float], replica: Replica, sign: float) -> None:
        self._lacking.clear()
        for resource, amount in self.taken_by(replica).items():
            ledger[resource] = ledger.get(resource, 0.0) + sign * amount
