# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A record of actions that has grown too large loses what nothing needs any more.

Kept is, whatever its age,
    what has no result yet, and hosts in quarantine until a person gives them back
    breakers that are open, and when each was last closed
    of each model the last actions with a result, since so many without effect in a row open a breaker
    the latest incidents of the report, whole
and everything younger than the longest memory that a limit has. So the same is decided after as before, ids included: the
lines that are gone are counted in the first one. The file before is kept beside it (``.1``); there is always one of the name.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    BREAKER,
    KIND,
    PRUNED,
    RELEASE,
    SCHEMA_VERSION,
    Action,
    parse_history,
    read_history,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.incidents import incidents_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import QUARANTINE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import HOUR, Policy

INCIDENTS = 500  # that the report shows
IN_A_ROW = 10  # actions of a model, where a policy counts no more of them
WORTH_IT = 0.75  # of the limit, or of the size: a record that hardly shrinks is not written again and again
DAY_SECONDS = 86400.0
Event = Mapping[str, Any]


def longest_memory(policy: Policy, patience_seconds: float = 0.0) -> float:
    """After so many seconds no limit of the policy asks for an action or an escalation any more, twice over."""
    windows: list[float] = [getattr(policy, one.name) for one in fields(policy) if one.name.endswith("_seconds")]
    return 2 * max([*windows, patience_seconds, 6 * HOUR]) + policy.review_seconds + policy.review_late_seconds


def prune(path: str, policy: Policy, *, now: float, patience_seconds: float = 0.0) -> bool:
    """Shorten the record where it is larger than the policy allows. The caller keeps others out.

    Args:
        path: the record.
        policy: with ``record_mib`` and ``record_days``.
        now: epoch seconds.
        patience_seconds: the longest that a ladder waits after the last action.

    Returns:
        Whether it was shortened. A failure to write leaves it as it was.

    Raises:
        InputError: the record cannot be read.
        OSError: it could not be replaced.
    """
    limit = policy.record_mib * (1 << 20)
    if not limit or not os.path.exists(path) or os.path.getsize(path) <= limit:
        return False
    size = os.path.getsize(path)
    events = read_history(path)
    least = longest_memory(policy, patience_seconds)
    shorter = lines_of(kept(events, policy, now=now, keep_seconds=max(least, policy.record_days * DAY_SECONDS)))
    if len(shorter) > WORTH_IT * limit:
        shorter = lines_of(kept(events, policy, now=now, keep_seconds=least, incidents=0))
    if len(shorter) > WORTH_IT * size:
        return False
    _replace(path, shorter)
    return True


def kept(
    events: Sequence[Event], policy: Policy, *, now: float, keep_seconds: float, incidents: int = INCIDENTS
) -> list[Event]:
    """The events that are still needed, in order; the first says how many lines are gone.

    Args:
        events: as they are read.
        policy: what is gone by.
        now: epoch seconds.
        keep_seconds: what is younger is kept.
        incidents: so many of the latest are kept, and all others that go on, whole; 0: none is kept for its own sake.
    """
    cut = now - keep_seconds
    needed = {number for number, event in enumerate(events) if _at(event) >= cut} | _of_scopes(events)
    actions = _actions_needed(events, policy) | {_id(events[number]) for number in needed}
    needed |= {number for number, event in enumerate(events) if _id(event) and _id(event) in actions}
    if incidents:
        needed |= _of_incidents(events, needed, incidents)
    gone = [number for number in range(len(events)) if number not in needed and events[number].get("event") != PRUNED]
    if not gone:
        return list(events)
    before = sum(int(event.get("lines") or 0) for event in events if event.get("event") == PRUNED)
    head: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "kind": KIND, "event": PRUNED}
    head |= {"at": max(_at(events[number]) for number in gone), "lines": before + len(gone)}
    return [head, *(events[number] for number in sorted(needed) if events[number].get("event") != PRUNED)]


def lines_of(events: Sequence[Event]) -> bytes:
    return "".join(json.dumps(event, sort_keys=True, allow_nan=False) + "\n" for event in events).encode("utf-8")


def _of_incidents(events: Sequence[Event], needed: set[int], count: int) -> set[int]:
    """Incidents are kept whole: those of which anything is needed, and the latest."""
    found = incidents_of(events)
    whole = [*found[-count:], *(one for one in found if needed.intersection(one.positions))]
    return {number for one in whole for number in one.positions}


def _of_scopes(events: Sequence[Event]) -> set[int]:
    """What opened each breaker that is open, when each was closed last, and when each host was given back last."""
    opened: dict[str, int] = {}
    closed: dict[str, int] = {}
    released: dict[str, int] = {}
    for number, event in enumerate(events):
        if event.get("event") == RELEASE:
            released[str(event.get("host"))] = number
        elif event.get("event") == BREAKER:
            scope = str(event.get("scope"))
            if event.get("state") == "closed":
                closed[scope] = number
                opened.pop(scope, None)
            else:
                opened.setdefault(scope, number)
    return {*opened.values(), *closed.values(), *released.values()}


def _actions_needed(events: Sequence[Event], policy: Policy) -> set[str]:
    """Ids of actions that something goes by, however old they are; what was only said counts for those who only say."""
    found: set[str] = set()
    for shadow in (False, True):
        history = parse_history(events, where="the record", shadow=shadow)
        last: dict[str, list[Action]] = {}
        for one in sorted(history.actions, key=lambda one: (one.ended, one.id)):
            aside = one.step == QUARANTINE and one.counts and one.at > history.released.get(one.host, 0.0)
            if one.open or aside:
                found.add(one.id)
            elif one.counts:
                last.setdefault(one.model, []).append(one)
        in_a_row = max(policy.breaker_ineffective, IN_A_ROW)
        found |= {one.id for some in last.values() for one in some[-in_a_row:]}
    return found


def _id(event: Event) -> str:
    """The action it is about; empty for none."""
    return str(event.get("id") or "")


def _at(event: Event) -> float:
    return float(event.get("at") or 0.0)


def _replace(path: str, content: bytes) -> None:
    """The shorter record in place of the longer, with its owner and mode; that one stays beside it."""
    status = os.stat(path)
    directory = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=".modelops-", dir=directory)
    beside = temporary + ".1"
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchown(stream.fileno(), status.st_uid, status.st_gid)
            os.fchmod(stream.fileno(), status.st_mode & 0o7777)
            os.fsync(stream.fileno())
        os.link(path, beside)
        os.replace(beside, path + ".1")
        os.replace(temporary, path)
    except OSError:
        for left in (beside, temporary):
            if os.path.exists(left):
                os.unlink(left)
        raise
