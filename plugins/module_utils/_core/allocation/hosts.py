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

A slot is the lowest number nothing on the host uses, port is the host's base port + slot.

Source: best fit decreasing (Johnson, Demers, Ullman, Garey, Graham, SIAM J. Comput. 3, 1974).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
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
    stock = _Stock(problem, hosts, running)
    assignment = _Assigner(stock).assign(counts, elsewhere=elsewhere)
    if assignment.left_over:
        scattered = frozenset(k for _unused, k in assignment.left_over)
        packed = _Assigner(stock, scattered, assignment.rooms).assign(counts, elsewhere=elsewhere)
        if sum(packed.left_over.values()) < sum(assignment.left_over.values()):
            return packed
    return assignment


class _Stock:
    """What does not change while replicas are put on hosts."""

    def __init__(self, problem: Problem, hosts: Sequence[Host], running: Sequence[Replica]) -> None:
        self.problem = problem
        self.hosts = {host.name: host for host in hosts if host.serves}
        self.class_of = {name: k for k, one in enumerate(problem.classes) for name in one.hosts}
        self.models = {model.name: model for model in problem.models}
        self.index = {model.name: m for m, model in enumerate(problem.models)}
        self.present: dict[str, list[Replica]] = {name: [] for name in self.hosts}
        for replica in sorted(running):
            if replica.host in self.present:
                self.present[replica.host].append(replica)
        self.now = {name: self._occupied(name) for name in self.hosts}

    def fullest_first(self) -> list[Replica]:
        """What runs; what is stopped from its end empties hosts that are nearly empty."""
        used = {name: round(room.used, 9) for name, room in self.now.items()}
        everything = [replica for name in self.hosts for replica in self.present[name]]
        return sorted(everything, key=lambda one: (-used[one.host], one))

    def stays_valid(self, replica: Replica) -> bool:
        """Whether the replica is of the version to run; where nothing new may start, any version is."""
        model = self.models.get(replica.model)
        outdated = model is not None and replica.version != model.version
        return model is not None and not (outdated and self.hosts[replica.host].takes_new_replicas)

    def size(self, m: int, k: int) -> tuple[float, float, int, int]:
        """Sorts models by what a replica takes in a class, largest first."""
        one = self.problem.classes[k]
        takes = resources.need(self.problem.models[m], one.example.accelerator_type)
        return (-takes[0], -resources.dominant_share(takes, one.room), m, k)

    def _occupied(self, name: str) -> HostRoom:
        """The host beside everything that runs there: what is free before anything stops."""
        room = HostRoom(self.hosts[name])
        for replica in self.present[name]:
            if replica.model in self.models:
                inside = [index for index in replica.accelerators if index < room.host.accelerator_count]
                room.take(self.models[replica.model], inside)
        return room


