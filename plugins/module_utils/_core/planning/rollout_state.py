# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The state of a fleet while waves are laid out: room on hosts, capacity in service, work left.

The rules are stated in :mod:`waves`; this file applies them to one wave at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import (
    Changes,
    place_text,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.occupancy import (
    TOLERANCE,
    Occupancy,
    Resource,
)


def replica_capacity(replica: Replica, hosts: Mapping[str, Host], models: Mapping[str, Model]) -> float:
    """Requests/s one replica serves where it is; nothing on a host that is unknown or does not serve."""
    host, model = hosts.get(replica.host), models.get(replica.model)
    if host is None or model is None or not host.serves or host.accelerator_type not in model.capacity:
        return 0.0
    return model.capacity[host.accelerator_type].requests_per_second


def serving_capacity(
    replicas: Iterable[Replica], hosts: Mapping[str, Host], models: Mapping[str, Model]
) -> dict[str, float]:
    """Requests/s per model that ``replicas`` serve together."""
    total: dict[str, float] = defaultdict(float)
    for replica in replicas:
        total[replica.model] += replica_capacity(replica, hosts, models)
    return dict(total)


class RolloutState:
    """What runs, what is free and what is left to do, wave after wave."""

    def __init__(
        self,
        current: Sequence[Replica],
        target: Sequence[Replica],
        work: Changes,
        hosts: Sequence[Host],
        models: Sequence[Model],
        floors: Mapping[str, float],
    ) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._models = {model.name: model for model in models}
        self._serving = serving_capacity(current, self._hosts, self._models)
        goal = serving_capacity(target, self._hosts, self._models)
        for name in goal:
            self._serving.setdefault(name, 0.0)
        self._needed = {
            name: min(floors.get(name, serves), goal.get(name, 0.0)) for name, serves in self._serving.items()
        }
        self._rates = {
            replica: replica_capacity(replica, self._hosts, self._models) for replica in (*work.starts, *work.stops)
        }
        self.pending_starts = list(work.starts)
        self.pending_stops = list(work.stops)
        self._stops_on: dict[str, set[Replica]] = defaultdict(set)
        for replica in work.stops:
            self._stops_on[replica.host].add(replica)
        present, planned = _by_host(current), _by_host(target)
        self._occupancy = {
            name: Occupancy(self._hosts.get(name), present.get(name, []), planned.get(name, []), self._models)
            for name in {replica.host for replica in work.starts}
        }

    def serving(self) -> dict[str, float]:
        """Requests/s per model now, rounded to hide what adding floats leaves behind."""
        return {name: round(max(0.0, self._serving[name]), 9) for name in sorted(self._serving)}

    def next_wave(self) -> tuple[list[Replica], list[Replica], str]:
        """Choose the next wave, carry it out on this state, and return its starts, stops and note."""
        starts = self._startable()
        blocked: dict[str, list[set[Resource]]] = defaultdict(list)
        chosen = set(starts)
        for replica in self.pending_starts:
            if replica not in chosen:
                blocked[replica.host].append(set(self._occupancy[replica.host].lacking(replica)))
        stops = self._stoppable(blocked)
        note = ""
        if not starts and not stops:
            stops, note = self._break_deadlock()
        self._carry_out(starts, stops)
        return starts, stops, note

    def _startable(self) -> list[Replica]:
        """Starts that fit into what is free, models furthest below their need first.

        A host without stops left takes all that is planned for it: that is its target.
        """

        def order(replica: Replica) -> tuple[float, Replica]:
            need = self._needed[replica.model]
            return (self._serving[replica.model] / need if need > 0 else float("inf"), replica)

        chosen = []
        for replica in sorted(self.pending_starts, key=order):
            occupancy = self._occupancy[replica.host]
            if not self._stops_on[replica.host] or not occupancy.lacking(replica):
                occupancy.start(replica)
                chosen.append(replica)
        return sorted(chosen)

    def _stoppable(self, blocked: Mapping[str, Sequence[set[Resource]]]) -> list[Replica]:
        """Stops the capacity rule allows, those that make room for most starts first."""

        def order(replica: Replica) -> tuple[int, float, Replica]:
            waiting = blocked.get(replica.host)
            taken = self._occupancy[replica.host].taken_by(replica).keys() if waiting else set()
            frees = sum(1 for lacking in waiting or () if lacking & taken)
            return (-frees, self._rates[replica], replica)

        left = dict(self._serving)
        chosen = []
        for replica in sorted(self.pending_stops, key=order):
            after = left[replica.model] - self._rates[replica]
            if self._rates[replica] == 0 or after >= self._needed[replica.model] * (1 - TOLERANCE) - TOLERANCE:
                left[replica.model] = after
                chosen.append(replica)
        return sorted(chosen)

    def _carry_out(self, starts: Iterable[Replica], stops: Iterable[Replica]) -> None:
        """Starts took their room when they were chosen; stops give theirs back at the end of the wave."""
        started, stopped = set(starts), set(stops)
        for replica in starts:
            self._serving[replica.model] += self._rates[replica]
        for replica in stops:
            self._serving[replica.model] -= self._rates[replica]
            self._stops_on[replica.host].discard(replica)
            if replica.host in self._occupancy:
                self._occupancy[replica.host].stop(replica)
        self.pending_starts = [replica for replica in self.pending_starts if replica not in started]
        self.pending_stops = [replica for replica in self.pending_stops if replica not in stopped]

    def _dip(self, stops: Iterable[Replica]) -> tuple[float, float]:
        """How far ``stops`` would push models below what they need: sum of shares, sum of requests/s."""
        freed: dict[str, float] = defaultdict(float)
        for replica in stops:
            freed[replica.model] += self._rates[replica]
        short = {name: max(0.0, self._needed[name] - self._serving[name] + rate) for name, rate in freed.items()}
        shares = sum(min(1.0, rate / self._needed[name]) for name, rate in short.items() if rate > 0)
        return (shares, sum(short.values()))

    def _blockers(self, start: Replica) -> list[Replica]:
        """Stops on the host of ``start`` that make room for it, cheapest first, none of them in vain."""
        occupancy = self._occupancy[start.host]
        lacking = occupancy.lacking(start)
        gives = {stop: occupancy.taken_by(stop) for stop in sorted(self._stops_on[start.host])}

        def covered(stops: Iterable[Replica]) -> bool:
            chosen = list(stops)
            return all(
                sum(gives[stop].get(resource, 0.0) for stop in chosen) >= amount - TOLERANCE * max(1.0, amount)
                for resource, amount in lacking.items()
            )

        useful = [stop for stop in gives if gives[stop].keys() & lacking.keys()]
        chosen = sorted(useful, key=lambda stop: (self._dip([stop]), stop))
        for stop in reversed(list(chosen)):
            without = [other for other in chosen if other is not stop]
            if covered(without):
                chosen = without
        return sorted(chosen)

    def _break_deadlock(self) -> tuple[list[Replica], str]:
        """Stop what blocks one start, at the smallest dip; also once per other model that blocks only itself."""
        options = sorted(
            (self._dip(blockers), start, blockers)
            for start in self.pending_starts
            for blockers in [self._blockers(start)]
        )
        own = {start.model for _dip, start, _blockers in options} - {
            start.model for _dip, start, blockers in options if any(stop.model != start.model for stop in blockers)
        }
        stops: list[Replica] = []
        notes = []
        touched: set[str] = set()
        for _dip, start, blockers in options:
            if stops and (start.model not in own or start.model in touched):
                continue
            touched |= {stop.model for stop in blockers}
            stops += blockers
            notes.append(self._deadlock_note(start, blockers))
        return sorted(stops), ". ".join(notes)

    def _deadlock_note(self, start: Replica, blockers: Sequence[Replica]) -> str:
        names = " and ".join(f"{stop.model} on {place_text(stop)}" for stop in blockers)
        lows = []
        for name in sorted({stop.model for stop in blockers}):
            serves = self._serving[name] - sum(self._rates[stop] for stop in blockers if stop.model == name)
            lows.append(f"{name} serves {max(0.0, serves):.4g} of {self._needed[name]:.4g} requests/s")
        return (
            f"Temporary stop of {names} to make room for {start.model} on {place_text(start)}:"
            f" until the next wave is done {', '.join(lows)}"
        )


def _by_host(replicas: Iterable[Replica]) -> dict[str, list[Replica]]:
    grouped: dict[str, list[Replica]] = defaultdict(list)
    for replica in replicas:
        grouped[replica.host].append(replica)
    return grouped
