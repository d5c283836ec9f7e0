# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Jobs as Slurm knows them: what to ask ``sbatch`` for, and what ``squeue`` says.

Slurm starts them, on nodes of its own choice. What this project adds: when each may begin and on how
many accelerators, by the schedule; a reservation that keeps nodes serve with away from jobs; a signal
for a checkpoint; and going on with what is left. A job's name in Slurm is made of its own, and
``--dependency=singleton`` lets only one of a name run, so that none runs twice at once.

Source: sbatch(1), squeue(1), scontrol(1) of Slurm 22.05; states from squeue(1), "JOB STATE CODES".
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import Unit
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import NAME, Order, told_to_job
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt, State

REMEDY = "Look at it with 'scontrol ping' on the host that submits; jobs that run go on"
PREFIX = "modelops-"
OURS = re.compile(r"modelops ([0-9]{1,9})")
# Where an attempt is, in the record: Slurm moves it between nodes as it likes.
HOST = "slurm"
RESERVATION = "modelops_serving"
OUTPUT = "output.log"
# How much later than it may begin a job may start before Slurm would remove it for its deadline.
DEADLINE_MARGIN_SECONDS = 900
PENDING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_FED"})
ACTIVE = PENDING | {
    "RUNNING",
    "CONFIGURING",
    "COMPLETING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
    "SIGNALING",
    "RESIZING",
}
# Ended without its own doing.
TAKEN_AWAY = frozenset({"CANCELLED", "PREEMPTED", "DEADLINE", "REVOKED"})
NODE_LOST = frozenset({"NODE_FAIL", "BOOT_FAIL"})
SHELL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class QueuedJob:
    """One of ours in Slurm's queue, or just gone from it. Moments are epoch seconds."""

    id: int
    name: str
    attempt: int
    state: str
    exit_status: int
    nodes: str
    begins_at: float
    started_at: float | None
    ended_at: float

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def pending(self) -> bool:
        return self.state in PENDING


