# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the fractions of the linear programme to whole accelerators in every period.

Each period the work that the programme has done by then is what a job is owed. Three passes
over the period follow it and lose as little as whole numbers must:

1. whole parts: each job takes the whole accelerators the programme gives it;
2. remainders: a job still owed work rounds up, in the order of EDF, while accelerators last;
3. leftovers: what is free goes to jobs that have work left on time in the programme, in the
   order of EDF, then to any job that can still be on time, the heaviest first.

Work done early is never owed again, so passes 2 and 3 only help later periods. Where the
programme's answer is whole, the schedule has exactly its value. Afterwards jobs that will
be late take what is left, heaviest for their remaining work first, as early as possible.

Jobs that may not be interrupted are placed before: at their integer optimum where the
programme decided it, else by its fractions, largest first, where a whole run fits.

A second way, :func:`admit`, takes from the programme only how much of each job is on time,
and serves period by period in an order of its own; whichever is better is kept.

This is exact for whole answers and a heuristic otherwise; the programme's value says by how
much it can be wrong.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.edf import serve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.linear_program import Relaxation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ordering import (
    Order,
    earliest_deadline,
    heaviest_first,
    weight_by_work,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE, Problem

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
WHOLE = 1e-6  # what the solver leaves beside a whole number


def place_chosen_runs(ledger: Ledger, relaxation: Relaxation) -> None:
    """Runs without a pause by their fraction, the largest first, where they fit."""
    options, chosen = relaxation.options, relaxation.chosen
    worth = ledger.problem.weight[options.job] * options.value
    order = np.lexsort((options.start, options.job, -worth, -np.round(chosen, 6)))
    for option in order[chosen[order] > WHOLE].tolist():
        job, start = int(options.job[option]), int(options.start[option])
        if ledger.places[job]:
            continue
        length, count = int(options.length[option]), int(options.accelerators[option])
        index = ledger.bin_with(int(options.kind[option]), start, length, count)
        if index is not None:
            ledger.place_run(job, (start, length, index, count))


def place_punctual_runs(ledger: Ledger, jobs: list[int]) -> None:
    """A run that ends on time for each job where one fits, in the given order."""
    for job in jobs:
        if ledger.places[job]:
            continue
        starts = np.flatnonzero((ledger.problem.limit[job] > 0).any(axis=0))
        run = ledger.find_run(job, int(starts[0]), int(starts[-1])) if len(starts) else None
        if run is not None and ledger.run_end(job, run) <= ledger.problem.jobs[job].deadline:
            ledger.place_run(job, run)


def planned_work(problem: Problem, relaxation: Relaxation) -> Array:
    """Work on time by job and period in the programme's answer, shape (J, T)."""
    speed = problem.speed[:, [kinds[0] for kinds in relaxation.members]]
    work = relaxation.accelerators * speed[:, :, None] * problem.on_time[:, None, :]
    return np.minimum(np.cumsum(work.sum(axis=1) * problem.capacity.hours, axis=1), problem.work[:, None])


def follow(ledger: Ledger, relaxation: Relaxation, jobs: list[int]) -> None:
    """The three passes for interruptible ``jobs``."""
    problem = ledger.problem
    owed = planned_work(problem, relaxation)
    if not owed.size:
        return
    main = np.argmax(relaxation.accelerators, axis=1).tolist()
    whole = np.floor(relaxation.accelerators.max(axis=1) + WHOLE).astype(np.int64).tolist()
    planned, owed_by_period = owed[:, -1].tolist(), owed.T.tolist()
    for period in range(problem.capacity.periods):
        active = _active(ledger, jobs, period, earliest_deadline)
        for job in active:
            if whole[job][period]:
                _take_whole(ledger, job, period, relaxation.members[main[job][period]], whole[job][period])
        row = owed_by_period[period]
        for job in active:
            lacking = row[job] - _done(ledger, job)
            if lacking > WHOLE and ledger.any_free(period):
                _take_more(ledger, job, period, lacking)
        _leftovers(ledger, active, period, planned)


def admit(ledger: Ledger, relaxation: Relaxation, jobs: list[int], order: Order) -> None:
    """The third pass alone: of the programme's answer only how much of each job is on time, in ``order``."""
    owed = planned_work(ledger.problem, relaxation)
    planned = owed[:, -1].tolist() if owed.size else []
    for period in range(ledger.problem.capacity.periods):
        _leftovers(ledger, _active(ledger, jobs, period, order), period, planned)


def serve_late(ledger: Ledger, jobs: list[int]) -> None:
    """What is left goes to unfinished jobs, one after the other, as early as possible."""
    problem = ledger.problem
    for job in sorted(jobs, key=lambda one: weight_by_work(ledger, one, 0)):
        if ledger.left[job] <= TOLERANCE:
            continue
        periods = np.flatnonzero((problem.limit[job] > 0).any(axis=0))
        if problem.jobs[job].preemptible:
            for period in periods.tolist():
                if ledger.left[job] <= TOLERANCE:
                    break
                if ledger.any_free(period):
                    serve(ledger, job, period)
        elif len(periods) and not ledger.places[job]:
            run = ledger.find_run(job, int(periods[0]), int(periods[-1]))
            if run is not None:
                ledger.place_run(job, run)


def _take_whole(ledger: Ledger, job: int, period: int, kinds: tuple[int, ...], count: int) -> None:
    need = min(count * ledger.rate(job, kinds[0], period), ledger.left[job])
    found = ledger.offer(job, period, need, kinds)
    if found is not None and found[1] <= count:
        ledger.place(job, period, *found)


def _take_more(ledger: Ledger, job: int, period: int, lacking: float) -> None:
    """Round up: enough for what the programme has done by now."""
    if period in ledger.places[job]:
        ledger.raise_in(job, period, lacking + ledger.done_in(job, period))
        return
    found = ledger.offer(job, period, lacking)
    if found is not None:
        ledger.place(job, period, *found)


def _active(ledger: Ledger, jobs: list[int], period: int, order: Order) -> list[int]:
    """Jobs that can do work on time in the period and have work left, in order."""
    problem = ledger.problem
    can = ((problem.limit[:, :, period] > 0).any(axis=1) & (problem.on_time[:, period] > 0)).tolist()
    active = [job for job in jobs if can[job] and ledger.left[job] > TOLERANCE]
    return sorted(active, key=lambda job: order(ledger, job, period))


def _done(ledger: Ledger, job: int) -> float:
    return ledger.problem.jobs[job].work - ledger.left[job]


def _leftovers(ledger: Ledger, active: list[int], period: int, planned: list[float]) -> None:
    """First the jobs that have work left on time in the programme, then any, the heaviest first."""
    due = [job for job in active if planned[job] - _done(ledger, job) > WHOLE]
    others = sorted(active, key=lambda job: heaviest_first(ledger, job, period))
    for job in due + others:
        if not ledger.any_free(period):
            return
        if ledger.left[job] > TOLERANCE:
            serve(ledger, job, period)
