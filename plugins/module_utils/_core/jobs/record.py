# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What became of each job: the record behind ``jobs.json`` on the state host.

An attempt is entered before anything of it is started, and leaves only when its end was seen or
its lease ran out; what it used is added to its owner in the same write. So a run that dies at any
line leaves a record from which the next one goes on, and no hour is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    read_document,
    write_document,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SCHEMA_VERSION = 1
KIND = "jobs"
KEPT_ATTEMPTS = 20
WAITING, RUNNING, DONE, FAILED, CANCELED = "waiting", "running", "done", "failed", "canceled"
PHASES = (WAITING, RUNNING, DONE, FAILED, CANCELED)
OVER = frozenset({DONE, FAILED, CANCELED})
# How an attempt ended.
FINISHED, PREEMPTED, CRASHED, LOST, VOID, STOPPED = "finished", "preempted", "failed", "lost", "void", "stopped"


@dataclass
class Attempt:
    """One start of a job on one host. Moments are epoch seconds.

    ``lease_until``: from then on the host itself has stopped it, whatever became of the controller.
    ``stopping`` says why it was asked to stop, empty while it shall run; ``cancel`` whether that is
    a cancellation. ``slurm_job`` is the number that Slurm gave it, where Slurm runs it.
    """

    number: int
    host: str
    accelerators: list[int]
    accelerator_type: str
    entered_at: float
    lease_until: float
    speed: float = 1.0
    started_at: float | None = None
    seen_at: float | None = None
    share_at_start: float = 0.0
    stopping: str = ""
    cancel: bool = False
    stalled: bool = False
    slurm_job: int | None = None

    @property
    def queued(self) -> bool:
        """It waits in Slurm's queue."""
        return self.slurm_job is not None and self.started_at is None


@dataclass
class Record:
    """One job. ``share`` of its work is done and safe; ``checkpoint_host`` is where, if only there."""

    name: str
    owner: str
    phase: str = WAITING
    share: float = 0.0
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    preemptions: int = 0
    not_before: float = 0.0
    accepted_at: float = 0.0
    finished_at: float | None = None
    accelerator_hours: float = 0.0
    checkpoint_host: str = ""
    reason: str = ""
    late: str = ""
    current: Attempt | None = None
    ended: list[dict[str, Any]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.phase in OVER

    def enter(
        self, host: str, accelerators: list[int], accelerator_type: str, *, speed: float, now: float, lease_until: float
    ) -> Attempt:
        """Its next attempt, on record before anything of it is started."""
        self.attempts += 1
        self.current = Attempt(
            number=self.attempts,
            host=host,
            accelerators=accelerators,
            accelerator_type=accelerator_type,
            entered_at=round(now, 3),
            lease_until=round(lease_until, 3),
            speed=speed,
            share_at_start=self.share,
        )
        return self.current


@dataclass
class State:
    """All jobs, and what each owner used: ``accelerator_hours`` and, of these, ``wasted_accelerator_hours``."""

    jobs: dict[str, Record] = field(default_factory=dict)
    owners: dict[str, dict[str, float]] = field(default_factory=dict)

    def charge(self, record: Record, hours: float, wasted: float) -> None:
        account = self.owners.setdefault(record.owner, {"accelerator_hours": 0.0, "wasted_accelerator_hours": 0.0})
        account["accelerator_hours"] = round(account["accelerator_hours"] + hours, 6)
        account["wasted_accelerator_hours"] = round(account["wasted_accelerator_hours"] + wasted, 6)
        record.accelerator_hours = round(record.accelerator_hours + hours, 6)

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "jobs": {name: asdict(record) for name, record in sorted(self.jobs.items())},
            "owners": {name: dict(account) for name, account in sorted(self.owners.items())},
        }


def read_state(path: str) -> State:
    """The record; an empty one where there is no file yet.

    Raises:
        InputError: unreadable or not ours. Nothing is started on half a record.
    """
    try:
        document = read_document(path, what="record of jobs")
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return State()
        raise
    return state_of(document, where=path)


def state_of(document: Any, *, where: str) -> State:
    """The record that a document is.

    Raises:
        InputError: not ours, or damaged.
    """
    document = expect_mapping(document, what="record of jobs", where=where)
    if document.get("kind") != KIND or document.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"this is no record of jobs of schema {SCHEMA_VERSION}",
            where=where,
            remedy="Put it back from a backup; or stop all modelops-job units by hand, then move it away",
        )
    try:
        jobs = {str(name): _record(given) for name, given in document["jobs"].items()}
        return State(jobs=jobs, owners={str(name): dict(account) for name, account in document["owners"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the record of jobs is damaged ({error})", where=where) from error


def write_state(path: str, state: State) -> bool:
    """Replace the record in one step. Returns whether it says something else than before."""
    return write_document(path, state.document())


def _record(given: Mapping[str, Any]) -> Record:
    known = {one.name for one in fields(Record)}
    values = {key: value for key, value in given.items() if key in known}
    if values.get("phase") not in PHASES:
        raise ValueError(f"phase {values.get('phase')!r}")
    if values.get("current") is not None:
        own = {one.name for one in fields(Attempt)}
        values["current"] = Attempt(**{key: value for key, value in values["current"].items() if key in own})
    return Record(**values)
