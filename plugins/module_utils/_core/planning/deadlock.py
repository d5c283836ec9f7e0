# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which replicas to stop before their time, where nothing else can go on.

A waiting start depends on the stops on its host, a waiting stop on the starts of its
model. A start from which no chain of these leads to anything that just happened will
wait for ever: chat needs the place of code, and code needs that of chat. One of them
has to leave before its replacement stands.

Every such start is an option: stop what blocks it. Its dip is the largest share, over
the models it stops, of what the model has to serve (``reference``) that is then not
served. Starts that wait for each other's models form a group (the connected components
of the graph between the model of a start and the models of its blockers), and a group
cannot help another. In each group the option of the smallest dip is taken.

A group that cannot do without a dip is given a limit, max(:data:`DIP_SHARE`,
min(:data:`LEAST_FACTOR` x its smallest dip, :data:`MOST_SHARE`)), and for the rest of
the rollout more of its starts are let in early while no model dips by more. Each place
emptied lets one chain of moves go on, k places let k go on at once: the requests left
unserved over the whole rollout are about the same in number, and it takes a k-th of the
waves. 5 % is half of what AWS instance refresh lets go (10 %), 25 % what a Kubernetes
deployment does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.occupancy import TOLERANCE, Resource

DIP_SHARE = 0.05
LEAST_FACTOR = 1.5
MOST_SHARE = 0.25


@dataclass(frozen=True)
class TemporaryStop:
    """``stops`` leave before their time, so that ``start`` finds room."""

    start: Replica
    stops: tuple[Replica, ...]


class Service:
    """What models serve after the stops chosen so far, and what a further stop would cost.

    Args:
        left: requests/s per model that stay in service through the wave.
        reference: requests/s per model below which it is a dip.
        rates: requests/s of each replica that waits to be stopped.
    """

    def __init__(self, left: dict[str, float], reference: Mapping[str, float], rates: Mapping[Replica, float]) -> None:
        self.left = left
        self._reference = reference
        self._rates = rates

    def dip(self, stops: Iterable[Replica]) -> tuple[float, float]:
        """The largest share that a model would lack, and the sum of requests/s lacking."""
        short = {
            name: max(0.0, self._reference[name] - self.left[name] + rate) for name, rate in self._freed(stops).items()
        }
        share = max(
            (lack / self._reference[name] for name, lack in short.items() if self._reference[name]), default=0.0
        )
        return (share, sum(short.values()))

    def stop(self, stops: Iterable[Replica]) -> None:
        for name, rate in self._freed(stops).items():
            self.left[name] -= rate

    def _freed(self, stops: Iterable[Replica]) -> dict[str, float]:
        freed: dict[str, float] = defaultdict(float)
        for replica in stops:
            freed[replica.model] += self._rates[replica]
        return freed


def blockers(
    lacking: Mapping[Resource, float], gives: Mapping[Replica, Mapping[Resource, float]], service: Service
) -> tuple[Replica, ...]:
    """The stops that make room for one start: all that must go, then the cheapest, none in vain.

    Args:
        lacking: what has to be freed on the host, and how much of it.
        gives: what each waiting stop on that host gives back.
        service: what stopping costs.
    """

    def covered(stops: Iterable[Replica]) -> bool:
        given: dict[Resource, float] = defaultdict(float)
        for stop in stops:
            for resource in lacking.keys() & gives[stop].keys():
                given[resource] += gives[stop][resource]
        return all(given[key] >= amount - TOLERANCE * max(1.0, amount) for key, amount in lacking.items())

    useful = sorted(stop for stop in gives if gives[stop].keys() & lacking.keys())
    needed = [stop for stop in useful if not covered(other for other in useful if other is not stop)]
    if covered(needed):
        return tuple(needed)
    chosen = sorted(useful, key=lambda stop: (service.dip([stop]), stop))
    for stop in reversed(list(chosen)):
        without = [other for other in chosen if other is not stop]
        if covered(without):
            chosen = without
    return tuple(sorted(chosen))


def least_dips(
    stuck: Sequence[TemporaryStop], waiting: Sequence[TemporaryStop], service: Service, limits: dict[str, float]
) -> list[TemporaryStop]:
    """The options to take in one wave.

    Args:
        stuck: options of starts that would wait for ever; at least one of each group is taken.
        waiting: options of starts that only wait, in groups with a limit.
        service: what is served; brought up to date.
        limits: the largest dip by model, of groups that have one; brought up to date.
    """
    group_of = _groups(stuck)
    broken: set[str] = set()
    gone: set[Replica] = set()
    taken = []
    forced = set(stuck)
    for option in sorted({*stuck, *waiting}, key=lambda one: (*service.dip(one.stops), one.start, one.stops)):
        more = tuple(stop for stop in option.stops if stop not in gone)
        share, _unused = service.dip(more)
        group = group_of.get(option.start.model, "")
        if option in forced and group not in broken:
            broken.add(group)
            limit = max(DIP_SHARE, min(LEAST_FACTOR * share, MOST_SHARE))
            for name in [name for name, root in group_of.items() if root == group]:
                limits[name] = max(limit, limits.get(name, 0.0))
        elif not more or share > min(limits.get(stop.model, 0.0) for stop in more) * (1 + TOLERANCE):
            continue
        service.stop(more)
        gone.update(more)
        taken.append(TemporaryStop(option.start, more))
    return taken


def _groups(options: Iterable[TemporaryStop]) -> dict[str, str]:
    """The least model of the group each model is in."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for option in options:
        for stop in option.stops:
            one, other = sorted((root(option.start.model), root(stop.model)))
            parent[other] = one
    return {name: root(name) for name in list(parent)}
