# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""All replicas of one model as a fluid, for horizons of weeks.

Pointwise stationary fluid flow (Wang, Tipper & Banerjee, INFOCOM 1996). The mean number x of
requests in the system follows

    dx/dt = lambda(t) - D(x)

where D(x) is the rate at which the same system in equilibrium would hold x requests: the
inverse of L(lambda) of its birth-death chain (queueing.py). At a constant load it ends at the
equilibrium, at overload D is the full rate and the backlog grows and drains as it should.

A step of dt seconds is implicit, so any dt is stable: y + dt D(y) = x + dt lambda. D is kept
as a curve through (L_j, lambda_j), so the left side is one too, g_j = L_j + dt lambda_j, and y
is read off it by linear interpolation.

By Little's law, a request of that step stays y / D(y) seconds; what is beyond its stay at
the batch size y / n is its wait. How the wait spreads is taken from M/M/c: a share
exceeds t seconds that falls as exp(-t / mean wait of those who wait).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import (
    Profile,
    departures_per_second,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.queueing import birth_death
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Counts

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
GRID = 64
LEAST_LOAD, MOST_LOAD = 1e-3, 0.999  # of the full rate


@dataclass(frozen=True, eq=False)
class Flow:
    """A demand series: requests/s in steps of ``step_seconds`` from ``start``, and mean tokens in and out."""

    start: float
    step_seconds: float
    requests_per_second: Array
    input_tokens: float
    output_tokens: float

    def __post_init__(self) -> None:
        rates = np.asarray(self.requests_per_second)
        if not len(rates) or not np.isfinite(rates).all() or (rates < 0).any():
            raise InputError("a demand series to simulate holds finite requests/s and no gaps")
        if self.step_seconds <= 0:
            raise InputError("step_seconds must be above 0")


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """L(lambda) of some replicas as a curve, both ascending from 0, and their full rate."""

    held: Array
    rate: Array
    full: float


@lru_cache(maxsize=4096)
def equilibrium(profile: Profile, replicas: int, input_tokens: float, output_tokens: float) -> Equilibrium:
    departures = departures_per_second(profile, replicas, input_tokens, output_tokens)
    full = float(departures[-1])
    loads = np.concatenate(
        [np.linspace(LEAST_LOAD, 0.8, GRID // 2), 1.0 - np.geomspace(0.19, 1.0 - MOST_LOAD, GRID // 2)]
    )
    rate = loads * full
    held = np.maximum.accumulate(birth_death(rate, departures))
    return Equilibrium(np.concatenate([[0.0], held]), np.concatenate([[0.0], rate]), full)


class FluidStation:
    """The queue and the replicas of one model, by the step; it answers a fleet as :class:`station.Station` does."""

    def __init__(self, profile: Profile, flow: Flow, *, ready: int = 0) -> None:
        self.profile = profile
        self.flow = flow
        self.now = flow.start
        self.counts = Counts()
        self.held = 0.0
        self._starting: list[tuple[float, float]] = []  # (ready at, since)
        self._running = [flow.start] * ready
        self._note()
        size = len(flow.requests_per_second)
        self._edges = flow.start + flow.step_seconds * np.arange(size + 1)
        self._arrived = np.concatenate([[0.0], np.cumsum(flow.requests_per_second) * flow.step_seconds])
        self.served = np.zeros(size)
        self.stay = np.zeros(size)
        self.wait = np.zeros(size)

    @property
    def ready(self) -> int:
        return len(self._running)

    @property
    def provisioned(self) -> int:
        return len(self._running) + len(self._starting)

    @property
    def queued(self) -> int:
        return int(max(0.0, self.held - self.ready * self._batch))

    @property
    def in_service(self) -> int:
        return int(self.held) - self.queued

    def arrived_between(self, begin: float, end: float) -> float:
        """Requests of that time; the rate is constant within a step."""
        found = np.interp([begin, end], self._edges, self._arrived)
        return float(found[1] - found[0])

    def set_replicas(self, wanted: int) -> None:
        """As of :class:`station.Station`; what drains is gone after the stay of a request."""
        surplus = self.provisioned - wanted
        for _number in range(-surplus):
            self._starting.append((self.now + self.profile.startup_seconds, self.now))
            self.counts.starts += 1
        for _number in range(surplus):
            self.counts.stops += 1
            self._stop()
        if surplus:
            self._become_ready()
            self._note()

    def fail(self) -> None:
        if self._running:
            self.counts.failures += 1
            self._pay(self._running.pop(0), 0.0)
            self._note()

    def run_until(self, end: float) -> None:
        """Steps and parts of steps, cut where a replica becomes ready."""
        flow = self.flow
        while self.now < end:
            index = int((self.now - flow.start) / flow.step_seconds + 1e-9)
            until = min(end, flow.start + (index + 1) * flow.step_seconds)
            if self._starting:
                until = min(until, max(self.now, self._starting[0][0]))
            if until > self.now:
                self._flow(index, until - self.now)
                self.now = until
            self._become_ready()

    def close(self) -> None:
        since = [*self._running, *(begun for _due, begun in self._starting)]
        self.counts.accelerator_seconds += sum(self.now - one for one in since) * self.profile.accelerators
        self._running = [self.now] * len(self._running)
        self._starting = [(due, self.now) for due, _begun in self._starting]

    @property
    def _batch(self) -> int:
        return self.profile.batch_limit(self.flow.input_tokens, self.flow.output_tokens)

    def _flow(self, index: int, seconds: float) -> None:
        flow, replicas = self.flow, len(self._running)
        rate = float(flow.requests_per_second[index]) if index < len(flow.requests_per_second) else 0.0
        arrived = rate * seconds
        if not replicas:
            self.held += arrived
            self._record(index, arrived, math.inf, math.inf)
            return
        curve = equilibrium(self.profile, replicas, flow.input_tokens, flow.output_tokens)
        target = self.held + arrived
        edge = curve.held[-1] + seconds * curve.rate[-1]
        if target >= edge:
            left = max(float(curve.held[-1]), target - seconds * curve.full)
            departing = curve.full
        else:
            left = float(np.interp(target, curve.held + seconds * curve.rate, curve.held))
            departing = float(np.interp(left, curve.held, curve.rate))
        middle = left if left <= curve.held[-1] else (self.held + left) / 2.0
        self.held = left
        bare = float(
            self.profile.stay_seconds(min(middle / replicas, self._batch), flow.input_tokens, flow.output_tokens)
        )
        stay = max(bare, middle / departing) if departing > 0 else bare
        self._record(index, arrived, stay, stay - bare)

    def _record(self, index: int, arrived: float, stay: float, wait: float) -> None:
        if arrived <= 0 or index >= len(self.served):
            return
        before = self.served[index]
        self.served[index] = before + arrived
        self.stay[index] += (stay - self.stay[index]) * arrived / self.served[index] if before else stay
        self.wait[index] += (wait - self.wait[index]) * arrived / self.served[index] if before else wait

    def _become_ready(self) -> None:
        ready = [since for due, since in self._starting if due <= self.now]
        if ready:
            self._starting = self._starting[len(ready) :]
            self._running += ready
            self._note()

    def _stop(self) -> None:
        if self._starting:
            self._pay(self._starting.pop()[1], 0.0)
            return
        busy = self.held / max(1, len(self._running))
        drains = float(
            self.profile.stay_seconds(min(busy, self._batch), self.flow.input_tokens, self.flow.output_tokens)
        )
        self._pay(self._running.pop(), drains if busy >= 1.0 else busy * drains)

    def _pay(self, since: float, more_seconds: float) -> None:
        self.counts.accelerator_seconds += (self.now - since + more_seconds) * self.profile.accelerators

    def _note(self) -> None:
        self.counts.ready.append((self.now, self.ready))
        self.counts.provisioned.append((self.now, self.provisioned))
