# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a tired person reads of a turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import Changes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import (
    CANCELED,
    DONE,
    FAILED,
    State,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import Decision


def late_words(fields: Mapping[str, Any], order: Order) -> str:
    """Why and by how much a job will be late, by its entry in the schedule; empty when it will not."""
    status = fields.get("status")
    if status == "on_time":
        return ""
    deadline = format_moment(order.job.deadline) if order.job.deadline != float("inf") else ""
    seconds = fields.get("lateness_seconds")
    if status == "late" and seconds:
        what = f"will be {_duration(float(seconds))} late for {deadline}"
    elif deadline:
        what = f"will not be done by {deadline}, nor by the end of the schedule"
    else:
        what = "will not be done by the end of the schedule"
    reason = str(fields.get("reason") or "")
    return f"{what}: {reason}" if reason else what


def lines_of(
    state: State,
    refused: Mapping[str, str],
    changes: Changes,
    decision: Decision,
    silent: Sequence[str],
    now: float,
) -> list[str]:
    """What happened, what is done, and what a person should know, a line each."""
    lines = [*changes.lines, *decision.lines]
    lines += [f"REFUSED {name}: {why}" for name, why in sorted(refused.items())]
    for name, record in sorted(state.jobs.items()):
        if record.late and not record.over:
            lines.append(f"LATE {name}: {record.late}")
        if record.current and record.current.stalled:
            lines.append(f"STALLED {name} on {record.current.host}: no progress and no output any more")
        if record.current and record.current.host in silent:
            until = format_moment(record.current.lease_until)
            lines.append(f"UNSEEN {name}: {record.current.host} does not answer; it counts as running until {until}")
        if name in decision.waiting and record.current is None:
            lines.append(f"{name} {decision.waiting[name]}")
    return [*lines, *(f"CONFLICT {line}" for line in decision.conflicts)]


def counts(state: State) -> dict[str, int]:
    """Jobs by phase, and how many of those that are not over will be late or show no life."""
    found = {"waiting": 0, "running": 0, DONE: 0, FAILED: 0, CANCELED: 0, "late": 0, "stalled": 0}
    for record in state.jobs.values():
        found["running" if record.current and not record.current.queued else record.phase] += 1
        found["late"] += bool(record.late and not record.over)
        found["stalled"] += bool(record.current and record.current.stalled)
    return found


def summary(state: State, refused: Mapping[str, str]) -> str:
    """One line."""
    numbers = counts(state)
    words = [f"{numbers[key]} {key}" for key in ("running", "waiting", DONE, FAILED, CANCELED) if numbers[key]]
    text = ", ".join(words) or "no jobs"
    text += f"; {numbers['late']} will be late" if numbers["late"] else ""
    text += f"; {numbers['stalled']} stalled" if numbers["stalled"] else ""
    return text + (f"; {len(refused)} refused" if refused else "")


def accounts(state: State) -> list[str]:
    """What each owner used, a line each."""
    lines = []
    for owner, account in sorted(state.owners.items()):
        wasted = account.get("wasted_accelerator_hours", 0.0)
        lost = f", of which {wasted:.3g} came to nothing" if wasted >= 0.001 else ""
        lines.append(f"{owner}: {account.get('accelerator_hours', 0.0):.3g} accelerator-hours{lost}")
    return lines


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
