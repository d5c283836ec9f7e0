# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The backtest of a forecast as a document of its own, as docs/schemas/backtest.schema.json says.

It is the very backtest that the forecast rests on: ``backtest`` of a series is what
the forecast says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import remarks
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_courses import (
    Course,
    choose_courses,
    draw_course,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_overall import (
    LeadTotals,
    describe_overall,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.document import (
    DIGITS,
    describe_panel,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import checked, train_network
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.evaluation import (
    describe_candidates,
    errors_by_lead,
    score_candidates,
    shares_below,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.lstm import TrainedLstm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    forecast_panel,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.source import read_source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
    parse_options,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.tasks import (
    Task,
    make_tasks,
    recent_part,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """``document`` without ``created_at``, and the courses of the series worth a look, with the reason of each."""

    document: dict[str, Any]
    courses: tuple[Course, ...]
    reasons: Mapping[str, Sequence[str]]


def evaluate_request(params: Mapping[str, Any]) -> Evaluation:
    """The backtest asked for.

    Args:
        params: the options as module ``forecast_backtest_info`` documents them; absent ones have their defaults.

    Raises:
        InputError: an option or the history is not what it should be.
    """
    options = parse_options(params)
    series, noticed, fingerprint = read_source(params)
    found = evaluate_series(series, options)
    found.document["inputs"] = {"history": fingerprint}
    found.document["warnings"] = noticed + found.document["warnings"]
    return found


def evaluate_series(series: Sequence[Series], options: ForecastOptions) -> Evaluation:
    """Backtest every series that can be.

    Raises:
        InputError: no series, a name twice, or a value that is negative or infinite.
    """
    ordered = checked(series)
    tasks, short = make_tasks(ordered, options, {})
    trained = train_network(tasks, options) if options.uses_lstm else None
    entries: dict[str, dict[str, Any]] = {}
    courses: dict[str, Course] = {}
    totals = LeadTotals(options.horizon_steps)
    for task in tasks:
        found, drawn = _evaluate_task(task, trained, totals)
        entries.update(found)
        courses.update(drawn)
    reasons = choose_courses(entries)
    warnings = []
    if trained is not None and trained.stopped_by == "budget":
        warnings.append(remarks.training_cut_short(trained.steps, options.training_budget_seconds))
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "backtest",
        "generator": documents.GENERATOR,
        "engine": options.engine,
        "horizon_steps": options.horizon_steps,
        "quantile_levels": list(options.quantiles),
        "overall": describe_overall(entries, totals, options.quantiles),
        "series": {name: entries[name] for name in sorted(entries)},
        "untested": {one.name: _untested(one, options) for one in short},
        "warnings": warnings,
    }
    return Evaluation(document, tuple(courses[name] for name in reasons), reasons)


def _evaluate_task(
    task: Task, trained: TrainedLstm | None, totals: LeadTotals
) -> tuple[dict[str, dict[str, Any]], dict[str, Course]]:
    """Entries of the task's series, and the courses that may be worth a look."""
    panel, options, layout = task.panel, task.options, task.layout
    result = forecast_panel(panel, layout, options, trained, task.stretch)
    scores = score_candidates(result.backtest, options.quantiles)
    totals.add(errors_by_lead(panel, layout, result.backtest, options.skipped_steps))
    below = np.round(shares_below(result.backtest_quantiles, result.backtest), DIGITS)
    levels = [str(level) for level in options.quantiles]
    entries = {}
    for row, (one, values) in enumerate(zip(task.series, task.values)):
        fields = describe_panel(one, values, row, panel, layout, result, options)
        first = one.end - (options.skipped_steps + values.size - 1 - layout.head) * one.step_seconds
        entries[one.name] = {
            "model": fields["model"],
            "beats_seasonal_naive": fields["beats_seasonal_naive"],
            "history_end": fields["history_end"],
            "step_seconds": one.step_seconds,
            "tested_from": format_moment(first),
            "windows": layout.windows,
            "tested_samples": int(result.backtest.observed[row].sum()),
            "mean_demand": _mean(values),
            "seasonal_periods": list(panel.periods),
            "backtest": fields["backtest"],
            "below": dict(zip(levels, below[row].tolist())),
            "candidates": describe_candidates(
                row,
                result.names,
                result.backtest,
                result.scores,
                scores,
                float(panel.scale[row]),
                options.quantiles,
            ),
            "warnings": fields["warnings"],
        }
    rows = {one.name: row for row, one in enumerate(task.series)}
    courses = {
        name: draw_course(task, rows[name], result, float(panel.scale[rows[name]])) for name in choose_courses(entries)
    }
    return entries, courses


def _untested(one: Series, options: ForecastOptions) -> dict[str, Any]:
    values, _periods = recent_part(one, options)
    known = int(np.isfinite(values).sum())
    return {"samples": known, "reason": remarks.too_short(known, options.horizon_steps)}


def _mean(values: Any) -> float:
    known = values[np.isfinite(values)]
    return float(f"{known.mean():.{DIGITS + 1}g}") if known.size else 0.0
