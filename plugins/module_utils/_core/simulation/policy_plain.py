# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Policies that do not look ahead by themselves: a fixed number, a person, and one who knows the future."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import Look, Seen

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
DAY_SECONDS = 86_400.0
MINUTE = 60.0


def replicas_for(requests_per_second: float, rate: float, least: int) -> int:
    """Replicas of ``rate`` requests/s that carry the demand, at least ``least``."""
    return max(least, math.ceil(requests_per_second / rate * (1 - 1e-9)))


@dataclass
class Static:
    """The same replicas all the time."""

    replicas: Mapping[str, int]
    name: str = "static"
    interval_seconds: float = 3600.0

    def wanted(self, look: Look) -> Mapping[str, int]:
        return self.replicas


@dataclass
class Hindsight:
    """Knows demand: has ready at each moment what its mean over any coming step needs, and not more.

    It is the limit of any forecast for this sizing, not of any schedule: it does not know single requests.

    ``future``: requests/s by sample step from ``start``.
    """

    future: Mapping[str, Array]
    start: float
    step_seconds: float
    rates: Mapping[str, float]
    least: int = 1
    name: str = "perfect foresight"
    interval_seconds: float = 60.0

    def wanted(self, look: Look) -> Mapping[str, int]:
        found = {}
        for name, seen in look.models.items():
            until = look.moment + seen.profile.startup_seconds + 2 * self.interval_seconds
            first = int((look.moment - self.start) // self.step_seconds)
            last = math.ceil((until - self.start) / self.step_seconds)
            ahead = self.future[name][first:last]
            peak = float(np.max(ahead)) if len(ahead) else 0.0
            found[name] = replicas_for(peak, self.rates[name], self.least)
        return found


@dataclass
class Person:
    """Somebody who watches a graph by day.

    When demand was above ``high`` of the ready capacity for ``patience_seconds``, or below ``low`` of it for six
    times that, the capacity is changed ``delay_seconds`` later to what the largest demand of the last patience needs
    with ``margin``, at most ``changes_a_day`` times a day and model. Nobody looks from ``sleeps_from`` to
    ``wakes_at`` o'clock UTC; what was begun before is still done. The defaults are those of issue 7: 30 minutes,
    10 minutes, asleep at night; the thresholds are the usual 80 % and half of it.
    """

    rates: Mapping[str, float]
    high: float = 0.8
    low: float = 0.4
    margin: float = 1.25
    patience_seconds: float = 600.0
    delay_seconds: float = 1800.0
    changes_a_day: int = 4
    sleeps_from: float = 22.0
    wakes_at: float = 7.0
    least: int = 1
    name: str = "a person"
    interval_seconds: float = MINUTE
    _due: dict[str, float] = field(default_factory=dict)
    _changes: dict[tuple[str, int], int] = field(default_factory=dict)

    def wanted(self, look: Look) -> Mapping[str, int]:
        found = {}
        for name, seen in look.models.items():
            if name in self._due:
                if look.moment >= self._due[name]:
                    del self._due[name]
                    recent = _recent(seen, look, self.patience_seconds)
                    found[name] = replicas_for(float(recent.max()) * self.margin, self.rates[name], self.least)
            elif self._decides(name, seen, look):
                self._due[name] = look.moment + self.delay_seconds
        return found

    def _decides(self, name: str, seen: Seen, look: Look) -> bool:
        hour = look.moment % DAY_SECONDS / 3600.0
        night = self.sleeps_from <= hour or hour < self.wakes_at
        key = (name, int(look.moment // DAY_SECONDS))
        if night or self._changes.get(key, 0) >= self.changes_a_day or seen.starting:
            return False
        capacity = seen.ready * self.rates[name]
        above = float(_recent(seen, look, self.patience_seconds).min()) > self.high * capacity
        calm = _recent(seen, look, 6 * self.patience_seconds)
        below = seen.ready > self.least and float(calm.max()) < self.low * capacity
        if above or below:
            self._changes[key] = self._changes.get(key, 0) + 1
        return above or below


def _recent(seen: Seen, look: Look, seconds: float) -> Array:
    """The samples of the last ``seconds``; one of zero when there is none yet."""
    samples = seen.requests_per_second[-max(1, round(seconds / look.step_seconds)) :]
    return samples if len(samples) else np.zeros(1)
