# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a ledger amounts to: who ends when, and how much work is on time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE


@dataclass(frozen=True)
class Slot:
    """One job in one period: accelerators of a bin, from ``begin`` to ``end`` (epoch seconds), work in between."""

    period: int
    bin: int
    accelerators: int
    begin: float
    end: float
    work: float
    on_time_work: float


@dataclass(frozen=True)
class JobOutcome:
    """``finish`` is None while work is left after the last period."""

    slots: tuple[Slot, ...]
    work_left: float
    finish: float | None

    @property
    def on_time_work(self) -> float:
        return sum(slot.on_time_work for slot in self.slots)


@dataclass(frozen=True)
class Outcome:
    """``weighted_on_time`` is a sum of weight by work on time, ``jobs_on_time`` a sum of weights of finished jobs."""

    jobs: tuple[JobOutcome, ...]
    weighted_on_time: float
    weighted_jobs_on_time: float
    weighted_lateness_hours: float

    @property
    def merit(self) -> tuple[float, float, float]:
        """More is better: work on time, then jobs on time, then least lateness."""
        return (
            _nine_digits(self.weighted_on_time),
            _nine_digits(self.weighted_jobs_on_time),
            -_nine_digits(self.weighted_lateness_hours),
        )

    @property
    def merit_by_jobs(self) -> tuple[float, float, float]:
        """The same with jobs on time before work on time."""
        work, jobs, lateness = self.merit
        return (jobs, work, lateness)


def outcome_of(ledger: Ledger) -> Outcome:
    """Follow each job through its periods.

    A job that ends inside a period is credited with its work alone, and lateness of a job
    that does not end is counted to the end of the last period with its remaining work at
    one accelerator after it, so that more progress is always better.
    """
    problem = ledger.problem
    jobs = tuple(_follow(ledger, job) for job in range(len(problem.jobs)))
    on_time = punctual = lateness = 0.0
    for spec, done in zip(problem.jobs, jobs):
        on_time += spec.weight * done.on_time_work
        if done.finish is not None and done.finish <= spec.deadline:
            punctual += spec.weight
        elif math.isfinite(spec.deadline):
            finish = done.finish if done.finish is not None else problem.capacity.end + 3600 * done.work_left
            lateness += spec.weight * max(0.0, finish - spec.deadline) / 3600
    return Outcome(jobs, on_time, punctual, lateness)


def _follow(ledger: Ledger, job: int) -> JobOutcome:
    problem, capacity = ledger.problem, ledger.problem.capacity
    spec, left = problem.jobs[job], float(problem.work[job])
    slots = []
    finish: float | None = max(spec.release, capacity.start) if left <= TOLERANCE else None
    for period in sorted(ledger.places[job]):
        if left <= TOLERANCE:
            break
        index, count = ledger.places[job][period]
        begin = max(capacity.moment(period), spec.release)
        per_second = count * float(problem.speed[job, ledger.type_of[index]]) / 3600
        work = min(left, ledger.done_in(job, period))
        if left - work <= TOLERANCE * max(1.0, spec.work):
            work = left
        left -= work
        last = capacity.moment(period + 1)
        end = last if left > 0 else min(last, begin + work / per_second)
        on_time = min(work, max(0.0, spec.deadline - begin) * per_second)
        if left <= 0:
            finish = float(math.ceil(end - 1e-6))
            if finish <= spec.deadline:
                on_time = work
        slots.append(Slot(period, index, count, begin, end, work, on_time))
    return JobOutcome(tuple(slots), max(left, 0.0), finish)


def _nine_digits(value: float) -> float:
    """Digits beyond which the order of additions shows."""
    return float(f"{value:.9g}")
