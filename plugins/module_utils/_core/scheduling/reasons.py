# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Why a job is late, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.schedule import Schedule

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
MOST_NAMES = 3
STATUSES = ("on_time", "late", "unfinished", "never")


def status_of(schedule: Schedule, job: int) -> str:
    """One of :data:`STATUSES`: in time, after the deadline, not to the end, or not at all."""
    spec, done = schedule.problem.jobs[job], schedule.outcome.jobs[job]
    if done.finish is not None:
        return "on_time" if done.finish <= spec.deadline else "late"
    return "unfinished" if done.slots else "never"


class Reasons:
    """Reasons of one schedule; ``held`` are the accelerator-hours of each job by type and period."""

    def __init__(self, schedule: Schedule, impossible: Sequence[int]) -> None:
        self._schedule = schedule
        self._impossible = frozenset(impossible)
        problem = schedule.problem
        shape = (len(problem.jobs), len(problem.capacity.types), problem.capacity.periods)
        self._held: Array = np.zeros(shape, dtype=np.float32)
        for job, done in enumerate(schedule.outcome.jobs):
            for slot in done.slots:
                self._held[job, schedule.ledger.type_of[slot.bin], slot.period] += slot.accelerators

    def reason(self, job: int) -> str:
        """Why the job is not on time; empty when it is."""
        schedule, problem = self._schedule, self._schedule.problem
        spec, done, status = problem.jobs[job], schedule.outcome.jobs[job], status_of(schedule, job)
        if status == "on_time":
            return ""
        if job in schedule.broken_off:
            return schedule.broken_off[job]
        if status == "never":
            text = _never(problem, job)
            if text:
                return text
        if job in self._impossible:
            return _impossible(problem, job)
        window = problem.on_time[job] > 0
        kinds = problem.speed[job] > 0
        fits = f"{done.on_time_work:.4g} of its {spec.work:.4g} accelerator-hours fit"
        until = "before its deadline" if spec.deadline <= problem.capacity.end else "into the schedule"
        if not problem.capacity.by_type[kinds][:, window].any():
            return f"nothing that it can use is free {until}"
        takers = self._held[:, kinds][:, :, window].sum(axis=(1, 2))
        takers[job] = 0
        order = sorted(np.flatnonzero(takers > 0).tolist(), key=lambda one: (-float(takers[one]), one))
        names = [problem.jobs[one].name for one in order[:MOST_NAMES]]
        if not names:
            return f"{fits} {until} in whole runs on what is free"
        more = f" and {len(order) - MOST_NAMES} more" if len(order) > MOST_NAMES else ""
        return f"{fits} {until}; until then {', '.join(names)}{more} have the accelerators"


def _never(problem: Problem, job: int) -> str:
    """Why the job cannot start whatever the others do; empty when it could."""
    spec, capacity = problem.jobs[job], problem.capacity
    if not problem.limit[job].any():
        if spec.release >= capacity.end:
            return f"it is released at {format_moment(spec.release)}, when the schedule has ended"
        kinds = problem.speed[job] > 0
        largest = int(capacity.largest_bin[kinds].max(initial=0))
        where = "on one host" if any(host for _type, host in capacity.bins) else "of one type"
        return f"it needs at least {spec.least} accelerators at once, and at most {largest} {where} are ever free to it"
    if not spec.preemptible:
        return "it may not be interrupted, and no time is left in which a whole run of it fits"
    return ""


def _impossible(problem: Problem, job: int) -> str:
    spec, capacity = problem.jobs[job], problem.capacity
    if spec.deadline <= capacity.start:
        return "its deadline had passed when the schedule began"
    fastest = float(problem.speed[job].max(initial=0.0)) * spec.most
    if fastest <= 0:
        return "it cannot run on any type there is"
    hours = float(problem.on_time[job].sum()) * capacity.hours
    needs = float(problem.work[job]) / fastest
    return (
        f"it needs {needs:.4g} hours at its most {spec.most} accelerators,"
        f" and has {hours:.4g} between its release and its deadline"
    )
