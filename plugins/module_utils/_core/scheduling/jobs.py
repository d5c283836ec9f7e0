# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Training and batch jobs (``modelops_jobs``) as parsed input.

A job is malleable: while it runs it uses any allowed number of accelerators of one type,
and a number may change from period to period when it is preemptible. Its work is counted
in accelerator-hours at speed 1; an accelerator of relative speed s does s of them an hour.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

KNOWN = (
    "name",
    "work_accelerator_hours",
    "remaining_accelerator_hours",
    "accelerators",
    "release",
    "deadline",
    "weight",
    "preemptible",
    "accelerator_types",
    "state",
    "running_on",
    "command",
    "resources",
    "owner",
    "environment",
    "environment_file",
    "checkpoint",
    "retries",
    "backoff_seconds",
    "stalled_after_seconds",
    "canceled",
)
STATES = ("waiting", "running")


@dataclass(frozen=True)
class RunningOn:
    """What a job holds now. ``host`` is empty where it is not known."""

    accelerator_type: str
    accelerators: int
    host: str = ""


@dataclass(frozen=True)
class Job:
    """One job. Moments are epoch seconds; without a deadline it is infinite.

    ``work`` is what is still to do, in accelerator-hours at speed 1. ``sizes`` are the
    numbers of accelerators it may run on, ascending. ``speeds`` maps accelerator type to
    relative speed; empty means every type, at speed 1.
    """

    name: str
    work: float
    sizes: tuple[int, ...]
    release: float = -math.inf
    deadline: float = math.inf
    weight: float = 1.0
    preemptible: bool = True
    speeds: Mapping[str, float] = field(default_factory=dict)
    running: RunningOn | None = None

    @property
    def least(self) -> int:
        return self.sizes[0]

    @property
    def most(self) -> int:
        return self.sizes[-1]

    def speed(self, accelerator_type: str) -> float:
        """Relative speed on a type; 0 where it cannot run."""
        return self.speeds.get(accelerator_type, 0.0) if self.speeds else 1.0


def parse_jobs(records: Any) -> list[Job]:
    """Jobs sorted by name.

    Args:
        records: a list of mappings with a ``name`` each, or a mapping of name to fields.

    Raises:
        InputError: a name missing or twice, a value out of range, min above max, a deadline
            that is not after the release.
    """
    if isinstance(records, Mapping):
        records = [
            {**expect_mapping(fields, what="job", where=f"job {name}"), "name": name}
            for name, fields in records.items()
        ]
    if isinstance(records, (str, bytes)) or not isinstance(records, Iterable):
        raise InputError("jobs must be a list of jobs", remedy="Give a list of mappings with a name each")
    jobs = sorted((_parse_job(record, row) for row, record in enumerate(records)), key=lambda job: job.name)
    for first, second in zip(jobs, jobs[1:]):
        if first.name == second.name:
            raise InputError("the job is listed twice", where=f"job {first.name}", remedy="Give each job its own name")
    return jobs


def check_types(jobs: Iterable[Job], known: Collection[str]) -> None:
    """Refuse accelerator types that the capacity does not know, which are mostly slips of the pen."""
    for job in jobs:
        named = set(job.speeds) | ({job.running.accelerator_type} if job.running else set())
        for name in sorted(named - set(known)):
            raise InputError(
                f"the accelerator type {name!r} is not in the capacity, which has {', '.join(sorted(known)) or 'none'}",
                where=f"job {job.name}",
                remedy="Correct the type, or list it in the capacity with 0 accelerators",
            )


