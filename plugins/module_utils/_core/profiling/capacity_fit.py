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
samples: a level weighs as much as :data:`WEIGHT` of them at most. And a level may be disturbed by
something else on the machine; with the chance e = :data:`DISTURBED` any share of good ones is as likely:

    likelihood of a level = (1 - e)·C(n, g)·P^g·(1 - P)^(n - g) + e / (n + 1)

The interval comes from drawing whole levels with replacement (cluster bootstrap, Field and Welsh 2007)
and fitting each draw, somewhat wider for few levels.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.verdict import t_point

DRAWS = 200
STEEPEST, FLATTEST = 60.0, 1.0
WEIGHT, DISTURBED = 25.0, 0.1
_SLOPES, _PLACES, _FINER = 10, 24, 5


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
    tail = _expanded_tail(len(levels))
    low, high = draws[int(tail * len(draws))], draws[min(len(draws) - 1, int((1 - tail) * len(draws)))]
    return Capacity(point, min(low, point), max(high, point))


def _expanded_tail(count: int) -> float:
    """What to leave at each end so that the interval of few levels holds 95 % (Hesterberg 2015, the expanded
    percentile interval): the normal tail beyond sqrt(n/(n - 1)) times Student's point for n - 1."""
    if count < 2:
        return 0.0
    return 0.5 * math.erfc(math.sqrt(count / (count - 1)) * t_point(count - 1) / math.sqrt(2))


def _fitted(levels: Sequence[Level], quantile: float) -> float:
    """Maximum likelihood over a grid of slopes and places, the places made finer once."""
    points = [_weighed(one) for one in levels]
    low, high = min(point[0] for point in points), max(point[0] for point in points)
    step = max((high - low) / _PLACES, 1e-3)
    slopes = [FLATTEST * (STEEPEST / FLATTEST) ** (number / _SLOPES) for number in range(_SLOPES + 1)]
    places = [low + number * step for number in range(-2, _PLACES + 3)]
    _likelihood, slope, place = max((_likelihood_of(points, s, m), s, m) for s in slopes for m in places)
    finer = [place + step * number / _FINER for number in range(-_FINER, _FINER + 1)]
    near = [one for one in slopes if 0.5 <= one / slope <= 2]
    _likelihood, slope, place = max((_likelihood_of(points, s, m), s, m) for s in near for m in finer)
    return math.exp(place - math.log(quantile / (1 - quantile)) / slope)


def _weighed(level: Level) -> tuple[float, float, float, float]:
    """ln r, n, g, and ln C(n, g), with n cut down to what a level may weigh."""
    sent = min(float(level.sent), WEIGHT)
    good = sent * level.good / level.sent
    ways = math.lgamma(sent + 1) - math.lgamma(good + 1) - math.lgamma(sent - good + 1)
    return math.log(level.rate), sent, good, ways


def _likelihood_of(points: Sequence[tuple[float, float, float, float]], slope: float, place: float) -> float:
    total = 0.0
    for x, sent, good, ways in points:
        z = slope * (x - place)
        told = ways + good * _log_logistic(-z) + (sent - good) * _log_logistic(z)
        total += math.log((1 - DISTURBED) * math.exp(told) + DISTURBED / (sent + 1))
    return total


def _log_logistic(value: float) -> float:
    """ln(1 / (1 + exp(-value))), without overflow."""
    return -math.log1p(math.exp(-value)) if value > 0 else value - math.log1p(math.exp(value))
