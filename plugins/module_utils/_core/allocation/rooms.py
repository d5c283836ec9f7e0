# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The room of one host while replicas are put on it, down to the accelerator.

Whole accelerators are taken in aligned groups: a replica of 2 on (0,1) or (2,3), one of
4 on (0..3) or (4..7), so that replicas find neighbours that share a link and the room
that is left does not fragment. Among free groups the one whose surroundings are fullest
is taken (buddy best fit); where no aligned group is free, any free accelerators do.
Replicas that need a share of one accelerator sit together on the fullest that has room.

Source: binary buddy allocation (Knowlton, CACM 8(10), 1965).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Optional

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica

Indexes = Optional[tuple[int, ...]]
TOLERANCE = 1e-9


class HostRoom:
    """What is free on one host. ``busy`` counts who holds each accelerator now and has not been booked here."""

    def __init__(self, host: Host, present: Iterable[Replica] = ()) -> None:
        self.host = host
        self.models: Counter[str] = Counter()
        self.busy: Counter[int] = Counter(index for replica in present for index in replica.accelerators)
        self._offers = resources.room(host)
        self._free = list(self._offers)
        self._share = [1.0] * host.accelerator_count
        self._memory = [host.accelerator_memory_gib or float("inf")] * host.accelerator_count
        for index in host.reserved:
            self._share[index] = 0.0

    def copy(self) -> HostRoom:
        """The same room, to be filled on its own."""
        other = HostRoom(self.host)
        other.models, other.busy = self.models.copy(), self.busy.copy()
        other._free, other._share, other._memory = list(self._free), list(self._share), list(self._memory)
        return other

    def signature(self, digits: int) -> tuple[object, ...]:
        """Equal for rooms of alike hosts in which everything fits the same."""
        amounts = (tuple(round(one, digits) for one in part) for part in (self._free, self._share, self._memory))
        return (*amounts, tuple(sorted((index, count) for index, count in self.busy.items() if count > 0)))

    def can_take(self, model: Model) -> bool:
        """Whether one more replica of the model fits beside what was taken."""
        limit = model.max_replicas_per_host
        serves = resources.replicas_per_host(model, self.host) > 0
        return serves and (limit is None or self.models[model.name] < limit) and self.has_room(model)

    def has_room(self, model: Model) -> bool:
        """Whether the room suffices, whatever the model's limits and the types it serves on."""
        takes = resources.need(model, self.host.accelerator_type)
        if any(taken > free + TOLERANCE * max(1.0, taken) for taken, free in zip(takes, self._free)):
            return False
        return self.choose(model) is not None

    def choose(self, model: Model) -> Indexes:
        """The accelerators a new replica would get; None when there are none to give."""
        takes = resources.need(model, self.host.accelerator_type)
        if takes[0] == 0:
            return ()
        if takes[0] < 1:
            return self._shared(takes[0], takes[1])
        return self._group(int(takes[0]), takes[1] / takes[0])

    def holds(self, model: Model, indexes: Collection[int]) -> bool:
        """Whether these accelerators have room for a replica of the model; any do for one that names none."""
        if not indexes:
            return True
        takes = resources.need(model, self.host.accelerator_type)
        share, memory = _per_accelerator(takes, len(indexes))
        inside = all(index < self.host.accelerator_count for index in indexes)
        return inside and all(self._holds(index, share, memory) for index in indexes)

    def take(self, model: Model, indexes: Collection[int]) -> None:
        """Book one replica on these accelerators."""
        takes = resources.need(model, self.host.accelerator_type)
        self._free = [free - taken for free, taken in zip(self._free, takes)]
        share, memory = _per_accelerator(takes, len(indexes))
        for index in indexes:
            self._share[index] -= share
            self._memory[index] -= memory
        self.models[model.name] += 1

    def left_after(self, model: Model) -> float:
        """The dominant share of the host that is left once one replica is taken; small is a tight fit."""
        takes = resources.need(model, self.host.accelerator_type)
        return min(
            (
                (free - taken) / offered
                for free, taken, offered in zip(self._free, takes, self._offers)
                if taken > 0 and offered < float("inf")
            ),
            default=0.0,
        )

    @property
    def used(self) -> float:
        """The dominant share of the host that is taken."""
        return resources.dominant_share(
            tuple(offered - free if offered < float("inf") else 0.0 for offered, free in zip(self._offers, self._free)),
            self._offers,
        )

    def lacking(self, model: Model) -> tuple[float, str]:
        """How much of which resource one more replica needs and does not find here."""
        takes = resources.need(model, self.host.accelerator_type)
        for name, taken, free in zip(resources.RESOURCES, takes, self._free):
            if taken > free + TOLERANCE * max(1.0, taken):
                return taken, name
        return takes[0], resources.RESOURCES[0]

    def _holds(self, index: int, share: float, memory: float) -> bool:
        return self._share[index] >= share - TOLERANCE and self._memory[index] >= memory - TOLERANCE * max(1.0, memory)

    def _shared(self, share: float, memory: float) -> Indexes:
        able = [index for index in range(len(self._share)) if self._holds(index, share, memory)]
        best = min(able, key=lambda index: (self.busy[index] > 0, self._share[index], index), default=None)
        return None if best is None else (best,)

    def _group(self, count: int, memory: float) -> Indexes:
        free = [self._holds(index, 1.0, memory) for index in range(len(self._share))]
        width = 1 << (count - 1).bit_length()
        starts = [
            start
            for start in range(0, len(free), width)
            if all(free[start : start + count]) and start + count <= len(free)
        ]
        if starts:
            start = min(starts, key=lambda one: (self._busy_in(one, count), *self._surroundings(one, width, free), one))
            return tuple(range(start, start + count))
        loose = sorted((self.busy[index] > 0, index) for index, is_free in enumerate(free) if is_free)
        return tuple(sorted(index for _unused, index in loose[:count])) if len(loose) >= count else None

    def _busy_in(self, start: int, count: int) -> int:
        return sum(self.busy[index] > 0 for index in range(start, start + count))

    @staticmethod
    def _surroundings(start: int, width: int, free: list[bool]) -> list[int]:
        """How much is free in the enclosing groups of twice, four times ... the width."""
        counts = []
        while width < len(free):
            width *= 2
            outer = start - start % width
            counts.append(sum(free[outer : outer + width]))
        return counts


def _per_accelerator(takes: resources.Vector, count: int) -> tuple[float, float]:
    """Compute share and GiB on each of ``count`` accelerators."""
    return (min(takes[0], 1.0), takes[1] / count) if count else (0.0, 0.0)
