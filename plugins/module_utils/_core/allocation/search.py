# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From a problem to replica counts: the best plan of the chosen route, or what runs.

What runs now is a candidate like any other. Unless another plan is better by more than
the route can tell apart, it stays: a plan that has been applied is a fixed point.

With several periods the plan acts on the first: it starts what serves in it, and what
must begin now to serve when its lead time is over; the later periods are an outlook.

A fleet beyond one solve is split by demand (parts.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import fairness, parts, solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.routes import Routes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import (
    admissible,
    path_objective,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
HELD = fairness.HELD
# an unproven plan must beat what runs by this share of the objective
UNPROVEN_GAIN = {"direct": 1e-3, "box": 3e-3, "lp_repair": 1e-2}
OBJECTIVES = ("weighted", "lexicographic")


@dataclass(frozen=True, eq=False)
class Counts:
    """``replicas`` to have once all that begins now has started, shape (P,); ``path``, what serves in each
    period, shape (T, P); and how they were found.

    ``bound`` is proven for the sum of all money over all periods; None where that is not what is minimised.
    """

    replicas: Array
    path: Array
    method: str
    status: solver.Status
    objective: float
    bound: float | None


def replica_counts(
    problem: Problem,
    *,
    objective: str = "weighted",
    method: str = "auto",
    time_limit_seconds: float = 30.0,
    groups: Array | None = None,
    address: str | None = None,
) -> Counts:
    """Replicas for every pair.

    Args:
        problem: the arrays.
        objective: one of :data:`OBJECTIVES`.
        method: one of :data:`routes.METHODS`.
        time_limit_seconds: wall time for all solves together.
        address: of a Dask scheduler for the parts of a fleet beyond one solve; None for this machine.
        groups: whom to be fair to, the index of each model's group, shape (M,); each model for itself where None.
    """
    if problem.pairs == 0:
        path = np.zeros((len(problem.periods), 0))
        worth = path_objective(problem, path)
        return Counts(np.zeros(0), path, "nothing to decide", solver.Status.OPTIMAL, worth, worth)
    number = parts.sensible_parts(problem) if method == "auto" and objective == "weighted" else 1
    if number > 1:
        return _in_parts(problem, number, time_limit_seconds, address)
    routes = Routes(problem, formulate(problem), method, time_limit_seconds)
    fair = objective == "lexicographic"
    solution = fairness.lexicographic(routes, groups) if fair else routes.minimise(routes.formulation.model)
    path, status, words = _best(routes, solution, fair)
    path = _or_stay(routes, path, status, fair, groups)
    worth = path_objective(problem, path)
    bound = None if fair else max(0.0, min(worth, _bound(routes, solution)))
    return Counts(target(problem, path), path, words, status, worth, bound)


def _in_parts(problem: Problem, number: int, time_limit_seconds: float, address: str | None) -> Counts:
    """The fleet split by demand; see parts.py. Dask workers are taken to be enough for all parts at a time."""
    jobs = number if address else min(number, os.cpu_count() or 1)
    limit = 0.8 * time_limit_seconds * jobs / number
    solve = partial(_path_of_part, time_limit_seconds=limit)
    path = parts.solve_in_parts(problem, number, solve, address=address)
    if admissible(problem, problem.running):
        stays = _staying(problem, path)
        ours = path_objective(problem, path)
        path = stays if path_objective(problem, stays) - ours <= UNPROVEN_GAIN["lp_repair"] * abs(ours) else path
    words = f"{number} parts of the fleet, each by a mixed-integer programme around the linear one, repaired as one"
    worth = path_objective(problem, path)
    return Counts(target(problem, path), path, words, solver.Status.FEASIBLE, worth, None)


def _path_of_part(problem: Problem, time_limit_seconds: float) -> Array:
    return replica_counts(problem, method="box", time_limit_seconds=time_limit_seconds).path


def target(problem: Problem, path: Array) -> Array:
    """What serves in the first period, and what begins now to serve when its lead time is over."""
    replicas = path[0].copy()
    for lead in np.unique(problem.lead[problem.lead > 0]).tolist():
        mine = problem.lead[problem.pair_model] == lead
        replicas[mine] += np.maximum(path[lead] - path[lead - 1], 0.0)[mine]
    return replicas


def _best(routes: Routes, solution: solver.Solution, fair: bool) -> tuple[Array, solver.Status, str]:
    """The better of the solver's plan and the repaired one, how it is proven, and in words how it was found."""
    problem, status = routes.problem, solution.status
    found = np.round(routes.formulation.replicas(solution.values)) if status.has_values else None
    words = "mixed-integer programme" if routes.method == "direct" else "mixed-integer programme around the linear one"
    words = f"{words} ({solution.solver})"
    if status is solver.Status.OPTIMAL and found is not None:
        return found, (status if routes.method == "direct" else solver.Status.FEASIBLE), words
    repaired = routes.repaired()
    if found is not None and (fair or path_objective(problem, found) <= path_objective(problem, repaired)):
        return found, status, words
    relaxation = routes.relaxed()
    if relaxation.status.has_values:
        by_choice = routes.method != "direct" or found is not None
        status = solver.Status.FEASIBLE if by_choice else status
        return repaired, status, f"linear programme, rounded and repaired ({relaxation.solver})"
    return repaired, (solver.Status.FEASIBLE if status.has_values else relaxation.status), "what runs, repaired"


def _bound(routes: Routes, solution: solver.Solution) -> float:
    """The best proven lower bound: a box does not bound what lies outside of it."""
    if routes.method == "direct" and solution.status.has_values:
        return solution.bound
    relaxation = routes.relaxed()
    return relaxation.bound if relaxation.status is solver.Status.OPTIMAL else 0.0


def _or_stay(routes: Routes, path: Array, status: solver.Status, fair: bool, groups: Array | None) -> Array:
    """What runs now, unless ``path`` is better by more than the route's accuracy."""
    problem = routes.problem
    if not admissible(problem, problem.running) or (target(problem, path) == problem.running).all():
        return path
    stays = _staying(problem, path)
    if fair and not fairness.as_fair(problem, stays[0], path[0], groups):
        return path
    least_gain = HELD if status is solver.Status.OPTIMAL else UNPROVEN_GAIN[routes.method]
    ours = path_objective(problem, path)
    return stays if path_objective(problem, stays) - ours <= least_gain * abs(ours) else path


def _staying(problem: Problem, path: Array) -> Array:
    """What runs now in the first period and until nothing that begins now could serve, then as ``path`` has it."""
    stays = path.copy()
    stays[0] = problem.running
    for t in range(1, len(stays)):
        lead = problem.lead[problem.pair_model]
        stays[t] = np.where(lead >= t, np.minimum(stays[t], stays[t - 1]), stays[t])
    return stays
