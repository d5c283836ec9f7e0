# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What was done: one line a fact, only ever added to, and shortened by :mod:`.pruning` alone.

An action is entered before it is done (intent) and again with what became of it (result). An intent without a result
is a run that died: its effect is looked at before anything else is done to that target. A last line without its end
is a write that was cut off; what it spoke of was never done, because nothing is done before its line is on disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
    parse_json,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    MOVE,
    QUARANTINE,
    STEPS,
)

SCHEMA_VERSION = 1
KIND = "remediation"
INTENT, RESULT, ESCALATION, BREAKER, SHADOW = "intent", "result", "escalation", "breaker", "shadow"
RELEASE, REVIEW = "release", "review"
PRUNED = (
    "pruned"  # the first line of a record that was shortened: how many lines are gone, and from when the latest was
)
# effective: the fault is gone; ineffective: it is not; gone: it was before anything was done; failed: the step itself
# did not succeed.
EFFECTS = ("effective", "ineffective", "gone", "failed")
WITHOUT_EFFECT = frozenset({"ineffective", "failed"})


class AuditError(ModelOpsError):
    """What is to be done could not be put on record, so that it is not done."""


@dataclass(frozen=True)
class Action:
    """One action and what became of it. ``effect`` is empty while it is under way."""

    id: str
    at: float
    step: str
    alert: str
    target: str
    kind: str
    host: str = ""
    slot: int | None = None
    model: str = ""
    zone: str = ""
    servers: tuple[str, ...] = ()
    owner: str = ""
    reason: str = ""
    since: float = 0.0
    effect: str = ""
    ended: float = 0.0
    shadow: bool = False
    reviewed: bool = False

    @property
    def open(self) -> bool:
        return not self.effect

    @property
    def counts(self) -> bool:
        """Whether it uses up a budget: not when the fault was gone before anything was done."""
        return self.effect != "gone"


@dataclass
class History:
    """The record, read. ``breakers``: scope to the event that opened it. ``closed``: scope to when a person closed it.
    ``released``: host to when a person gave it back."""

    actions: list[Action] = field(default_factory=list)
    escalations: list[dict[str, Any]] = field(default_factory=list)
    breakers: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed: dict[str, float] = field(default_factory=dict)
    released: dict[str, float] = field(default_factory=dict)
    lines: int = 0

    def set_aside(self, now: float, move_seconds: float) -> dict[str, str]:
        """Hosts that take no new replicas, with why: after a move for a while, in quarantine until a person gives them back."""
        found = {}
        for one in self.actions:
            lasts = one.step == QUARANTINE or (one.step == MOVE and now - one.at < move_seconds)
            if lasts and one.counts and one.at > self.released.get(one.host, 0.0):
                found[one.host] = f"{one.step} for {one.alert}"
        return found

    def under_way(self) -> list[Action]:
        return [one for one in self.actions if one.open]


def read_history(path: str) -> list[dict[str, Any]]:
    """The events of the file, oldest first; a cut last line is left out.

    Raises:
        InputError: unreadable, or a whole line is not an event. Nothing may be done on half a history.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot read the history of actions ({error.strerror})", where=path) from error
    events = []
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            event = parse_json(line.decode("utf-8"))
        except ValueError as error:
            raise _damaged(path, number, "is not JSON") from error
        if not isinstance(event, dict) or event.get("kind") != KIND or event.get("schema_version") != SCHEMA_VERSION:
            raise _damaged(path, number, "is not an event of remediation")
        events.append(event)
    return events


def append(path: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Add events as whole lines, on disk before this returns. The caller keeps others out.

    Raises:
        AuditError: it could not be written. Then nothing may be done.
    """
    lines = "".join(
        json.dumps({"schema_version": SCHEMA_VERSION, "kind": KIND, **event}, sort_keys=True, allow_nan=False) + "\n"
        for event in events
    ).encode("utf-8")
    if not lines:
        return
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.lseek(handle, _whole_bytes(handle), os.SEEK_SET)
            left = memoryview(lines)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise AuditError(
            f"the history of actions cannot be written ({error.strerror}); nothing was done",
            where=path,
            remedy="Mend the disk or the rights there, look what happened meanwhile, then close the breaker",
        ) from error


def _whole_bytes(handle: int) -> int:
    """Length up to the end of the last whole line; what stands behind it is cut off."""
    size = os.fstat(handle).st_size
    end = size
    while end > 0:
        start = max(0, end - 65536)
        os.lseek(handle, start, os.SEEK_SET)
        cut = os.read(handle, end - start).rfind(b"\n")
        if cut >= 0:
            end = start + cut + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return end


