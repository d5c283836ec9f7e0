# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Series of equal length and step as one array, ready for the candidates.

Everything downstream works on a :class:`Panel`: S series of n samples, divided by
their mean so that all of them live on one scale, without gaps, and with a mask that
says what was really observed. Filled samples are never scored and never calibrated.
The candidates see the history at today's level (:mod:`drift`) and without single
spikes (:mod:`outliers`); what they are measured against keeps its spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.drift import (
    Shifts,
    align,
    find_shifts,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.outliers import without_spikes

# A logarithm of zero does not exist; the log scale lifts a series until its
# smallest sample is this share of its mean.
LOG_FLOOR = 0.1
# A moving average over a season is trusted for the profile with this share of its samples.
COMPLETE = 0.8


@dataclass(frozen=True)
class Panel:
    """S series of equal length.

    Attributes:
        values: (S, n) non-negative, mean about 1, gaps filled, spikes removed.
        actual: (S, n) the same with its spikes.
        observed: (S, n) bool, False where a sample was filled.
        scale: (S,) what the values were divided by.
        periods: seasonal periods in steps, ascending, each fitting twice; may be empty.
        lift: (S,) what is added before a logarithm.
        ceiling: (S,) no forecast goes above: the maximum plus half the range, at most twice ``highest``.
        shifts: where the level changed; what is older has been brought to the new level.
        highest: (S,) the highest sample as it was seen, before anything was brought to another level.
    """

    values: Any
    actual: Any
    observed: Any
    scale: Any
    periods: tuple[int, ...]
    lift: Any
    ceiling: Any
    shifts: Shifts
    highest: Any

    @property
    def length(self) -> int:
        return int(self.values.shape[1])


def trim(values: Any) -> int:
    """Index of the first sample that says anything: leading zeros and gaps are before the service began."""
    told = np.flatnonzero(np.nan_to_num(values) > 0.0)
    return int(told[0]) if told.size else 0


def trailing_gaps(values: Any) -> int:
    """How many samples are missing at the end; all of them where none is known."""
    known = np.flatnonzero(np.isfinite(values))
    return int(values.size - 1 - known[-1]) if known.size else int(values.size)


def make_panel(rows: Sequence[Any], periods: tuple[int, ...]) -> Panel:
    """A panel from equally long (n,) arrays with NaN for gaps."""
    raw = np.stack([np.asarray(row, dtype=np.float64) for row in rows])
    observed = np.isfinite(raw)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(observed, raw, 0.0).sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
    scale = np.where(mean > 0.0, mean, 1.0)
    values = raw / scale[:, None]
    for index in np.flatnonzero(~observed.all(axis=1)):
        values[index] = fill_gaps(values[index], periods)
    shifts = find_shifts(values, periods)
    seen = values.max(axis=1) * scale
    if shifts.found.any():
        values = align(values, shifts)
        level = np.where(shifts.found, np.maximum(values.mean(axis=1), 1e-12), 1.0)
        values, scale = values / level[:, None], scale * level
    calm = without_spikes(values, periods)
    highest, lowest = values.max(axis=1), values.min(axis=1)
    return Panel(
        values=calm,
        actual=values,
        observed=observed,
        scale=scale,
        periods=periods,
        lift=np.maximum(0.0, LOG_FLOOR - lowest),
        ceiling=np.minimum(highest + 0.5 * (highest - lowest), 2.0 * seen / scale),
        shifts=shifts,
        highest=seen / scale,
    )


def fill_gaps(values: Any, periods: tuple[int, ...]) -> Any:
    """Fill NaN by the seasonal profile on an interpolated level.

    The profile is the mean deviation at each phase from a moving average over one
    season; the level is the moving average of what remains without the profile, so
    that the edge of a gap, where only half a season is known, does not bend it. Both
    are interpolated linearly where nothing is known. A longer season seen three
    times overrides the profile of a shorter one.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros_like(values)
    if known.all():
        return values
    n = values.size
    where = np.arange(n)
    profile = np.zeros(n)
    for period in [period for period in periods if 3 * period <= n] or periods[:1]:
        level = _rolling_mean(values, known, period, COMPLETE)
        phase = where % period
        count = np.bincount(phase[known], minlength=period)
        total = np.bincount(phase[known], weights=(values - level)[known], minlength=period)
        profile = np.where(count[phase] > 0, total[phase] / np.maximum(count[phase], 1), profile)
    level = _rolling_mean(values - profile, known, periods[0] if periods else 1, 0.0)
    return np.where(known, values, np.maximum(level + profile, 0.0))


def _rolling_mean(values: Any, known: Any, width: int, least: float) -> Any:
    """Centred mean over ``width`` samples of the known ones, interpolated where fewer than the share ``least`` are.

    Where no window has that many, any known sample does.
    """
    n = values.size
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0], np.cumsum(known)])
    start = np.clip(np.arange(n) - width // 2, 0, n)
    stop = np.clip(np.arange(n) - width // 2 + width, 0, n)
    number = count[stop] - count[start]
    enough = number >= max(1.0, least * width)
    if not enough.any():
        enough = number > 0
    mean = (total[stop] - total[start]) / np.maximum(number, 1)
    return np.interp(np.arange(n), np.flatnonzero(enough), mean[enough])
