# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Jobs as Slurm knows them: what to ask ``sbatch`` for, and what ``squeue`` says.

Slurm starts them, on nodes of its own choice. What this project adds: their order, on how many accelerators
of which type each runs, and which give way; a reservation that keeps nodes serve with away from jobs; a signal
for a checkpoint; and going on with what is left. A job's name in Slurm is made of its own, and
``--dependency=singleton`` lets only one of a name run, so that none runs twice at once.

Source: sbatch(1), squeue(1), scontrol(1) of Slurm 22.05; states from squeue(1), "JOB STATE CODES".
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.observe import WHOLE, Unit
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order, told_to_job
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt, State
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm_queue import (
    NODE_LOST,
    PREFIX,
    TAKEN_AWAY,
    Queue,
    QueuedJob,
)

# Where an attempt is, in the record: Slurm moves it between nodes as it likes.
HOST = "slurm"
RESERVATION = "modelops_serving"
OUTPUT = "output.log"
# How much later than it may begin a job may start before Slurm would remove it for its deadline.
DEADLINE_MARGIN_SECONDS = 900
# What sbatch says where the controller may have taken the job all the same.
UNANSWERED = re.compile(
    r"timed out|did not end within|unable to contact|zero bytes|connection|interrupted", re.IGNORECASE
)
# How often an attempt looks whether a later one has begun.
FENCE_SECONDS = 5.0
ATTEMPT_FILE = ".modelops-attempt"
SHELL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def units_of(
    state: State, queue: Queue, progress: Mapping[str, float | None], touched: Mapping[str, float | None]
) -> dict[str, Unit]:
    """What Slurm says as units of one host, so that record and accounts are kept as for any other.

    Args:
        progress: by job the share that it says is done and safe.
        touched: by job when it last wrote output or progress.
    """
    found = {}
    for name, record in state.jobs.items():
        attempt = record.current
        if attempt is None:
            continue
        job = queue.of(name, attempt)
        if job is not None:
            found[name] = _unit(job, attempt, progress.get(name), touched.get(name))
        elif attempt.seen_at is not None or attempt.slurm_job is not None:
            found[name] = _forgotten(name, attempt, progress.get(name), touched.get(name))
    return found


def _unit(job: QueuedJob, attempt: Attempt, progress: float | None, touched_at: float | None) -> Unit:
    asked = bool(attempt.stopping) or job.state in TAKEN_AWAY
    in_time = job.state == "COMPLETED"
    ended = {
        "attempt": attempt.number,
        "result": "success" if in_time else job.state.lower(),
        "status": str(job.exit_status),
        "at": job.ended_at or job.started_at or attempt.entered_at,
    }
    return Unit(
        host=HOST,
        name=job.name,
        attempt=attempt.number,
        active=job.active,
        started_at=job.started_at,
        ended=None if job.active or job.state in NODE_LOST else ended,
        asked=asked,
        progress=progress,
        touched_at=touched_at,
    )


def _forgotten(name: str, attempt: Attempt, progress: float | None, touched_at: float | None) -> Unit:
    """It was there, and Slurm knows no more how it ended: well where it said that all is done, else it is lost."""
    whole = progress is not None and progress >= WHOLE
    at = touched_at or attempt.seen_at or attempt.entered_at
    ended = {"attempt": attempt.number, "result": "success", "status": "0", "at": at}
    return Unit(HOST, name, attempt.number, active=False, ended=ended if whole else None, progress=progress)


def submission(
    order: Order,
    attempt: Attempt,
    *,
    user: str,
    account: str,
    work: str,
    begins_at: float,
    hours: float,
    now: float,
    nice: int = 0,
    not_on: Sequence[str] = (),
    after_loss: bool = False,
) -> tuple[list[str], str]:
    """``sbatch`` as the owner's user, and the script it reads.

    Args:
        begins_at: epoch seconds before which it shall not start.
        hours: how long it may run at most.
        now: epoch seconds. Slurm removes a job whose whole time limit does not fit before its deadline any more,
            though it will need less: one that is that near is submitted without.
        nice: by how much it stands back in the queue.
        not_on: nodes that it shall not start on.
        after_loss: the attempt before was lost with its node, where it may still run.
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
        f"--nice={nice}",
        f"--time={minutes}",
        f"--signal=B:{order.signal[3:]}@{max(1, round(order.grace_seconds))}",
    ]  # fmt: skip
    words += [f"--begin={local_moment(begins_at)}"] if begins_at > 0 else []
    room = job.deadline - max(begins_at, now) - minutes * 60
    words += [f"--deadline={local_moment(job.deadline)}"] if DEADLINE_MARGIN_SECONDS <= room < math.inf else []
    words += [f"--exclude={','.join(not_on)}"] if not_on else []
    words += [f"--account={account}"] if account else []
    words += [f"--cpus-per-task={max(1, math.ceil(order.cpu_cores))}"] if order.cpu_cores else []
    words += [f"--mem={math.ceil(order.memory_gib * 1024)}M"] if order.memory_gib else []
    return words, _script(order, attempt, work, after_loss)


def _script(order: Order, attempt: Attempt, work: str, after_loss: bool) -> str:
    told = told_to_job(order.name, attempt.number, len(attempt.accelerators), work)
    variables = {**order.environment, **told}
    lines = ["#!/bin/sh", f"export PATH={SHELL_PATH}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    if order.environment_file:
        lines += ["set -a", f". {shlex.quote(order.environment_file)}", "set +a"]
    lines += _fence(attempt.number, f"{work}/{ATTEMPT_FILE}", after_loss)
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


def _fence(number: int, path: str, after_loss: bool) -> list[str]:
    """End an attempt when a later one has begun, without a checkpoint, which is the later one's by now.

    Slurm gives up a job whose node does not answer, though it may go on there; they share the storage.
    The watcher is nobody's child, so that a job that waits for all its children does not wait for it.
    """
    mine, part = shlex.quote(path), shlex.quote(f"{path}.{number}")
    end = "kill -s KILL -- -$$ 2>/dev/null || kill -s KILL $$"
    watch = f'seen=$(cat {mine} 2>/dev/null); test "${{seen:-0}}" -le {number} || {{ {end}; }}'
    lines = [f"echo {number} > {part} && mv {part} {mine}"]
    lines += [f"sleep {2 * FENCE_SECONDS:g}"] if after_loss else []
    loop = f"while sleep {FENCE_SECONDS:g} && kill -0 $$ 2>/dev/null; do {watch}; done"
    return [*lines, f"( ( {loop} ) </dev/null >/dev/null 2>&1 & )"]


def number_of(said: str) -> int | None:
    """The number that ``sbatch --parsable`` gave a job, beside whatever else was printed."""
    found = re.findall(r"^([0-9]+)(?:;.*)?$", said, flags=re.MULTILINE)
    return int(found[-1]) if found else None