def parse_history(events: Sequence[Mapping[str, Any]], *, where: str, shadow: bool = False) -> History:
    """The events as what they say.

    Args:
        events: as :func:`read_history` gives them.
        where: for messages.
        shadow: whether what would have been done counts as done, for a run that only says.

    Raises:
        InputError: an event lacks what it must hold.
    """
    history = History(lines=len(events) + sum(_gone(event) for event in events))
    places: dict[str, int] = {}
    for number, event in enumerate(events, start=1):
        what = event.get("event")
        at = expect_number(event.get("at"), what="at", where=f"{where}, line {number}")
        if what == INTENT or (what == SHADOW and shadow):
            places[str(event.get("id"))] = len(history.actions)
            history.actions.append(_action(event, at, f"{where}, line {number}"))
        elif what == RESULT:
            _settle(history, places, event, at, f"{where}, line {number}")
        elif what == REVIEW:
            _review(history, places, event, f"{where}, line {number}")
        elif what == ESCALATION:
            history.escalations.append(dict(event))
        elif what == RELEASE:
            history.released[str(event.get("host"))] = at
        elif what == BREAKER:
            scope = str(event.get("scope"))
            if event.get("state") == "closed":
                history.closed[scope] = at
                history.breakers.pop(scope, None)
            else:
                history.breakers.setdefault(scope, dict(event))
        elif what not in (SHADOW, PRUNED):
            raise _damaged(where, number, f"has the unknown event {what!r}")
    return history


def _gone(event: Mapping[str, Any]) -> int:
    """Lines that are gone, less the one that says so: what is decided may not depend on whether the record was shortened."""
    return int(event.get("lines") or 0) - 1 if event.get("event") == PRUNED else 0


def _action(event: Mapping[str, Any], at: float, where: str) -> Action:
    if event.get("step") not in STEPS or not event.get("id") or not event.get("target"):
        raise InputError(
            "the action is not described", where=where, remedy="Move the file away once a person has looked"
        )
    slot, shadow = event.get("slot"), event.get("event") == SHADOW
    return Action(
        id=str(event["id"]),
        at=at,
        step=event["step"],
        slot=None if slot is None else int(slot),
        since=float(event.get("since") or at),
        servers=tuple(event.get("servers") or ()),
        effect="effective" if shadow else "",
        ended=at if shadow else 0.0,
        shadow=shadow,
        reviewed=False,
        **{
            name: str(event.get(name) or "")
            for name in ("alert", "target", "kind", "host", "model", "zone", "owner", "reason")
            if name != "kind"
        },
        kind=str(event.get("scope") or ""),
    )


def _settle(history: History, places: Mapping[str, int], event: Mapping[str, Any], at: float, where: str) -> None:
    place = places.get(str(event.get("id")))
    if place is None or event.get("effect") not in EFFECTS:
        raise InputError(
            f"a result ({event.get('effect')!r}) belongs to no action",
            where=where,
            remedy="Move the file away once a person has looked",
        )
    old = history.actions[place]
    if old.open:  # the first word on it counts
        history.actions[place] = Action(**{**vars(old), "effect": event["effect"], "ended": at})


def _review(history: History, places: Mapping[str, int], event: Mapping[str, Any], where: str) -> None:
    """The second look at an action that helped: one that does not hold did not help."""
    place = places.get(str(event.get("id")))
    if place is None or event.get("holds", "") not in (True, False, None):
        raise InputError(
            f"a review ({event.get('holds')!r}) belongs to no action",
            where=where,
            remedy="Move the file away once a person has looked",
        )
    old = history.actions[place]
    if old.effect == "effective" and not old.reviewed:
        effect = "ineffective" if event["holds"] is False else old.effect
        history.actions[place] = Action(**{**vars(old), "effect": effect, "reviewed": True})


def _damaged(where: str, number: int, what: str) -> InputError:
    return InputError(
        f"line {number} of the history of actions {what}",
        where=where,
        remedy="Nothing is done on half a history. Look at it, then mend the line or move the file away",
    )


def expect_outcomes(given: Any) -> list[Mapping[str, Any]]:
    """Outcomes the caller reports, each with ``id``, ``effect`` and ``evidence``.

    Raises:
        InputError: an entry is not one.
    """
    found = []
    for position, entry in enumerate(given or []):
        fields = expect_mapping(entry, what="outcome", where=f"outcomes[{position}]")
        if not fields.get("id") or fields.get("effect") not in EFFECTS:
            raise InputError(
                f"an outcome needs the id of an action and an effect of {', '.join(EFFECTS)}",
                where=f"outcomes[{position}]",
            )
        found.append(fields)
    return found
