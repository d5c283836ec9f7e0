# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A history in a few numbers and one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

MOST_VALUES_INLINE = 10_000
NOW_STEPS = 3


def describe(series: Sequence[Series]) -> dict[str, Any]:
    """``history_start``, ``history_end``, ``step_seconds``, ``series``, ``observed`` and ``summary``."""
    start, end = min(one.start for one in series), max(one.end for one in series)
    steps = sum(len(one) for one in series)
    gaps = steps - sum(int(one.present.sum()) for one in series)
    step_seconds = series[0].step_seconds
    return {
        "history_start": format_moment(start),
        "history_end": format_moment(end),
        "step_seconds": step_seconds,
        "series": {one.name: _figures(one) for one in series},
        "observed": {one.name: value for one in series if (value := _value_now(one, end)) is not None},
        "summary": f"{len(series)} series from {format_moment(start)} to {format_moment(end)}, one sample every"
        f" {step_seconds} s; {gaps} of {steps} samples are gaps",
    }


def inline_values(series: Sequence[Series]) -> dict[str, Any] | None:
    """Every series as ``demand_forecast`` takes it inline; None when that is too much for a task's result."""
    if sum(len(one) for one in series) > MOST_VALUES_INLINE:
        return None
    return {one.name: one.as_record() for one in series}


def _value_now(series: Series, end: float) -> float | None:
    """The newest value, unless it is more than :data:`NOW_STEPS` steps older than the end of the history."""
    recent = series.since(end - NOW_STEPS * series.step_seconds)
    return recent.last_observed if len(recent) else None


def _figures(series: Series) -> dict[str, Any]:
    known = series.values[series.present]
    return {
        "start": format_moment(series.start),
        "end": format_moment(series.end),
        "step_seconds": series.step_seconds,
        "samples": len(known),
        "gaps": len(series) - len(known),
        "mean": float(known.mean()) if len(known) else None,
        "maximum": float(known.max()) if len(known) else None,
        "last": series.last_observed,
    }
