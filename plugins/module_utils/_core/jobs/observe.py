# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From what the hosts say to what became of each attempt.

A host reports of each job it has known: the number of its last attempt, whether its unit is up,
how its main process ended, the share of the work that the job says is safe, and when it last
showed life. What cannot be seen is not guessed: an attempt on a host that does not answer is over
only when its lease has run out, because then the host has stopped it (see :mod:`units`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    CANCELED,
    CRASHED,
    DONE,
    FAILED,
    FINISHED,
    KEPT_ATTEMPTS,
    LOST,
    PREEMPTED,
    RUNNING,
    STOPPED,
    VOID,
    WAITING,
    Attempt,
    Record,
    State,
)

# Without word from the job a running one is never taken to be done.
MOST_GUESSED_SHARE = 0.98
WHOLE = 1 - 1e-6
LONGEST_BACKOFF_SECONDS = 86_400.0
# Hosts may fail a job without its fault, but one that takes host after host down shall end some day.
LOSSES_FORGIVEN = 3
# sysexits.h EX_TEMPFAIL: not done, try again.
TRY_AGAIN_STATUS = "75"


@dataclass(frozen=True)
class Unit:
    """What a host says of one job; see the file's docstring. ``closed``: attempts up to it may not start there."""

    host: str
    name: str
    attempt: int
    active: bool
    started_at: float | None = None
    ended: Mapping[str, Any] | None = None
    asked: bool = False
    progress: float | None = None
    touched_at: float | None = None
    closed: int = 0
    accelerators: tuple[int, ...] = ()


Seen = Mapping[str, Mapping[str, Unit]]  # host -> job -> unit; a host that did not answer is absent


@dataclass
class Changes:
    """What was found out, one line each; attempts that ended, by name, host and number; units that run unrecorded."""

    lines: list[str] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)
    strays: list[Unit] = field(default_factory=list)


def parse_seen(observed: Any) -> dict[str, dict[str, Unit]]:
    """What :mod:`host` returned on each host that answered.

    Raises:
        InputError: a report is not one.
    """
    seen: dict[str, dict[str, Unit]] = {}
    for host, units in expect_mapping(observed or {}, what="observed").items():
        seen[str(host)] = {}
        for row, given in enumerate(units or []):
            fields = expect_mapping(given, what="unit", where=f"observed on {host}[{row}]")
            unit = Unit(
                host=str(host),
                name=str(fields["name"]),
                attempt=int(fields.get("attempt") or 0),
                active=bool(fields.get("active")),
                started_at=_moment(fields, "started_at"),
                ended=fields.get("ended") or None,
                asked=bool(fields.get("asked")),
                progress=_moment(fields, "progress"),
                touched_at=_moment(fields, "touched_at"),
                closed=int(fields.get("closed") or 0),
                accelerators=tuple(int(index) for index in fields.get("accelerators") or ()),
            )
            seen[str(host)][unit.name] = unit
    return seen


def observe(
    state: State, orders: Mapping[str, Order], seen: Seen, *, now: float, lease_margin_seconds: float, shared: bool
) -> Changes:
    """Bring ``state`` up to what was seen; asked again with the same, it changes nothing more.

    Args:
        orders: what is asked for; a job that is asked for no more is carried to its end.
        lease_margin_seconds: how far clocks of hosts may be apart.
        shared: whether a checkpoint written on one host can be read on all.
    """
    changes = Changes()
    for name, record in sorted(state.jobs.items()):
        if record.current is None:
            continue
        attempt = record.current
        if attempt.host not in seen:
            if now > attempt.lease_until + lease_margin_seconds:
                _close(state, record, orders.get(name), _lost(attempt), changes, now=now, shared=shared)
            continue
        unit = seen[attempt.host].get(name)
        if unit is None or unit.attempt < attempt.number:
            if unit is not None and unit.closed >= attempt.number:
                _close(state, record, orders.get(name), _End(VOID, attempt.entered_at), changes, now=now, shared=shared)
            continue  # entered, but not started yet
        if attempt.started_at is None:
            attempt.started_at = unit.started_at
        if unit.active:
            _note_running(record, orders.get(name), unit, now)
        else:
            end = _end(attempt, unit)
            _close(state, record, orders.get(name), end, changes, now=now, shared=shared)
    _find_strays(state, seen, changes)
    return changes


