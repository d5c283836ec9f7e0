# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Slurm's queue: which jobs in it are ours, and which of them may still run.

A job is over only when Slurm says that it is: in a state that ends it, and not still completing, since its
processes may live until then. A state that is not known here counts as running. (Slurm itself lets the next
job of a ``singleton`` begin while the one before it is completing.)

A job is known by the number that sbatch gave it and its name. Where a run died before that number was on
record, it is known by its name and its comment, which says the attempt.

Source: squeue(1) of Slurm 22.05 and 23.11, "JOB STATE CODES". Newer releases give a state and its flags as a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import NAME
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt, Record

COMMAND = ("squeue", "--json", "--states=all")
REMEDY = "Look at it with 'scontrol ping' on the host that submits; jobs that run go on"
PREFIX = "modelops-"
ACCELERATORS = re.compile(r"gres[/:]gpu(?::[A-Za-z][^:=,]*)?[:=]([0-9]+)")
OURS = re.compile(r"modelops ([0-9]{1,9})")
PENDING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_FED"})
# Ended without its own doing.
TAKEN_AWAY = frozenset({"CANCELLED", "PREEMPTED", "DEADLINE", "REVOKED"})
NODE_LOST = frozenset({"NODE_FAIL", "BOOT_FAIL"})
ENDED = TAKEN_AWAY | NODE_LOST | {"COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY"}
# Flags of a state that say nothing about whether processes of the job live.
QUIET_FLAGS = frozenset({"LAUNCH_FAILED", "RECONFIG_FAIL", "UPDATE_DB", "REVOKED"})


@dataclass(frozen=True)
class QueuedJob:
    """One of ours in Slurm's queue, or just gone from it. Moments are epoch seconds.

    ``attempt`` is 0 where its comment does not say it, ``accelerators`` where Slurm does not. ``active``: it
    waits, runs, or has processes left. ``nice``: by how much it stands back in the queue.
    """

    id: int
    name: str
    attempt: int
    state: str
    active: bool
    pending: bool
    exit_status: int
    nodes: str
    begins_at: float
    started_at: float | None
    ended_at: float
    accelerators: int = 0
    nice: int = 0


@dataclass(frozen=True)
class Queue:
    """All of ours, by number."""

    jobs: tuple[QueuedJob, ...] = ()

    def of(self, name: str, attempt: Attempt) -> QueuedJob | None:
        """The job of an attempt; of several, which only a lost answer of sbatch can leave, one that is active."""
        if attempt.slurm_job is not None:
            own = [one for one in self.jobs if (one.id, one.name) == (attempt.slurm_job, name)]
        else:
            own = [one for one in self.jobs if (one.name, one.attempt) == (name, attempt.number)]
        return max(own, key=lambda one: (one.active, not one.pending, -one.id), default=None)

    def of_record(self, record: Record) -> QueuedJob | None:
        """The job of its current attempt."""
        return self.of(record.name, record.current) if record.current else None

    def others(self, name: str, attempt: Attempt | None) -> list[QueuedJob]:
        """Those of a name that wait, run or have processes left, beside the one of the attempt."""
        own = self.of(name, attempt) if attempt else None
        return [one for one in self.jobs if one.name == name and one.active and one.attempt and one != own]


def parse_queue(text: str) -> Queue:
    """Ours, from ``squeue --json --states=all``.

    Raises:
        SourceUnavailableError: not what squeue writes.
    """
    try:
        # What a library prints before it is no part of it.
        document = json.loads(text[text.index("{") :])
        if document.get("errors"):
            # With the controller down squeue says so, an empty queue, and exit code 0.
            said = "; ".join(str(one.get("description") or one.get("error")) for one in document["errors"])
            raise SourceUnavailableError(f"squeue failed: {said}", where="Slurm", remedy=REMEDY)
        found = []
        for record in sorted(document["jobs"], key=lambda one: int(one["job_id"])):
            name = str(record.get("name") or "")
            if name.startswith(PREFIX) and NAME.fullmatch(name[len(PREFIX) :]):
                found.append(_queued(record, name[len(PREFIX) :]))
        return Queue(tuple(found))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise SourceUnavailableError(
            f"squeue --json says something that is not understood ({error})",
            where="Slurm",
            remedy="Slurm 22.05 or newer with its JSON plugins is needed",
        ) from error


def _queued(record: Mapping[str, Any], name: str) -> QueuedJob:
    given = record["job_state"]
    states = [str(one) for one in given] if isinstance(given, list) else [str(given)]
    begun = _number(record.get("start_time"))
    active = states[0] not in ENDED or bool(set(states[1:]) - ENDED - QUIET_FLAGS)
    pending = active and bool(set(states) & PENDING)
    said = OURS.fullmatch(str(record.get("comment") or ""))
    asked = ACCELERATORS.search(str(record.get("tres_req_str") or record.get("tres_per_node") or ""))
    return QueuedJob(
        id=int(record["job_id"]),
        name=name,
        attempt=int(said.group(1)) if said else 0,
        state=states[0],
        active=active,
        pending=pending,
        exit_status=_status(record.get("exit_code") or 0),
        nodes=str(record.get("nodes") or ""),
        begins_at=_number(record.get("eligible_time")) or 0.0,
        started_at=begun if not pending and begun else None,
        ended_at=_number(record.get("end_time")) or 0.0,
        accelerators=int(asked.group(1)) if asked else 0,
        nice=int(_number(record.get("nice")) or 0),
    )


def _number(value: Any) -> float | None:
    """Newer releases say ``{set, infinite, number}``."""
    if isinstance(value, Mapping):
        value = value.get("number") if value.get("set") else None
    return float(value) if value else None


def _status(value: Any) -> int:
    if isinstance(value, Mapping):
        code = value.get("return_code") or 0
        return int((_number(code) or 0) if isinstance(code, Mapping) else code)
    # A wait status: the exit code stands in the upper byte, a signal in the lower.
    return (int(value) >> 8) or (int(value) & 0x7F)
