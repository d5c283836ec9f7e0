# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Rooms of hosts as numbered states, so that alike hosts are worked out once.

Ten thousand hosts are in a few dozen states: empty, or filled in one of the usual ways.
A state is a number; what a replica of a given need finds in it, and which state it leaves,
is computed on one :class:`HostRoom` and remembered. Models with equal needs are one need.

A state says nothing of the limit of replicas of one model a host, nor whether a model
serves on that accelerator type: whoever asks knows.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rooms import HostRoom, Indexes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica

DIGITS = 9  # amounts that differ less are the same state


class RoomStates:
    """States, and what one more replica makes of each."""

    def __init__(self) -> None:
        self._rooms: list[HostRoom] = []
        self._kinds: list[tuple[Any, ...]] = []
        self._number: dict[tuple[Any, ...], int] = {}
        self._empty: dict[tuple[Any, ...], int] = {}
        self._needs: dict[tuple[Any, ...], int] = {}
        self._need_of: dict[str, int] = {}
        self._fits: dict[tuple[int, int], bool] = {}
        self._chosen: dict[tuple[int, int], Indexes] = {}
        self._left: dict[tuple[int, int], float] = {}
        self._next: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self._keeps: dict[tuple[int, int, tuple[int, ...]], bool] = {}

    def empty(self, host: Host) -> int:
        """The state of this host with nothing on it."""
        kind = (
            host.accelerator_type,
            host.accelerator_count,
            host.accelerator_memory_gib,
            host.cpu_cores,
            host.memory_gib,
            host.max_replicas,
            host.reserved,
        )
        if kind not in self._empty:
            self._empty[kind] = self._numbered(HostRoom(host), kind)
        return self._empty[kind]

    def with_busy(self, state: int, present: list[Replica]) -> int:
        """The state in which accelerators are still held by these replicas, beyond what is held in ``state``."""
        held = tuple(index for replica in present for index in replica.accelerators)
        return self._changed_busy(state, held, 1) if held else state

    def released(self, state: int, replica: Replica) -> int:
        """The state once a replica that holds accelerators is counted in its own right."""
        return self._changed_busy(state, replica.accelerators, -1) if replica.accelerators else state

    def room(self, state: int) -> HostRoom:
        """An example of the state; look, do not book."""
        return self._rooms[state]

    def can_take(self, state: int, model: Model) -> bool:
        key = (state, self._need(model))
        if key not in self._fits:
            self._fits[key] = self._rooms[state].has_room(model)
        return self._fits[key]

    def choose(self, state: int, model: Model) -> tuple[int, ...]:
        """The accelerators a new replica gets."""
        key = (state, self._need(model))
        if key not in self._chosen:
            self._chosen[key] = self._rooms[state].choose(model)
        return self._chosen[key] or ()

    def can_keep(self, state: int, model: Model, replica: Replica) -> bool:
        """Whether a running replica fits, on the accelerators it says it has."""
        if not self.can_take(state, model):
            return False
        key = (state, self._need(model), replica.accelerators)
        if key not in self._keeps:
            self._keeps[key] = self._rooms[state].holds(model, replica.accelerators)
        return self._keeps[key]

    def left_after(self, state: int, model: Model) -> float:
        """The dominant share of the host that one more replica leaves; negative where it does not fit."""
        key = (state, self._need(model))
        if key not in self._left:
            self._left[key] = round(self._rooms[state].left_after(model), DIGITS)
        return self._left[key]

    def take(self, state: int, model: Model, indexes: tuple[int, ...]) -> int:
        """The state with one replica more, on these accelerators."""
        key = (state, self._need(model), indexes)
        if key not in self._next:
            room = self._rooms[state].copy()
            room.take(model, indexes)
            self._next[key] = self._numbered(room, self._kinds[state])
        return self._next[key]

    def _need(self, model: Model) -> int:
        number = self._need_of.get(model.name)
        if number is None:
            need = (model.accelerators, model.accelerator_memory_gib, model.cpu_cores, model.memory_gib)
            number = self._need_of[model.name] = self._needs.setdefault(need, len(self._needs))
        return number

    def _numbered(self, room: HostRoom, kind: tuple[Any, ...]) -> int:
        key = (kind, room.signature(DIGITS))
        if key not in self._number:
            self._number[key] = len(self._rooms)
            self._rooms.append(room)
            self._kinds.append(kind)
        return self._number[key]

    def _changed_busy(self, state: int, indexes: tuple[int, ...], by: int) -> int:
        room = self._rooms[state].copy()
        for index in indexes:
            room.busy[index] += by
        return self._numbered(room, self._kinds[state])
