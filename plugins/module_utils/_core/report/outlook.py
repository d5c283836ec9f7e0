# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The outlook section: what the plan expects of later periods, by period and by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Column,
    element,
    escape,
    table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.placement import chip
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import View

MOST_COLUMNS = 24
MOST_ROWS = 200
MOST_REASONS = 3
PERIODS = (
    Column("From, UTC"),
    Column("Replicas", numeric=True),
    Column("Starts", numeric=True),
    Column("Stops", numeric=True),
    Column("Cost per hour", numeric=True),
    Column("Short, requests/s", numeric=True),
    Column("Why"),
)


def section(plan: Mapping[str, Any], view: View, as_of: float) -> str:
    """Both tables; ``as_of`` is the moment of the plan, epoch seconds."""
    outlook = plan["outlook"]
    periods = outlook["periods"]
    end = as_of + periods[-1]["begins_after_seconds"] + outlook["period_seconds"]
    said = (
        f"What this plan reckons with until {words.moment(format_moment(end))}, in periods of"
        f" {words.duration(outlook['period_seconds'])}. Nothing is done by it: the next plan decides anew."
    )
    rows = [("", _period_cells(period, as_of)) for period in periods]
    return element("p", escape(said)) + table("Expected by period", PERIODS, rows) + _by_model(plan, view, as_of)


def _period_cells(period: Mapping[str, Any], as_of: float) -> list[str]:
    short = sum(period["shortages"].values())
    reasons = list(period.get("reasons") or ())
    more = f"; and {words.plural(len(reasons) - MOST_REASONS, 'more model')}" if len(reasons) > MOST_REASONS else ""
    return [
        element("span", _clock(as_of + period["begins_after_seconds"]), class_="whole"),
        f"{sum(replicas_of(period, name) for name in period['replicas']):,}",
        f"{period['starts']:,}",
        f"{period['stops']:,}",
        words.money(period["cost_per_hour"]),
        element("span", words.number(short), class_="badge bad") if short > 0 else "0",
        escape("; ".join(reasons[:MOST_REASONS]) + more),
    ]


def replicas_of(period: Mapping[str, Any], model: str) -> int:
    """Replicas of a model over all kinds of hosts."""
    return sum(int(count) for count in (period["replicas"].get(model) or {}).values())


def _by_model(plan: Mapping[str, Any], view: View, as_of: float) -> str:
    """Replicas period by period of the models for which they change, most first."""
    periods: Sequence[Mapping[str, Any]] = plan["outlook"]["periods"][:MOST_COLUMNS]
    planned = {model.name: model.replicas_planned for model in view.models}
    courses = {name: [planned[name], *(replicas_of(period, name) for period in periods)] for name in planned}
    moving = sorted(
        (name for name, course in courses.items() if len(set(course)) > 1),
        key=lambda name: (min(courses[name]) - max(courses[name]), name),
    )
    steady = len(courses) - len(moving)
    if not moving:
        return element("p", "No model is expected to need another number of replicas.", class_="calm")
    columns = [Column("Model"), Column("This plan", numeric=True)]
    columns += [Column(_clock(as_of + period["begins_after_seconds"]), numeric=True) for period in periods]
    rows = [("", [chip(view.numbers[name]) + escape(name), *_steps(courses[name])]) for name in moving[:MOST_ROWS]]
    notes = [f"{words.plural(steady, 'model stays', 'models stay')} as planned."] if steady else []
    if len(moving) > MOST_ROWS:
        notes.append(f"{len(moving) - MOST_ROWS:,} more models change by less.")
    return table("Replicas expected by model", columns, rows, note=" ".join(notes))


def _steps(course: Sequence[int]) -> list[str]:
    cells = [f"{course[0]:,}"]
    for before, now in zip(course, course[1:]):
        change = f"{now - before:+,d}".replace("-", words.MINUS)
        cells.append(f"{now:,}" + (element("small", f" {change}") if now != before else ""))
    return cells


def _clock(epoch_seconds: float) -> str:
    return words.short_moment(format_moment(epoch_seconds))
