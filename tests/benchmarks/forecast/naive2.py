# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Naive2, the yardstick of the M4 competition: the last value, seasonally adjusted where a season shows.

With r_k the autocorrelation at lag k, the season m counts when n >= 3 m and

    |r_m| > 1.645 sqrt((1 + 2 (r_1^2 + ... + r_{m-1}^2)) / n).

The series is then divided by its seasonal indices from a classical multiplicative
decomposition (centred moving average of a season; the index of a phase is the mean of
series / average, the indices scaled to mean 1), its last value is repeated, and
multiplied by the indices of the steps ahead. Where the season does not count, or a value
is not positive (division needs positive ones), it is the plain last value.

Source: the competition's code, github.com/Mcompetitions/M4-methods.
"""

from __future__ import annotations

import numpy as np
import scores
from tasks import Task, Values

ONE_SIDED_90 = 1.645


def is_seasonal(values: Values, season: int) -> bool:
    n = values.size
    if season < 2 or n < 3 * season:
        return False
    centred = values - values.mean()
    power = float(centred @ centred)
    if power == 0.0:
        return False
    r = np.array([centred[lag:] @ centred[:-lag] / power for lag in range(1, season + 1)])
    limit = ONE_SIDED_90 * np.sqrt((1.0 + 2.0 * float((r[:-1] ** 2).sum())) / n)
    return bool(abs(r[-1]) > limit)


def seasonal_indices(values: Values, season: int) -> Values:
    """Multiplicative index of each phase, (season,), mean 1; phase 0 is that of the first value."""
    weights = np.full(season + 1, 1.0 / season) if season % 2 == 0 else np.full(season, 1.0 / season)
    if season % 2 == 0:
        weights[[0, -1]] /= 2.0
    trend = np.convolve(values, weights, mode="valid")
    begin = season // 2
    ratio = values[begin : begin + trend.size] / trend
    phase = (begin + np.arange(trend.size)) % season
    indices = np.bincount(phase, weights=ratio, minlength=season) / np.bincount(phase, minlength=season)
    return indices / indices.mean()


def naive2(values: Values, season: int, horizon: int) -> Values:
    """Point forecast (horizon,) from a history without gaps."""
    flat = np.full(horizon, values[-1])
    if values.min() <= 0.0 or not is_seasonal(values, season):
        return flat
    indices = seasonal_indices(values, season)
    n = values.size
    return flat / indices[(n - 1) % season] * indices[(n + np.arange(horizon)) % season]


def forecast_task(task: Task) -> scores.Forecasts:
    """Naive2 of every case; gaps in a history hold the last value."""
    result = scores.empty(task)
    for index, case in enumerate(task.cases):
        known = case.history[np.isfinite(case.history)]
        result.mean[index] = naive2(known, task.seasons[0], task.horizon) if known.size else 0.0
    return result
