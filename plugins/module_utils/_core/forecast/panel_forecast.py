# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Backtest, combine, refit and calibrate one panel: the method from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    Layout,
    masked_mean,
    naive_scale,
    pinball,
    targets,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.forecaster import (
    make_forecaster,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.intervals import (
    Tested,
    find_intervals,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import seasonal_naive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.selection import (
    combination_weights,
    combine_out_of_fold,
    fold_sums,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)


@dataclass(frozen=True)
class Scores:
    """Backtest of S series on the panel's scale (MASE and coverage have none).

    ``mae`` and ``naive_mae`` are (S,), of the combination and of seasonal naive; ``naive_scale``
    is the denominator of MASE; ``pinball`` and ``coverage`` are (S, Q).
    """

    mae: Any
    naive_mae: Any
    naive_scale: Any
    smape: Any
    pinball: Any
    coverage: Any


@dataclass(frozen=True)
class PanelForecast:
    """Forecasts of S series on the panel's scale.

    ``mean`` (S, horizon), ``quantiles`` (S, Q, horizon), ``window_maximum`` (S, Q),
    ``weights`` and ``candidate_mae`` (C, S), ``failures`` row to reason.
    """

    names: tuple[str, ...]
    mean: Any
    quantiles: Any
    window_maximum: Any
    weights: Any
    candidate_mae: Any
    scores: Scores
    failures: dict[int, str]


def forecast_panel(panel: Panel, layout: Layout, options: ForecastOptions) -> PanelForecast:
    """Forecast every series of the panel.

    Args:
        panel: S series.
        layout: the backtest's origins, for this length.
        options: horizon, window, levels and engine.
    """
    horizon = options.horizon_steps
    forecaster = make_forecaster(options, layout.head, panel.periods)
    tried = forecaster.forecast(panel, layout.head, layout.origins, horizon)
    actual, observed = targets(panel.actual, layout), targets(panel.observed, layout)
    sums, counts = fold_sums(tried, actual, observed, layout)
    combined = combine_out_of_fold(tried, sums, counts, layout)
    candidate_mae = sums.sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1)
    weights = combination_weights(candidate_mae)
    final = forecaster.forecast(panel, panel.length, np.array([panel.length]), horizon)[:, :, 0]
    mean = np.einsum("csh,cs->sh", final, weights)
    tested = Tested(combined, actual, observed, mean)
    intervals = find_intervals(panel, layout, tested, options.quantiles, options.window_steps, widening=panel.shifts.widening[:, None])
    return PanelForecast(
        names=forecaster.names,
        mean=mean,
        quantiles=intervals.quantiles,
        window_maximum=intervals.window_maximum,
        weights=weights,
        candidate_mae=candidate_mae,
        scores=_score(panel, layout, options, combined, intervals.backtest, actual, observed),
        failures=forecaster.failures,
    )


def _score(
    panel: Panel, layout: Layout, options: ForecastOptions, combined: Any, fitted: Any, actual: Any, observed: Any
) -> Scores:
    naive = seasonal_naive(panel.periods)
    simple = predict_seasonal_mean(naive, panel.actual, layout.origins, layout.horizon)
    miss = np.abs(combined - actual)
    size = np.abs(combined) + np.abs(actual)
    both = (1, 2)
    return Scores(
        mae=masked_mean(miss, observed, both),
        naive_mae=masked_mean(np.abs(simple - actual), observed, both),
        naive_scale=naive_scale(panel.actual, panel.observed, naive.period),
        smape=200.0 * masked_mean(miss / np.where(size > 0.0, size, 1.0), observed, both),
        pinball=np.stack(
            [
                masked_mean(pinball(actual, fitted[..., q], level), observed, both)
                for q, level in enumerate(options.quantiles)
            ],
            axis=1,
        ),
        coverage=np.stack(
            [masked_mean(actual <= fitted[..., q], observed, both) for q in range(len(options.quantiles))], axis=1
        ),
    )
