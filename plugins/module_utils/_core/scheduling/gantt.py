# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A schedule as a Gantt figure: a plain plotly dictionary, one bar a run.

In the manner of the report's figures: a trace carries its role in ``meta`` (run, late_run,
deadline, missed_deadline) and the page's script gives it its colour, so the figure is the
same in the light and in the dark. Bars are horizontal: ``base`` is the start, ``x`` the
length in milliseconds, ``y`` the job; a bar is the taller the more accelerators it has.

Jobs that need attention are on top: first what is never run, unfinished or late, by weight,
then the others by start. No more than :data:`MOST_JOBS` are drawn; ``left_out`` says how
many were not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment

MOST_JOBS = 200
ROW_PIXELS = 22
THINNEST = 0.5
ORDER = {"never": 0, "unfinished": 1, "late": 2, "on_time": 3}


def gantt(document: Mapping[str, Any], *, most_jobs: int = MOST_JOBS) -> dict[str, Any] | None:
    """The figure of a schedule document, or None when it has no jobs.

    Args:
        document: ``schedule.json``.
        most_jobs: most rows drawn.

    Returns:
        ``data`` and ``layout`` for plotly; ``whole``, the range of the time axis; ``rows``
        the jobs from top to bottom; ``height`` in pixels; ``left_out``.
    """
    jobs = document.get("jobs") or {}
    if not jobs:
        return None
    ranked = sorted(jobs, key=lambda name: _rank(name, jobs[name]))
    rows = ranked[:most_jobs]
    top = max((run["accelerators"] for name in rows for run in jobs[name]["runs"]), default=1)
    types = sorted({run["accelerator_type"] for name in rows for run in jobs[name]["runs"]})
    data = [trace for kind in types for trace in _runs(kind, rows, jobs, top)]
    data += _deadlines(rows, jobs, document)
    return {
        "data": data,
        "layout": {
            "barmode": "overlay",
            "xaxis": {"type": "date"},
            "yaxis": {"type": "category", "categoryorder": "array", "categoryarray": rows, "autorange": "reversed"},
            "shapes": [{"x0": _axis(document["start"]), "x1": _axis(document["start"]), "name": "as_of"}],
        },
        "whole": [_axis(document["start"]), _axis(document["end"])],
        "rows": rows,
        "height": 80 + ROW_PIXELS * len(rows),
        "left_out": len(ranked) - len(rows),
    }


def _rank(name: str, fields: Mapping[str, Any]) -> tuple[Any, ...]:
    weight = 0.0 if fields["status"] == "on_time" else -float(fields["weight"])
    return (ORDER[fields["status"]], weight, fields["start"] or "", name)


def _runs(kind: str, rows: list[str], jobs: Mapping[str, Any], top: int) -> list[dict[str, Any]]:
    """The bars of one accelerator type, the part after the deadline as a trace of its own."""
    bars: dict[str, list[tuple[str, float, float, Mapping[str, Any]]]] = {"run": [], "late_run": []}
    for name in rows:
        deadline = parse_moment(jobs[name]["deadline"]) if jobs[name]["deadline"] else float("inf")
        for run in jobs[name]["runs"]:
            if run["accelerator_type"] != kind:
                continue
            start, end = parse_moment(run["start"]), parse_moment(run["end"])
            if start < deadline:
                bars["run"].append((name, start, min(end, deadline), run))
            if end > deadline:
                bars["late_run"].append((name, max(start, deadline), end, run))
    return [
        {
            "type": "bar",
            "orientation": "h",
            "meta": role,
            "name": kind if role == "run" else f"{kind}, after the deadline",
            "legendgroup": kind,
            "base": [_axis(format_moment(start)) for _name, start, _end, _run in parts],
            "x": [round(1000 * (end - start)) for _name, start, end, _run in parts],
            "y": [name for name, _start, _end, _run in parts],
            "width": [_thickness(run["accelerators"], top) for _name, _start, _end, run in parts],
            "text": [str(run["accelerators"]) for _name, _start, _end, run in parts],
            "customdata": [_hover(run) for _name, _start, _end, run in parts],
            "hovertemplate": "%{y}: %{customdata}<extra></extra>",
        }
        for role, parts in bars.items()
        if parts
    ]


def _deadlines(rows: list[str], jobs: Mapping[str, Any], document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A mark at each deadline inside the figure; one trace for those met and one for those missed."""
    traces = []
    for role, name, met in (("deadline", "Deadline", True), ("missed_deadline", "Missed deadline", False)):
        marked = [
            row
            for row in rows
            if jobs[row]["deadline"]
            and document["start"] <= jobs[row]["deadline"] <= document["end"]
            and (jobs[row]["status"] == "on_time") == met
        ]
        if marked:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "meta": role,
                    "name": name,
                    "x": [_axis(jobs[row]["deadline"]) for row in marked],
                    "y": marked,
                    "customdata": [jobs[row]["reason"] for row in marked],
                    "hovertemplate": "%{y}: deadline %{x}<br>%{customdata}<extra></extra>",
                }
            )
    return traces


def _hover(run: Mapping[str, Any]) -> str:
    where = f"{run['accelerator_type']} on {run['host']}" if run["host"] else run["accelerator_type"]
    return f"{run['accelerators']} {where}, {run['start']} to {run['end']}"


def _thickness(accelerators: int, top: int) -> float:
    return round(THINNEST + (0.9 - THINNEST) * accelerators / top, 3)


def _axis(moment: str) -> str:
    """A moment as plotly's date axis takes it: UTC, without an offset."""
    return moment[:-1]
