# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The forecast document, as docs/files.md and docs/schemas/forecast.schema.json say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import remarks
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import Layout
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.fallback import ShortForecast
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm import TrainedLstm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel, trailing_gaps
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    PanelForecast,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.sample_paths import draw_paths
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.siblings import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

SCHEMA_VERSION = 1
# Digits kept below the mean of a series: beyond noise, short of the last bits that
# differ between machines.
DIGITS = 6
# Errors below this share of the mean are rounding.
NEGLIGIBLE = 1e-9


def wrap(described: Mapping[str, Any], options: ForecastOptions, trained: TrainedLstm | None = None) -> dict[str, Any]:
    """The document around the described series."""
    unusable = sorted(name for name, fields in described.items() if not fields["usable"])
    weak = sorted(name for name, fields in described.items() if fields["usable"] and not fields["beats_seasonal_naive"])
    warnings = []
    if unusable:
        warnings.append(f"{_names(unusable)}: no usable forecast, plan from what is observed")
    if weak and options.engine != "seasonal_naive":
        warnings.append(f"{_names(weak)}: did not beat seasonal naive in the backtest")
    if trained is not None and trained.stopped_by == "budget":
        warnings.append(remarks.training_cut_short(trained.steps, options.training_budget_seconds))
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "forecast",
        "generator": documents.GENERATOR,
        "horizon_steps": options.horizon_steps,
        "window_steps": options.window_steps,
        "quantile_levels": list(options.quantiles),
        "series": {name: described[name] for name in sorted(described)},
        "warnings": warnings,
    }


def describe_panel(
    one: Series, values: Any, row: int, panel: Panel, layout: Layout, result: PanelForecast, options: ForecastOptions
) -> dict[str, Any]:
    """The entry of series ``row`` of a panel; ``values`` is its trimmed history."""
    scale = float(panel.scale[row])
    number = _Rounding(scale)
    chosen = [
        index
        for index in np.argsort(-result.backtest.weights[:, row], kind="stable")
        if result.backtest.weights[index, row] > 0.0
    ]
    backtest = _describe_backtest(row, scale, layout, result, options)
    skill = backtest["skill"]
    beats = bool(skill > 0.0 or result.scores.mae[row] <= NEGLIGIBLE)
    gap = options.skipped_steps or trailing_gaps(values)
    warnings = remarks.about_history(values, panel.periods, gap)
    warnings += remarks.about_backtest(layout.windows, options.horizon_steps, beats, options.engine)
    shift = _shift(one, values, row, panel, options)
    if shift:
        warnings.append(remarks.level_shift(shift["since"], shift["ratio"]))
    if row in result.failures:
        warnings.append(f"{result.failures[row]}; seasonal naive stands in for it")
    if row in result.remarks:
        warnings.append(result.remarks[row])
    return {
        **_common(one, values, options),
        "model": result.names[chosen[0]] if len(chosen) == 1 else f"combination of {len(chosen)}",
        "candidates": [
            {
                "name": result.names[index],
                "weight": round(float(result.backtest.weights[index, row]), DIGITS),
                "mae": number.one(scale * result.backtest.candidate_mae[index, row]),
            }
            for index in chosen
        ],
        "usable": True,
        "beats_seasonal_naive": beats,
        "mean": number.many(scale * result.mean[row]),
        "quantiles": _by_level(options, [number.many(scale * path) for path in result.quantiles[row]]),
        "window_maximum": _by_level(options, [number.one(scale * top) for top in result.window_maximum[row]]),
        "backtest": backtest,
        "level_shift": shift,
        "seasonal_periods": list(panel.periods),
        "warnings": warnings,
        **_sample_paths(one, row, scale, number, result, options),
    }


def _shift(one: Series, values: Any, row: int, panel: Panel, options: ForecastOptions) -> dict[str, Any] | None:
    """Since when demand runs at another level, and at how many times the old one."""
    start = int(panel.shifts.start[row])
    if start < 0:
        return None
    ahead = values.size - start + options.skipped_steps - 1
    return {
        "since": format_moment(one.end - ahead * one.step_seconds),
        "ratio": round(float(panel.shifts.ratio[row]), DIGITS),
    }


