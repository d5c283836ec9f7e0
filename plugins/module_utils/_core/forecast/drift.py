# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Level shifts that still last: found by CUSUM, taken out of the history before them.

With e[t] the usual log level at t (median or mean of the samples whole days or weeks
before, whichever predicts better) and z[t] = log(y[t]) - e[t], the one-sided sums

    C[t] = max(0, C[t-1] + z[t] / sigma - 1/2)      (and the same for -z)

start a last excursion; c is where the least squares of a step up from zero puts its
beginning near there. It is a shift when its mean exceeds that of every earlier stretch
of the same length by a margin, and its median stands clear of its own scatter. What lies
before c is then multiplied by the ratio of the levels, so that the shape learned over
weeks serves at today's level, and the interval is widened.

A rise is believed after a quarter of a day, a fall only after two days: a quiet
holiday is common, and nothing should scale in on it.

Source: Page (1954), Continuous Inspection Schemes, Biometrika 41, 100-115.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

ALLOWANCE = 0.5  # shifts of less than one sigma are not looked for
MOST_SIGMA = 8.0
LOG_OFFSET = 0.05  # as a share of the mean
MARGIN = 1.3
LEAST_LOG_RATIO = 0.3
# Where the logarithm scatters by no more than this the new level is believed sooner, and from a later start too.
STEADY = 0.2
LEAST_DAYS = {1: 0.25, -1: 2.0}
# The ratio is believed by k / (k + this) after k days, sooner where it is steady.
PATIENCE_DAYS = 0.25
WIDENING = 1.25


@dataclass(frozen=True)
class Shifts:
    """``start`` (S,) index of the first sample at the new level, -1 where there is no shift; ``ratio`` (S,) new / old."""

    start: Any
    ratio: Any

    @property
    def found(self) -> Any:
        """(S,) bool."""
        return self.start >= 0

    @property
    def widening(self) -> Any:
        """(S,) by how much intervals grow: little of the history has seen the new level."""
        return np.where(self.found, WIDENING, 1.0)


def find_shifts(values: Any, periods: tuple[int, ...]) -> Shifts:
    """Level shifts that last to the end.

    Args:
        values: (S, n) of mean about 1, without gaps.
        periods: seasons in steps; the first is the day. Without one nothing is looked for.
    """
    series, length = values.shape
    start, ratio = np.full(series, -1), np.ones(series)
    if not periods or length < 4 * periods[0]:
        return Shifts(start, ratio)
    day = periods[0]
    z, sigma, first = _surprise(np.log(np.maximum(values, 0.0) + LOG_OFFSET), periods)
    # one sample says no more than MOST_SIGMA, but the ratio of the levels is not bounded by it
    clipped = np.clip(z, -MOST_SIGMA * sigma, MOST_SIGMA * sigma)
    for sign in (1, -1):
        total = np.zeros((series, length + 1))
        np.cumsum(sign * clipped / sigma - ALLOWANCE * (z != 0.0), axis=1, out=total[:, 1:])
        lowest = np.minimum.accumulate(total, axis=1)
        begun = length - np.argmax((total == lowest)[:, ::-1], axis=1)
        long_enough = length - begun >= max(3.0, LEAST_DAYS[sign] * day)
        for row in np.flatnonzero(long_enough & (begun - first >= 2 * day)):
            since, found = _lasting(sign * z[row], sign * clipped[row], int(first[row]), int(begun[row]), day)
            if found:
                start[row], ratio[row] = since, np.exp(sign * found)
    return Shifts(start, ratio)


def align(values: Any, shifts: Shifts) -> Any:
    """``values`` (S, n) with everything before each shift brought to the new level."""
    before = np.arange(values.shape[1])[None, :] < shifts.start[:, None]
    return np.where(before, values * shifts.ratio[:, None], values)


def _surprise(logs: Any, periods: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """z (S, n), 0 where unknown; sigma (S, 1); and the first known step (S,)."""
    length = logs.shape[1]
    options = []
    for period, most in zip((periods[0], periods[-1]), (3, 2)):
        lags = [period * k for k in range(1, most + 1) if period * (k + 2) <= length]
        if not lags:
            continue
        lost = lags[-1]
        past = [logs[:, lost - lag : length - lag] for lag in lags]
        usual = _median_of_three(*past) if len(lags) == 3 else sum(past) / len(lags)
        z = np.zeros_like(logs)
        z[:, lost:] = logs[:, lost:] - usual
        options.append((z, 1.4826 * np.median(np.abs(z[:, lost:]), axis=1) + 0.01, lost))
    # by the mean, not the median: it counts the weekends that the days before do not foretell
    choice = np.argmin(np.stack([np.abs(z[:, lost:]).mean(axis=1) for z, _sigma, lost in options]), axis=0)
    each = np.arange(logs.shape[0])
    z = np.stack([z for z, _sigma, _lost in options])[choice, each]
    sigma = np.stack([sigma for _z, sigma, _lost in options])[choice, each][:, None]
    return z, sigma, np.array([lost for _z, _sigma, lost in options])[choice]


def _median_of_three(one: Any, two: Any, three: Any) -> Any:
    return np.maximum(np.minimum(one, two), np.minimum(np.maximum(one, two), three))


def _lasting(z: Any, clipped: Any, first: int, begun: int, day: int) -> tuple[int, float]:
    """Where the excursion that CUSUM saw from ``begun`` on starts, and the log ratio believed of it; 0 where none is.

    CUSUM's start is early where the series leaned that way before, so a start anywhere later is looked for too,
    and believed where the new level is steady, as that of a burst is not.
    """
    latest = z.size - max(3, day // 4)
    earliest = max(begun - day, first)
    near = _likeliest_start(clipped, earliest, min(begun + day // 2, latest))
    found = _believed(z, clipped, first, near, day, math.inf)
    if found:
        return near, found
    later = _likeliest_start(clipped, earliest, latest)
    return later, _believed(z, clipped, first, later, day, STEADY)


def _believed(z: Any, clipped: Any, first: int, begun: int, day: int, most_scatter: float) -> float:
    """The log ratio believed of the excursion from ``begun`` on; 0 when the past knows the like of it."""
    count = z.size - begun
    total = np.concatenate([[0.0], np.cumsum(clipped)])
    mean = (total[count:] - total[:-count]) / count
    earlier = np.abs(mean[first : max(begun - count, first) + 1])
    middle = float(np.median(z[begun:]))
    scatter = 1.4826 * float(np.median(np.abs(z[begun:] - middle)))
    if mean[-1] <= MARGIN * earlier.max() or middle <= max(LEAST_LOG_RATIO, scatter) or scatter > most_scatter:
        return 0.0
    doubt = PATIENCE_DAYS * day * min(1.0, scatter / STEADY)
    return float(middle * count / (count + doubt))


def _likeliest_start(z: Any, earliest: int, latest: int) -> int:
    """The b in [earliest, latest] that maximises sum(z[b:])^2 / (n - b): the least squares of a step from zero."""
    at = np.arange(earliest, max(latest, earliest) + 1)
    after = np.cumsum(z[::-1])[::-1][at]
    return int(at[np.argmax(np.maximum(after, 0.0) ** 2 / (z.size - at))])
