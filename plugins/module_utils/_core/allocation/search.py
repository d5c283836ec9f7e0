# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The route from a problem to replica counts, by size, and by objective.

Up to :data:`DIRECT_INTEGERS` whole variables the programme is solved as it is; beyond,
its relaxation is rounded and repaired. Where the solver gives nothing, the next simpler
route does, down to repairing what runs. ``weighted`` minimises all money at once.
``lexicographic`` minimises shortage with policy, then maximises the least served share
of demand (max-min), then minimises cost and churn, each level held within 1e-6.

What runs now is a candidate like any other. Unless another plan is better by more than
the solver can tell apart, it stays: a plan that has been applied is a fixed point.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import (
    Formulation,
    LinearModel,
    formulate,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rounding import rounded
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import (
    admissible,
    demand,
    value,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
DIRECT_INTEGERS = 2000
HELD = 1e-6
UNPROVEN_GAIN = 1e-3  # an unproven plan must beat what runs by this share
OBJECTIVES = ("weighted", "lexicographic")


@dataclass(frozen=True, eq=False)
class Counts:
    """``replicas``, shape (P,), and how they were found.

    ``bound`` is proven for the sum of all money; None where that is not what is minimised.
    """

    replicas: Array
    method: str
    status: solver.Status
    objective: float
    bound: float | None


def replica_counts(problem: Problem, *, objective: str = "weighted", time_limit_seconds: float = 30.0) -> Counts:
    """Replicas for every pair.

    Args:
        problem: the arrays.
        objective: one of :data:`OBJECTIVES`.
        time_limit_seconds: wall time for all solves together.
    """
    if problem.pairs == 0:
        worth = value(problem, np.zeros(0)).objective
        return Counts(np.zeros(0), "nothing to decide", solver.Status.OPTIMAL, worth, worth)
    direct = problem.pairs <= DIRECT_INTEGERS
    search = _Search(formulate(problem), direct, time_limit_seconds)
    solution = search.lexicographic(problem) if objective == "lexicographic" else search.weighted()
    found, method = _whole(problem, search, solution, direct)
    status = solution.status
    if status is solver.Status.OPTIMAL and not direct:
        status = solver.Status.FEASIBLE
    found = _or_stay(problem, found, status, objective)
    worth = value(problem, found).objective
    bound = max(0.0, min(worth, solution.bound)) if objective == "weighted" else None
    return Counts(found, method, status, worth, bound)


def _whole(problem: Problem, search: _Search, solution: solver.Solution, direct: bool) -> tuple[Array, str]:
    """Whole counts from the best answer there is, and in words how they were found."""
    if solution.status.has_values and direct:
        return np.round(solution.values[: problem.pairs]), f"mixed-integer programme ({solution.solver})"
    relaxed = search.relaxed() if direct else solution
    if relaxed.status.has_values:
        counts = rounded(problem, relaxed.values[: problem.pairs])
        return counts, f"linear programme, rounded and repaired ({relaxed.solver})"
    stays = problem.running if admissible(problem, problem.running) else np.zeros(problem.pairs)
    return rounded(problem, stays), "what runs, repaired"


def _or_stay(problem: Problem, found: Array, status: solver.Status, objective: str) -> Array:
    """What runs now, unless ``found`` is better by more than the solver's accuracy."""
    if not admissible(problem, problem.running):
        return found
    ours, stays = value(problem, found), value(problem, problem.running)
    least_gain = HELD if status is solver.Status.OPTIMAL else UNPROVEN_GAIN
    if objective == "lexicographic":
        worse_served = _least_share(problem, stays.missing_rate) < _least_share(problem, ours.missing_rate) - 2 * HELD
        limits = (stays.shortage + stays.policy, ours.shortage + ours.policy)
        if worse_served or limits[0] > limits[1] + 2 * HELD * max(1.0, limits[1]):
            return found
    gain = stays.objective - ours.objective
    return problem.running.copy() if gain <= least_gain * abs(ours.objective) else found


def _least_share(problem: Problem, missing_rate: Array) -> float:
    wanted = demand(problem)
    some = _can_be_served(problem, wanted)
    return float((1.0 - missing_rate[some] / wanted[some]).min()) if some.any() else 1.0


def _can_be_served(problem: Problem, wanted: Array) -> Array:
    """Models with demand that some class can serve: the others would hold every share at zero."""
    reachable = np.bincount(problem.pair_model, weights=problem.upper, minlength=len(problem.models)) > 0
    return (wanted > 0) & reachable


class _Search:
    """Solves of one formulation under one time limit."""

    def __init__(self, formulation: Formulation, direct: bool, time_limit_seconds: float) -> None:
        self.formulation = formulation
        self._direct = direct
        self._started = time.monotonic()
        self._limit = time_limit_seconds

    def weighted(self) -> solver.Solution:
        return self._solve(self.formulation.model)

    def relaxed(self) -> solver.Solution:
        return solver.solve(self.formulation.model, integer=False, time_limit_seconds=self._limit)

    def lexicographic(self, problem: Problem) -> solver.Solution:
        """Three solves of the same arrays, each held by a row of the next."""
        parts = self.formulation
        first = parts.shortage + parts.policy
        solution = self._solve(replace(parts.model, objective=first))
        if not solution.status.has_values:
            return solution
        held = _with_row(parts.model, first, solution.objective + HELD * max(1.0, abs(solution.objective)))
        model = _with_least_share(held, problem, parts.columns.missing)
        fair = self._solve(model)
        if not fair.status.has_values:
            return solution
        model.lower[-1] = max(0.0, float(fair.values[-1]) - HELD)
        cheapest = self._solve(replace(model, objective=np.append(parts.running, 0.0)))
        return cheapest if cheapest.status.has_values else fair

    def _solve(self, model: LinearModel) -> solver.Solution:
        left = max(0.1, self._limit - (time.monotonic() - self._started))
        return solver.solve(model, integer=self._direct, time_limit_seconds=left)


def _with_row(model: LinearModel, row: Array, most: float) -> LinearModel:
    """The model with one more row, ``row`` x <= ``most``."""
    sparse = require("scipy.sparse", purpose=solver.PURPOSE)
    return replace(
        model,
        matrix=sparse.vstack([model.matrix, sparse.csr_matrix(row)], format="csr"),
        row_lower=np.append(model.row_lower, -np.inf),
        row_upper=np.append(model.row_upper, most),
    )


def _with_least_share(model: LinearModel, problem: Problem, missing: slice) -> LinearModel:
    """Maximise t <= 1 with sum_j z_mj + D_m t <= D_m for each model that can be served; t is the last column."""
    sparse = require("scipy.sparse", purpose=solver.PURPOSE)
    wanted = demand(problem)
    models = np.flatnonzero(_can_be_served(problem, wanted))
    row_of = np.full(len(problem.models), -1)
    row_of[models] = np.arange(len(models))
    columns = len(model.objective)
    mine = np.flatnonzero(row_of[problem.layer_model] >= 0)
    shares = sparse.csr_matrix(
        (
            np.concatenate([np.ones(len(mine)), wanted[models]]),
            (
                np.concatenate([row_of[problem.layer_model[mine]], np.arange(len(models))]),
                np.concatenate([missing.start + mine, np.full(len(models), columns)]),
            ),
        ),
        shape=(len(models), columns + 1),
    )
    widened = sparse.hstack([model.matrix, sparse.csr_matrix((model.matrix.shape[0], 1))], format="csr")
    return LinearModel(
        objective=np.append(np.zeros(columns), -1.0),
        lower=np.append(model.lower, 0.0),
        upper=np.append(model.upper, 1.0),
        matrix=sparse.vstack([widened, shares], format="csr"),
        row_lower=np.append(model.row_lower, np.full(len(models), -np.inf)),
        row_upper=np.append(model.row_upper, wanted[models]),
        integer=np.append(model.integer, False),
    )
