# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A job as a systemd unit of this boot: names, properties, and the files that tell its story.

The unit's name is made of the job's, so the service manager itself keeps a second one of the job
from starting on a host. Its file lies in systemd's directory of this boot and goes with its last step.
A transient unit would need none, but systemd 252 cannot read back what it writes of its ExecStop=+
and ExecStopPost=+ (as ``ExecStopEx=``): the next daemon-reload, of whoever installs a service, and
nobody learns any more how the job ends. Each job has a directory of root's:

    attempt.json   which attempt this is, written before its unit is started
    closed         attempts up to this number may not start here any more
    asked          the unit was told to stop while its process lived: by us, by its lease, at shutdown
    ended.json     how the main process ended, written by systemd's last step of the unit (ExecStopPost)
    run, env       what the unit starts, and its environment

and one of its own, for checkpoints, with the file ``progress`` in it, a share from 0 to 1.

A lease is a transient timer that stops the unit. It is renewed by a new timer before the old one
goes, so there is no moment without one; a host that loses its controller stops its jobs itself.

Source: systemd.service(5), systemd.kill(5), systemd-run(1) of systemd 252.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import NAME, USER, told_to_job

JOB_PREFIX, LEASE_PREFIX = "modelops-job-", "modelops-lease-"
# What is left of a job after its grace time is killed; its unit is gone a moment later.
STOP_MARGIN_SECONDS = 60
HOOK = """\
#!/bin/sh
# Written by modelops.datacenter. $1: stopping | ended, $2: the job's directory, $3: the attempt, $4: the unit's file.
# systemd runs ExecStop= also when a process ends by itself; then there is no main process any more.
case $1 in
    stopping)
        [ -z "$MAINPID" ] || echo "$3" > "$2/asked"
        ;;
    ended)
        printf '{"attempt": %s, "result": "%s", "code": "%s", "status": "%s", "at": %s}\\n' \\
            "$3" "$SERVICE_RESULT" "$EXIT_CODE" "$EXIT_STATUS" "$(date +%s.%3N)" > "$2/ended.part"
        sync "$2/ended.part"
        mv "$2/ended.part" "$2/ended.json"
        rm -f "$4"
        ;;
esac
exit 0
"""


@dataclass(frozen=True)
class Place:
    """Where things are on the host, and what all jobs share."""

    state_dir: str = "/var/lib/modelops-jobs/state"
    work_dir: str = "/var/lib/modelops-jobs/work"
    log_dir: str = "/var/log/modelops/jobs"
    slice: str = "modelops_jobs.slice"
    user: str = "modelops-jobs"
    protect_home: str = "read-only"
    writable: Sequence[str] = ()
    unit_dir: str = "/run/systemd/system"

    @property
    def hook(self) -> str:
        return f"{self.state_dir}/hook"

    def directory(self, name: str) -> str:
        return f"{self.state_dir}/{name}"

    def work(self, name: str) -> str:
        return f"{self.work_dir}/{name}"

    def unit_file(self, name: str) -> str:
        return f"{self.unit_dir}/{job_unit(name)}"

    def log(self, name: str) -> str:
        return f"{self.log_dir}/{name}.log"


@dataclass(frozen=True)
class Start:
    """One attempt to start on this host."""

    name: str
    attempt: int
    accelerators: tuple[int, ...]
    lease_until: float
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_file: str = ""
    user: str = ""
    cpu_cores: float = 0.0
    memory_gib: float = 0.0
    signal: str = "SIGTERM"
    grace_seconds: float = 60.0


