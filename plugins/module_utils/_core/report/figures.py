# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Figures as plain plotly dictionaries, one a demand series.

A trace carries its role in ``meta`` (observed, interval_low, interval_high, median,
planned, running, level); the script in the page gives each role its colour, so a
figure is the same in the light and in the dark. Regular series are written as
``x0`` and ``dx`` (milliseconds), not as a list of times: that halves the page.

A long history is thinned without losing a peak: each bucket of 2k samples becomes
two points, its smallest and its largest value in the order they came, half a
bucket apart, so the grid stays regular. Gaps stay gaps. The time just before the
plan, which the figure opens on, is thinned on its own and so is drawn finer.

Units: requests/s over time in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import ModelView

DAY_SECONDS = 86400.0
# History points in all figures together: what keeps a page of 500 models under 10 MB.
POINT_BUDGET = 160_000
MOST_POINTS = 1200
LEAST_POINTS = 240


def figure(
    model: ModelView,
    forecast: Mapping[str, Any] | None,
    history: Series | None,
    *,
    as_of: float,
    history_days: float,
    with_capacity: bool,
    points: int,
) -> dict[str, Any] | None:
    """The figure of one series, or None when there is neither history nor forecast.

    Args:
        model: whose capacity and level planned for are drawn.
        forecast: the series' record of the forecast file.
        history: its samples.
        as_of: moment of the plan, epoch seconds.
        history_days: how much history before ``as_of`` to draw.
        with_capacity: whether the model's capacity belongs to this series; it does
            not when the series is one region of several.
        points: most history points.

    Returns:
        ``data`` and ``layout`` for plotly, with ``whole`` and ``near``, the two
        ranges of the time axis, and ``thinned_seconds``: between two points where the
        history is thinned, zero where it is not.
    """
    future = _forecast_traces(forecast) if forecast else []
    end = max([as_of + model.lead_time_seconds, *([_forecast_end(forecast)] if forecast else [])])
    end = max([end, *(as_of + after for after, _rate in model.expected)])
    near = as_of - max(3 * (end - as_of), DAY_SECONDS)
    past, first, every = _history_traces(history, as_of - history_days * DAY_SECONDS, near, points)
    if not future and not past:
        return None
    start = max(first, as_of - history_days * DAY_SECONDS) if past else as_of
    near = max(near, start)
    end = max(end, as_of + 0.15 * (as_of - near))
    capacity = _capacity_traces(model, as_of, end) if with_capacity else []
    return {
        "data": [*past, *future, *capacity],
        "layout": {
            "shapes": [{"x0": _axis(as_of), "x1": _axis(as_of), "name": "as_of"}]
            + (
                [{"x0": _axis(as_of), "x1": _axis(as_of + model.lead_time_seconds), "name": "lead"}]
                if with_capacity and model.lead_time_seconds
                else []
            )
        },
        "near": [_axis(near), _axis(end)],
        "whole": [_axis(start), _axis(end)],
        "thinned_seconds": every,
    }


