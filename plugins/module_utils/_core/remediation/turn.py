# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One turn: enter what became of the actions before, decide, put the decision on record, and only then give it out.

All of it is one step that no other process on the host is inside of at the same time, so that two controllers see each
other's actions even where neither has the lock of the fleet. When the record cannot be written nothing is given out,
and a mark beside it keeps the breaker open until a person has looked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.lock import alone
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.decide import decide
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.decision import Decision
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    BREAKER,
    ESCALATION,
    INTENT,
    RELEASE,
    RESULT,
    SHADOW,
    Action,
    AuditError,
    History,
    append,
    parse_history,
    read_history,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    FLEET,
    MOVE,
    QUARANTINE,
    SCALE_OUT,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.pruning import prune
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.review import (
    Review,
    due,
    never_resolved,
    reviewed,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.situation import Situation

AUDIT_CAUSE = "an action could not be put on record"


@dataclass
class Turn:
    """``events``: what was put on record, or would be. ``reviews``: what is to be compared with its peers now."""

    decision: Decision = field(default_factory=Decision)
    history: History = field(default_factory=History)
    events: list[dict[str, Any]] = field(default_factory=list)
    here: Situation | None = None
    reviews: list[Review] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def given_out(self) -> list[dict[str, Any]]:
        return [_intent(one, INTENT) for one in self.decision.actions]

    def set_aside(self, policy: Policy, now: float) -> dict[str, str]:
        """Hosts that take no new replicas, those of this decision included."""
        found = self.history.set_aside(now, policy.move_seconds)
        new = {
            one.host: f"{one.step} for {one.alert}" for one in self.decision.actions if one.step in (MOVE, QUARANTINE)
        }
        return {**found, **new}

    def observed(self) -> dict[str, float]:
        """Demand to plan for where more replicas are wanted: at least what those that run can serve, in requests/s."""
        if self.here is None:
            return {}
        models = sorted({one.model for one in self.decision.actions if one.step == SCALE_OUT})
        return {name: sum(one.requests_per_second for one in self.here.of_model(name)) for name in models}

    def left_open(self) -> list[dict[str, Any]]:
        return [_intent(one, INTENT) for one in self.decision.looks]


def take_turn(
    path: str,
    situation: Callable[[History], Situation],
    policy: Policy,
    *,
    outcomes: Sequence[Mapping[str, Any]] = (),
    reviews: Sequence[Mapping[str, Any]] = (),
    close: Mapping[str, Any] | None = None,
    release: Mapping[str, Any] | None = None,
    shadow: bool = False,
    dry: bool = False,
) -> Turn:
    """Decide on what is on record in ``path``, and add to it.

    Args:
        path: the history of actions.
        situation: everything else, given the history.
        policy: how much may be done.
        outcomes: what became of actions, each with ``id``, ``effect``, ``evidence`` and ``at``.
        reviews: what was compared, each with ``id``, ``verdict`` and ``reasons``.
        close: ``scope``, ``by``, ``at`` and ``note``: a person closes a breaker.
        release: ``host``, ``by`` and ``at``: a person gives a host back.
        shadow: say and record what would be done, and give nothing out to be done.
        dry: write nothing.

    Raises:
        AuditError: the record could not be written; nothing may be done.
        InputError: the record cannot be read.
    """

    def decided() -> Turn:
        before, marked = read_history(path), os.path.exists(_marked(path))
        return turn_on(
            before,
            situation,
            policy,
            outcomes=outcomes,
            reviews=reviews,
            close=close,
            release=release,
            shadow=shadow,
            marked=marked,
            where=path,
        )

    if dry:
        return decided()
    with alone(path):
        turn = decided()
        try:
            append(path, turn.events)
        except AuditError:
            _mark(path)
            raise
        if close is not None and close.get("scope") == FLEET and os.path.exists(_marked(path)):
            os.unlink(_marked(path))
        turn.warnings += _shortened(path, turn, policy)
    return turn


def _shortened(path: str, turn: Turn, policy: Policy) -> list[str]:
    """What was decided is on record; that the record grows on is said, and stops nothing."""
    if turn.here is None:
        return []
    patience = max((one.patience_seconds for one in turn.here.ladders.values()), default=0.0)
    try:
        prune(path, policy, now=turn.here.now, patience_seconds=patience)
    except (OSError, InputError) as error:
        return [f"{path} is larger than {policy.record_mib:g} MiB and could not be shortened ({error})"]
    return []


def turn_on(
    before: Sequence[Mapping[str, Any]],
    situation: Callable[[History], Situation],
    policy: Policy,
    *,
    outcomes: Sequence[Mapping[str, Any]] = (),
    reviews: Sequence[Mapping[str, Any]] = (),
    close: Mapping[str, Any] | None = None,
    release: Mapping[str, Any] | None = None,
    shadow: bool = False,
    marked: bool = False,
    where: str = "",
) -> Turn:
    """The same over events at hand, writing nothing. ``marked``: whether an action could not be put on record before."""

    def known(more: Sequence[Mapping[str, Any]]) -> History:
        found = parse_history([*before, *more], where=where, shadow=shadow)
        if marked and (close is None or close.get("scope") != FLEET):
            found.breakers.setdefault(FLEET, {"cause": AUDIT_CAUSE})
        return found

    history = known([])
    events = _results(history, outcomes)
    if close is not None:
        events += _closing(history, close, marked)
    if release is not None:
        events += _releasing(release)
    if events:
        history = known(events)
    here = situation(history)
    second = [*never_resolved(here, policy), *reviewed(reviews, here, policy)] if not shadow else []
    if second:
        events += second
        history = known(events)
        here = situation(history)
    decision = decide(here, policy, [one for one in second if one["holds"] is False])
    for scope, cause in sorted(decision.opened.items()):
        opened = {"event": BREAKER, "state": "open", "scope": scope, "cause": cause, "at": here.now}
        history.breakers[scope] = opened
        events.append(opened)
    events += [_intent(one, SHADOW if shadow else INTENT) for one in decision.actions]
    events += [{"event": ESCALATION, **one} for one in decision.escalations]
    return Turn(decision, history, events, here, [] if shadow else due(here, policy))


def _results(history: History, outcomes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Results of actions that have none yet; what was said before is not said again."""
    known = {one.id: one for one in history.actions if not one.shadow}
    found = []
    for outcome in outcomes:
        action = known.get(str(outcome["id"]))
        if action is None:
            raise InputError(f"there is no action {outcome['id']!r} on record", where="outcomes")
        if action.open:
            found.append(
                {
                    "event": RESULT,
                    "id": action.id,
                    "at": float(outcome["at"]),
                    "effect": outcome["effect"],
                    "evidence": outcome.get("evidence") or "",
                }
            )
    return found


def _closing(history: History, close: Mapping[str, Any], marked: bool) -> list[dict[str, Any]]:
    scope = str(close.get("scope") or "")
    if not close.get("by"):
        raise InputError("who closes the breaker is not said", where="close_breaker", remedy="Give by, a person's name")
    if scope not in history.breakers and not (scope == FLEET and marked):
        raise InputError(
            f"there is no open breaker of {scope!r}",
            where="close_breaker",
            remedy=f"Open are: {', '.join(sorted(history.breakers)) or 'none'}",
        )
    return [
        {
            "event": BREAKER,
            "state": "closed",
            "scope": scope,
            "by": str(close["by"]),
            "note": str(close.get("note") or ""),
            "at": float(close["at"]),
        }
    ]


def _releasing(release: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not release.get("by") or not release.get("host"):
        raise InputError("it needs host and by, a person's name", where="release_host")
    return [{"event": RELEASE, "host": str(release["host"]), "by": str(release["by"]), "at": float(release["at"])}]


def _intent(action: Action, event: str) -> dict[str, Any]:
    kept = asdict(action)
    for name in ("effect", "ended", "shadow", "reviewed"):
        kept.pop(name)
    scope = kept.pop("kind")  # an event's kind is that of the file
    return {**kept, "event": event, "scope": scope, "servers": list(action.servers)}


def _marked(path: str) -> str:
    return path + ".failed"


def _mark(path: str) -> None:
    """Best effort: on a full disk an empty file can still be made as a rule."""
    try:
        os.close(os.open(_marked(path), os.O_WRONLY | os.O_CREAT, 0o640))
    except OSError:
        return