def parse_start(given: Any, *, where: str) -> Start:
    """What ``job_step`` handed out.

    Raises:
        InputError: a name or user that must not be part of a command, or a field that is missing.
    """
    fields = expect_mapping(given, what="job to start", where=where)
    try:
        start = Start(
            name=expect_name(fields["name"]),
            attempt=int(fields["attempt"]),
            accelerators=tuple(int(index) for index in fields["accelerators"]),
            lease_until=float(fields["lease_until"]),
            command=tuple(str(word) for word in fields["command"]),
            environment={str(key): str(value) for key, value in (fields.get("environment") or {}).items()},
            environment_file=str(fields.get("environment_file") or ""),
            user=str(fields.get("user") or ""),
            cpu_cores=float(fields.get("cpu_cores") or 0),
            memory_gib=float(fields.get("memory_gib") or 0),
            signal=str(fields.get("signal") or "SIGTERM"),
            grace_seconds=float(fields.get("grace_seconds") or 0),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the job is not described as job_step does it ({error})", where=where) from error
    if start.user and not USER.fullmatch(start.user):
        raise InputError(f"{start.user!r} is no name of a user", where=where)
    return start


def expect_name(value: Any) -> str:
    """The name of a job, which is safe in units and paths."""
    name = str(value)
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name of a job")
    return name


def job_unit(name: str) -> str:
    return f"{JOB_PREFIX}{name}.service"


def lease_timer(name: str, until: float) -> str:
    # A name of a job holds no colon, so that no job's leases are taken for another's.
    return f"{LEASE_PREFIX}{name}:{int(until)}.timer"


def lease_of(timer: str) -> str:
    """The job whose lease a timer is."""
    return timer[len(LEASE_PREFIX) :].rpartition(":")[0]


def lease_command(name: str, until: float, now: float) -> list[str]:
    """Stop the job's unit at ``until`` (epoch seconds) by this host's own clock."""
    return [
        "systemd-run", "--quiet", "--collect", f"--unit={LEASE_PREFIX}{name}:{int(until)}",
        f"--on-active={max(1, int(until - now))}s", "--timer-property=AccuracySec=1s",
        "systemctl", "stop", job_unit(name),
    ]  # fmt: skip


def script(start: Start, place: Place) -> str:
    """What the unit runs. ``exec``: signals reach the job's own process."""
    words = " ".join(shlex.quote(word) for word in start.command)
    return f"#!/bin/sh\ncd {shlex.quote(place.work(start.name))} || exit 78\nexec {words}\n"


def environment(start: Start, place: Place) -> dict[str, str]:
    """The job's own variables, and where it says what is safe of its work."""
    told = told_to_job(start.name, start.attempt, len(start.accelerators), place.work(start.name))
    return {**start.environment, **told}


def unit_text(start: Start, place: Place) -> str:
    """The unit's file, with everything the job may and may not do.

    Raises:
        InputError: a value that would end its line.
    """
    directory, log = _literal(place.directory(start.name)), _literal(place.log(start.name))
    writable = " ".join(map(_literal, [place.work(start.name), *place.writable]))

    def hook(what: str) -> str:
        words = [_literal(place.hook), what, directory, str(start.attempt), _literal(place.unit_file(start.name))]
        return f"+/bin/sh {' '.join(words)}"

    service = [
        "Type=exec",
        f"ExecStart=/bin/sh {directory}/run",
        f"Slice={place.slice}",
        f"User={start.user or place.user}",
        f"EnvironmentFile={directory}/env",
        *([f"EnvironmentFile={_literal(start.environment_file)}"] if start.environment_file else []),
        f"StandardOutput=append:{log}",
        f"StandardError=append:{log}",
        "KillMode=mixed",
        f"KillSignal={start.signal}",
        f"TimeoutStopSec={max(1, round(start.grace_seconds))}",
        f"ExecStop={hook('stopping')}",
        f"ExecStopPost={hook('ended')}",
        *([f"CPUQuota={max(1, round(100 * start.cpu_cores))}%"] if start.cpu_cores else []),
        *([f"MemoryMax={round(start.memory_gib * 2**30)}", "MemorySwapMax=0"] if start.memory_gib else []),
        # Where memory is short, a job goes before a replica does.
        "OOMScoreAdjust=500",
        "OOMPolicy=kill",
        "Nice=10",
        "LimitNOFILE=65536",
        "LimitMEMLOCK=infinity",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        f"ReadWritePaths={writable}",
        f"ProtectHome={place.protect_home}",
        "PrivateTmp=yes",
        "TemporaryFileSystem=/dev/shm:mode=1777,nosuid,nodev,size=50%",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "RestrictSUIDSGID=yes",
        "RestrictRealtime=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "UMask=0027",
    ]
    unit = [f"Description=Job {start.name}, attempt {start.attempt}", "CollectMode=inactive-or-failed"]
    lines = ["# Written by modelops.datacenter; gone when the job has ended.", "[Unit]", *unit, "[Service]", *service]
    for line in lines:
        if not line.isprintable():
            raise InputError(
                f"{line.partition('=')[0]} holds a character that no unit may have", where=f"job {start.name}"
            )
    return "\n".join(lines) + "\n"


def _literal(path: str) -> str:
    """Not a specifier of systemd's."""
    return path.replace("%", "%%")
