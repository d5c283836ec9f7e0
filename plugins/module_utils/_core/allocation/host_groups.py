# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The hosts of one class, grouped by the state they are in.

A replica chooses among groups, not among hosts: all hosts of a group are equally good but
for their names, and the first name is taken.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator

State = tuple[int, ...]


class HostGroups:
    """Host names by state. A host that changed its state leaves a stale entry, dropped when it comes up."""

    def __init__(self, states: Iterable[tuple[str, State]]) -> None:
        self.state: dict[str, State] = {}
        self._heaps: dict[State, list[str]] = {}
        for name, state in states:
            self.put(name, state)

    def put(self, name: str, state: State) -> None:
        """Say which state a host is in now."""
        if self.state.get(name) != state:
            self.state[name] = state
            heapq.heappush(self._heaps.setdefault(state, []), name)

    def first(self, apart: Collection[str]) -> Iterator[tuple[State, str]]:
        """Each state that occurs and the first of its hosts that is not among ``apart``."""
        for state in list(self._heaps):
            name = self._first(state, apart)
            if name is not None:
                yield state, name

    def _first(self, state: State, apart: Collection[str]) -> str | None:
        heap = self._heaps[state]
        while heap and self.state[heap[0]] != state:
            heapq.heappop(heap)
        if not heap:
            del self._heaps[state]
            return None
        if heap[0] not in apart:
            return heap[0]
        others = (name for name in heap if name not in apart and self.state[name] == state)
        return min(others, default=None)
