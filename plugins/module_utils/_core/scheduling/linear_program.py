# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Weighted work on time as a linear programme.

Sets
    j jobs; k accelerator types; t periods of H hours; (j,k,t) where a job may run on time;
    o run options (start, accelerators, type) of the jobs that may not be interrupted

Data
    w_j weight; W_j work, accelerator-hours; s_jk speed; f_jt share of the period on time
    b_jkt most accelerators; C_kt free accelerators
    a_o accelerators of an option, v_o work it does by the deadline

Variables
    x_jkt accelerators, 0 <= x <= b;  z_o in [0, 1], whole where they are few

Maximise
    sum_jkt w_j s_jk f_jt H x_jkt + sum_o w_j v_o z_o

subject to
    capacity  sum_j x_jkt + sum_{o runs in t} a_o z_o <= C_kt    for each k, t
    work      sum_kt s_jk f_jt H x_jkt <= W_j                    for each j
    once      sum_o z_o <= 1                                     for each j with options
    size      sum_k x_jkt / b_jkt <= 1                           for each j, t with several types

The size rows say that a job runs on one type at a time. With one type, whole periods and
work in whole accelerator-periods the matrix is that of a transportation problem: the
simplex method ends in whole accelerators, and the schedule reaches the bound exactly.

Weights carry a preference of at most 1e-5 for earlier deadlines: the value stays an upper
bound, and among equal weights the programme ends in the order of EDF. A preference for
earlier periods would cost four times the pivots; the rounding sees to that instead.

Source: preemptive scheduling by linear programming (Lawler and Labetoulle, Journal of the
ACM 25(4), 1978); time-indexed runs (Sousa and Wolsey, Mathematical Programming 54, 1992).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel, Rows
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.coarsening import (
    Coarse,
    as_it_is,
    coarsen,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.run_options import (
    Options,
    no_options,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
PREFERENCE = 1e-5


@dataclass(frozen=True, eq=False)
class Cells:
    """The x columns: job, type and period of each, work of one accelerator, and most accelerators."""

    job: Array
    kind: Array
    period: Array
    amount: Array
    most: Array

    def __len__(self) -> int:
        return len(self.job)


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What the programme says.

    ``accelerators`` has shape (J, G, T) with G groups of types, ``members``; ``chosen`` one
    entry an option; ``value`` is the weighted work on time, ``bound`` what no schedule can
    exceed; ``exact`` whether the options were decided by a proved integer optimum.
    """

    accelerators: Array
    members: tuple[tuple[int, ...], ...]
    options: Options
    chosen: Array
    value: float
    bound: float
    status: solver.Status
    method: str
    exact: bool


def make_cells(problem: Problem, jobs: Array, limit: Array) -> Cells:
    """The (j, k, t) at which ``jobs`` (bool, shape (J,)) may work on time within ``limit`` (shape (J, K, T))."""
    may = (limit > 0) & (problem.on_time[:, None, :] > 0) & jobs[:, None, None]
    job, kind, period = np.nonzero(may)
    amount = problem.speed[job, kind] * problem.on_time[job, period] * problem.capacity.hours
    return Cells(job, kind, period, amount, limit[job, kind, period].astype(float))


def add_size_rows(rows: Rows, cells: Cells, small: Coarse) -> None:
    """One type at a time, where a job has several in one period."""
    place = cells.job * small.problem.capacity.periods + cells.period
    places, owner, count = np.unique(place, return_inverse=True, return_counts=True)
    several = count[owner] > 1
    if not several.any():
        return
    row_of = np.cumsum(count > 1) - 1
    share = 1 / small.size[cells.job, cells.kind, cells.period][several]
    spells = small.spells.reshape(-1)[places[count > 1]]
    rows.add(row_of[owner[several]], np.flatnonzero(several), share, -np.inf, spells)


def solve_on_time(
    problem: Problem,
    *,
    free: Array,
    fluid: Array,
    options: Options | None = None,
    whole: bool = False,
    time_limit_seconds: float = 30.0,
) -> Relaxation:
    """Solve the programme of this file's docstring.

    Args:
        problem: jobs and periods.
        free: C, shape (K, T).
        fluid: the jobs with x columns, bool of shape (J,).
        options: z columns; without them alike types are grouped, and periods merged where they are many.
        whole: whether z must be whole; falls back to the relaxation when time runs out.
        time_limit_seconds: for the solver.
    """
    fluid = fluid & (problem.weight > 0)
    if options is None:
        options, small = no_options(), coarsen(problem, free, fluid)
    else:
        small = as_it_is(problem, free)
    cells = make_cells(small.problem, fluid, small.problem.limit)
    model, scale = _model(small, cells, options, whole)
    solution = solver.solve(model, integer=whole, time_limit_seconds=time_limit_seconds)
    bound = -solution.bound * scale
    if whole and not solution.status.has_values:
        solution = solver.solve(model, integer=False, time_limit_seconds=time_limit_seconds)
        bound = -solution.bound * scale
    dense = np.zeros(small.problem.limit.shape)
    dense[cells.job, cells.kind, cells.period] = solution.values[: len(cells)]
    usable = solution.status.has_values
    return Relaxation(
        accelerators=small.expand(dense, problem.capacity.periods),
        members=small.members,
        options=options,
        chosen=solution.values[len(cells) :],
        value=-solution.objective * scale if usable else 0.0,
        bound=bound if usable and np.isfinite(bound) else problem.weighted_work,
        status=solution.status,
        method=solution.solver,
        exact=solution.solver == "scip" and solution.status is solver.Status.OPTIMAL,
    )


def _model(small: Coarse, cells: Cells, options: Options, whole: bool) -> tuple[LinearModel, float]:
    problem = small.problem
    periods, count = problem.capacity.periods, len(cells)
    rows = Rows(count + len(options))
    columns = count + options.use_of
    rows.add(
        np.concatenate(
            [cells.kind * periods + cells.period, options.kind[options.use_of] * periods + options.use_period]
        ),
        np.concatenate([np.arange(count), columns]),
        np.concatenate([np.ones(count), options.accelerators[options.use_of]]),
        -np.inf,
        small.free.reshape(-1),
    )
    rows.add(cells.job, np.arange(count), cells.amount, -np.inf, problem.work)
    if len(options):
        owners, owner = np.unique(options.job, return_inverse=True)
        rows.add(owner, count + np.arange(len(options)), 1.0, -np.inf, np.ones(len(owners)))
    add_size_rows(rows, cells, small)
    matrix, row_lower, row_upper = rows.build()
    scale = problem.weighted_work or 1.0
    preference = _preference(problem)
    objective = np.concatenate(
        [
            -problem.weight[cells.job] * cells.amount * preference[cells.job] / scale,
            -problem.weight[options.job] * options.value * preference[options.job] / scale,
        ]
    )
    integer = np.concatenate([np.zeros(count, dtype=bool), np.full(len(options), whole)])
    upper = np.concatenate([cells.most, np.ones(len(options))])
    return LinearModel(objective, np.zeros(len(upper)), upper, matrix, row_lower, row_upper, integer), scale


def _preference(problem: Problem) -> Array:
    """1 and a little more for earlier deadlines, shape (J,)."""
    deadlines = np.array([job.deadline for job in problem.jobs])
    rank = np.unique(deadlines, return_inverse=True)[1]
    return 1 + PREFERENCE * (1 - rank / max(len(deadlines), 1))
