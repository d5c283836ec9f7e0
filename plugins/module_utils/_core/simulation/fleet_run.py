# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A fleet under a policy: look, decide, let time pass.

Every ``interval_seconds`` of its own the policy sees what an operator's metrics would show,
and says how many replicas of each model it wants. Both fidelities (station.py, fluid.py)
are run by this one loop, so a policy cannot know which it is in.

What is wanted beyond the stock of accelerators is cut, model by model in order of name, down
to what is left; replicas that drain hold theirs until they are gone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Counts

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


class Serving(Protocol):
    """What a fleet needs of the replicas of one model."""

    profile: Profile
    counts: Counts

    @property
    def ready(self) -> int:
        """Replicas that answer."""

    @property
    def provisioned(self) -> int:
        """Replicas that answer or start."""

    @property
    def queued(self) -> int:
        """Requests that wait."""

    @property
    def in_service(self) -> int:
        """Requests that are worked on."""

    def run_until(self, end: float) -> None:
        """Go on to a moment."""

    def set_replicas(self, wanted: int) -> None:
        """Want so many from now on."""

    def fail(self) -> None:
        """Lose the oldest replica that answers."""

    def close(self) -> None:
        """Count the accelerator seconds up to now."""

    def arrived_between(self, begin: float, end: float) -> float:
        """Requests that came in a span of time."""


@dataclass(frozen=True)
class Seen:
    """What is known of one model at a moment.

    ``requests_per_second``: of each whole sample step up to now, the last of them just ended.
    ``queued`` at the gateway, ``in_service`` in the replicas; ``starting`` replicas are not ready yet.
    """

    requests_per_second: Array
    queued: int
    in_service: int
    ready: int
    starting: int
    profile: Profile


@dataclass(frozen=True)
class Look:
    """What a policy sees at ``moment``; samples are ``step_seconds`` apart."""

    moment: float
    step_seconds: float
    models: Mapping[str, Seen]


class ScalingPolicy(Protocol):
    """Decides how many replicas of each model there should be."""

    name: str
    interval_seconds: float

    def wanted(self, look: Look) -> Mapping[str, int]:
        """Replicas of each model from now on."""


@dataclass(frozen=True)
class Failure:
    """The oldest ready replica of a model dies at that moment; or of all that are ready this ``share``, rounded up."""

    moment: float
    model: str
    share: float = 0.0


@dataclass(frozen=True)
class Course:
    """From when until when, how often demand is sampled, what stock there is, what breaks.

    ``before``: requests/s of each model before ``start``, by sample step, which a policy knows from the start.
    """

    start: float
    end: float
    step_seconds: float = 60.0
    accelerators: float = float("inf")
    failures: Sequence[Failure] = ()
    before: Mapping[str, Array] | None = None


def run_policy(stations: Mapping[str, Serving], policy: ScalingPolicy, course: Course) -> None:
    """Simulate; the stations hold the outcome."""
    if policy.interval_seconds <= 0 or course.end <= course.start:
        raise InputError("a simulation needs an end after its start, and a policy an interval above 0")
    before = course.before or {}
    steps = int((course.end - course.start) / course.step_seconds) + 1
    samples = {name: _Samples(before.get(name, ()), steps) for name in stations}
    sampled = course.start
    failures = sorted(
        (one for one in course.failures if one.model in stations), key=lambda one: (one.moment, one.model)
    )
    number = 0
    while (moment := course.start + number * policy.interval_seconds) < course.end:
        failures = _pass_time(stations, moment, failures)
        while sampled + course.step_seconds <= moment + 1e-6:
            for name, station in stations.items():
                arrived = station.arrived_between(sampled, sampled + course.step_seconds)
                samples[name].add(arrived / course.step_seconds)
            sampled += course.step_seconds
        wanted = policy.wanted(_look(stations, samples, moment, course.step_seconds))
        _apply(stations, wanted, course.accelerators)
        number += 1
    _pass_time(stations, course.end, failures)
    for station in stations.values():
        station.close()


class _Samples:
    """A series that grows in room reserved for it, so that a look at it copies nothing."""

    def __init__(self, before: Array, more: int) -> None:
        self._size = len(before)
        self._values = np.empty(self._size + more)
        self._values[: self._size] = before

    @property
    def known(self) -> Array:
        return self._values[: self._size]

    def add(self, value: float) -> None:
        self._values[self._size] = value
        self._size += 1


def _pass_time(stations: Mapping[str, Serving], until: float, failures: list[Failure]) -> list[Failure]:
    left = list(failures)
    while left and left[0].moment <= until:
        failure = left.pop(0)
        stations[failure.model].run_until(failure.moment)
        for _number in range(max(1, math.ceil(failure.share * stations[failure.model].ready))):
            stations[failure.model].fail()
    for station in stations.values():
        station.run_until(until)
    return left


def _look(stations: Mapping[str, Serving], samples: Mapping[str, _Samples], moment: float, step: float) -> Look:
    seen = {
        name: Seen(
            requests_per_second=samples[name].known,
            queued=station.queued,
            in_service=station.in_service,
            ready=station.ready,
            starting=station.provisioned - station.ready,
            profile=station.profile,
        )
        for name, station in stations.items()
    }
    return Look(moment, step, seen)


def _apply(stations: Mapping[str, Serving], wanted: Mapping[str, int], stock: float) -> None:
    """Stops first, so that what is free can be started on."""
    ordered = [(name, max(0, int(wanted[name]))) for name in sorted(stations) if name in wanted]
    for name, count in ordered:
        if count < stations[name].provisioned:
            stations[name].set_replicas(count)
    for name, count in ordered:
        station = stations[name]
        if count > station.provisioned:
            free = stock - sum(one.counts.provisioned[-1][1] * one.profile.accelerators for one in stations.values())
            most = (
                count
                if station.profile.accelerators == 0 or free == float("inf")
                else (station.provisioned + int(free / station.profile.accelerators + 1e-9))
            )
            station.set_replicas(max(station.provisioned, min(count, most)))
