# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From levels of load to the rate a replica sustains inside its SLO, with an interval.

Each request is good or not. Over the rate r the share of good ones falls in an S-shape, and the
capacity is the rate at which it is the SLO's quantile q: a dose and a response (Finney 1971,
Probit Analysis; here with the logistic curve). With n_i requests, g_i of them good, at rate r_i:

    P(good | r) = 1 / (1 + exp(s·(ln r - m))),    capacity = exp(m - logit(q) / s)

m and s > 0 maximise the likelihood, with s held below :data:`STEEPEST` (levels that part perfectly
would drive it to infinity). Requests of a level wait in the same queue, so they are no independent
samples; the interval comes from drawing whole levels with replacement (cluster bootstrap, Field and
Welsh 2007) and fitting each draw.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

DRAWS = 200
STEEPEST, FLATTEST = 60.0, 1.0
_HALVINGS = 30
_SLOPES = 12


@dataclass(frozen=True)
class Level:
    """``sent`` requests at ``rate`` a second, ``good`` of them inside the SLO."""

    rate: float
    sent: int
    good: int

    def holds(self, quantile: float) -> bool:
        return self.sent > 0 and self.good >= quantile * self.sent


@dataclass(frozen=True)
class Capacity:
    """Requests a second: the estimate and its 95 % interval."""

    rate: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the interval over the estimate."""
        return (self.high - self.low) / 2 / self.rate if self.rate else math.inf


def likely_capacity(levels: Sequence[Level], quantile: float) -> float | None:
    """The estimate alone; None when no level held or none failed, since then it was not enclosed."""
    if not any(one.holds(quantile) for one in levels) or all(one.holds(quantile) for one in levels):
        return None
    return _fitted(levels, quantile)


def estimate_capacity(levels: Sequence[Level], quantile: float, *, seed: int = 1) -> Capacity | None:
    """The capacity with its interval; None as in :func:`likely_capacity`."""
    point = likely_capacity(levels, quantile)
    if point is None:
        return None
    source = random.Random(seed)
    draws = []
    for _draw in range(DRAWS):
        chosen = [source.choice(levels) for _level in levels]
        if any(one.holds(quantile) for one in chosen) and not all(one.holds(quantile) for one in chosen):
            draws.append(_fitted(chosen, quantile))
    draws.sort()
    if not draws:
        return Capacity(point, point, point)
    low, high = draws[int(0.025 * len(draws))], draws[min(len(draws) - 1, int(0.975 * len(draws)))]
    return Capacity(point, min(low, point), max(high, point))


def _fitted(levels: Sequence[Level], quantile: float) -> float:
    """Maximum likelihood: for each slope of a grid the best place by bisection, then the best slope."""
    points = [(math.log(one.rate), one.sent, one.good) for one in levels]
    best, place, slope = -math.inf, 0.0, STEEPEST
    for step in range(_SLOPES + 1):
        s = FLATTEST * (STEEPEST / FLATTEST) ** (step / _SLOPES)
        m = _best_place(points, s)
        likelihood = sum(
            good * _log_logistic(-s * (x - m)) + (sent - good) * _log_logistic(s * (x - m)) for x, sent, good in points
        )
        if likelihood > best + 1e-9:
            best, place, slope = likelihood, m, s
    return math.exp(place - math.log(quantile / (1 - quantile)) / slope)


def _best_place(points: Sequence[tuple[float, int, int]], slope: float) -> float:
    """The root of the score: expected good = counted good, which rises with m."""
    low = min(x for x, _sent, _good in points) - 10 / slope
    high = max(x for x, _sent, _good in points) + 10 / slope
    counted = sum(good for _x, _sent, good in points)
    for _step in range(_HALVINGS):
        middle = (low + high) / 2
        expected = sum(sent * math.exp(_log_logistic(-slope * (x - middle))) for x, sent, _good in points)
        low, high = (middle, high) if expected < counted else (low, middle)
    return (low + high) / 2


def _log_logistic(value: float) -> float:
    """ln(1 / (1 + exp(-value))), without overflow."""
    return -math.log1p(math.exp(-value)) if value > 0 else value - math.log1p(math.exp(value))
