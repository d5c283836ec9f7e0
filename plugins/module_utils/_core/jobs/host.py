# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Looks at the jobs of this host, and starts, stops and prolongs them.

Starts and what forbids them happen one process at a time (flock). A start that a killed run left
behind comes too late to harm: its attempt has run out of its lease, was closed, or is the one that
is wanted anyway, and then it finds it started.
"""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import write_atomically
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.commands import run_command
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import Directory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.last_words import end_of_log
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs import units
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import NAME
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.units import Place, Start
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.quoting import systemd_environment_file

LOCK_WAIT_SECONDS = 60.0
COMMAND_SECONDS = 60.0
# A unit that is ending still holds its accelerators.
UP = frozenset({"active", "activating", "reloading", "deactivating"})
LARGEST_LOG_BYTES = 256 * 1024 * 1024
COLLECTED_LOG_BYTES = 64 * 1024

Run = Callable[..., "tuple[int, str]"]


@dataclass
class Outcome:
    """What was done, by the names of jobs; ``refused`` starts with why."""

    started: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def look(place: Place, *, run: Run = run_command) -> list[dict[str, Any]]:
    """What is known here of every job, sorted by name."""
    try:
        names = sorted(name for name in os.listdir(place.state_dir) if NAME.fullmatch(name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot read the jobs of this host ({error.strerror})", where=place.state_dir) from error
    # Nobody is between two lines of a start, which would look like an attempt whose host went down.
    with _alone(place, "looking at jobs"):
        up = _units_up(run)
        names = [name for name in names if os.path.isdir(place.directory(name))]
        return [_report(place, name, units.job_unit(name) in up) for name in names]


def stop(place: Place, wanted: Sequence[tuple[str, int]], *, run: Run = run_command, dry: bool = False) -> list[str]:
    """Close these attempts and stop their units; returns when they are gone, after their grace time at the latest.

    Args:
        wanted: job and attempt. A later attempt of the job is left alone.
    """
    if not wanted:
        return []
    up, stopped, waits = _units_up(run), [], 0.0
    for name, attempt in wanted:
        report = _report(place, name, units.job_unit(name) in up)
        if report["attempt"] > attempt:
            continue
        if report["active"]:
            stopped.append(name)
            waits = max(waits, float(_read(place, name, "attempt.json").get("grace_seconds") or 0))
        if not dry and report["closed"] < attempt:
            _ensure_directory(place, name)
            _write(place, name, "closed", f"{attempt}\n")
    if stopped and not dry:
        names = [units.job_unit(name) for name in stopped]
        code, output = run(["systemctl", "stop", *names], timeout_seconds=waits + units.STOP_MARGIN_SECONDS)
        if code not in (0, 5):  # 5: gone already
            raise ModelOpsError(f"systemctl stop {' '.join(names)} failed with exit code {code}: {output}")
        _end_leases(stopped, run)
    return stopped


def start(place: Place, wanted: Sequence[Start], *, run: Run = run_command, dry: bool = False) -> Outcome:
    """Start these attempts unless they were already; what may not start is refused, with why."""
    outcome = Outcome()
    if not wanted:
        return outcome
    if dry:
        up = _units_up(run)
        for one in wanted:
            why = _why_not(place, one, units.job_unit(one.name) in up)
            if why:
                outcome.refused[one.name] = why
            elif why is None:
                outcome.started.append(one.name)
        return outcome
    _prepare(place)
    with _alone(place, "starting jobs"):
        up = _units_up(run)
        for one in wanted:
            why = _why_not(place, one, units.job_unit(one.name) in up)
            if why is None:
                _start(place, one, run)
                outcome.started.append(one.name)
            elif why:
                outcome.refused[one.name] = why
    return outcome


def renew(place: Place, wanted: Sequence[tuple[str, float]], *, run: Run = run_command) -> None:
    """Prolong the leases of jobs that run: the new timer first, then the old ones go. Those of no job go too."""
    timers = _timers(run)
    if not timers:
        return
    up = _units_up(run)
    for name, until in wanted:
        if units.job_unit(name) in up:
            _lease(name, until, timers, run)
    left = [timer for timer in timers if units.job_unit(units.lease_of(timer)) not in up]
    if left:
        run(["systemctl", "stop", *left], timeout_seconds=COMMAND_SECONDS)


def log_tail(place: Place, name: str) -> str:
    """The end of what the job wrote."""
    return end_of_log(place.log(units.expect_name(name)), COLLECTED_LOG_BYTES)


def _why_not(place: Place, one: Start, up: bool) -> str | None:
    """Why it may not start; empty where it was started already, None where it may."""
    known = _report(place, one.name, up)
    if known["attempt"] == one.attempt and (up or known["ended"]):
        return ""
    if up:
        return f"attempt {known['attempt']} still runs"
    if known["closed"] >= one.attempt or known["attempt"] > one.attempt:
        return f"attempt {one.attempt} was closed"
    if one.lease_until <= clock.now():
        return "its lease has run out; this start came too late, or the clocks of the hosts differ"
    try:
        pwd.getpwnam(one.user or place.user)
    except KeyError:
        return f"this host has no user {one.user or place.user}"
    return None


def _start(place: Place, one: Start, run: Run) -> None:
    _ensure_directory(place, one.name)
    Directory(place.work(one.name), mode=0o750, owner=one.user or place.user).make()
    _rotate(place.log(one.name))
    for left in ("asked", "ended.json"):
        _remove(f"{place.directory(one.name)}/{left}")
    _write(place, one.name, "run", units.script(one, place), mode=0o755)
    # Read by systemd before it gives up its rights.
    _write(place, one.name, "env", systemd_environment_file(units.environment(one, place)), mode=0o600)
    about = {
        "attempt": one.attempt,
        "accelerators": list(one.accelerators),
        "grace_seconds": one.grace_seconds,
        "started_at": round(clock.now(), 3),
    }
    _write(place, one.name, "attempt.json", json.dumps(about, sort_keys=True) + "\n")
    _lease(one.name, one.lease_until, _timers(run), run)
    write_atomically(place.unit_file(one.name), units.unit_text(one, place).encode("utf-8"), mode=0o644)
    code, output = run(["systemctl", "daemon-reload"], timeout_seconds=COMMAND_SECONDS)
    if code == 0:
        code, output = run(["systemctl", "start", units.job_unit(one.name)], timeout_seconds=COMMAND_SECONDS)
    if code != 0 and not _report(place, one.name, False)["ended"]:
        raise ModelOpsError(
            f"systemd did not start it (exit code {code}): {output}",
            where=f"job {one.name}",
            remedy="Mend what it names; the next run tries again",
        )


def _lease(name: str, until: float, timers: Sequence[str], run: Run) -> None:
    wanted = units.lease_timer(name, until)
    own = [timer for timer in timers if units.lease_of(timer) == name]
    if wanted not in own:
        code, output = run(units.lease_command(name, until, clock.now()), timeout_seconds=COMMAND_SECONDS)
        if code != 0:
            raise ModelOpsError(f"cannot set a timer to stop it: {output}", where=f"job {name}")
    old = [timer for timer in own if timer != wanted]
    if old:
        run(["systemctl", "stop", *old], timeout_seconds=COMMAND_SECONDS)


def _end_leases(names: Sequence[str], run: Run) -> None:
    old = [timer for timer in _timers(run) if units.lease_of(timer) in names]
    if old:
        run(["systemctl", "stop", *old], timeout_seconds=COMMAND_SECONDS)


def _units_up(run: Run) -> set[str]:
    return {unit for unit, state in _listed(f"{units.JOB_PREFIX}*.service", run) if state in UP}


def _timers(run: Run) -> list[str]:
    return [unit for unit, _state in _listed(f"{units.LEASE_PREFIX}*.timer", run)]


def _listed(pattern: str, run: Run) -> list[tuple[str, str]]:
    """Units and their active state."""
    code, output = run(
        ["systemctl", "list-units", "--all", "--full", "--plain", "--no-legend", "--no-pager", pattern],
        timeout_seconds=COMMAND_SECONDS,
    )
    if code != 0:
        raise ModelOpsError(f"systemd does not answer: {output}", remedy="Jobs need systemd as the first process")
    words = [line.split() for line in output.splitlines()]
    return [(one[0], one[2]) for one in words if len(one) > 3]


def _report(place: Place, name: str, up: bool) -> dict[str, Any]:
    directory, work = place.directory(units.expect_name(name)), place.work(name)
    about, ended = _read(place, name, "attempt.json"), _read(place, name, "ended.json")
    attempt = int(about.get("attempt") or 0)
    return {
        "name": name,
        "attempt": attempt,
        "active": up,
        "accelerators": about.get("accelerators") or [],
        "started_at": about.get("started_at"),
        "ended": ended if ended.get("attempt") == attempt and not up else None,
        "asked": _number(f"{directory}/asked") == attempt,
        "progress": read_share(f"{work}/progress"),
        "touched_at": last_touched(place.log(name), f"{work}/progress"),
        "closed": int(_number(f"{directory}/closed") or 0),
    }


def _read(place: Place, name: str, file: str) -> dict[str, Any]:
    """One of our own small files; what a crash cut off counts as absent."""
    try:
        with open(f"{place.directory(name)}/{file}", encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(path: str) -> float | None:
    """A number out of a file that somebody else may have made: nothing but a small regular file is read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(handle, 64) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        return float(text.decode("ascii", "replace").strip())
    except (OSError, ValueError):
        return None
    finally:
        os.close(handle)


