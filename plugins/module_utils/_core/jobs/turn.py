# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One turn of jobs: what the hosts say goes on record, then what shall be done, in one write each.

Without a schedule a turn only looks, and hands out what is to be scheduled. With one it decides.
Both are one step under a kernel lock beside the record, and asked twice they change nothing more.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.decide import decide
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.figures import jobs_text
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.given import Given
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import (
    Changes,
    Seen,
    hosts_not_seen,
    left_share,
    observe,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order, Owner, refusals
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    WAITING,
    Record,
    State,
    read_state,
    write_state,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import (
    Decision,
    Situation,
    wishes_of,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.words import (
    accounts,
    counts,
    late_words,
    lines_of,
    summary,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import Job
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.pinning import pin_devices

LOCK_WAIT_SECONDS = 60.0
KEPT_SECONDS = 30 * 86_400.0
# A job that runs longer than its work said is still scheduled.
LEAST_SHARE_LEFT = 0.01


@dataclass
class Turn:
    """What came of it.

    ``runs_on``: hosts by job, where somebody else chose them; jobs that are not in it wait. ``stock``: what jobs may
    use, where somebody else knows.
    """

    state: State
    orders: Mapping[str, Order]
    refused: Mapping[str, str]
    changes: Changes
    decision: Decision
    changed: bool
    now: float
    runs_on: Mapping[str, str] | None = None
    stock: Sequence[Host] = ()

    def lines(self, silent: Sequence[str]) -> list[str]:
        return lines_of(self.state, self.refused, self.changes, self.decision, silent, self.now)

    def report(self, seen: Seen, silent: Sequence[str]) -> dict[str, Any]:
        """What it says, whoever carries jobs out. ``silent``: hosts that should have answered."""
        return {
            "changed": self.changed,
            "summary": summary(self.state, self.refused),
            "lines": self.lines(silent),
            "accounts": accounts(self.state),
            "schedulable": to_schedule(self, seen),
            "closed": self.changes.closed,
            "refused": dict(self.refused),
            "counts": counts(self.state),
            "figures": jobs_text(self.state, self.orders, self.now),
        }


def take_turn(path: str, given: Given, *, now: float, dry: bool = False) -> Turn:
    """Look, and with a schedule decide.

    Args:
        path: the record on the state host.
        given: see :class:`Given`.
        now: epoch seconds.
        dry: write nothing.

    Raises:
        ModelOpsError: the record cannot be read or written, or another turn holds it.
    """
    with alone(path, dry=dry):
        state, orders, refused = accepted(path, given, now)
        _number_after(state, given.seen)
        changes = observe(
            state, orders, given.seen, now=now, lease_margin_seconds=given.lease_margin_seconds, shared=given.shared
        )
        decision = Decision()
        if given.schedule is not None:
            decision = _decide(state, orders, changes, given, now)
        forget(state, given.orders, now)
        if not dry:
            keep(path, state)
    changed = bool(changes.lines or decision.lines or decision.starts or decision.stops)
    return Turn(state, orders, refused, changes, decision, changed, now)


def alone(path: str, *, dry: bool) -> AbstractContextManager[None]:
    """One turn at a time, by a kernel lock beside the record; who writes nothing needs none."""
    if dry:
        return nullcontext()
    return exclusive(f"{os.path.splitext(path)[0]}/.lock", doing="deciding on jobs", wait_seconds=LOCK_WAIT_SECONDS)


def keep(path: str, state: State) -> None:
    """Write the record, unless there never was a job."""
    if state.jobs or os.path.exists(path):
        write_state(path, state)


def accepted(path: str, given: Given, now: float) -> tuple[State, dict[str, Order], dict[str, str]]:
    """The record with all jobs that are taken on it, their orders, and the jobs that are refused."""
    state = read_state(path)
    refused = refusals(given.orders, hosts=given.hosts, owners=given.owners, known=state.jobs, now=now)
    orders = {
        name: replace(order, canceled=True) if name in given.cancel else order
        for name, order in given.orders.items()
        if name not in refused
    }
    _accept(state, orders, given.again, now)
    return state, orders, refused


def _accept(state: State, orders: Mapping[str, Order], again: Sequence[str], now: float) -> None:
    for name, order in sorted(orders.items()):
        record = state.jobs.get(name)
        if record is None:
            state.jobs[name] = Record(name=name, owner=order.owner, accepted_at=round(now, 3))
            continue
        record.owner = order.owner
        if name in again and record.over and not order.canceled:
            record.phase, record.share, record.failures, record.losses = WAITING, 0.0, 0, 0
            record.finished_at, record.not_before, record.reason, record.checkpoint_host = None, 0.0, "", ""


def _decide(state: State, orders: Mapping[str, Order], changes: Changes, given: Given, now: float) -> Decision:
    schedule = given.schedule or {}
    name_late(state, orders, schedule)
    situation = Situation(
        orders=orders,
        hosts=given.hosts,
        planned=given.planned,
        running=given.running,
        wishes=wishes_of(schedule),
        strays=changes.strays,
        now=now,
        lease_seconds=given.lease_seconds,
        settle_seconds=given.settle_seconds,
        shared=given.shared,
    )
    return decide(state, situation)


def name_late(state: State, orders: Mapping[str, Order], schedule: Mapping[str, Any]) -> None:
    """Put on record which jobs the schedule does not have done in time."""
    for name, record in state.jobs.items():
        fields = (schedule.get("jobs") or {}).get(name)
        if fields is not None and name in orders:
            record.late = late_words(fields, orders[name])


def _number_after(state: State, seen: Seen) -> None:
    """A job of a name that was forgotten: hosts still know the attempts of its namesake, and take no lower number."""
    for name, record in state.jobs.items():
        if record.attempts or record.current is not None:
            continue
        known = [units[name] for units in seen.values() if name in units]
        if not any(unit.active for unit in known):
            record.attempts = max((max(unit.attempt, unit.closed) for unit in known), default=0)


def forget(state: State, asked: Mapping[str, Order], now: float) -> None:
    """Jobs that are over and asked for no more go after a month; what their owners used stays."""
    for name, record in sorted(state.jobs.items()):
        unwanted = name not in asked and record.current is None
        old = record.over and now - (record.finished_at or now) > KEPT_SECONDS
        if unwanted and (old or (record.phase == WAITING and not record.ended)):
            del state.jobs[name]


def to_schedule(turn: Turn, seen: Seen) -> list[dict[str, Any]]:
    """The jobs for ``job_schedule``: with what is left of them and what they hold.

    Left out are those that are over, cancelled, or may still run on a host that does not answer.
    """
    records = []
    silent = hosts_not_seen(turn.state, seen)
    for name, order in sorted(turn.orders.items()):
        record = turn.state.jobs[name]
        if record.over or order.canceled or (record.current and record.current.host in silent):
            continue
        records.append(_schedulable(order.job, record, order, turn))
    return records


def _schedulable(job: Job, record: Record, order: Order, turn: Turn) -> dict[str, Any]:
    sizes = set(job.sizes)
    powers = sizes != set(range(job.least, job.most + 1))
    left = max(LEAST_SHARE_LEFT, left_share(record, order, turn.now))
    found: dict[str, Any] = {
        "name": job.name,
        "work_accelerator_hours": job.work,
        "remaining_accelerator_hours": min(job.work, job.work * left),
        "accelerators": {"min": job.least, "max": job.most, "powers_of_two": powers},
        "weight": job.weight,
        "preemptible": job.preemptible,
    }
    release = max(job.release, record.not_before)
    # A deadline that has passed, or passes while a retry waits, is that of a job that is late, not a wrong one.
    if math.isfinite(release) and release > 0:
        found["release"] = format_moment(min(release, job.deadline - 1))
    if math.isfinite(job.deadline):
        found["deadline"] = format_moment(job.deadline)
    if job.speeds:
        found["accelerator_types"] = dict(job.speeds)
    held = record.current
    host = None if held is None else held.host if turn.runs_on is None else turn.runs_on.get(record.name)
    if held is not None and host is not None:
        found["state"] = "running"
        found["running_on"] = {
            "accelerator_type": held.accelerator_type,
            "accelerators": len(held.accelerators),
            "host": host,
        }
    return found


def to_carry_out(turn: Turn, given: Given) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By host, what :mod:`host` shall do: ``stop``, ``start`` and ``renew``."""
    work: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def of(host: str) -> dict[str, list[dict[str, Any]]]:
        return work.setdefault(host, {"stop": [], "start": [], "renew": []})

    for host, name, attempt in turn.decision.stops:
        of(host)["stop"].append({"name": name, "attempt": attempt})
    for host, name in turn.decision.renewals:
        current = turn.state.jobs[name].current
        of(host)["renew"].append({"name": name, "until": current.lease_until if current else turn.now})
    stock = {host.name: host for host in given.hosts}
    for host, name in turn.decision.starts:
        of(host)["start"].append(_start(turn, given, stock[host], name))
    return work


def _start(turn: Turn, given: Given, host: Host, name: str) -> dict[str, Any]:
    order, attempt = turn.orders[name], turn.state.jobs[name].current
    accelerators = attempt.accelerators if attempt else []
    pins = pin_devices(
        accelerators,
        accelerator_type=host.accelerator_type,
        vendor=given.vendors.get(host.name, ""),
        uuids=host.accelerator_uuids,
        where=f"host {host.name}",
    )
    owner = given.owners.get(order.owner, Owner())
    return {
        "name": name,
        "attempt": attempt.number if attempt else 0,
        "accelerators": accelerators,
        "lease_until": attempt.lease_until if attempt else turn.now,
        "command": list(order.command),
        "environment": {**order.environment, **pins},
        "environment_file": order.environment_file,
        "user": owner.user,
        "cpu_cores": order.cpu_cores,
        "memory_gib": order.memory_gib,
        "signal": order.signal,
        "grace_seconds": order.grace_seconds,
    }