def parse_queue(text: str) -> dict[str, QueuedJob]:
    """The last of ours by name, from ``squeue --json --states=all``.

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
        records = document["jobs"]
        found: dict[str, QueuedJob] = {}
        for record in sorted(records, key=lambda one: int(one["job_id"])):
            name = str(record.get("name") or "")
            ours = OURS.fullmatch(str(record.get("comment") or ""))
            if ours and name.startswith(PREFIX) and NAME.fullmatch(name[len(PREFIX) :]):
                job = _queued(record, name[len(PREFIX) :], int(ours.group(1)))
                found[job.name] = job
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceUnavailableError(
            f"squeue --json says something that is not understood ({error})",
            where="Slurm",
            remedy="Slurm 22.05 or newer with its JSON plugins is needed",
        ) from error


def _queued(record: Mapping[str, Any], name: str, attempt: int) -> QueuedJob:
    state = record["job_state"]
    status = record.get("exit_code") or 0
    begun = _seconds(record.get("start_time"))
    first = str(state[0] if isinstance(state, list) else state)
    return QueuedJob(
        id=int(record["job_id"]),
        name=name,
        attempt=attempt,
        state=first,
        exit_status=_status(status),
        nodes=str(record.get("nodes") or ""),
        begins_at=_seconds(record.get("eligible_time")) or 0.0,
        started_at=begun if first not in PENDING and begun else None,
        ended_at=_seconds(record.get("end_time")) or 0.0,
    )


def _seconds(value: Any) -> float | None:
    """Newer releases say ``{set, infinite, number}``."""
    if isinstance(value, Mapping):
        value = value.get("number") if value.get("set") else None
    return float(value) if value else None


def _status(value: Any) -> int:
    if isinstance(value, Mapping):
        code = value.get("return_code") or 0
        return int((_seconds(code) or 0) if isinstance(code, Mapping) else code)
    # A wait status: the exit code stands in the upper byte, a signal in the lower.
    return (int(value) >> 8) or (int(value) & 0x7F)


def units_of(
    state: State,
    queue: Mapping[str, QueuedJob],
    progress: Mapping[str, float | None],
    touched: Mapping[str, float | None],
) -> dict[str, Unit]:
    """What Slurm says as units of one host, so that record and accounts are kept as for any other.

    Args:
        progress: by job the share that it says is done and safe.
        touched: by job when it last wrote output or progress.
    """
    found = {}
    for name, record in state.jobs.items():
        attempt, job = record.current, queue.get(name)
        if attempt is None:
            continue
        if job is not None and job.attempt >= attempt.number:
            found[name] = _unit(job, attempt, progress.get(name), touched.get(name))
        elif attempt.seen_at is not None:  # it was there, and Slurm has forgotten how it ended
            found[name] = Unit(HOST, name, attempt.number, active=False, progress=progress.get(name))
    return found


def _unit(job: QueuedJob, attempt: Attempt, progress: float | None, touched_at: float | None) -> Unit:
    asked = bool(attempt.stopping) or job.state in TAKEN_AWAY
    in_time = job.state == "COMPLETED"
    ended = {
        "attempt": job.attempt,
        "result": "success" if in_time else job.state.lower(),
        "status": str(job.exit_status),
        "at": job.ended_at or job.started_at or attempt.entered_at,
    }
    return Unit(
        host=HOST,
        name=job.name,
        attempt=job.attempt,
        active=job.active,
        started_at=job.started_at,
        ended=None if job.active or job.state in NODE_LOST else ended,
        asked=asked,
        progress=progress,
        touched_at=touched_at,
    )


def submission(
    order: Order, attempt: Attempt, *, user: str, account: str, work: str, begins_at: float, hours: float, now: float
) -> tuple[list[str], str]:
    """``sbatch`` as the owner's user, and the script it reads.

    Args:
        begins_at: epoch seconds before which it shall not start.
        hours: how long it may run at most.
        now: epoch seconds. Slurm removes a job whose whole time limit does not fit before its deadline any more,
            though it will need less: one that is that near is submitted without.
    """
    job, count = order.job, len(attempt.accelerators)
    minutes = max(1, math.ceil(hours * 60))
    words = [
        *(["runuser", "-u", user, "--"] if user else []),
        "sbatch", "--parsable", "--dependency=singleton", "--no-requeue", "--open-mode=append", "--export=PATH",
        f"--job-name={PREFIX}{job.name}",
        f"--comment=modelops {attempt.number}",
        f"--chdir={work}",
        f"--output={work}/{OUTPUT}",
        f"--gres=gpu:{count}",
        "--nodes=1",
        f"--time={minutes}",
        f"--signal=B:{order.signal[3:]}@{max(1, round(order.grace_seconds))}",
    ]  # fmt: skip
    words += [f"--begin={local_moment(begins_at)}"] if begins_at > 0 else []
    room = job.deadline - max(begins_at, now) - minutes * 60
    words += [f"--deadline={local_moment(job.deadline)}"] if DEADLINE_MARGIN_SECONDS <= room < math.inf else []
    words += [f"--account={account}"] if account else []
    words += [f"--cpus-per-task={max(1, math.ceil(order.cpu_cores))}"] if order.cpu_cores else []
    words += [f"--mem={math.ceil(order.memory_gib * 1024)}M"] if order.memory_gib else []
    return words, _script(order, attempt, work)


def _script(order: Order, attempt: Attempt, work: str) -> str:
    told = told_to_job(order.name, attempt.number, len(attempt.accelerators), work)
    variables = {**order.environment, **told}
    lines = ["#!/bin/sh", f"export PATH={SHELL_PATH}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    if order.environment_file:
        lines += ["set -a", f". {shlex.quote(order.environment_file)}", "set +a"]
    # exec: the signal reaches the job itself.
    return "\n".join([*lines, "exec " + " ".join(shlex.quote(word) for word in order.command)]) + "\n"


def local_moment(moment: float) -> str:
    """Slurm reads moments in the time zone of whoever asks; the module asks in UTC."""
    return datetime.fromtimestamp(math.ceil(moment), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def reservation_commands(nodes: Sequence[str], reserved: Sequence[str]) -> list[list[str]]:
    """What makes the reservation hold exactly ``nodes``; nothing where it does."""
    wanted, held = sorted(nodes), sorted(reserved)
    if wanted == held:
        return []
    if not wanted:
        return [["scontrol", "delete", f"ReservationName={RESERVATION}"]]
    if held:
        return [["scontrol", "update", f"ReservationName={RESERVATION}", f"Nodes={','.join(wanted)}"]]
    return [
        ["scontrol", "create", f"ReservationName={RESERVATION}", f"Nodes={','.join(wanted)}", "StartTime=now",
         "Duration=UNLIMITED", "Users=root", "Flags=IGNORE_JOBS"]
    ]  # fmt: skip
