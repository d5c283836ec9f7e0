# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The linear programme, and the schedules in whole accelerators that are made of it.

Two programmes where there are few enough cells: one over the work as it is, whose value is
the bound, and one over work in whole accelerator-periods. The first leaves crumbs, a last
part of an accelerator-period that is not worth a whole one, and so many a job just late; the
second finishes jobs.

Runs without a pause are decided first: exactly by integer programming where they are few,
else by the fractions of their relaxation, and where there are too many even for that in the
order of what the programme would have on time of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import Status
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling import rounding
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.coarsening import MOST_CELLS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ledger import Ledger, Run
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.linear_program import (
    Relaxation,
    solve_on_time,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.ordering import (
    heaviest_pressing,
    least_laxity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.outcome import outcome_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import TOLERANCE, Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.run_options import run_options

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
Fill = Callable[[Ledger], None]
# Run options and cells up to which the integer programme is solved instead of its relaxation.
MOST_WHOLE_OPTIONS = 1_500
MOST_WHOLE_CELLS = 3_000


@dataclass(frozen=True, eq=False)
class Candidates:
    """``fills`` are ways to fill a ledger that has ``runs`` already, each with its name in words.

    ``bound`` is weighted work on time that no schedule can exceed, ``exact`` whether it is the
    optimum of the programme with runs without a pause whole.
    """

    fills: list[tuple[str, Fill]]
    runs: list[tuple[int, Run]]
    bound: float
    status: Status
    exact: bool


def solve_candidates(
    problem: Problem, fixed: list[tuple[int, Run]], jobs: list[int], integer: bool, time_limit_seconds: float
) -> Candidates:
    """The programme over ``jobs``, and the runs without a pause decided by it.

    Args:
        problem: jobs and periods.
        fixed: runs that are decided already.
        jobs: the others.
        integer: whether runs may be decided by integer programming, where they are few.
        time_limit_seconds: for each solve.
    """
    base = ledger_with(problem, fixed)
    reserved = outcome_of(base).weighted_on_time
    fluid = np.zeros(len(problem.jobs), dtype=bool)
    fluid[[job for job in jobs if problem.jobs[job].preemptible]] = True
    solid = [job for job in jobs if not problem.jobs[job].preemptible]
    cells = int(((problem.limit > 0) & (problem.on_time > 0)[:, None, :])[fluid].sum())
    options = run_options(problem, solid) if solid and cells <= MOST_CELLS else None
    if options is None:
        everything = fluid.copy()
        everything[solid] = True
        first = solve_on_time(problem, free=free_by_type(base), fluid=everything, time_limit_seconds=time_limit_seconds)
        order = _by_share(problem, first, solid)
        rounding.place_punctual_runs(base, order)
    else:
        whole = integer and len(options) <= MOST_WHOLE_OPTIONS and cells <= MOST_WHOLE_CELLS
        first = solve_on_time(
            problem,
            free=free_by_type(base),
            fluid=fluid,
            options=options,
            whole=whole,
            time_limit_seconds=time_limit_seconds,
        )
        rounding.place_chosen_runs(base, first)
    runs = list(fixed) + [(job, base.run_of(job)) for job in solid if base.places[job]]
    rest = free_by_type(base)
    answers = [first]
    if solid and not first.exact and fluid.any():
        answers = [solve_on_time(problem, free=rest, fluid=fluid, time_limit_seconds=time_limit_seconds)]
    if fluid.any() and cells <= MOST_CELLS:
        rounded = replace(problem, work=_whole_work(problem))
        answers.append(solve_on_time(rounded, free=rest, fluid=fluid, time_limit_seconds=time_limit_seconds))
    exact = first.exact or (not solid and first.status is Status.OPTIMAL)
    fills = [fill for answer in answers for fill in _fills(answer, np.flatnonzero(fluid).tolist(), jobs)]
    return Candidates(fills, runs, first.bound + reserved, first.status, exact)


def _whole_work(problem: Problem) -> Array:
    """Work up to whole accelerator-periods of the slowest type the job can use: what whole accelerators cost it."""
    slowest = np.where(problem.speed > 0, problem.speed, np.inf).min(axis=1, initial=np.inf)
    unit = np.where(np.isfinite(slowest), slowest, 1.0) * problem.capacity.hours
    return np.ceil(problem.work / unit - TOLERANCE) * unit


def _fills(answer: Relaxation, fluid: list[int], jobs: list[int]) -> list[tuple[str, Fill]]:
    def filled(how: Fill) -> Fill:
        def fill(ledger: Ledger) -> None:
            how(ledger)
            rounding.serve_late(ledger, jobs)

        return fill

    admit = rounding.admit
    return [
        ("linear programme, followed period by period", filled(lambda ledger: rounding.follow(ledger, answer, fluid))),
        (
            "linear programme, admitted work by least laxity",
            filled(lambda ledger: admit(ledger, answer, fluid, least_laxity)),
        ),
        (
            "linear programme, admitted work by weight and laxity",
            filled(lambda ledger: admit(ledger, answer, fluid, heaviest_pressing)),
        ),
    ]


def _by_share(problem: Problem, answer: Relaxation, jobs: list[int]) -> list[int]:
    """Jobs by the share of their work that the programme has on time, then by EDF."""
    share = rounding.planned_work(problem, answer)[:, -1] / np.maximum(problem.work, TOLERANCE)
    return sorted(jobs, key=lambda job: (-round(float(share[job]), 3), problem.jobs[job].deadline, job))


def ledger_with(problem: Problem, runs: Iterable[tuple[int, Run]]) -> Ledger:
    ledger = Ledger(problem)
    for job, run in runs:
        ledger.place_run(job, run)
    return ledger


def free_by_type(ledger: Ledger) -> Array:
    """What the ledger has free, shape (K, T)."""
    free = np.zeros((len(ledger.bins_of), ledger.problem.capacity.periods))
    for kind, bins in enumerate(ledger.bins_of):
        free[kind] = ledger.free[bins].sum(axis=0)
    return free