def left_share(record: Record, order: Order, now: float) -> float:
    """Share of the work that is still to do; while it runs without a word, by the time it has run."""
    share = record.share
    attempt = record.current
    if attempt is not None and attempt.started_at is not None and order.job.work > 0:
        hours = max(0.0, now - attempt.started_at) / 3600 * len(attempt.accelerators) * attempt.speed
        if share <= attempt.share_at_start:
            share = min(max(share, MOST_GUESSED_SHARE), attempt.share_at_start + hours / order.job.work)
    return max(0.0, 1.0 - share)


@dataclass(frozen=True)
class _End:
    kind: str
    at: float
    status: str = ""
    progress: float | None = None
    in_time: bool = False


def _lost(attempt: Attempt) -> _End:
    return _End(LOST, attempt.seen_at or attempt.started_at or attempt.entered_at)


def _end(attempt: Attempt, unit: Unit) -> _End:
    if unit.ended is None or int(unit.ended.get("attempt") or 0) != attempt.number:
        # The host went down with it, or died between two lines of its start.
        begun = unit.started_at or attempt.entered_at
        return _End(LOST, max(begun, unit.touched_at or begun), progress=unit.progress)
    result, status = str(unit.ended.get("result") or ""), str(unit.ended.get("status") or "")
    at = float(unit.ended.get("at") or attempt.entered_at)
    whole = unit.progress is not None and unit.progress >= WHOLE
    words = f"{result}, status {status}"
    if unit.asked and not whole:
        kind = STOPPED if not attempt.stopping else CANCELED if attempt.cancel else PREEMPTED
        return _End(kind, at, words, unit.progress, in_time=result == "success")
    if result == "success":
        return _End(FINISHED, at, words, 1.0)
    if status == TRY_AGAIN_STATUS:
        return _End(STOPPED, at, words, unit.progress, in_time=True)
    return _End(CRASHED, at, words, unit.progress)


def _note_running(record: Record, order: Order | None, unit: Unit, now: float) -> None:
    attempt = record.current
    if attempt is None:
        return
    record.phase = WAITING if attempt.queued else RUNNING
    attempt.seen_at = now
    if unit.progress is not None:
        record.share = _clamped(unit.progress)
    limit = order.stalled_after_seconds if order else 0.0
    alive = max(unit.touched_at or 0.0, unit.started_at or 0.0)
    attempt.stalled = bool(limit and alive and now - alive > limit and not attempt.queued)


def _close(
    state: State, record: Record, order: Order | None, end: _End, changes: Changes, *, now: float, shared: bool
) -> None:
    """The attempt is over: charge it, keep what is safe of it, and say what comes next."""
    attempt = record.current
    if attempt is None:
        return
    begun = attempt.started_at if attempt.started_at is not None else end.at
    seconds = max(0.0, end.at - begun) if end.kind != VOID else 0.0
    hours = seconds / 3600 * len(attempt.accelerators)
    before, work = attempt.share_at_start, order.job.work if order else 0.0
    record.share = _share_after(record, end, hours * attempt.speed, work)
    useful = min(hours, max(0.0, record.share - before) * work / attempt.speed) if work > 0 else hours
    state.charge(record, hours, hours - useful if end.kind != FINISHED else 0.0)
    record.ended = [
        *record.ended,
        {
            "attempt": attempt.number,
            "host": attempt.host,
            "accelerators": list(attempt.accelerators),
            "started_at": attempt.started_at,
            "ended_at": round(end.at, 3),
            "end": end.kind,
            "status": end.status,
            "reason": attempt.stopping,
            "share": round(record.share, 6),
            "accelerator_hours": round(hours, 6),
        },
    ][-KEPT_ATTEMPTS:]
    changes.closed.append({"name": record.name, "host": attempt.host, "attempt": attempt.number})
    record.checkpoint_host = attempt.host if record.share > 0 and not shared else ""
    record.current = None
    _next_phase(record, order, end, attempt, now)
    words = f" ({end.status})" if end.status and end.kind in (CRASHED, STOPPED) else ""
    changes.lines.append(f"{record.name} {_words(end.kind)} on {attempt.host}{words}: {record.reason or record.phase}")


