# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The forecast document of a history with a calendar: prepared, forecast, put back.

The backtest in the document is that of the prepared series, of ordinary demand in local time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import remarks
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.document import DIGITS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import (
    ONE_PROCESS,
    forecast_series,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.feedback import Feedback
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import trailing_gaps, trim
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import Parallel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.restoration import Restoration
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.traffic_calendar import Calendar
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series


def forecast_with_calendar(
    series: Sequence[Series],
    options: ForecastOptions,
    calendar: Calendar | None,
    *,
    feedback: Mapping[str, Feedback] = MappingProxyType({}),
    parallel: Parallel = ONE_PROCESS,
) -> dict[str, Any]:
    """As :func:`engine.forecast_series`, with what the calendar knows; without a calendar the very same.

    Raises:
        InputError: as ``forecast_series``.
    """
    if calendar is None:
        return forecast_series(series, options, feedback=feedback, parallel=parallel)
    prepared = calendar.prepare_all(series, options.horizon_steps)
    longer = replace(options, horizon_steps=prepared.steps_ahead)
    document = forecast_series(prepared.series, longer, feedback=feedback, parallel=parallel)
    document["horizon_steps"] = options.horizon_steps
    for original, seen, restoration in zip(series, prepared.series, prepared.restorations):
        entry = document["series"][original.name]
        entry.update(_figures(entry, restoration, options))
        entry.update(_ends(original, options))
        entry["warnings"] = _warnings(entry, original, seen) + list(restoration.remarks)
    return document


def _figures(entry: dict[str, Any], restoration: Restoration, options: ForecastOptions) -> dict[str, Any]:
    """Mean, quantiles and window maximum of the real horizon, rounded as the document is."""
    levels = [str(level) for level in options.quantiles]
    quantiles = [entry["quantiles"][level] for level in levels]
    tops = [entry["window_maximum"][level] for level in levels]

    def restored(path: Any) -> Any:
        return restoration.apply(path, quantiles, tops, options.quantiles, options.window_steps)

    mean, paths, top = restored(entry["mean"])
    scale = float(np.mean(mean))
    decimals = DIGITS - math.floor(math.log10(scale)) if 1e-200 < scale < 1e200 else DIGITS
    figures = {
        "mean": np.round(mean, decimals).tolist(),
        "quantiles": dict(zip(levels, np.round(paths, decimals).tolist())),
        "window_maximum": dict(zip(levels, np.round(top, decimals).tolist())),
    }
    if "sample_paths" in entry:
        figures["sample_paths"] = [np.round(restored(path)[0], decimals).tolist() for path in entry["sample_paths"]]
    return figures


def _ends(original: Series, options: ForecastOptions) -> dict[str, Any]:
    """Where the real history ends and what was really observed there."""
    recent = original.values[trim(original.values) :][-options.window_steps :]
    recent = recent[np.isfinite(recent)]
    return {
        "start": format_moment(original.end + original.step_seconds),
        "history_end": format_moment(original.end),
        "last_observed": original.last_observed,
        "recent_maximum": float(recent.max()) if recent.size else None,
    }


def _warnings(entry: dict[str, Any], original: Series, seen: Series) -> list[str]:
    """The entry's warnings with what is said of the gaps said of the real history, not of the prepared one."""
    periods = tuple(entry["seasonal_periods"])
    prepared, real = (
        remarks.about_history(values, periods, trailing_gaps(values))
        for values in (one.values[trim(one.values) :] for one in (seen, original))
    )
    others = [warning for warning in entry["warnings"] if warning not in prepared]
    return (real if entry["usable"] else []) + others