def point_limit(figures: int) -> int:
    """Most history points a figure may have when the page holds ``figures`` of them."""
    return min(MOST_POINTS, max(LEAST_POINTS, POINT_BUDGET // max(figures, 1)))


def interval_levels(forecast: Mapping[str, Any]) -> tuple[str, str] | None:
    """The widest pair of levels on both sides of the median: 0.05 and 0.95 where they are there."""
    levels = sorted((level for level in forecast.get("quantiles") or {}), key=float)
    low = [level for level in levels if float(level) < 0.5]
    high = [level for level in levels if float(level) > 0.5]
    return (low[0], high[-1]) if low and high else None


def thinned(values: Sequence[float], limit: int) -> tuple[list[float | None], int, int]:
    """About ``limit`` values that keep every extreme.

    Buckets are laid from the end, so the newest samples are in place; the oldest
    bucket may be short, and then the points start before the samples do.

    Returns:
        The points, NaN as None; how many samples lie between two points (k); and how
        many samples before ``values`` the first point is (less than 2k).
    """
    stride = max(1, math.ceil(len(values) / max(limit, 2)))
    if stride == 1:
        return [_short(value) for value in values], 1, 0
    lead = -len(values) % (2 * stride)
    thin: list[float | None] = []
    for first in range(-lead, len(values), 2 * stride):
        bucket = values[max(first, 0) : first + 2 * stride]
        present = [value for value in bucket if not math.isnan(value)]
        if not present:
            thin += [None, None]
            continue
        low, high = min(present), max(present)
        pair = (low, high) if present.index(low) <= present.index(high) else (high, low)
        thin += [_short(pair[0]), _short(pair[1])]
    return thin, stride, lead


def _history_traces(
    history: Series | None, start: float, near: float, limit: int
) -> tuple[list[dict[str, Any]], float, float]:
    """Traces of the observed demand, the moment of its first sample, and seconds between its thinned points.

    Two traces: until ``near``, and from there on. Zero seconds when nothing had to be thinned.
    """
    if history is None or not len(history.values):
        return [], math.inf, 0.0
    step = float(history.step_seconds)
    skip = max(0, math.ceil((start - history.start) / step))
    values = [float(value) for value in history.values[skip:]]
    if all(math.isnan(value) for value in values):
        return [], math.inf, 0.0
    first = history.start + skip * step
    split = min(max(0, math.floor((near - first) / step)), len(values) - 1)
    new, new_stride, new_lead = thinned(values[split:], 2 * limit // 3)
    old, stride, lead = thinned(values[:split], limit - len(new))
    traces = []
    if old:
        # The next regular place after the old points is the split: the line goes on without a break.
        old.append(_short(values[split]))
        traces.append(_regular("observed", "Observed", first - lead * step, stride * step, old))
    begin = first + (split - new_lead) * step
    traces.append(_regular("observed", "Observed", begin, new_stride * step, new))
    widest = max(stride, new_stride)
    return traces, first, step * widest if widest > 1 else 0.0


def _forecast_traces(forecast: Mapping[str, Any]) -> list[dict[str, Any]]:
    start, step = parse_moment(forecast["start"], what="start of the forecast"), float(forecast["step_seconds"])
    quantiles = forecast.get("quantiles") or {}
    traces = []
    levels = interval_levels(forecast)
    if levels:
        for role, level in zip(("interval_low", "interval_high"), levels):
            values = [_short(value) for value in quantiles[level]]
            traces.append(_regular(role, f"{level} quantile", start, step, values))
    central, name = (quantiles["0.5"], "Forecast median") if "0.5" in quantiles else (forecast.get("mean"), "Forecast")
    if central:
        traces.append(_regular("median", name, start, step, [_short(value) for value in central]))
    return traces


def _capacity_traces(model: ModelView, as_of: float, end: float) -> list[dict[str, Any]]:
    ready = as_of + model.lead_time_seconds
    traces = []
    if model.running is not None:
        traces.append(_steps("running", "Running capacity", [as_of, end], [model.running] * 2))
    if model.planned is not None:
        before = model.planned if model.running is None else model.running
        until = max(ready, as_of + model.expected[0][0]) if model.expected else end
        traces.append(
            _steps("planned", "Planned capacity", [as_of, ready, until], [before, model.planned, model.planned])
        )
    if model.expected:
        first, rates = as_of + model.expected[0][0], [rate for _after, rate in model.expected]
        begin = ([first], [model.planned]) if model.planned is not None else ([], [])
        times = [as_of + after for after, _rate in model.expected]
        traces.append(_steps("expected", "Expected capacity", [*begin[0], *times], [*begin[1], *rates]))
    if model.target is not None:
        traces.append(_steps("level", "Planned for", [as_of, end], [model.target] * 2))
    return traces


def _regular(role: str, name: str, start: float, step: float, values: Sequence[float | None]) -> dict[str, Any]:
    return {"meta": role, "name": name, "x0": _axis(start), "dx": round(1000 * step), "y": list(values)}


def _steps(role: str, name: str, times: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    return {"meta": role, "name": name, "x": [_axis(time) for time in times], "y": [_short(value) for value in values]}


def _forecast_end(forecast: Mapping[str, Any]) -> float:
    longest = max([len(forecast.get("mean") or ()), *(len(row) for row in (forecast.get("quantiles") or {}).values())])
    return parse_moment(forecast["start"]) + float(forecast["step_seconds"]) * max(longest - 1, 0)


def _axis(epoch_seconds: float) -> str:
    """A moment as plotly's date axis takes it: UTC, without an offset."""
    return format_moment(epoch_seconds)[:-1]


def _short(value: float | None) -> float | None:
    """Four significant digits are finer than a pixel."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")