def _share_after(record: Record, end: _End, work_done: float, work: float) -> float:
    """What is safe after an attempt: what the job said; else, where it stopped as asked and in time, what it ran."""
    if end.kind == FINISHED:
        return 1.0
    if end.progress is not None:
        return _clamped(end.progress)
    attempt = record.current
    if end.in_time and attempt is not None and work > 0 and record.share <= attempt.share_at_start:
        return min(max(attempt.share_at_start, MOST_GUESSED_SHARE), attempt.share_at_start + work_done / work)
    return record.share


def _next_phase(record: Record, order: Order | None, end: _End, attempt: Attempt, now: float) -> None:
    record.phase, record.reason = WAITING, ""
    if end.kind == FINISHED:
        record.phase, record.finished_at, record.late = DONE, round(end.at, 3), ""
        return
    if end.kind == CANCELED or attempt.cancel:
        record.phase, record.reason, record.finished_at = CANCELED, "canceled", round(end.at, 3)
        return
    if end.kind == PREEMPTED:
        record.preemptions += 1
        late = "" if end.in_time else "; it did not stop within its grace time and was killed"
        record.reason = f"{attempt.stopping}{late}"
        return
    if end.kind in (CRASHED, LOST):
        _after_failure(record, order, end, now)
        return
    record.reason = "stopped from outside, goes on from its checkpoint" if end.kind == STOPPED else ""


def _after_failure(record: Record, order: Order | None, end: _End, now: float) -> None:
    record.failures += end.kind == CRASHED
    record.losses += end.kind == LOST
    retries = order.retries if order else 0
    count = record.failures if end.kind == CRASHED else record.losses
    if count > retries + (LOSSES_FORGIVEN if end.kind == LOST else 0):
        record.phase, record.finished_at = FAILED, round(end.at, 3)
        what = f"failed {record.failures} times" if end.kind == CRASHED else f"was lost {record.losses} times"
        record.reason = f"{what}, last with {end.status}" if end.status else what
        return
    backoff = order.backoff_seconds if order else 0.0
    wait = min(LONGEST_BACKOFF_SECONDS, backoff * 2 ** (count - 1))
    record.not_before = round(max(end.at, 0.0) + wait, 3) if end.kind == CRASHED else record.not_before
    record.reason = f"retry {count} of {retries} after {wait:.0f} s" if end.kind == CRASHED else "its host was lost"


def _find_strays(state: State, seen: Seen, changes: Changes) -> None:
    """Units that run and are not the attempt on record."""
    for host, units in sorted(seen.items()):
        for name, unit in sorted(units.items()):
            record = state.jobs.get(name)
            current = record.current if record else None
            mine = current is not None and current.host == host and current.number == unit.attempt
            if unit.active and not mine:
                changes.strays.append(unit)


def hosts_not_seen(state: State, seen: Seen) -> Sequence[str]:
    """Hosts with an attempt on record that did not answer."""
    return sorted({one.current.host for one in state.jobs.values() if one.current and one.current.host not in seen})


def _words(kind: str) -> str:
    return {
        FINISHED: "finished",
        PREEMPTED: "stopped to give its accelerators back",
        CRASHED: "failed",
        LOST: "was lost",
        VOID: "was not started",
        STOPPED: "was stopped from outside",
        CANCELED: "was canceled",
    }.get(kind, kind)


def _clamped(share: float) -> float:
    return round(min(1.0, max(0.0, share)), 6)


def _moment(fields: Mapping[str, Any], key: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    number = expect_number(value, what=key, where=f"unit {fields.get('name')}")
    return number if math.isfinite(number) else None
