# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The tables of the page: shortages, broken limits, actions by wave, the fleet, where it all came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import ReportInputs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    element,
    escape,
    table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.placement import chip, host_words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import HostView, View

Action = Mapping[str, Any]

SHORTAGES = (
    Column("Model"),
    Column("Short, requests/s", numeric=True),
    Column("Replicas missing", numeric=True),
    Column("Cost per hour", numeric=True),
    Column("Why"),
)
VIOLATIONS = (Column("Limit"), Column("Model"), Column("By", numeric=True), Column("Why"))
ACTIONS = (
    Column("Action"),
    Column("Model"),
    Column("Host"),
    Column("Slot", numeric=True),
    Column("Accelerators"),
    Column("Port", numeric=True),
    Column("Serving after, requests/s", numeric=True),
    Column("Why"),
)
FLEET = (
    Column("Host"),
    Column("Zone"),
    Column("Accelerators"),
    Column("In use", numeric=True),
    Column("State"),
    Column("Cost per hour", numeric=True),
    Column("What runs"),
)
PROVENANCE = (Column("Item"), Column("Value"))


def shortages(plan: Mapping[str, Any]) -> str:
    entries = plan.get("shortages") or []
    if not entries:
        return ""
    ordered = sorted(entries, key=lambda entry: (-(entry.get("cost_per_hour") or 0.0), entry["model"]))
    rows = [
        (
            "",
            [
                escape(entry["model"]),
                words.number(entry.get("requests_per_second")),
                words.number(entry.get("replicas")),
                words.money(entry.get("cost_per_hour")),
                escape(entry.get("reason") or ""),
            ],
        )
        for entry in ordered
    ]
    return table("Shortages, the most costly first", SHORTAGES, rows)


def violations(plan: Mapping[str, Any]) -> str:
    entries = plan.get("violations") or []
    if not entries:
        return ""
    rows = [
        (
            "",
            [
                escape(entry.get("limit") or words.UNKNOWN),
                escape(entry.get("model") or words.UNKNOWN),
                words.number(entry.get("amount")),
                escape(entry.get("reason") or ""),
            ],
        )
        for entry in entries
    ]
    return table("Limits that could not be kept", VIOLATIONS, rows)


def actions(plan: Mapping[str, Any], view: View) -> str:
    """One table a wave; what keeps running is a sentence, not rows."""
    todo = [action for action in plan["actions"] if action["action"] in ("start", "stop")]
    kept = sum(1 for action in plan["actions"] if action["action"] == "keep")
    sentence = element(
        "p", escape(f"{words.plural(kept, 'replica')} {'keeps' if kept == 1 else 'keep'} running untouched.")
    )
    if not todo:
        return element("p", "Nothing has to be started or stopped.") + (sentence if kept else "")
    waves = {wave["wave"]: wave for wave in plan.get("waves") or ()}
    partners = _partners(todo)
    numbers = view.numbers
    tables = []
    for wave in sorted({action["wave"] for action in todo}):
        rows = [action for action in todo if action["wave"] == wave]
        record = waves.get(wave, {})
        tables.append(_wave(rows, record, partners, numbers))
    return "".join(tables) + (sentence if kept else "")


def _wave(
    rows: Sequence[Action],
    record: Mapping[str, Any],
    partners: Mapping[tuple[str, str], Action],
    numbers: Mapping[str, int],
) -> str:
    starts = sum(1 for action in rows if action["action"] == "start")
    counted = [words.plural(starts, "start")] if starts else []
    if len(rows) > starts:
        counted.append(words.plural(len(rows) - starts, "stop"))
    serving = record.get("serving_requests_per_second") or {}
    ordered = sorted(rows, key=lambda action: (action["action"], action["model"], action["host"], action["slot"]))
    cells = [("", _action_cells(action, serving, partners, numbers)) for action in ordered]
    caption = f"Wave {rows[0]['wave']}: {words.listing(counted)}"
    return table(caption, ACTIONS, cells, note=str(record.get("note") or ""))


def _action_cells(
    action: Action,
    serving: Mapping[str, float | None],
    partners: Mapping[tuple[str, str], Action],
    numbers: Mapping[str, int],
) -> list[Cell | str]:
    starts = action["action"] == "start"
    text = ("+ Start" if starts else f"{words.MINUS} Stop") + ("" if action.get("move") is None else ", move")
    partner = partners.get((str(action.get("move")), "stop" if starts else "start"))
    other = ""
    if action.get("move") is not None and partner:
        other = element("small", escape(f" {'from' if starts else 'to'} {partner['host']}"))
    version = element("small", f" {escape(action.get('version') or '')}")
    return [
        element("span", text, class_="act start" if starts else "act stop") + other,
        chip(numbers[action["model"]]) + escape(action["model"]) + version,
        element("span", escape(action["host"]), class_="whole"),
        str(action["slot"]),
        words.indices(action.get("accelerators") or ()) or "none",
        str(action.get("port") or words.UNKNOWN),
        words.number(serving.get(action["model"])),
        escape(action.get("reason") or ""),
    ]


def _partners(todo: Sequence[Action]) -> dict[tuple[str, str], Action]:
    return {(str(action["move"]), action["action"]): action for action in todo if action.get("move") is not None}


def fleet(view: View) -> str:
    """Every host in words: also the text of the placement picture."""
    return table("Fleet: every host and what the plan puts on it", FLEET, map(_fleet_row, view.hosts), sortable=True)


def _fleet_row(host: HostView) -> tuple[str, list[Cell | str]]:
    record = host.record
    used, count = len(host.used_accelerators), host.accelerator_count
    cost = record.get("cost_per_hour")
    return "", [
        escape(host.name),
        escape(host.zone),
        escape(
            f"{count} {words.TIMES} {record.get('accelerator_type')}"
            if count
            else str(record.get("accelerator_type") or "none")
        ),
        Cell(f"{used} of {count}" if count else words.UNKNOWN, used / count if count else 0.0),
        escape(", ".join(host.marks) or "active"),
        Cell(words.money(cost), cost),
        escape(host_words(host)),
    ]


def provenance(inputs: ReportInputs) -> str:
    """Which files these are, so that the page can be tied to them later."""
    plan = inputs.plan
    solver = plan.get("solver") or {}
    facts = [
        ("Plan as of", words.moment(plan.get("as_of"))),
        ("Plan written", words.moment(plan.get("created_at"))),
        ("Written by", plan.get("generator")),
        ("Plan digest", plan.get("digest")),
        ("Fleet fingerprint", plan.get("fleet_fingerprint")),
    ]
    facts += [(f"Made from: {name}", value) for name, value in sorted((plan.get("inputs") or {}).items())]
    facts += [(f"File shown here: {name}", value) for name, value in sorted(inputs.digests.items())]
    if inputs.forecast:
        facts.append(("Forecast written", words.moment(inputs.forecast.get("created_at"))))
    facts += [(f"Solver {name}", _plain(value)) for name, value in sorted(solver.items())]
    rows = [("", [escape(name), element("code", escape(value))]) for name, value in facts if value]
    return table("Provenance: the files behind this page", PROVENANCE, rows)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return words.number(value, digits=6)
    return "" if value is None else str(value)
