# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How good a forecast was: the measures of the M4 competition, and those of capacity planning.

For a case with history x_1..x_n, actuals y_1..y_h, point forecast f, quantile forecasts
q_a, and shortest season m (steps):

    scale   = mean_t |x_t - x_{t-m}|                                  t = m+1..n
    MASE    = mean |y - f| / scale
    sMAPE   = 200 mean |y - f| / (|y| + |f|)                          in percent; 0/0 counts as 0
    MSIS95  = mean (U - L + 40 max(L - y, 0) + 40 max(y - U, 0)) / scale,  L = q_0.025, U = q_0.975
    OWA     = (MASE / MASE of Naive2 + sMAPE / sMAPE of Naive2) / 2   of the means over all cases
    pinball = mean max(a (y - q_a), (a - 1)(y - q_a)) / scale         for each level a
    below95 = mean [y <= q_0.95]
    over95  = sum over cases of mean max(q_0.95 - y, 0) / level, divided by the same sum of mean y / level,
              with level the mean of the history: what is kept ready for nothing, per unit of demand

Gaps (NaN) in history or actuals are left out. A case whose scale is 0 (a history that
repeats exactly) has no MASE, MSIS and pinball; a case whose level is 0 no over95. The
means are over the cases that have the measure; ``scored`` says how many have MASE.

Source: Makridakis, Spiliotis, Assimakopoulos (2020), "The M4 Competition: 100,000 time
series and 61 forecasting methods", International Journal of Forecasting 36, and the
competition's evaluation code (github.com/Mcompetitions/M4-methods).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tasks import Case, Task, Values

LEVELS = (0.025, 0.05, 0.5, 0.9, 0.95, 0.975)
PINBALL_LEVELS = (0.05, 0.5, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Forecasts:
    """Forecasts of the N cases of a task, in their order; NaN where there is none.

    Attributes:
        mean: (N, horizon).
        quantiles: (N, len(LEVELS), horizon).
        cpu_seconds: (N,).
        failures: index of a case to what went wrong.
    """

    mean: Values
    quantiles: Values
    cpu_seconds: Values
    failures: dict[int, str]

    @property
    def made(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.mean).all(axis=1)


def empty(task: Task) -> Forecasts:
    """No forecast yet for any case."""
    cases, h = len(task.cases), task.horizon
    return Forecasts(np.full((cases, h), np.nan), np.full((cases, len(LEVELS), h), np.nan), np.full(cases, np.nan), {})


def season_scale(history: Values, season: int) -> float:
    """Mean absolute change over a season, NaN when nothing can be compared or nothing changes."""
    change = np.abs(history[season:] - history[:-season])
    change = change[np.isfinite(change)]
    return float(change.mean()) if change.size and change.mean() > 0.0 else float("nan")


def level_of(case: Case) -> float:
    known = case.history[np.isfinite(case.history)]
    return float(known.mean()) if known.size and known.mean() > 0.0 else float("nan")


def per_case(task: Task, forecasts: Forecasts) -> dict[str, Values]:
    """Every measure of every case, (N,) each; NaN where it does not exist."""
    y = np.array([case.actual for case in task.cases])
    scale = np.array([season_scale(case.history, task.seasons[0]) for case in task.cases])
    level = np.array([level_of(case) for case in task.cases])
    f = forecasts.mean
    quantile = {a: forecasts.quantiles[:, index] for index, a in enumerate(LEVELS)}
    low, high, top = quantile[0.025], quantile[0.975], quantile[0.95]
    size = np.abs(y) + np.abs(f)
    relative = np.where(
        size > 0.0, np.abs(y - f) / np.where(size > 0.0, size, 1.0), np.where(np.isnan(size), np.nan, 0.0)
    )
    width = high - low + 40.0 * np.maximum(low - y, 0.0) + 40.0 * np.maximum(y - high, 0.0)
    unknown = np.isnan(y) | np.isnan(top)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a case without a forecast has no mean
        result = {
            "mase": np.nanmean(np.abs(y - f), axis=1) / scale,
            "smape": 200.0 * np.nanmean(relative, axis=1),
            "msis95": np.nanmean(width, axis=1) / scale,
            "below95": np.nanmean(np.where(unknown, np.nan, y <= top), axis=1),
            "excess95": np.nanmean(np.maximum(top - y, 0.0), axis=1) / level,
            "demand": np.nanmean(np.where(unknown, np.nan, y), axis=1) / level,
            "cpu_ms": 1000.0 * forecasts.cpu_seconds,
        }
        for a in PINBALL_LEVELS:
            error = y - quantile[a]
            result[f"pinball{a:g}"] = np.nanmean(np.maximum(a * error, (a - 1.0) * error), axis=1) / scale
    return result


def summarise(measures: dict[str, Values], rows: npt.NDArray[np.bool_], naive2: dict[str, Values]) -> dict[str, Any]:
    """Means over ``rows``; OWA against Naive2 on the same rows."""
    mean = {name: _mean(values[rows]) for name, values in measures.items()}
    excess, demand = measures["excess95"][rows], measures["demand"][rows]
    both = np.isfinite(excess) & np.isfinite(demand)
    mean.pop("excess95"), mean.pop("demand")
    yardstick = {name: _mean(naive2[name][rows]) for name in ("mase", "smape")}
    mean["owa"] = sum(_share(mean[name], yardstick[name]) for name in yardstick) / 2.0
    mean["over95"] = _share(float(excess[both].sum()), float(demand[both].sum()))
    return {**mean, "cases": int(rows.sum()), "scored": int(np.isfinite(measures["mase"][rows]).sum())}


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else float("nan")
