# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From replica counts per class to replicas on hosts: slots, ports, accelerators.

Running replicas stay where they are, the rest is put by best fit decreasing: largest
need first, each on the host that it leaves least room on. Preferred, in this order, is a
host where it can start before anything stops, one that does not make it the only host of
the model, and one where an older version of the same model makes room. Ties go by name.

Classes know totals, hosts know boundaries: room that is scattered over hosts may not hold
a large replica. Such a class is packed again, strictly largest first, so that running
replicas stay only where nothing larger needs their place: with accelerator counts that
divide each other everything that fits in total then fits on hosts. What still does not
fit is left over; on request it tries to keep a replica of the model that was to stop, then
hosts of other classes, cheapest first.

Hosts are not looked at one by one: those of a class that are in the same state are one
choice (room_states.py, host_groups.py), so the work grows with the replicas, not with
replicas times hosts.

A slot is the lowest number nothing on the host uses, port is the host's base port + slot.

Source: best fit decreasing (Johnson, Demers, Ullman, Garey, Graham, SIAM J. Comput. 3, 1974).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.host_groups import HostGroups
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.host_stock import HostStock, Pair
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.room_states import RoomStates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rooms import HostRoom
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica


class Rooms:
    """What the hosts look like with the assignment on them."""

    def __init__(self, states: RoomStates, state_of: Mapping[str, int], models_on: Mapping[str, Counter[str]]) -> None:
        self.states = states
        self.state_of = state_of
        self.models_on = models_on

    def room(self, name: str) -> HostRoom:
        """A room like that of the host; look, do not book."""
        return self.states.room(self.state_of[name])

    def has_limit(self, name: str, model: Model) -> bool:
        """Whether the host holds as many replicas of the model as it may."""
        limit = model.max_replicas_per_host
        return limit is not None and self.models_on[name][model.name] >= limit

    def can_take(self, name: str, model: Model) -> bool:
        """Whether one more replica of a model that serves there fits."""
        return not self.has_limit(name, model) and self.states.can_take(self.state_of[name], model)


@dataclass(frozen=True)
class Assignment:
    """``replicas`` by host and slot; ``left_over``: how many replicas of (model, class) found no host."""

    replicas: tuple[Replica, ...]
    left_over: dict[Pair, int]
    rooms: Rooms


def assign(
    problem: Problem, counts: Any, hosts: Sequence[Host], running: Sequence[Replica], *, elsewhere: bool
) -> Assignment:
    """Put the counts on hosts.

    Args:
        problem: the arrays the counts belong to.
        counts: replicas a pair, shape (P,), whole.
        hosts: the stock.
        running: everything that runs on these hosts, also what will stop.
        elsewhere: whether what does not fit its class may go to another.
    """
    stock = HostStock(problem, hosts, running)
    assignment = Assigner(stock).assign(counts, elsewhere=elsewhere)
    if assignment.left_over:
        scattered = frozenset(k for _unused, k in assignment.left_over)
        packed = Assigner(stock, scattered, assignment.rooms).assign(counts, elsewhere=elsewhere)
        if sum(packed.left_over.values()) < sum(assignment.left_over.values()):
            return packed
    return assignment


