# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What does not change while replicas are put on hosts: the hosts, the models, what runs now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.room_states import RoomStates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica

Pair = tuple[int, int]


class HostStock:
    """Hosts, models and running replicas by name, and the states of rooms."""

    def __init__(self, problem: Problem, hosts: Sequence[Host], running: Sequence[Replica]) -> None:
        self.problem = problem
        self.hosts = {host.name: host for host in hosts if host.serves}
        self.class_of = {name: k for k, one in enumerate(problem.classes) for name in one.hosts}
        self.models = {model.name: model for model in problem.models}
        self.index = {model.name: m for m, model in enumerate(problem.models)}
        self.admissible = set(zip(problem.pair_model.tolist(), problem.pair_class.tolist()))
        self.states = RoomStates()
        self.present: dict[str, list[Replica]] = defaultdict(list)
        for replica in sorted(running):
            if replica.host in self.hosts:
                self.present[replica.host].append(replica)
        self.empty = {name: self.states.empty(host) for name, host in self.hosts.items()}
        self.now = {name: self._occupied(name) for name in self.hosts}
        self._size: dict[Pair, tuple[float, float, int, int]] = {}

    def fullest_first(self) -> list[Replica]:
        """What runs; what is stopped from its end empties hosts that are nearly empty."""
        used = {state: round(self.states.room(state).used, 9) for state in set(self.now.values())}
        everything = [replica for replicas in self.present.values() for replica in replicas]
        return sorted(everything, key=lambda one: (-used[self.now[one.host]], one))

    def stays_valid(self, replica: Replica) -> bool:
        """Whether the replica is of the version to run; where nothing new may start, any version is."""
        model = self.models.get(replica.model)
        outdated = model is not None and replica.version != model.version
        return model is not None and not (outdated and self.hosts[replica.host].takes_new_replicas)

    def size(self, m: int, k: int) -> tuple[float, float, int, int]:
        """Sorts models by what a replica takes in a class, largest first."""
        if (m, k) not in self._size:
            one = self.problem.classes[k]
            takes = resources.need(self.problem.models[m], one.example.accelerator_type)
            self._size[(m, k)] = (-takes[0], -resources.dominant_share(takes, one.room), m, k)
        return self._size[(m, k)]

    def _occupied(self, name: str) -> int:
        """The host beside everything that runs there: what is free before anything stops."""
        state = self.empty[name]
        count = self.hosts[name].accelerator_count
        for replica in self.present.get(name, ()):
            if replica.model in self.models:
                inside = tuple(index for index in replica.accelerators if index < count)
                state = self.states.take(state, self.models[replica.model], inside)
        return state
