# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What was decided, and what a person is told: once for the same thing, and of a flood in a few words.

Of one alert name a few targets an hour are told each by itself, the worst first. All others are one entry, at most
every few minutes, so that ten thousand alerts are never ten thousand pages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.alerts import Alert
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import Action
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import HOUR, Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Situation

SHOWN, NAMED = 5, 500


@dataclass
class Decision:
    """``actions``: to be carried out, in this order. ``looks``: actions a dead run left, whose effect is to be looked at.
    ``held``: faults that are left alone for now, with why. ``opened``: breakers that open now, scope to cause."""

    actions: list[Action] = field(default_factory=list)
    looks: list[Action] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    escalations: list[dict[str, Any]] = field(default_factory=list)
    opened: dict[str, str] = field(default_factory=dict)

    def hold(self, alert: Alert, target: str, why: str) -> None:
        self.held.append({"alert": alert.name, "target": target, "why": why, "count": alert.count})


@dataclass
class People:
    """Tells them, into ``found``. ``told``: (alert, target) to what was said within the time in which it is not repeated."""

    found: Decision
    here: Situation
    policy: Policy
    told: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    alone: Counter[str] = field(default_factory=Counter)
    together: dict[str, list[tuple[Alert, str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for old in self.here.history.escalations:
            age = self.here.now - float(old["at"])
            if age < self.policy.escalation_repeat_seconds:
                self.told[str(old.get("alert")), str(old.get("target"))] = old
            if age < HOUR and old.get("target") != others(str(old.get("alert"))):
                self.alone[str(old.get("alert"))] += 1

    def tell(self, name: str, target: str, reason: str, alert: Alert | None = None) -> None:
        """``alert``: the alert it is about; without one it is told by itself, however many there are."""
        reason = reason or "all steps were tried"
        old = self.told.get((name, target))
        if old is not None:
            if alert is not None:
                self.found.hold(alert, target, f"a person was told: {old.get('reason')}")
            return None
        if alert is None:
            return self._say(name, target, reason, since=self.here.now)
        if self._among_others(name, target, alert):
            return self.found.hold(alert, target, f"a person was told of it among others: {reason}")
        if self.alone[name] < self.policy.escalations_each:
            self.alone[name] += 1
            return self._say(name, target, reason, alert.since, alert.summary, alert.count)
        self.together.setdefault(name, []).append((alert, target, reason))
        return None

    def _among_others(self, name: str, target: str, alert: Alert) -> bool:
        """Of a flood too large to name all its targets, whatever had begun by then counts as told."""
        old = self.told.get((name, others(name)))
        if old is None:
            return False
        named = old.get("targets") or []
        return target in named or (len(named) >= NAMED and alert.since <= float(old["at"]))

    def tell_of_others(self) -> None:
        """Those that were not told each by itself, as one entry an alert name."""
        for name, group in sorted(self.together.items()):
            old = self.told.get((name, others(name)))
            if old is not None and self.here.now - float(old["at"]) < self.policy.escalation_others_seconds:
                for alert, target, _reason in group:
                    self.found.hold(alert, target, "a person will be told of it among others")
                continue
            targets = list(dict.fromkeys(target for _alert, target, _reason in group))
            shown = ", ".join(targets[:SHOWN]) + (" ..." if len(targets) > SHOWN else "")
            reason = Counter(why for _alert, _target, why in group).most_common(1)[0][0]
            first = min((alert for alert, _target, _reason in group), key=lambda one: one.since)
            count = sum(alert.count for alert, _target, _reason in group)
            words = f"{len(targets)} more ({shown}), such as: {reason}"
            self._say(name, others(name), words, first.since, first.summary, count)
            self.found.escalations[-1]["targets"] = targets[:NAMED]
        self.together.clear()

    def _say(self, name: str, target: str, reason: str, since: float, summary: str = "", count: int = 1) -> None:
        since = self.here.now - self.policy.memory_seconds
        tried = [one for one in self.here.history.actions if one.target == target and one.at >= since][-5:]
        said = {
            "at": self.here.now,
            "alert": name,
            "target": target,
            "reason": reason,
            "summary": summary,
            "since": since,
            "count": count,
            "tried": [{"at": one.at, "step": one.step, "effect": one.effect} for one in tried],
        }
        self.told[name, target] = said
        self.found.escalations.append(said)


def others(name: str) -> str:
    """The target that stands for all that are not told each by itself."""
    return f"other targets of {name}"