class Assigner:
    """One pass. ``scattered``: classes packed strictly largest first; ``before``: the rooms an earlier pass left."""

    def __init__(self, stock: HostStock, scattered: frozenset[int] = frozenset(), before: Rooms | None = None) -> None:
        self._stock, self._states = stock, stock.states
        self._scattered = scattered
        self._before = before
        self._target = {
            name: stock.states.with_busy(state, stock.present.get(name, [])) for name, state in stock.empty.items()
        }
        self._now = dict(stock.now)
        self._slots: dict[str, set[int]] = defaultdict(set)
        for name, replicas in stock.present.items():
            self._slots[name].update(replica.slot for replica in replicas)
        self._replaced: dict[str, Counter[str]] = defaultdict(Counter)  # by model: hosts with an older replica
        self._models_on: dict[str, Counter[str]] = defaultdict(Counter)
        self._hosts_of: dict[str, set[str]] = defaultdict(set)
        self._groups: dict[int, HostGroups] = {}
        self._placed: list[Replica] = []
        self._stopped: list[Replica] = []

    def assign(self, counts: Any, *, elsewhere: bool) -> Assignment:
        problem = self._stock.problem
        wanted = {
            (m, k): int(count)
            for m, k, count in zip(problem.pair_model.tolist(), problem.pair_class.tolist(), counts)
            if count > 0
        }
        waiting: dict[Pair, list[Replica]] = defaultdict(list)
        for replica in self._stock.fullest_first():
            pair = (self._stock.index.get(replica.model, -1), self._stock.class_of[replica.host])
            if pair[1] in self._scattered:
                waiting[pair].append(replica)
            elif pair[0] >= 0:
                self._keep(replica, pair, wanted)
        left_over: dict[Pair, int] = {}
        for pair in sorted(wanted, key=lambda one: self._stock.size(*one)):
            for replica in waiting.pop(pair, ()):
                self._keep(replica, pair, wanted)
            missing = wanted[pair] - self._place(pair, wanted[pair])
            if missing:
                left_over[pair] = missing
        if elsewhere and left_over:
            left_over = self._place_elsewhere(left_over)
        return self.result(left_over)

    def result(self, left_over: dict[Pair, int]) -> Assignment:
        rooms = Rooms(self._states, self._target, self._models_on)
        return Assignment(tuple(sorted(self._placed)), left_over, rooms)

    def fill(self, name: str, wanted: dict[Pair, int]) -> dict[Pair, int]:
        """Keep and start on one host what is wanted there; returns what found no room."""
        for replica in self._stock.present.get(name, ()):
            if replica.model in self._stock.models:
                self._keep(replica, (self._stock.index[replica.model], self._stock.class_of[name]), wanted)
        takes_new = self._stock.hosts[name].takes_new_replicas
        for pair in sorted(wanted, key=lambda one: self._stock.size(*one)):
            model = self._stock.problem.models[pair[0]]
            while wanted[pair] and takes_new and self._has_room(name, model):
                self._start(model, name)
                wanted[pair] -= 1
        return {pair: count for pair, count in wanted.items() if count}

    def place_left(self, left_over: dict[Pair, int]) -> dict[Pair, int]:
        """Put what found no room where it was meant to be anywhere in its class."""
        still = {pair: count - self._place(pair, count) for pair, count in sorted(left_over.items())}
        return {pair: count for pair, count in still.items() if count}

    def _has_room(self, name: str, model: Model) -> bool:
        return not self._limited(name, model) and self._states.can_take(self._target[name], model)

    def _keep(self, replica: Replica, pair: Pair, wanted: dict[Pair, int]) -> None:
        """Keep what runs, up to the wanted counts, which are lowered."""
        model = self._stock.models[replica.model]
        if not (self._stock.stays_valid(replica) and self._can_keep(model, pair, replica)):
            self._replaced[model.name][replica.host] += 1
        elif wanted.get(pair, 0) > 0:
            wanted[pair] -= 1
            self._resumed(model, replica)
        else:
            self._stopped.append(replica)

    def _can_keep(self, model: Model, pair: Pair, replica: Replica) -> bool:
        return (
            pair in self._stock.admissible
            and not self._limited(replica.host, model)
            and self._states.can_keep(self._target[replica.host], model, replica)
        )

    def _limited(self, name: str, model: Model) -> bool:
        limit = model.max_replicas_per_host
        return limit is not None and self._models_on[name][model.name] >= limit

    def _resumed(self, model: Model, replica: Replica) -> None:
        """Book a running replica where it is."""
        state = self._states.released(self._target[replica.host], replica)
        indexes = replica.accelerators or self._states.choose(state, model)
        self._book(model, replica, self._states.take(state, model, indexes))

    def _book(self, model: Model, replica: Replica, state: int) -> None:
        name = replica.host
        self._target[name] = state
        self._slots[name].add(replica.slot)
        self._hosts_of[model.name].add(name)
        self._models_on[name][model.name] += 1
        port = replica.port or self._stock.hosts[name].base_port + replica.slot
        self._placed.append(replica if port == replica.port else replace(replica, port=port))
        groups = self._groups.get(self._stock.class_of[name])
        if groups is not None:
            groups.put(name, self._state(name))

    def _state(self, name: str) -> tuple[int, ...]:
        before = -1 if self._before is None else self._before.state_of[name]
        return (self._target[name], self._now[name], before)

    def _place(self, pair: Pair, count: int) -> int:
        """Start up to ``count`` replicas on hosts of the class; returns how many found one."""
        m, k = pair
        one, model = self._stock.problem.classes[k], self._stock.problem.models[m]
        if not one.example.takes_new_replicas:
            return 0
        if k not in self._groups:
            self._groups[k] = HostGroups((name, self._state(name)) for name in one.hosts)
        placed = 0
        while placed < count:
            alone = len(self._hosts_of[model.name]) == 1
            name = self._best_host(model, self._groups[k])
            if name is None:
                break
            self._start(model, name)
            placed += 1
            # The tightest fit stays the tightest until it is full or would have to wait.
            while placed < count and not alone and self._stays_best(model, name):
                self._start(model, name)
                placed += 1
        return placed

    def _stays_best(self, model: Model, name: str) -> bool:
        return (
            self._before is None
            and not self._replaced.get(model.name)
            and len(self._hosts_of[model.name]) > 1
            and not self._limited(name, model)
            and self._states.can_take(self._target[name], model)
            and self._states.can_take(self._now[name], model)
        )

    def _best_host(self, model: Model, groups: HostGroups) -> str | None:
        states = self._states
        replaced: Mapping[str, int] = self._replaced.get(model.name, {})
        only_host = self._hosts_of[model.name] if len(self._hosts_of[model.name]) == 1 else set()
        apart = {name for name in (*only_host, *replaced) if name in groups.state}
        if model.max_replicas_per_host is not None:
            apart |= {name for name in self._hosts_of[model.name] if name in groups.state}

        def preference(state: tuple[int, ...], name: str) -> tuple[float, bool, bool, bool, float, str]:
            target, now, before = state
            return (
                max(0.0, -states.left_after(before, model)) if before >= 0 else 0.0,
                not states.can_take(now, model),
                name in only_host,
                replaced.get(name, 0) <= 0,
                states.left_after(target, model),
                name,
            )

        able = [preference(state, name) for state, name in groups.first(apart) if states.can_take(state[0], model)]
        able += [
            preference(groups.state[name], name)
            for name in apart
            if states.can_take(groups.state[name][0], model) and not self._limited(name, model)
        ]
        return min(able)[-1] if able else None

    def _start(self, model: Model, name: str) -> None:
        host, target = self._stock.hosts[name], self._target[name]
        indexes = self._states.choose(target, model)
        slots = self._slots[name]
        slot = next(number for number in range(len(slots) + 1) if number not in slots)
        if model.name in self._replaced:
            self._replaced[model.name][name] -= 1
        if self._states.can_take(self._now[name], model):
            self._now[name] = self._states.take(self._now[name], model, indexes)
        replica = Replica(name, slot, model.name, model.version, host.base_port + slot, indexes)
        self._book(model, replica, self._states.take(target, model, indexes))

    def _place_elsewhere(self, left_over: dict[Pair, int]) -> dict[Pair, int]:
        still: dict[Pair, int] = {}
        for pair, count in sorted(left_over.items(), key=lambda item: self._stock.size(*item[0])):
            missing = count
            while missing and self._resume(pair):
                missing -= 1
            missing -= self._place_anywhere(pair[0], missing)
            if missing:
                still[pair] = missing
        return still

    def _resume(self, pair: Pair) -> bool:
        """Keep a replica after all that was to stop."""
        model = self._stock.problem.models[pair[0]]
        for replica in sorted(self._stopped):
            there = (pair[0], self._stock.class_of[replica.host])
            if replica.model == model.name and self._can_keep(model, there, replica):
                self._stopped.remove(replica)
                self._resumed(model, replica)
                return True
        return False

    def _place_anywhere(self, m: int, count: int) -> int:
        problem, placed = self._stock.problem, 0
        pairs = [pair for pair in range(problem.pairs) if problem.pair_model[pair] == m]
        for pair in sorted(pairs, key=lambda one: (problem.cost[one] / problem.rate[one], one)):
            placed += self._place((m, int(problem.pair_class[pair])), count - placed)
        return placed
