# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is asked for: the jobs of the catalogue with what is needed to run them, and which are refused.

Scheduling knows a job's work, accelerators and deadline (:mod:`scheduling.jobs`); here are
command, owner, checkpoint and retries. A job that cannot be as it is asked for is refused by
name, and the others go on: a slip in one must not keep serving from getting its accelerators.
"""

from __future__ import annotations

import math
import re
import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.jobs import Job, parse_jobs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.quoting import check_environment

# The name becomes part of a unit's name and of paths; a colon parts it from other things there.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
DEFAULT_OWNER = "nobody in particular"
SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT")


@dataclass(frozen=True)
class Order:
    """One job as it shall run.

    ``command`` are words, never a shell's line. ``signal`` is sent to its main process when its
    accelerators are wanted back; after ``grace_seconds`` what still runs is killed.
    """

    job: Job
    owner: str = DEFAULT_OWNER
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_file: str = ""
    cpu_cores: float = 0.0
    memory_gib: float = 0.0
    signal: str = "SIGTERM"
    grace_seconds: float = 60.0
    retries: int = 2
    backoff_seconds: float = 60.0
    stalled_after_seconds: float = 3600.0
    canceled: bool = False

    @property
    def name(self) -> str:
        return self.job.name


@dataclass(frozen=True)
class Owner:
    """Who jobs belong to: the account they run as on the hosts, and the one Slurm charges."""

    user: str = ""
    account: str = ""


def parse_orders(records: Any) -> dict[str, Order]:
    """The jobs by name, from ``modelops_jobs``.

    Raises:
        InputError: see :func:`scheduling.jobs.parse_jobs`; a name, command, signal or number that cannot be.
    """
    if isinstance(records, Mapping):
        records = [
            {**expect_mapping(fields, what="job", where=f"job {name}"), "name": name}
            for name, fields in records.items()
        ]
    jobs = parse_jobs(records)
    by_name = {str(record["name"]): record for record in records}
    return {job.name: _order(job, by_name[job.name]) for job in jobs}


def parse_owners(value: Any) -> dict[str, Owner]:
    """Owners by name from ``modelops_job_owners``; empty where anybody may own jobs.

    Raises:
        InputError: not a mapping, or a user that cannot be the name of one.
    """
    owners = {}
    for name, given in sorted(expect_mapping(value or {}, what="modelops_job_owners").items()):
        where = f"owner {name}"
        fields = expect_mapping(given or {}, what="owner", where=where)
        unknown = sorted(str(key) for key in fields if key not in ("user", "account"))
        if unknown:
            raise InputError(f"unknown field {unknown[0]!r}", where=where, remedy="Known fields are user and account")
        user = str(fields.get("user") or "")
        if user and not USER.fullmatch(user):
            raise InputError(f"{user!r} is no name of a user", where=where)
        owners[str(name)] = Owner(user=user, account=str(fields.get("account") or ""))
    return owners


def refusals(
    orders: Mapping[str, Order], *, hosts: Sequence[Host], owners: Mapping[str, Owner], known: Iterable[str], now: float
) -> dict[str, str]:
    """Jobs that cannot run as they are asked for, each with why and what would be right.

    Args:
        hosts: the whole stock, hosts that do not answer included.
        owners: the owners there are; empty when anybody may be one.
        known: jobs that were accepted before: their deadline may have passed since.
        now: epoch seconds.
    """
    accepted = set(known)
    found = {}
    for name, order in sorted(orders.items()):
        reason = _refusal(order, hosts, owners, new=name not in accepted, now=now)
        if reason:
            found[name] = reason
    return found


def told_to_job(name: str, attempt: int, accelerators: int, work: str) -> dict[str, str]:
    """The variables by which a job knows which it is and where it says what is safe of its work."""
    return {
        "MODELOPS_JOB": name,
        "MODELOPS_JOB_ATTEMPT": str(attempt),
        "MODELOPS_JOB_ACCELERATORS": str(accelerators),
        "MODELOPS_JOB_WORK_DIR": work,
        "MODELOPS_JOB_PROGRESS": f"{work}/progress",
    }


def _refusal(order: Order, hosts: Sequence[Host], owners: Mapping[str, Owner], *, new: bool, now: float) -> str:
    job = order.job
    if owners and order.owner not in owners:
        there = ", ".join(sorted(owners))
        return f"its owner {order.owner!r} is not known; modelops_job_owners has {there}"
    if new and job.deadline <= now:
        return f"its deadline {format_moment(job.deadline)} had passed when it was asked for; give it a later one"
    types = {host.accelerator_type for host in hosts if host.accelerator_count}
    missing = sorted(set(job.speeds) - types)
    if job.speeds and len(missing) == len(job.speeds):
        return f"no host has {' or '.join(missing)}; there are {', '.join(sorted(types)) or 'none'}"
    usable = [host for host in hosts if not job.speeds or host.accelerator_type in job.speeds]
    most = max((host.accelerator_count for host in usable), default=0)
    if job.least > most:
        return (
            f"it needs {job.least} accelerators on one host, and no host has more than {most}"
            f"{' of its types' if job.speeds else ''}; lower accelerators.min"
        )
    if not order.command:
        return "it has no command; say what to run as a list of words"
    return ""


def _order(job: Job, fields: Mapping[str, Any]) -> Order:
    where = f"job {job.name}"
    if not NAME.fullmatch(job.name):
        raise InputError(
            "its name holds a character that no unit or file should have",
            where=where,
            remedy="Use letters, digits, dots, dashes and underscores, and begin with a letter or digit",
        )
    checkpoint = expect_mapping(fields.get("checkpoint") or {}, what="checkpoint", where=where)
    unknown = sorted(str(key) for key in checkpoint if key not in ("signal", "grace_seconds"))
    if unknown:
        raise InputError(f"unknown field checkpoint.{unknown[0]}", where=where, remedy="Known: signal, grace_seconds")
    resources = expect_mapping(fields.get("resources") or {}, what="resources", where=where)
    environment = {
        str(key): str(value)
        for key, value in expect_mapping(fields.get("environment") or {}, what="environment", where=where).items()
    }
    check_environment(environment, where=where)
    environment_file = str(fields.get("environment_file") or "")
    if environment_file and not environment_file.startswith("/"):
        raise InputError("environment_file must be an absolute path on the hosts", where=where)

    def number(source: Mapping[str, Any], key: str, default: float, maximum: float = math.inf) -> float:
        value = source.get(key)
        return default if value is None else expect_number(value, what=key, where=where, minimum=0, maximum=maximum)

    return Order(
        job=job,
        owner=str(fields.get("owner") or DEFAULT_OWNER),
        command=_command(fields.get("command"), where),
        environment=dict(sorted(environment.items())),
        environment_file=environment_file,
        cpu_cores=number(resources, "cpu_cores", 0.0),
        memory_gib=number(resources, "memory_gib", 0.0),
        signal=_signal(checkpoint.get("signal"), where),
        grace_seconds=number(checkpoint, "grace_seconds", 60.0, maximum=7200),
        retries=int(number(fields, "retries", 2.0, maximum=1000)),
        backoff_seconds=number(fields, "backoff_seconds", 60.0, maximum=86_400),
        stalled_after_seconds=number(fields, "stalled_after_seconds", 3600.0),
        canceled=str(fields.get("canceled", False)).lower() in ("true", "yes", "1"),
    )


def _command(value: Any, where: str) -> tuple[str, ...]:
    """Words; a line is split as a shell would, but never given to one."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise InputError(f"its command cannot be split into words ({error})", where=where) from error
    elif isinstance(value, (list, tuple)):
        words = [str(word) for word in value]
    else:
        raise InputError(f"its command must be a list of words, not {value!r}", where=where)
    if any("\x00" in word for word in words):
        raise InputError("its command holds a zero byte", where=where)
    return tuple(words)


def _signal(value: Any, where: str) -> str:
    name = str(value or "SIGTERM").upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in SIGNALS or not hasattr(signal, name):
        raise InputError(
            f"{value!r} is no signal for a checkpoint", where=where, remedy=f"Give one of {', '.join(SIGNALS)}"
        )
    return name
