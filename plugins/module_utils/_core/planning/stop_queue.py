# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The replicas of one model that wait to be stopped, in the order in which stopping them helps most.

Order: those that make room for most waiting starts first, then those that serve least,
then by place. The model's spare capacity comes back where a stop makes room for a start
of the same model, and is gone where it makes room for another model or for none. So the
latter leave as much spare as the least of the former needs, where there is that much; and
those that make room for nothing come last.

Replicas of one model serve at few different rates (one per accelerator type), so there is
one heap per rate: what fits the spare capacity is found without looking at what does not.
A replica whose worth changes is put again; its older entries are passed over when they
surface. Each operation takes O(log n).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica


@dataclass(frozen=True, order=True)
class Worth:
    """For how many waiting starts a stop makes room, and whether one of them is of its own model."""

    starts: int = 0
    own: bool = False


class StopQueue:
    """Pending stops of one model."""

    def __init__(self) -> None:
        self._heaps: dict[tuple[bool, float], list[tuple[int, Replica]]] = {}
        self._worth: dict[Replica, Worth] = {}

    def put(self, replica: Replica, rate: float, worth: Worth) -> None:
        """Add a replica that serves ``rate`` requests/s, or say anew what stopping it is worth."""
        if self._worth.get(replica) != worth:
            self._worth[replica] = worth
            heapq.heappush(self._heaps.setdefault((worth.own, rate), []), (-worth.starts, replica))

    def discard(self, replica: Replica) -> None:
        """The replica was stopped for another reason."""
        self._worth.pop(replica, None)

    def take(self, spare: float) -> list[Replica]:
        """Take out what may stop while no more than ``spare`` requests/s go; what serves nothing always may."""
        chosen: list[Replica] = []
        while True:
            heads = {key: heap[0] for key in self._heaps if (heap := self._uncovered(key))}
            least_own = min((rate for own, rate in heads if own and rate > 0), default=0.0)
            fitting = [
                (frees, rate, replica, own)
                for (own, rate), (frees, replica) in heads.items()
                if rate == 0 or rate <= spare - (0.0 if own or (frees and least_own > spare) else least_own)
            ]
            if not fitting:
                return chosen
            _frees, rate, replica, own = min(fitting)
            heapq.heappop(self._heaps[(own, rate)])
            self.discard(replica)
            chosen.append(replica)
            spare -= rate

    def _uncovered(self, key: tuple[bool, float]) -> list[tuple[int, Replica]]:
        """A heap whose first entry holds; older entries of what was stopped or is worth something else are dropped."""
        heap = self._heaps[key]
        while heap and self._worth.get(heap[0][1]) != Worth(-heap[0][0], key[0]):
            heapq.heappop(heap)
        return heap
