# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From replica counts per class to replicas on hosts: slots, ports, accelerators.

Running replicas stay where they are, the rest is put by best fit decreasing: largest
need first, each on the host that it leaves least room on. Preferred, in this order, is a
host where it can start before anything stops, one that does not make it the only host of
the model, and one where an older version of the same model makes room. Ties go by name.

Classes know totals, hosts know boundaries: a count may not fit. What does not fit tries
hosts of other classes, cheapest first; then a replica of the model that was to stop is
kept; then it is left over, and becomes a named shortage.

A slot is the lowest number nothing on the host uses, port is the host's base port + slot.

Source: best fit decreasing (Johnson, Demers, Ullman, Garey, Graham, SIAM J. Comput. 3, 1974).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rooms import HostRoom
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica


@dataclass(frozen=True)
class Assignment:
    """``replicas`` by host and slot; ``left_over``: how many replicas of (model, class) found no host."""

    replicas: tuple[Replica, ...]
    left_over: dict[tuple[int, int], int]
    rooms: dict[str, HostRoom]


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
    return _Assigner(problem, hosts, running).assign(counts, elsewhere=elsewhere)


class _Assigner:
    def __init__(self, problem: Problem, hosts: Sequence[Host], running: Sequence[Replica]) -> None:
        self._problem = problem
        self._models = problem.models
        self._running = running
        self._present: dict[str, list[Replica]] = defaultdict(list)
        for replica in sorted(running):
            self._present[replica.host].append(replica)
        self._hosts = {host.name: host for host in hosts if host.serves}
        self._class_of = {name: k for k, one in enumerate(problem.classes) for name in one.hosts}
        self._target = {name: HostRoom(host) for name, host in self._hosts.items()}
        self._now = {name: HostRoom(host) for name, host in self._hosts.items()}
        self._slots = {name: {replica.slot for replica in self._present[name]} for name in self._hosts}
        self._replaced: Counter[tuple[str, str]] = Counter()
        self._hosts_of: dict[str, set[str]] = defaultdict(set)
        self._placed: list[Replica] = []

    def assign(self, counts: Any, *, elsewhere: bool) -> Assignment:
        wanted = {
            (int(m), int(k)): int(count)
            for m, k, count in zip(self._problem.pair_model, self._problem.pair_class, counts)
            if count > 0
        }
        stopped = self._keep(wanted)
        self._book_now()
        left_over: dict[tuple[int, int], int] = {}
        for (m, k), count in sorted(wanted.items(), key=lambda item: self._by_size(*item[0])):
            for placed in range(count):
                if not self._place(self._models[m], self._problem.classes[k].hosts):
                    left_over[(m, k)] = count - placed
                    break
        if elsewhere and left_over:
            left_over = self._place_elsewhere(left_over, stopped)
        return Assignment(tuple(sorted(self._placed)), left_over, self._target)

    def _keep(self, wanted: dict[tuple[int, int], int]) -> list[Replica]:
        """Keep what runs, up to the wanted counts, which are lowered; returns what could be kept but is not wanted."""
        index = {model.name: m for m, model in enumerate(self._models)}
        full = self._fullness()
        stopped = []
        # Fullest hosts first: what is stopped empties hosts that are nearly empty.
        for replica in sorted(self._running, key=lambda one: (-full.get(one.host, 0.0), one)):
            if replica.model not in index or replica.host not in self._hosts:
                continue
            m = index[replica.model]
            host, model, pair = self._hosts[replica.host], self._models[m], (m, self._class_of[replica.host])
            may_stay = replica.version == model.version or not host.takes_new_replicas
            if not may_stay or not self._target[host.name].can_keep(model, replica):
                self._replaced[(host.name, model.name)] += 1
            elif wanted.get(pair, 0) > 0:
                wanted[pair] -= 1
                self._book(model, replica)
            else:
                stopped.append(replica)
        return stopped

    def _fullness(self) -> dict[str, float]:
        rooms = {name: HostRoom(host) for name, host in self._hosts.items() if self._present[name]}
        models = {model.name: model for model in self._models}
        for name, room in rooms.items():
            for replica in self._present[name]:
                if replica.model in models:
                    room.take(models[replica.model], ())
        return {name: round(room.used, 9) for name, room in rooms.items()}

    def _book(self, model: Model, replica: Replica) -> None:
        host = self._hosts[replica.host]
        room = self._target[replica.host]
        room.take(model, replica.accelerators or room.choose(model) or ())
        self._slots[replica.host].add(replica.slot)
        self._hosts_of[model.name].add(replica.host)
        self._placed.append(replica if replica.port else replace(replica, port=host.base_port + replica.slot))

    def _book_now(self) -> None:
        """What is free before anything stops: the room beside everything that runs."""
        models = {model.name: model for model in self._models}
        kept = {(replica.host, replica.slot) for replica in self._placed}
        for name, room in self._now.items():
            for replica in self._present[name]:
                if (name, replica.slot) not in kept:
                    self._target[name].busy.update(replica.accelerators)
                if replica.model in models:
                    inside = [index for index in replica.accelerators if index < room.host.accelerator_count]
                    room.take(models[replica.model], inside)

    def _place(self, model: Model, names: Sequence[str]) -> bool:
        able = [name for name in names if self._hosts[name].takes_new_replicas and self._target[name].can_take(model)]
        if not able:
            return False
        only_host = self._hosts_of[model.name] if len(self._hosts_of[model.name]) == 1 else set()

        def preference(name: str) -> tuple[bool, bool, bool, float, str]:
            return (
                not self._now[name].can_take(model),
                name in only_host,
                self._replaced[(name, model.name)] <= 0,
                round(self._target[name].left_after(model), 9),
                name,
            )

        self._start(model, min(able, key=preference))
        return True

    def _start(self, model: Model, name: str) -> None:
        indexes = self._target[name].choose(model) or ()
        slot = next(number for number in range(len(self._slots[name]) + 1) if number not in self._slots[name])
        if self._now[name].can_take(model):
            self._now[name].take(model, indexes)
        self._replaced[(name, model.name)] -= 1
        replica = Replica(name, slot, model.name, model.version, self._hosts[name].base_port + slot, indexes)
        self._book(model, replica)

    def _place_elsewhere(
        self, left_over: dict[tuple[int, int], int], stopped: list[Replica]
    ) -> dict[tuple[int, int], int]:
        still: dict[tuple[int, int], int] = {}
        for (m, k), count in sorted(left_over.items(), key=lambda item: self._by_size(*item[0])):
            model = self._models[m]
            for _ in range(count):
                if not (self._resume(model, stopped) or self._place_anywhere(m)):
                    still[(m, k)] = still.get((m, k), 0) + 1
        return still

    def _resume(self, model: Model, stopped: list[Replica]) -> bool:
        """Keep a replica after all that was to stop."""
        for replica in sorted(stopped):
            if replica.model == model.name and self._target[replica.host].can_keep(model, replica):
                stopped.remove(replica)
                self._book(model, replica)
                return True
        return False

    def _place_anywhere(self, m: int) -> bool:
        problem = self._problem
        pairs = [pair for pair in range(problem.pairs) if problem.pair_model[pair] == m]
        cheapest = sorted(pairs, key=lambda pair: (problem.cost[pair] / problem.rate[pair], pair))
        return any(self._place(self._models[m], problem.classes[problem.pair_class[pair]].hosts) for pair in cheapest)

    def _by_size(self, m: int, k: int) -> tuple[float, float, int, int]:
        one = self._problem.classes[k]
        takes = resources.need(self._models[m], one.example.accelerator_type)
        return (-takes[0], -resources.dominant_share(takes, one.room), m, k)