def _sample_paths(
    one: Series, row: int, scale: float, number: _Rounding, result: PanelForecast, options: ForecastOptions
) -> dict[str, Any]:
    if not options.sample_paths:
        return {}
    part = slice(row, row + 1)
    errors = (result.backtest.actual - result.backtest.combined)[part, :, options.skipped_steps :]
    observed = result.backtest.observed[part, :, options.skipped_steps :]
    drawn = draw_paths(
        options.quantiles,
        result.quantiles[part],
        errors,
        observed,
        names=[one.name],
        count=options.sample_paths,
        seed=options.seed,
    )[0]
    return {"sample_paths": [number.many(scale * path) for path in drawn]}


def describe_short(
    one: Series, values: Any, result: ShortForecast, options: ForecastOptions, borrowed: Profile | None
) -> dict[str, Any]:
    """The entry of a series whose history could not carry a backtest, with the shape it borrowed."""
    known = int(np.isfinite(values).sum())
    number = _Rounding(float(result.mean.mean()))
    return {
        **_common(one, values, options),
        "model": "a short history" + (f" in the shape of {borrowed.siblings} others" if borrowed else ""),
        "candidates": [],
        "usable": False,
        "beats_seasonal_naive": False,
        "mean": number.many(result.mean),
        "quantiles": _by_level(options, [number.many(path) for path in result.quantiles]),
        "window_maximum": _by_level(options, [number.one(top) for top in result.window_maximum]),
        "backtest": None,
        "level_shift": None,
        "seasonal_periods": [],
        "warnings": [remarks.too_short(known, options.horizon_steps, values.size)],
    }


def _describe_backtest(
    row: int, scale: float, layout: Layout, result: PanelForecast, options: ForecastOptions
) -> dict[str, Any]:
    scores = result.scores
    number = _Rounding(scale)
    error, naive, unit = float(scores.mae[row]), float(scores.naive_mae[row]), float(scores.naive_scale[row])
    return {
        "origins": len(layout.origins),
        "lead_steps": options.horizon_steps,
        "mase": round(error / unit, DIGITS) if unit > NEGLIGIBLE else None,
        "mase_seasonal_naive": round(naive / unit, DIGITS) if unit > NEGLIGIBLE else None,
        "smape": round(float(scores.smape[row]), DIGITS),
        "skill": round(1.0 - error / naive, DIGITS) + 0.0 if naive > NEGLIGIBLE else 0.0,
        "pinball": _by_level(options, [number.one(scale * loss) for loss in scores.pinball[row]]),
        "coverage": _by_level(options, [round(float(share), DIGITS) for share in scores.coverage[row]]),
    }


def _common(one: Series, values: Any, options: ForecastOptions) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    recent = values[-options.window_steps :]
    recent = recent[np.isfinite(recent)]
    end = one.start + (one.values.size - 1) * one.step_seconds
    return {
        "start": format_moment(end + one.step_seconds),
        "step_seconds": one.step_seconds,
        "history_end": format_moment(end),
        "last_observed": float(known[-1]) if known.size else None,
        "recent_maximum": float(recent.max()) if recent.size else None,
    }


def _by_level(options: ForecastOptions, values: list[Any]) -> dict[str, Any]:
    return {str(level): value for level, value in zip(options.quantiles, values)}


def _names(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class _Rounding:
    """Round to :data:`DIGITS` digits below the mean of the series, by one rule: equal values stay equal."""

    def __init__(self, scale: float) -> None:
        self._decimals = DIGITS - math.floor(math.log10(scale)) if 1e-200 < scale < 1e200 else DIGITS

    def many(self, values: Any) -> list[float]:
        rounded: list[float] = (np.round(values, self._decimals) + 0.0).tolist()
        return rounded

    def one(self, value: Any) -> float:
        return self.many([value])[0]
