# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The incidents section: what happened, what was done about it, how it ended and what it cost.

A server that gave no answer is counted from the beginning of its alert to the moment it answered again. What it could
have served meanwhile is at most lost (others may have taken it over); what its host costs was paid for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import EFFECTS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.incidents import (
    Incident,
    breakers_of,
    incidents_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import LADDERS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    bullets,
    element,
    escape,
    table,
)

SHOWN = 500
INCIDENTS = (
    Column("Began, UTC"),
    Column("What"),
    Column("Where"),
    Column("What was done", prose=True),
    Column("Ended", prose=True),
    Column("Took", numeric=True),
    Column("At most not served, requests", numeric=True),
    Column("Paid for nothing", numeric=True),
)
HELPED = dict(zip(EFFECTS, ("helped", "did not help", "not needed any more", "failed")))


def section(events: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> str:
    """The whole section; ``plan`` says what a replica serves and what a host costs."""
    found = incidents_of(events)
    until = max((float(event["at"]) for event in events), default=0.0)
    rows = [("", _cells(one, until, plan)) for one in reversed(found[-SHOWN:])]
    parts = [element("p", escape(_lead(found, until)), class_="lead")]
    if rows:
        note = f"The last {SHOWN} of {len(found)}" if len(found) > SHOWN else ""
        parts.append(table("Incidents, the latest first", INCIDENTS, rows, note=note, sortable=True))
    breakers = [_breaker(event) for event in breakers_of(events)]
    if breakers:
        parts.append(element("h3", "Breakers") + bullets(breakers))
    return "".join(parts)


def _lead(found: Sequence[Incident], until: float) -> str:
    if not found:
        return "Nothing has happened."
    counts: dict[str, int] = {}
    for one in found:
        counts[one.state] = counts.get(one.state, 0) + 1
    said = words.listing([f"{count} {state}" for state, count in sorted(counts.items())])
    steps = sum(len(one.steps) for one in found)
    return (
        f"{words.plural(len(found), 'incident')} since {words.moment(format_moment(found[0].began))}: {said}."
        f" {words.plural(steps, 'action')} in all."
    )


def _cells(one: Incident, until: float, plan: Mapping[str, Any]) -> list[Cell | str]:
    seconds = one.seconds(until)
    lost, paid = costs(one, seconds, plan)
    ended = f"not yet; {one.state}: {'; '.join(one.told)}" if one.told and not one.ended else one.state
    return [
        Cell(escape(words.moment(format_moment(one.began)).replace(" UTC", "")), one.began),
        escape(one.alert),
        escape(one.target),
        escape("; ".join(_step(step) for step in one.steps) or "nothing"),
        escape(ended),
        Cell(escape(words.duration(seconds)), seconds),
        Cell(escape(words.number(lost)), lost),
        Cell(escape(words.money(paid)), paid),
    ]


def _step(step: Mapping[str, Any]) -> str:
    name = str(step.get("step", "")).replace("_", " ")
    what = HELPED.get(str(step.get("effect")), "under way")
    evidence = "; ".join(str(step[name]) for name in ("evidence", "review") if step.get(name))
    return f"{name}: {what}" + (f" ({evidence})" if evidence else "")


def costs(one: Incident, seconds: float, plan: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Requests that its servers could have served meanwhile, and what their hosts cost; None where they went on serving."""
    ladder = LADDERS.get(one.alert)
    out = ladder is not None and (ladder.silent or one.alert == "HostDown")
    placed = {f"{entry['host']}-{entry['slot']}": entry for entry in plan.get("placements") or ()}
    servers = [placed[name] for name in one.servers if name in placed]
    if not out or not servers:
        return None, None
    lost = paid = 0.0
    hosts = {host["name"]: float(host.get("cost_per_hour") or 0.0) for host in plan.get("hosts") or ()}
    for entry in servers:
        capacity = (plan.get("capacity") or {}).get(entry["model"]) or {}
        alike = sum(other["model"] == entry["model"] for other in placed.values())
        lost += seconds * float(capacity.get("planned_requests_per_second") or 0.0) / alike
        beside = sum(other["host"] == entry["host"] for other in placed.values())
        paid += seconds / 3600.0 * hosts.get(entry["host"], 0.0) / beside
    return lost, paid


def _breaker(event: Mapping[str, Any]) -> str:
    at = words.moment(format_moment(float(event["at"])))
    if event.get("state") == "closed":
        note = f": {event['note']}" if event.get("note") else ""
        return f"{at}: {event.get('by')} closed the breaker of {event.get('scope')}{note}"
    return f"{at}: the breaker of {event.get('scope')} opened: {event.get('cause')}"
