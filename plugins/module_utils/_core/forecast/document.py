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
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    PanelForecast,
)
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


def wrap(described: Mapping[str, Any], options: ForecastOptions) -> dict[str, Any]:
    """The document around the described series."""
    unusable = sorted(name for name, fields in described.items() if not fields["usable"])
    weak = sorted(name for name, fields in described.items() if fields["usable"] and not fields["beats_seasonal_naive"])
    warnings = []
    if unusable:
        warnings.append(f"{_names(unusable)}: no usable forecast, plan from what is observed")
    if weak and options.engine != "seasonal_naive":
        warnings.append(f"{_names(weak)}: did not beat seasonal naive in the backtest")
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
    chosen = [index for index in np.argsort(-result.weights[:, row], kind="stable") if result.weights[index, row] > 0.0]
    backtest = _describe_backtest(row, scale, layout, result, options)
    skill = backtest["skill"]
    beats = bool(skill > 0.0 or result.scores.mae[row] <= NEGLIGIBLE)
    warnings = remarks.about_history(values, panel.periods, _trailing_gaps(values))
    warnings += remarks.about_backtest(layout.windows, layout.horizon, beats, options.engine)
    if row in result.failures:
        warnings.append(f"{result.names[0]} could not be fitted ({result.failures[row]}); seasonal naive stands in")
    return {
        **_common(one, values, options),
        "model": result.names[chosen[0]] if len(chosen) == 1 else f"combination of {len(chosen)}",
        "candidates": [
            {
                "name": result.names[index],
                "weight": round(float(result.weights[index, row]), DIGITS),
                "mae": number.one(scale * result.candidate_mae[index, row]),
            }
            for index in chosen
        ],
        "usable": True,
        "beats_seasonal_naive": beats,
        "mean": number.many(scale * result.mean[row]),
        "quantiles": _by_level(options, [number.many(scale * path) for path in result.quantiles[row]]),
        "window_maximum": _by_level(options, [number.one(scale * top) for top in result.window_maximum[row]]),
        "backtest": backtest,
        "seasonal_periods": list(panel.periods),
        "warnings": warnings,
    }


def describe_short(
    one: Series, values: Any, result: ShortForecast, options: ForecastOptions, known: int
) -> dict[str, Any]:
    """The entry of a series whose history could not carry a backtest."""
    number = _Rounding(float(result.mean.mean()))
    return {
        **_common(one, values, options),
        "model": "mean of a short history",
        "candidates": [],
        "usable": False,
        "beats_seasonal_naive": False,
        "mean": number.many(result.mean),
        "quantiles": _by_level(options, [number.many(path) for path in result.quantiles]),
        "window_maximum": _by_level(options, [number.one(top) for top in result.window_maximum]),
        "backtest": None,
        "seasonal_periods": [],
        "warnings": [remarks.too_short(known, options.horizon_steps)],
    }


def _describe_backtest(
    row: int, scale: float, layout: Layout, result: PanelForecast, options: ForecastOptions
) -> dict[str, Any]:
    scores = result.scores
    number = _Rounding(scale)
    error, naive, unit = float(scores.mae[row]), float(scores.naive_mae[row]), float(scores.naive_scale[row])
    return {
        "origins": len(layout.origins),
        "lead_steps": layout.horizon,
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


def _trailing_gaps(values: Any) -> int:
    known = np.flatnonzero(np.isfinite(values))
    return int(values.size - 1 - known[-1]) if known.size else int(values.size)


def _names(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class _Rounding:
    """Round to :data:`DIGITS` digits below the mean of the series."""

    def __init__(self, scale: float) -> None:
        self._decimals = DIGITS - math.floor(math.log10(scale)) if 1e-200 < scale < 1e200 else DIGITS

    def many(self, values: Any) -> list[float]:
        return [float(value) for value in (np.round(values, self._decimals) + 0.0).tolist()]

    def one(self, value: Any) -> float:
        return float(np.round(value, self._decimals) + 0.0)
