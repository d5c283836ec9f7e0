# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the paths an operator gives to what the page is made from, and from the page to its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    digest,
    expect_number,
    file_digest,
    read_document,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import read_plan
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    parse_history,
    read_history,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import (
    ReportInputs,
    Series,
    check_forecast,
    check_plan,
    check_schedule,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.expectation import plan_digest


def read_inputs(params: Mapping[str, Any]) -> ReportInputs:
    """The files behind ``plan``, ``forecast``, ``schedule`` and ``history``, checked.

    Raises:
        InputError: a file is absent or cannot be read.
        PlanRefusedError: a file is of another kind or schema, or was changed since it was written.
    """
    plan_path = params["plan"]
    plan = check_plan(read_plan(plan_path), where=plan_path)
    digests = {"plan": file_digest(os.path.expanduser(plan_path))}
    forecast = None
    if params.get("forecast"):
        path = params["forecast"]
        forecast = check_forecast(read_document(path, what="forecast"), where=path)
        digests["forecast"] = file_digest(os.path.expanduser(path))
    warnings = _forecast_warnings(plan, forecast, digests)
    schedule = None
    if params.get("schedule"):
        path = params["schedule"]
        schedule = check_schedule(read_document(path, what="schedule"), where=path)
        digests["schedule"] = file_digest(os.path.expanduser(path))
        warnings += _schedule_warnings(plan, schedule)
    incidents = None
    if params.get("incidents"):
        incidents = read_history(os.path.expanduser(params["incidents"]))
        parse_history(incidents, where=params["incidents"])
    history: dict[str, Series] = {}
    if params.get("history"):
        history, noticed = _read_history(params["history"])
        warnings += noticed
        digests["history"] = file_digest(os.path.expanduser(params["history"]))
    return ReportInputs(
        plan=plan,
        forecast=forecast,
        schedule=schedule,
        incidents=incidents,
        history=history,
        title=params.get("title") or ReportInputs.title,
        history_days=expect_number(params.get("history_days", 7.0), what="history_days", minimum=0.01, maximum=3660),
        digests=digests,
        warnings=warnings,
    )


def plotly_js() -> str:
    """The text of plotly.js as the plotly package ships it: ``plotly.offline`` is its documented way to it.

    Raises:
        MissingLibraryError: plotly is absent or too old.
    """
    return str(require("plotly.offline", purpose="The report").get_plotlyjs())


def _forecast_warnings(
    plan: Mapping[str, Any], forecast: Mapping[str, Any] | None, digests: Mapping[str, str]
) -> list[str]:
    """Whether the plan was made from another forecast than the one beside it (given as a file, or as its content)."""
    planned_from = (plan.get("inputs") or {}).get("forecast")
    if forecast is None or not planned_from or planned_from in (digests["forecast"], digest(forecast)):
        return []
    return ["The forecast shown here is not the one the plan was made from"]


def _schedule_warnings(plan: Mapping[str, Any], schedule: Mapping[str, Any]) -> list[str]:
    """Whether the jobs were scheduled on another plan than the one they are shown with."""
    scheduled_on = (schedule.get("inputs") or {}).get("plan")
    if not scheduled_on or scheduled_on == plan_digest(plan):
        return []
    return ["The schedule of jobs shown here was made on another plan"]


def _read_history(path: str) -> tuple[dict[str, Series], list[str]]:
    require("numpy", purpose="Reading a history")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import read_history

    found, warnings = read_history(path, invalid_values="gap")
    series: dict[str, Series] = {one.name: one for one in found}
    return series, warnings
