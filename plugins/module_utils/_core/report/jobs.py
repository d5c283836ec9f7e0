# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The jobs section: what the schedule says in a sentence, its picture, and every job in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    bullets,
    element,
    embedded_json,
    escape,
    table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.style import BLOCKS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.gantt import ORDER, gantt

STATUS_WORDS = {"on_time": "on time", "late": "late", "unfinished": "not done by the end", "never": "does not run"}
MOST_HOSTS = 4
JOBS = (
    Column("Job"),
    Column("Status"),
    Column("Work, accelerator-hours", numeric=True),
    Column("Weight", numeric=True),
    Column("Start, UTC"),
    Column("Finish, UTC"),
    Column("Deadline, UTC"),
    Column("On"),
    Column("Why"),
)


def section(schedule: Mapping[str, Any]) -> str:
    """The whole section."""
    figures = schedule["figures"]
    said = [f"{schedule['summary']}."]
    if figures.get("bound_share") is not None:
        said.append(f"No schedule has more than {words.percent(figures['bound_share'])} of the weighted work on time.")
    parts = [element("p", escape(" ".join(said)), class_="lead"), _picture(schedule), _table(schedule)]
    warnings = schedule.get("warnings") or []
    return "".join(parts) + (bullets(warnings, class_="warnings") if warnings else "")


def _picture(schedule: Mapping[str, Any]) -> str:
    figure = gantt(schedule)
    if figure is None:
        return ""
    data = element("script", embedded_json(figure), type="application/json")
    plot = element("div", "", class_="plot gantt", role="img", aria_label=_picture_words(schedule))
    note = ""
    if figure["left_out"]:
        shown = words.plural(len(figure["rows"]), "job")
        note = element("p", f"{shown} drawn, {figure['left_out']:,} more in the table.", class_="thin")
    return element("div", _key(figure) + plot + note + data, class_="figure")


def _picture_words(schedule: Mapping[str, Any]) -> str:
    counts = [f"{schedule['figures'][status]:,} {text}" for status, text in STATUS_WORDS.items()]
    span = f"from {words.moment(schedule['start'])} to {words.moment(schedule['end'])}"
    return f"When each job runs, and on how many accelerators, {span}: {words.listing(counts)}."


def _key(figure: Mapping[str, Any]) -> str:
    """The legend; one colour an accelerator type, in the order the script gives them."""
    items, kinds = [], []
    for trace in figure["data"]:
        kind = trace.get("legendgroup")
        if kind is not None and kind not in kinds:
            kinds.append(kind)
            colour = kinds.index(kind) % len(BLOCKS)
            items.append(element("span", "", class_=f"swatch run c{colour}") + escape(kind))
    roles = {trace["meta"] for trace in figure["data"]}
    for role, text in (
        ("late_run", "After the deadline"),
        ("deadline", "Deadline"),
        ("missed_deadline", "Missed deadline"),
    ):
        if role in roles:
            items.append(element("span", "", class_=f"swatch {role}") + text)
    return element("ul", "".join(element("li", item) for item in items), class_="key")


def _table(schedule: Mapping[str, Any]) -> str:
    jobs = schedule["jobs"]
    if not jobs:
        return ""
    ordered = sorted(jobs, key=lambda name: (ORDER[jobs[name]["status"]], -float(jobs[name]["weight"]), name))
    note = f"Policy {schedule['policy']}. A job that needs attention comes first."
    rows = (("", _cells(name, jobs[name])) for name in ordered)
    return table("Jobs: when they run, and what is late", JOBS, rows, note=note, sortable=True)


def _cells(name: str, fields: Mapping[str, Any]) -> list[Cell | str]:
    status = str(fields["status"])
    good = status == "on_time"
    late = fields.get("lateness_seconds")
    said = STATUS_WORDS[status] + (f" by {words.duration(late)}" if late else "")
    return [
        escape(name),
        element("span", escape(said), class_="calm" if good else "badge bad"),
        Cell(words.number(fields["work_accelerator_hours"]), fields["work_accelerator_hours"]),
        Cell(words.number(fields["weight"]), fields["weight"]),
        _moment(fields.get("start")),
        _moment(fields.get("finish")),
        _moment(fields.get("deadline")),
        element("div", escape(_where(fields["runs"])), class_="place"),
        escape(fields.get("reason") or ""),
    ]


def _moment(text: str | None) -> Cell:
    return Cell(element("span", words.short_moment(text), class_="whole"), parse_moment(text) if text else None)


def _where(runs: Any) -> str:
    """``up to 8 h100-80gb on gpu-a1, gpu-a2``; types and hosts in the order of first use."""
    most: dict[str, int] = {}
    hosts: dict[str, list[str]] = {}
    for run in runs:
        kind = run["accelerator_type"]
        most[kind] = max(most.get(kind, 0), int(run["accelerators"]))
        if run["host"] and run["host"] not in hosts.setdefault(kind, []):
            hosts[kind].append(run["host"])
    least = {kind: min(run["accelerators"] for run in runs if run["accelerator_type"] == kind) for kind in most}
    return "; ".join(
        f"{'' if least[kind] == count else 'up to '}{count} {kind}{_on(hosts.get(kind, []))}"
        for kind, count in most.items()
    )


def _on(hosts: list[str]) -> str:
    if not hosts:
        return ""
    return f" on {', '.join(hosts[:MOST_HOSTS])}" + (
        f" and {len(hosts) - MOST_HOSTS} more" if len(hosts) > MOST_HOSTS else ""
    )
