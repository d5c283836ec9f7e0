# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The state of a fleet while waves are laid out: room on hosts, capacity in service, work left.

The rules are stated in :mod:`waves`; this file applies them to one wave at a time. Only
what the wave before has changed is looked at again: a start that found no room finds none
until something on its host stops, a stop that capacity forbade stays forbidden until its
model starts somewhere. So the whole takes about O(n log n) for n starts and stops, however
many waves they need.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import Changes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.deadlock import (
    Service,
    TemporaryStop,
    blockers,
    least_dips,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.occupancy import (
    TOLERANCE,
    Occupancy,
    Resource,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.serving import (
    replica_capacity,
    serving_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.stop_queue import (
    StopQueue,
    Worth,
)

__all__ = ["RolloutState", "Wave", "serving_capacity"]


@dataclass(frozen=True)
class Wave:
    """One wave: its starts, all of its stops, and those of them that come before their time.

    ``lowest``: requests/s per model while the wave runs, when its stops are gone and its starts
    do not serve yet; only of models that stop something. ``serving``: per model when it is done.
    """

    starts: list[Replica]
    stops: list[Replica]
    early: list[TemporaryStop]
    lowest: dict[str, float]
    serving: dict[str, float]


class RolloutState:
    """What runs, what is free and what is left to do, wave after wave.

    ``needed``: requests/s per model that a wave must leave in service.
    """

    def __init__(
        self,
        current: Sequence[Replica],
        target: Sequence[Replica],
        work: Changes,
        hosts: Sequence[Host],
        models: Sequence[Model],
        floors: Mapping[str, float],
    ) -> None:
        by_name, catalogue = {host.name: host for host in hosts}, {model.name: model for model in models}
        self._serving = serving_capacity(current, by_name, catalogue)
        goal = serving_capacity(target, by_name, catalogue)
        for name in sorted(goal):
            self._serving.setdefault(name, 0.0)
        self.needed = {
            name: min(floors.get(name, serves), goal.get(name, 0.0)) for name, serves in self._serving.items()
        }
        self.reference = {name: min(self.needed[name], serves) for name, serves in self._serving.items()}
        self._rates = {
            replica: replica_capacity(replica, by_name, catalogue) for replica in (*work.starts, *work.stops)
        }
        self._starts_on = _by_host(work.starts)
        self._stops_on = {name: set(stops) for name, stops in _by_host(work.stops).items()}
        self._stops_of: dict[str, set[Replica]] = defaultdict(set)
        self._queues: dict[str, StopQueue] = defaultdict(StopQueue)
        present, planned = _by_host(current), _by_host(target)
        self._occupancy = {
            name: Occupancy(by_name.get(name), present.get(name, []), planned.get(name, []), catalogue)
            for name in self._starts_on
        }
        for replica in work.stops:
            self._stops_of[replica.model].add(replica)
            self._queues[replica.model].put(replica, self._rates[replica], Worth())
        self._freed_hosts = set(self._starts_on)
        self._grown_models = set(self._queues)
        self._blockers: dict[Replica, tuple[Replica, ...]] = {}
        self._dip_limits: dict[str, float] = {}

    @property
    def is_done(self) -> bool:
        return not self._starts_on and not self._stops_of

    def next_wave(self) -> Wave:
        """Choose the next wave and carry it out on this state."""
        starts = [replica for name in sorted(self._freed_hosts) for replica in self._startable(name)]
        self._remove(starts, [])
        service = Service(dict(self._serving), self.reference, self._rates)
        for name in {replica.host for replica in starts} | self._freed_hosts:
            self._weigh_stops(name, service)
        stops = []
        for name in sorted(self._grown_models):
            spare = self._serving[name] - self.needed[name] + TOLERANCE * (1.0 + self.needed[name])
            chosen = self._queues[name].take(spare)
            service.stop(chosen)
            stops += chosen
        self._remove([], stops)
        early = self._hasten({replica.model for replica in starts}, {replica.host for replica in stops}, service)
        hastened = [replica for option in early for replica in option.stops]
        self._remove([], hastened)
        stops += hastened
        self._serving = service.left
        lowest = {name: self._serving[name] for name in {replica.model for replica in stops}}
        for replica in starts:
            self._serving[replica.model] += self._rates[replica]
        for name in {replica.model for replica in starts}:
            self.reference[name] = max(self.reference[name], min(self.needed[name], self._serving[name]))
        self._freed_hosts = {replica.host for replica in stops} & self._starts_on.keys()
        self._grown_models = {replica.model for replica in starts} & self._stops_of.keys()
        return Wave(sorted(starts), sorted(stops), early, lowest, dict(self._serving))

    def _startable(self, host: str) -> list[Replica]:
        """Starts on one host that fit into what is free, models furthest below their need first.

        A host without stops left takes all that is planned for it: that is its target.
        """

        def order(replica: Replica) -> tuple[float, Replica]:
            need = self.needed[replica.model]
            return (self._serving[replica.model] / need if need > 0 else float("inf"), replica)

        occupancy = self._occupancy[host]
        chosen = []
        for replica in sorted(self._starts_on[host], key=order):
            if not self._stops_on.get(host) or not occupancy.lacking(replica):
                occupancy.start(replica)
                chosen.append(replica)
        return chosen

    def _weigh_stops(self, host: str, service: Service) -> None:
        """Say anew for how many waiting starts each stop on ``host`` makes room."""
        frees: Counter[Replica] = Counter()
        own = set()
        for start in self._starts_on.get(host, ()):
            for stop in self._option(start, service).stops:
                frees[stop] += 1
                if stop.model == start.model:
                    own.add(stop)
        for stop in self._stops_on.get(host, ()):
            self._queues[stop.model].put(stop, self._rates[stop], Worth(frees[stop], stop in own))

    def _remove(self, starts: Iterable[Replica], stops: Iterable[Replica]) -> None:
        """Take chosen work off what is left. Stops give their room back; starts took it when they were chosen."""
        started = set(starts)
        changed = {replica.host for replica in started}
        for name in changed:
            left = [replica for replica in self._starts_on[name] if replica not in started]
            _keep_if_any(self._starts_on, name, left)
        for replica in stops:
            changed.add(replica.host)
            _discard(self._stops_on, replica.host, replica)
            _discard(self._stops_of, replica.model, replica)
            self._queues[replica.model].discard(replica)
            if replica.host in self._occupancy:
                self._occupancy[replica.host].stop(replica)
        for name in changed:
            for replica in self._starts_on.get(name, ()):
                self._blockers.pop(replica, None)

    def _hasten(self, grown: set[str], freed: set[str], service: Service) -> list[TemporaryStop]:
        """What has to stop before its time in this wave; see :mod:`deadlock`."""
        hosts = self._stuck_hosts(grown, freed)
        stuck = [self._option(start, service) for name in sorted(hosts) for start in self._starts_on[name]]
        waiting = []
        if self._dip_limits:
            slow = self._dip_limits.keys() - grown
            for name in sorted(self._starts_on.keys() - hosts - freed):
                options = [self._option(start, service) for start in self._starts_on[name]]
                waiting += [option for option in options if all(stop.model in slow for stop in option.stops)]
        return least_dips(stuck, waiting, service, self._dip_limits) if stuck or waiting else []

    def _option(self, start: Replica, service: Service) -> TemporaryStop:
        """What would have to stop for ``start``."""
        if start not in self._blockers:
            occupancy = self._occupancy[start.host]
            gives: dict[Replica, Mapping[Resource, float]] = {
                stop: occupancy.taken_by(stop) for stop in self._stops_on[start.host]
            }
            self._blockers[start] = blockers(occupancy.lacking(start), gives, service)
        return TemporaryStop(start, self._blockers[start])

    def _stuck_hosts(self, grown: set[str], freed: set[str]) -> set[str]:
        """Hosts with waiting starts that nothing which happened in this wave can ever reach.

        A model that started lets its stops go, a host on which something stopped lets its starts go.
        """
        models, hosts = set(grown), set(freed)
        new_models, new_hosts = set(grown), set(freed)
        while new_models or new_hosts:
            if self._stops_of.keys() <= models:
                return set()
            reached = {stop.host for name in new_models for stop in self._stops_of.get(name, ())} - hosts
            moving = {start.model for name in new_hosts for start in self._starts_on.get(name, ())} - models
            models |= moving
            hosts |= reached
            new_models, new_hosts = moving, reached
        return {name for name in self._starts_on if name not in hosts}


def _by_host(replicas: Iterable[Replica]) -> dict[str, list[Replica]]:
    grouped: dict[str, list[Replica]] = defaultdict(list)
    for replica in replicas:
        grouped[replica.host].append(replica)
    return dict(grouped)


def _keep_if_any(ledger: dict[str, list[Replica]], name: str, left: list[Replica]) -> None:
    if left:
        ledger[name] = left
    else:
        ledger.pop(name, None)


def _discard(ledger: dict[str, set[Replica]], name: str, replica: Replica) -> None:
    ledger[name].discard(replica)
    if not ledger[name]:
        del ledger[name]