def _parse_job(record: Any, row: int) -> Job:
    fields = expect_mapping(record, what="job", where=f"jobs[{row}]")
    name = str(fields.get("name") or "")
    if not name:
        raise InputError("a job has no name", where=f"jobs[{row}]")
    where = f"job {name}"
    unknown = sorted(str(key) for key in fields if key not in KNOWN)
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}", where=where, remedy=f"Known fields are {', '.join(KNOWN)}")
    if fields.get("work_accelerator_hours") is None:
        raise InputError("it has no work_accelerator_hours", where=where, remedy="Say how much work it is")
    work = expect_number(fields["work_accelerator_hours"], what="work_accelerator_hours", where=where, minimum=0)
    if fields.get("remaining_accelerator_hours") is not None:
        remaining = fields["remaining_accelerator_hours"]
        work = expect_number(remaining, what="remaining_accelerator_hours", where=where, minimum=0, maximum=work)
    weight = fields.get("weight")
    release, deadline = (
        _moment(fields.get(key), key, where, default)
        for key, default in (("release", -math.inf), ("deadline", math.inf))
    )
    if deadline <= release:
        raise InputError(
            f"the deadline {fields['deadline']} is not after the release {fields['release']}",
            where=where,
            remedy="Correct one of the two",
        )
    return Job(
        name=name,
        work=work,
        sizes=_sizes(fields.get("accelerators"), where),
        release=release,
        deadline=deadline,
        weight=1.0 if weight is None else expect_number(weight, what="weight", where=where, minimum=0, maximum=1e6),
        preemptible=_truth(fields.get("preemptible", True), where),
        speeds=_speeds(fields.get("accelerator_types"), where),
        running=_running(fields, where),
    )


def _moment(value: Any, key: str, where: str, default: float) -> float:
    return default if value is None else float(round(parse_moment(value, what=key, where=where)))


def _sizes(value: Any, where: str) -> tuple[int, ...]:
    """The allowed numbers of accelerators: of a number, exactly that many; of a mapping, from min to max."""
    if not isinstance(value, Mapping):
        return (_count(1 if value is None else value, "accelerators", where),)
    unknown = sorted(str(key) for key in value if key not in ("min", "max", "powers_of_two"))
    if unknown:
        raise InputError(
            f"unknown field accelerators.{unknown[0]}", where=where, remedy="Known are min, max and powers_of_two"
        )
    least = _count(value.get("min", 1), "accelerators.min", where)
    most = _count(value.get("max", least), "accelerators.max", where)
    if least > most:
        raise InputError(
            f"accelerators.min ({least}) is above accelerators.max ({most})",
            where=where,
            remedy="Lower one or raise the other",
        )
    sizes = range(least, most + 1)
    if not _truth(value.get("powers_of_two", False), where, key="accelerators.powers_of_two"):
        return tuple(sizes)
    powers = tuple(size for size in sizes if size & (size - 1) == 0)
    if not powers:
        raise InputError(f"there is no power of two from {least} to {most} accelerators", where=where)
    return powers


def _speeds(value: Any, where: str) -> dict[str, float]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        speeds = {
            str(name): expect_number(speed, what=f"speed on {name}", where=where, minimum=1e-6, maximum=1e6)
            for name, speed in value.items()
        }
    elif isinstance(value, (list, tuple)):
        speeds = {str(name): 1.0 for name in value}
    else:
        speeds = {str(value): 1.0}
    if not speeds:
        raise InputError(
            "accelerator_types is empty", where=where, remedy="Name the types it can run on, or leave the field out"
        )
    return dict(sorted(speeds.items()))


def _running(fields: Mapping[str, Any], where: str) -> RunningOn | None:
    state, held = fields.get("state") or "waiting", fields.get("running_on")
    if state not in STATES:
        raise InputError(f"state must be one of {', '.join(STATES)}, not {state!r}", where=where)
    if state == "waiting":
        return None
    if held is None:
        raise InputError(
            "it runs, but running_on is not given",
            where=where,
            remedy="Say what it holds, for example running_on: {accelerator_type: h100-80gb, accelerators: 4}",
        )
    held = expect_mapping(held, what="running_on", where=where)
    if not held.get("accelerator_type"):
        raise InputError("running_on has no accelerator_type", where=where)
    return RunningOn(
        accelerator_type=str(held["accelerator_type"]),
        accelerators=_count(held.get("accelerators"), "running_on.accelerators", where),
        host=str(held.get("host") or ""),
    )


def _count(value: Any, what: str, where: str) -> int:
    number = expect_number(value, what=what, where=where, minimum=1, maximum=100_000)
    if number != int(number):
        raise InputError(f"{what} must be a whole number, not {number:g}", where=where)
    return int(number)


def _truth(value: Any, where: str, key: str = "preemptible") -> bool:
    """A truth value; words are taken, since Jinja may make them."""
    words = {"true": True, "yes": True, "false": False, "no": False}
    if str(value).lower() not in words:
        raise InputError(f"{key} must be true or false, not {value!r}", where=where)
    return words[str(value).lower()]
