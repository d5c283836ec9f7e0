# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The record of actions as incidents: one fault of one target from its beginning to its end, with all that was done.

an incident begins with an action or an escalation on a target without one that is open
it takes in every further action and escalation on the target, until an action helped
what comes back after that is another incident
an action that did not hold, looked at again, had not ended it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    BREAKER,
    ESCALATION,
    INTENT,
    RESULT,
    REVIEW,
)

MENDED, GONE, UNDER_WAY, TOLD = "mended", "gone by itself", "under way", "told to a person"


@dataclass
class Incident:
    """Moments in epoch seconds; ``ended`` is 0 while it goes on. ``steps``: intents, each with effect and evidence."""

    target: str
    alert: str
    began: float
    model: str = ""
    host: str = ""
    ended: float = 0.0
    servers: tuple[str, ...] = ()
    steps: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)  # of its events

    @property
    def state(self) -> str:
        if self.ended:
            return GONE if all(one.get("effect") == "gone" for one in self.steps) else MENDED
        return TOLD if self.told else UNDER_WAY

    def seconds(self, now: float) -> float:
        return max(0.0, (self.ended or now) - self.began)


def incidents_of(events: Sequence[Mapping[str, Any]]) -> list[Incident]:
    """The incidents in the order in which they began."""
    found: list[Incident] = []
    current: dict[str, Incident] = {}
    steps: dict[str, tuple[Incident, dict[str, Any]]] = {}
    for position, event in enumerate(events):
        kind = event.get("event")
        if kind == RESULT and str(event.get("id")) in steps:
            incident, step = steps[str(event["id"])]
            incident.positions.append(position)
            step.update(effect=event.get("effect"), evidence=event.get("evidence") or "", ended=event.get("at"))
            if event.get("effect") in ("effective", "gone"):
                incident.ended = float(event["at"])
                current.pop(incident.target, None)
        elif kind == REVIEW and str(event.get("id")) in steps:
            incident, step = steps[str(event["id"])]
            incident.positions.append(position)
            step["review"] = event.get("evidence") or ""
            if event.get("holds") is False:
                step["effect"] = "ineffective"
                # It was no end, unless the fault is back as an incident of its own.
                if incident.target not in current:
                    incident.ended = 0.0
                    current[incident.target] = incident
        elif kind in (INTENT, ESCALATION) and event.get("alert") != "Breaker":
            incident = _incident(event, current, found)
            incident.positions.append(position)
            if kind == INTENT:
                step = dict(event)
                incident.steps.append(step)
                steps[str(event.get("id"))] = incident, step
                incident.servers = tuple(event.get("servers") or incident.servers)
                incident.model, incident.host = str(event.get("model") or ""), str(event.get("host") or "")
            else:
                incident.told.append(str(event.get("reason") or ""))
    return sorted(found, key=lambda one: (one.began, one.target))


def _incident(event: Mapping[str, Any], current: dict[str, Incident], found: list[Incident]) -> Incident:
    target = str(event.get("target"))
    if target not in current:
        current[target] = Incident(target, str(event.get("alert")), float(event.get("since") or event["at"]))
        found.append(current[target])
    return current[target]


def breakers_of(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [event for event in events if event.get("event") == BREAKER]
