# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The figures of the backtest page as plain dictionaries; the script in the page gives them their look.

Each has a ``kind``: ``course`` (a series over its last windows), ``coverage`` (share
below each quantile over its level), ``lead`` (error over steps ahead) and ``chosen``
(how often each candidate is). Regular series are written as ``x0`` and ``dx`` in
milliseconds. Course values are in the unit of the history; the rest has no unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment

if TYPE_CHECKING:
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_courses import Course

MOST_LEADS = 400
MOST_CANDIDATES = 15
LONGEST_LABEL, LONGEST_SHORT_LABEL = 56, 36
ELLIPSIS = "\u2026"


def course_figure(course: Course) -> dict[str, Any]:
    """Actual demand, the out-of-fold combination and its interval."""
    data = []
    if course.interval is not None:
        for role, (level, values) in zip(("interval_low", "interval_high"), course.interval):
            data.append(_regular(role, f"{level:g} quantile", course, values))
    data.append(_regular("observed", "Observed", course, course.actual))
    data.append(_regular("median", "Combination", course, course.combined))
    return {"kind": "course", "data": data, "starts": [_axis(origin) for origin in course.origins]}


def coverage_figure(overall: Mapping[str, Any]) -> dict[str, Any] | None:
    """Which share of demand was below, and at or below, each quantile."""
    shares = overall["coverage"]
    if not shares:
        return None
    levels = sorted(shares, key=float)
    return {
        "kind": "coverage",
        "levels": [float(level) for level in levels],
        "share": [_short(shares[level]["share"]) for level in levels],
        "below": [_short(shares[level]["below"]) for level in levels],
    }


def lead_figure(overall: Mapping[str, Any]) -> dict[str, Any] | None:
    """Error by steps ahead, of the combination and of seasonal naive; long horizons are averaged in buckets."""
    lines = overall["by_lead"]
    if not any(value is not None for value in lines["mase"]):
        return None
    bucket = max(1, math.ceil(len(lines["mase"]) / MOST_LEADS))
    return {
        "kind": "lead",
        "steps": [1 + first + (bucket - 1) / 2 for first in range(0, len(lines["mase"]), bucket)],
        "combination": _averaged(lines["mase"], bucket),
        "naive": _averaged(lines["mase_seasonal_naive"], bucket),
        "bucket": bucket,
    }


def chosen_figure(overall: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many series each candidate is part of the combination of, the most often chosen first."""
    tested = overall["series_tested"]
    found = [one for one in overall["candidates"] if one["chosen"]][:MOST_CANDIDATES]
    if not found:
        return None
    return {
        "kind": "chosen",
        "names": [one["name"] for one in found],
        "labels": [shortened(one["name"], LONGEST_LABEL) for one in found],
        "short_labels": [shortened(one["name"], LONGEST_SHORT_LABEL) for one in found],
        "share": [_short(one["chosen"] / tested) for one in found],
        "chosen": [one["chosen"] for one in found],
        "tried": [one["tried"] for one in found],
        "weight": [_short(one["mean_weight"]) for one in found],
    }


def shortened(name: str, most: int) -> str:
    """A name cut in its middle to ``most`` characters: its ends tell it apart."""
    if len(name) <= most:
        return name
    tail = most // 2
    return f"{name[: most - tail - 1]}{ELLIPSIS}{name[-tail:]}"


def _averaged(values: Sequence[float | None], bucket: int) -> list[float | None]:
    averaged: list[float | None] = []
    for first in range(0, len(values), bucket):
        known = [value for value in values[first : first + bucket] if value is not None]
        averaged.append(_short(sum(known) / len(known)) if known else None)
    return averaged


def _regular(role: str, name: str, course: Course, values: Any) -> dict[str, Any]:
    return {
        "meta": role,
        "name": name,
        "x0": _axis(course.start),
        "dx": 1000 * course.step_seconds,
        "y": [_short(float(value)) for value in values],
    }


def _axis(epoch_seconds: float) -> str:
    """A moment as plotly's date axis takes it: UTC, without an offset."""
    return format_moment(epoch_seconds)[:-1]


def _short(value: float) -> float | None:
    """Four significant digits are finer than a pixel."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
