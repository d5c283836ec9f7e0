# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one injected fault, from what was recorded: the gateway's states, the requests, the record of actions.

Moments are epoch seconds. States are ``(moment, {server: state} or None)``, one entry a change, None while no gateway
runs. Requests are rows of the load generator's record.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

State = tuple[float, "Mapping[str, str] | None"]
Row = Mapping[str, str]


def host_of(server: str) -> str:
    return server.rpartition("-")[0]


def up(state: Mapping[str, str] | None) -> set[str]:
    return {server for server, word in (state or {}).items() if word == "UP"}


def seconds_until_out(states: Sequence[State], began: float, hurt: Collection[str]) -> float | None:
    """Until the gateway sends nothing more to any server on the hosts that were hurt; None if it never stopped."""
    theirs = {server for _at, state in states for server in state or {} if host_of(server) in hurt}
    for at, state in states:
        if theirs and at >= began and state is not None and not theirs & up(state):
            return round(at - began, 1)
    return None


def good(row: Row) -> bool:
    return row["status"] == "200" and row["complete"] == "True"


def ended(row: Row) -> float:
    return float(row["scheduled_at"]) + max(0.0, float(row["latency"]))


def seconds_until_full(states: Sequence[State], rows: Sequence[Row], began: float, wanted: int) -> float | None:
    """Until each of so many replicas had given a good answer since it last came in; None if that never came about.

    A replica that was in all the time counts from its first good answer to a request that came after the fault.
    """
    last = states[-1][1] if states else None
    firsts = []
    for server in up(last):
        since = came_in(states, server, began)
        answers = [
            ended(row)
            for row in rows
            if row["replica"] == server and good(row) and float(row["scheduled_at"]) >= began and ended(row) >= since
        ]
        if answers:
            firsts.append(min(answers))
    return round(sorted(firsts)[wanted - 1] - began, 1) if len(firsts) >= wanted else None


def came_in(states: Sequence[State], server: str, began: float) -> float:
    """The moment since which a server has been in; the fault's where it was in all the time."""
    since, before = began, None
    for at, state in states:
        now = server in up(state)
        if now and before is False:
            since = max(at, began)
        before = now
    return since


def was_lost(states: Sequence[State], began: float, wanted: int) -> bool:
    """Whether fewer replicas than wanted were in at any time since the fault."""
    during = [state for at, state in states if at >= began]
    return any(len(up(state)) < wanted for state in during)


def harmful(
    before: Mapping[str, int],
    after: Mapping[str, int],
    *,
    hurt: Collection[str],
    actions: Iterable[Mapping[str, Any]],
    states: Sequence[State],
    floor_replicas: int,
) -> list[str]:
    """What was done to something healthy, in words.

    Args:
        before, after: main process by HOST/UNIT; a unit that is gone is left out of ``after``.
        hurt: hosts that the fault was on; what happens to their own units is part of it.
        actions: the record's intents; a move or a quarantine may take away what its host runs.
        states: while it lasted.
        floor_replicas: so many must be in, unless the fault itself took them away.
    """
    emptied = {str(one.get("host")) for one in actions if one.get("step") in ("move", "quarantine")}
    found = []
    for unit, pid in sorted(before.items()):
        host = unit.partition("/")[0]
        if host in hurt or not pid or after.get(unit) == pid:
            continue
        if unit not in after:
            if host not in emptied:
                found.append(f"{unit} was taken away")
        else:
            found.append(f"{unit} was restarted")
    for _at, state in states:
        ours = {
            server
            for server, word in (state or {}).items()
            if word in ("MAINT", "DRAIN") and host_of(server) not in hurt
        }
        if ours and len(up(state)) < floor_replicas:
            found.append(f"{len(up(state))} replicas in while {', '.join(sorted(ours))} was held out")
            break
    return found


def requests_between(rows: Iterable[Row], begin: float, end: float) -> dict[str, int]:
    own = [row for row in rows if begin <= float(row["scheduled_at"]) < end]
    return {
        "count": len(own),
        "streams": sum(row["kind"] == "stream" for row in own),
        "failed": sum(row["status"] != "200" for row in own),
        "cut": sum(row["status"] == "200" and row["complete"] != "True" for row in own),
        "slower_than_5_s": sum(float(row["latency"]) > 5 for row in own),
    }


def done(events: Iterable[Mapping[str, Any]], began: float) -> dict[str, Any]:
    """What the record of actions says since the fault: steps with effects, and what a person was told."""
    own = [event for event in events if float(event["at"]) >= began]
    effects = {event["id"]: event for event in own if event["event"] == "result"}
    intents = [event for event in own if event["event"] == "intent"]
    acted = [one for one in intents if (effects.get(one["id"]) or {}).get("effect") != "gone"]
    return {
        "action_seconds": round(float(acted[0]["at"]) - began, 1) if acted else None,
        "actions": [
            f"{one['step'].replace('_', ' ')} {one['target']} for {one['alert']}: "
            f"{(effects.get(one['id']) or {}).get('effect', 'no result')}"
            for one in intents
        ],
        "told": [f"{one['alert']} of {one['target']}: {one['reason']}" for one in own if one["event"] == "escalation"],
        "breakers": [str(one.get("cause")) for one in own if one["event"] == "breaker"],
    }


FIGURES = ("out_seconds", "alert_seconds", "action_seconds", "closed_seconds")


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians and worst of the repetitions of one fault in one arm; a figure that one of them lacks has no worst."""
    found: dict[str, Any] = {"times": len(rows)}
    for name in FIGURES:
        values = [row[name] for row in rows if row.get(name) is not None]
        found[name] = {
            "median": round(statistics.median(values), 1) if values else None,
            "worst": round(max(values), 1) if values and len(values) == len(rows) else None,
            "in": len(values),
        }
    found["failed"] = [row["requests"]["failed"] for row in rows]
    found["cut"] = [row["requests"]["cut"] for row in rows]
    found["closed"] = sum(bool(row["closed"]) for row in rows)
    found["person"] = sum(bool(row["person"]) for row in rows)
    found["harmful"] = sum(len(row["harmful"]) for row in rows)
    return found
