# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the combination would have said over the last windows, as one line beside what happened.

Origins lie closer together than the horizon, so forecasts overlap. From the last
origin backwards the earliest one whose horizon still reaches the next is taken: the
line has no gap and each piece is drawn over nearly the whole horizon, not only over
its easy first steps. What would be less than half a horizon at the beginning is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import Layout
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    PanelForecast,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.tasks import Task

# Of each kind: the worst, the best and the busiest.
COURSES_OF_A_KIND = 4
MOST_POINTS = 1000


@dataclass(frozen=True)
class Course:
    """One series over the last backtest windows, in the unit of the history.

    Attributes:
        start: epoch seconds of the first point, ``step_seconds`` between two.
        actual: (n,) NaN for gaps.
        combined: (n,) each piece forecast from its own origin, with the weights of the other folds.
        interval: the outer levels and their (n,) quantiles, or None without a level on either side of the median.
        origins: epoch seconds at which a piece begins.
    """

    name: str
    start: float
    step_seconds: int
    actual: Any
    combined: Any
    interval: tuple[tuple[float, Any], tuple[float, Any]] | None
    origins: tuple[float, ...]


def choose_courses(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Which series are worth a look, and why: at most 12 of them, in the order worst, busiest, best, others.

    With no more than that many in all, every one is. A choice among choices is the choice among all.
    """
    scored = [name for name in sorted(entries) if entries[name]["backtest"]["mase"] is not None]
    worst = sorted(scored, key=lambda name: (-entries[name]["backtest"]["mase"], name))
    # a series without demand in its test is forecast without error, which is nothing to look at
    best = [name for name in reversed(worst) if entries[name]["backtest"]["mase"] > 0.0]
    busiest = sorted(entries, key=lambda name: (-entries[name]["mean_demand"], name))
    found: dict[str, list[str]] = {}
    for reason, order in (("worst", worst), ("busiest", busiest), ("best", best)):
        for name in order[:COURSES_OF_A_KIND]:
            found.setdefault(name, []).append(reason)
    if len(entries) <= 3 * COURSES_OF_A_KIND:
        for name in [*worst, *sorted(entries)]:
            found.setdefault(name, [])
    return found


def draw_course(task: Task, row: int, result: PanelForecast, scale: float) -> Course:
    """The course of series ``row`` of a task."""
    layout, one, levels = task.layout, task.series[row], task.options.quantiles
    length = task.values[row].size
    pieces = consecutive_origins(layout)
    last = layout.origins[pieces]
    stops = np.append(last[1:], last[-1] + layout.horizon)
    steps = np.concatenate([np.arange(stop - first) for first, stop in zip(last, stops)])
    at = np.repeat(pieces, stops - last)
    tested = result.backtest
    actual = np.where(tested.observed[row, at, steps], tested.actual[row, at, steps], np.nan)
    said = scale * result.backtest_quantiles[row, at, steps]
    both_sides = levels[0] < 0.5 < levels[-1]
    # the series may end in samples that are missing, which the panel does not hold
    end = one.end - task.options.skipped_steps * one.step_seconds

    def moment(index: int) -> float:
        return float(end - (length - 1 - index) * one.step_seconds)

    return Course(
        name=one.name,
        start=moment(int(last[0])),
        step_seconds=one.step_seconds,
        actual=scale * actual,
        combined=scale * tested.combined[row, at, steps],
        interval=((levels[0], said[:, 0]), (levels[-1], said[:, -1])) if both_sides else None,
        origins=tuple(moment(int(first)) for first in last),
    )


def consecutive_origins(layout: Layout) -> Any:
    """Indices, ascending, of origins whose forecasts follow on each other without a gap, up to the end."""
    origins: Sequence[int] = layout.origins.tolist()
    chosen = [len(origins) - 1]
    while True:
        first = origins[chosen[-1]]
        earlier = [
            index
            for index in range(chosen[-1])
            if origins[index] + layout.horizon >= first and origins[-1] + layout.horizon - origins[index] <= MOST_POINTS
        ]
        if not earlier or 2 * (first - origins[earlier[0]]) < layout.horizon:
            return np.array(chosen[::-1])
        chosen.append(earlier[0])