class _Assigner:
    """One pass. ``scattered``: classes packed strictly largest first; ``before``: the rooms an earlier pass left."""

    def __init__(
        self, stock: _Stock, scattered: frozenset[int] = frozenset(), before: Mapping[str, HostRoom] | None = None
    ) -> None:
        self._stock = stock
        self._scattered = scattered
        self._before = before or {}
        self._target = {name: HostRoom(host, stock.present[name]) for name, host in stock.hosts.items()}
        self._now = {name: room.copy() for name, room in stock.now.items()}
        self._slots = {name: {replica.slot for replica in stock.present[name]} for name in stock.hosts}
        self._replaced: Counter[tuple[str, str]] = Counter()
        self._hosts_of: dict[str, set[str]] = defaultdict(set)
        self._placed: list[Replica] = []
        self._stopped: list[Replica] = []

    def assign(self, counts: Any, *, elsewhere: bool) -> Assignment:
        problem = self._stock.problem
        wanted = {
            (int(m), int(k)): int(count)
            for m, k, count in zip(problem.pair_model, problem.pair_class, counts)
            if count > 0
        }
        waiting = self._keep(
            self._stock.fullest_first(), wanted, frozenset(range(len(problem.classes))) - self._scattered
        )
        left_over: dict[tuple[int, int], int] = {}
        for m, k in sorted(wanted, key=lambda pair: self._stock.size(*pair)):
            name = problem.models[m].name
            mine = [one for one in waiting if one.model == name and self._stock.class_of[one.host] == k]
            self._keep(mine, wanted, self._scattered)
            for placed in range(wanted[(m, k)]):
                if not self._place(problem.models[m], problem.classes[k].hosts):
                    left_over[(m, k)] = wanted[(m, k)] - placed
                    break
        if elsewhere and left_over:
            left_over = self._place_elsewhere(left_over)
        return Assignment(tuple(sorted(self._placed)), left_over, self._target)

    def _keep(
        self, replicas: Sequence[Replica], wanted: dict[tuple[int, int], int], classes: frozenset[int]
    ) -> list[Replica]:
        """Keep what runs in these classes, up to the wanted counts, which are lowered; returns the others."""
        others = []
        for replica in replicas:
            k = self._stock.class_of[replica.host]
            if k not in classes:
                others.append(replica)
            elif replica.model in self._stock.models:
                model, pair = self._stock.models[replica.model], (self._stock.index[replica.model], k)
                fits = self._stock.stays_valid(replica) and self._target[replica.host].can_keep(model, replica)
                if not fits:
                    self._replaced[(replica.host, model.name)] += 1
                elif wanted.get(pair, 0) > 0:
                    wanted[pair] -= 1
                    self._target[replica.host].busy.subtract(replica.accelerators)
                    self._book(model, replica)
                else:
                    self._stopped.append(replica)
        return others

    def _book(self, model: Model, replica: Replica) -> None:
        host = self._stock.hosts[replica.host]
        room = self._target[replica.host]
        room.take(model, replica.accelerators or room.choose(model) or ())
        self._slots[replica.host].add(replica.slot)
        self._hosts_of[model.name].add(replica.host)
        self._placed.append(replica if replica.port else replace(replica, port=host.base_port + replica.slot))

    def _place(self, model: Model, names: Sequence[str]) -> bool:
        hosts, target = self._stock.hosts, self._target
        able = [name for name in names if hosts[name].takes_new_replicas and target[name].can_take(model)]
        if not able:
            return False
        only_host = self._hosts_of[model.name] if len(self._hosts_of[model.name]) == 1 else set()

        def preference(name: str) -> tuple[float, bool, bool, bool, float, str]:
            return (
                round(max(0.0, -self._before[name].left_after(model)), 9) if name in self._before else 0.0,
                not self._now[name].can_take(model),
                name in only_host,
                self._replaced[(name, model.name)] <= 0,
                round(target[name].left_after(model), 9),
                name,
            )

        self._start(model, min(able, key=preference))
        return True

    def _start(self, model: Model, name: str) -> None:
        indexes = self._target[name].choose(model) or ()
        slot = next(number for number in range(len(self._slots[name]) + 1) if number not in self._slots[name])
        self._replaced[(name, model.name)] -= 1
        if self._now[name].can_take(model):
            self._now[name].take(model, indexes)
        port = self._stock.hosts[name].base_port + slot
        self._book(model, Replica(name, slot, model.name, model.version, port, indexes))

    def _place_elsewhere(self, left_over: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
        still: dict[tuple[int, int], int] = {}
        for (m, k), count in sorted(left_over.items(), key=lambda item: self._stock.size(*item[0])):
            model = self._stock.problem.models[m]
            for _unused in range(count):
                if not (self._resume(model) or self._place_anywhere(m)):
                    still[(m, k)] = still.get((m, k), 0) + 1
        return still

    def _resume(self, model: Model) -> bool:
        """Keep a replica after all that was to stop."""
        for replica in sorted(self._stopped):
            if replica.model == model.name and self._target[replica.host].can_keep(model, replica):
                self._stopped.remove(replica)
                self._book(model, replica)
                return True
        return False

    def _place_anywhere(self, m: int) -> bool:
        problem = self._stock.problem
        pairs = [pair for pair in range(problem.pairs) if problem.pair_model[pair] == m]
        cheapest = sorted(pairs, key=lambda pair: (problem.cost[pair] / problem.rate[pair], pair))
        return any(self._place(problem.models[m], problem.classes[problem.pair_class[pair]].hosts) for pair in cheapest)