def read_share(path: str) -> float | None:
    """NaN compares false, so that it is no share either."""
    value = _number(path)
    return value if value is not None and 0 <= value <= 1 else None


def last_touched(*paths: str) -> float | None:
    """When the youngest of these files was written to; ``None`` where there is none."""
    return max(map(_modified, paths)) or None


def _modified(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _alone(place: Place, doing: str) -> AbstractContextManager[None]:
    return exclusive(f"{place.state_dir}/.lock", doing=doing, wait_seconds=LOCK_WAIT_SECONDS)


def _prepare(place: Place) -> None:
    for directory in (place.state_dir, place.work_dir, place.log_dir):
        # Whoever jobs run as has to get there, whatever the umask of the run.
        for path in (os.path.dirname(directory), directory):
            if not os.path.isdir(path):
                Directory(path, mode=0o755).make()
    write_atomically(place.hook, units.HOOK.encode("ascii"), mode=0o755)


def _ensure_directory(place: Place, name: str) -> None:
    Directory(place.directory(units.expect_name(name)), mode=0o755).make()


def _write(place: Place, name: str, file: str, text: str, mode: int = 0o644) -> None:
    write_atomically(f"{place.directory(name)}/{file}", text.encode("utf-8"), mode=mode)


def _rotate(path: str) -> None:
    """One old log is kept, so that a job that writes without end fills no disk over its attempts."""
    try:
        if os.path.getsize(path) > LARGEST_LOG_BYTES:
            os.replace(path, f"{path}.1")
    except OSError:
        return


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
