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
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.blend import Source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.forecaster import (
    LONGEST_SEASON_TO_SMOOTH,
    JointForecaster,
    make_forecaster,
    small_backtest,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.gaussian import (
    gaussian_intervals,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.intervals import (
    LEAST_WINDOWS,
    Intervals,
    PointBacktest,
    find_intervals,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm import (
    LstmForecaster,
    TrainedLstm,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import seasonal_naive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.selection import (
    LONG,
    SHORT,
    combination_weights,
    combine_out_of_fold,
    fold_sums,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.smoothing import (
    SmoothingForecaster,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)

# Share of the model's own spread, beside the errors seen, where the backtest is small:
# most on monthly and shorter histories, less where a long season is better known than a state.
SPREAD_SHARE, SPREAD_SHARE_SEASONAL = 0.75, 0.3
LEAST_WINDOWS_SEASONAL = 3


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
class Backtest:
    """What every candidate would have said.

    ``tried`` (C, S, O, horizon), ``actual`` and bool ``observed`` (S, O, horizon), ``combined`` (S, O, horizon)
    with each fold's weights from the other folds, ``candidate_mae`` and ``weights`` (C, S).
    """

    tried: Any
    actual: Any
    observed: Any
    combined: Any
    candidate_mae: Any
    weights: Any


@dataclass(frozen=True)
class PanelForecast:
    """Forecasts of S series on the panel's scale.

    ``mean`` (S, horizon), ``quantiles`` (S, Q, horizon), ``window_maximum`` (S, Q),
    ``backtest`` with its quantiles (S, O, horizon, Q), ``failures`` and ``remarks`` row to text.
    """

    names: tuple[str, ...]
    mean: Any
    quantiles: Any
    window_maximum: Any
    backtest: Backtest
    backtest_quantiles: Any
    scores: Scores
    failures: dict[int, str]
    remarks: dict[int, str]


def forecast_panel(
    panel: Panel,
    layout: Layout,
    options: ForecastOptions,
    trained: TrainedLstm | None = None,
    stretch: Any = 1.0,
) -> PanelForecast:
    """Forecast every series of the panel.

    Args:
        panel: S series.
        layout: the backtest's origins, for this length; its horizon counts ``options.skipped_steps`` too.
        options: horizon, window, levels and engine.
        trained: needed where ``options.uses_lstm``.
        stretch: (S, Q) by which earlier forecasts should have been wider.
    """
    forecaster = make_forecaster(options, layout, panel.periods, trained)
    tested = run_backtest(panel, layout, forecaster)
    end = np.array([panel.length])
    final = forecaster.forecast(panel, panel.length, end, layout.horizon)[:, :, 0]
    mean = np.einsum("csh,cs->sh", final, tested.weights)
    point = PointBacktest(tested.combined, tested.actual, tested.observed, mean)
    intervals = _intervals(panel, layout, options, forecaster, point, panel.shifts.widening[:, None] * stretch)
    intervals = intervals.limited(panel, mean)
    skipped = options.skipped_steps
    return PanelForecast(
        names=forecaster.names,
        mean=mean[:, skipped:],
        quantiles=intervals.quantiles[..., skipped:],
        window_maximum=intervals.window_maximum,
        backtest=tested,
        backtest_quantiles=intervals.backtest,
        scores=_score(panel, layout, options, tested, intervals.backtest),
        failures=forecaster.failures,
        remarks=forecaster.remarks,
    )


def run_backtest(panel: Panel, layout: Layout, forecaster: JointForecaster) -> Backtest:
    """Test every candidate, and weigh them."""
    tried = forecaster.forecast(panel, layout.head, layout.origins, layout.horizon)
    actual, observed = targets(panel.actual, layout), targets(panel.observed, layout)
    rule = SHORT if small_backtest(layout, panel.periods) else LONG
    sums, counts = fold_sums(tried, actual, observed, layout)
    combined = combine_out_of_fold(tried, sums, counts, layout, rule, forecaster.preferences)
    errors = sums.sum(axis=-1) / np.maximum(counts.sum(axis=-1), 1)
    weights = combination_weights(errors, rule, forecaster.preferences)
    return Backtest(tried, actual, observed, combined, errors, weights)


def _intervals(
    panel: Panel,
    layout: Layout,
    options: ForecastOptions,
    forecaster: JointForecaster,
    point: PointBacktest,
    widening: Any,
) -> Intervals:
    """By the errors and the past where the backtest is large enough to know them, else by a model's spread."""
    levels, window, skipped = options.quantiles, options.window_steps, options.skipped_steps
    seasonal = bool(panel.periods) and panel.periods[0] > LONGEST_SEASON_TO_SMOOTH
    if layout.windows < LEAST_WINDOWS and (not seasonal or layout.windows < LEAST_WINDOWS_SEASONAL):
        end = np.array([panel.length])
        _paths, spread = SmoothingForecaster().forecast_with_spread(panel, panel.length, end, layout.horizon)
        share = SPREAD_SHARE_SEASONAL if seasonal else SPREAD_SHARE
        return gaussian_intervals(point, spread, share, levels, window, skipped, widening)
    return find_intervals(
        panel,
        layout,
        point,
        levels,
        window,
        skipped=skipped,
        extra=_sources_of(forecaster, panel, layout),
        widening=widening,
    )


def _sources_of(forecaster: JointForecaster, panel: Panel, layout: Layout) -> list[Source]:
    """Candidates that say quantiles themselves."""
    found = []
    for part in forecaster.parts:
        if isinstance(part, LstmForecaster):
            tested = part.quantiles(panel, layout.head, layout.origins, layout.horizon)
            final = part.quantiles(panel, panel.length, np.array([panel.length]), layout.horizon)[:, 0]
            found.append(Source("lstm", tested, final))
    return found


def _score(panel: Panel, layout: Layout, options: ForecastOptions, tested: Backtest, fitted: Any) -> Scores:
    actual, observed = tested.actual, tested.observed
    naive = seasonal_naive(panel.periods)
    simple = predict_seasonal_mean(naive, panel.actual, layout.origins, layout.horizon)
    miss = np.abs(tested.combined - actual)
    size = np.abs(tested.combined) + np.abs(actual)
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
