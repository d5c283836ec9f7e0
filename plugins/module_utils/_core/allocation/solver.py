# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The one file that speaks to OR-Tools: arrays in, numbers and a checked status out.

The model goes in as arrays, never term by term: building dominates otherwise. Two
routes, tried in this order:

1. ``model_builder_helper.fill_model_from_sparse_data``, the compiled half of
   ModelBuilder. It is not on the documented surface, so it is used here alone, and
   importing it directly saves the seconds that pandas takes.
2. A linear-solver protocol buffer filled from the same arrays, given to ``pywraplp``.

One thread, a fixed seed, and a limit on branch-and-bound nodes without progress that
ends most hard proofs before the clock does: the same arrays give the same answer.

Linear programmes go to GLOP's dual simplex: x = 0 with everything missing is dual
feasible, and these programmes are solved four times faster from there. Mixed-integer
programmes go to SCIP. Of the solvers inside OR-Tools it alone keeps its
best solution and a valid bound at a limit: through this route HiGHS returns nothing, and
an objective for a bound; CP-SAT rounds continuous columns to whole numbers.
"""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import (
    PURPOSE,
    LinearModel,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import MissingLibraryError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
SEED = 1
RELATIVE_GAP = 1e-6  # within this an integer solution counts as proven
STALLED_NODES = 500


class Status(enum.Enum):
    """How a solve ended. Only the first two carry values."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    NO_SOLUTION = "no solution in time"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"

    @property
    def has_values(self) -> bool:
        return self in (Status.OPTIMAL, Status.FEASIBLE)


@dataclass(frozen=True, eq=False)
class Solution:
    """``values`` (one per column), ``objective`` and the proven lower ``bound``, in the model's money.

    ``duals`` (one per row) say what one more unit of a row's bound changes the objective by; they come
    with the optimum of a relaxation alone, else they are empty.
    """

    status: Status
    solver: str
    values: Array
    objective: float
    bound: float
    seconds: float
    duals: Array = ()


def solve(
    model: LinearModel,
    *,
    integer: bool = True,
    time_limit_seconds: float = 30.0,
    gap: float = RELATIVE_GAP,
    hint: Array | None = None,
) -> Solution:
    """Minimise.

    Args:
        model: the arrays.
        integer: False relaxes the whole columns.
        time_limit_seconds: wall time; the best found until then is returned as ``FEASIBLE``.
        gap: the share of the objective by which an integer solution may miss the bound. One that misses
            it by more than :data:`RELATIVE_GAP` is ``FEASIBLE``.
        hint: a solution to begin from, one value a column.

    Raises:
        MissingLibraryError: OR-Tools is absent or too old.
    """
    started = time.monotonic()
    name = "scip" if integer and bool(model.integer.any()) else "glop"
    require("ortools", purpose=PURPOSE)
    try:
        helper = require("ortools.linear_solver.python.model_builder_helper", purpose=PURPOSE)
        fill = helper.ModelBuilderHelper.fill_model_from_sparse_data
    except (MissingLibraryError, AttributeError):
        fill = None
    route = _solve_by_proto if fill is None else _solve_by_helper
    status, values, objective, bound, duals = route(model, name, max(0.05, time_limit_seconds), gap, hint)
    if name == "glop" and status is Status.OPTIMAL:
        bound = objective  # the relaxation's own optimum; the routes report none
    if status is Status.OPTIMAL and objective - bound > 2 * RELATIVE_GAP * max(abs(objective), 1e-9):
        status = Status.FEASIBLE
    return Solution(status, name, values, objective, bound, time.monotonic() - started, duals)


Answer = Any  # status, values, objective, bound, duals


def _nothing(status: Status, model: LinearModel) -> Answer:
    return status, np.zeros(len(model.objective)), np.inf, -np.inf, np.zeros(0)


def _solve_by_helper(
    model: LinearModel, name: str, time_limit_seconds: float, gap: float, hint: Array | None = None
) -> Answer:
    helper = require("ortools.linear_solver.python.model_builder_helper", purpose=PURPOSE)
    built = helper.ModelBuilderHelper()
    built.fill_model_from_sparse_data(
        model.lower, model.upper, model.objective, model.row_lower, model.row_upper, model.matrix
    )
    if name == "scip":
        for column in np.flatnonzero(model.integer).tolist():
            built.set_var_integrality(column, True)
        for column, amount in enumerate(() if hint is None else hint.tolist()):
            built.add_hint(column, amount)
    solver = helper.ModelSolverHelper(name)
    solver.set_time_limit_in_seconds(time_limit_seconds)
    solver.set_solver_specific_parameters(_parameters(name, gap))
    solver.solve(built)
    status = _status(solver.status().name)
    if status is Status.FEASIBLE and not solver.has_solution():
        status = Status.NO_SOLUTION
    if not status.has_values:
        return _nothing(status, model)
    duals = np.asarray(solver.dual_values()) if name == "glop" else np.zeros(0)
    return status, np.asarray(solver.variable_values()), solver.objective_value(), solver.best_objective_bound(), duals


def _solve_by_proto(
    model: LinearModel, name: str, time_limit_seconds: float, gap: float, hint: Array | None = None
) -> Answer:
    pywraplp = require("ortools.linear_solver.pywraplp", purpose=PURPOSE)
    solver = pywraplp.Solver.CreateSolver({"scip": "SCIP", "glop": "GLOP"}[name])
    solver.LoadModelFromProto(_as_proto(model, integer=name == "scip"))
    solver.SetTimeLimit(max(1, int(time_limit_seconds * 1000)))
    solver.SetSolverSpecificParametersAsString(_parameters(name, gap))
    if hint is not None and name == "scip":
        solver.SetHint(solver.variables(), hint.tolist())
    names = {
        getattr(pywraplp.Solver, one): one for one in ("OPTIMAL", "FEASIBLE", "INFEASIBLE", "UNBOUNDED", "NOT_SOLVED")
    }
    status = _status(names.get(solver.Solve(), "ABNORMAL"))
    if not status.has_values:
        return _nothing(status, model)
    objective = solver.Objective().Value()
    bound = solver.Objective().BestBound() if name == "scip" else -np.inf
    values = np.array([variable.solution_value() for variable in solver.variables()])
    duals = [row.dual_value() for row in solver.constraints()] if name == "glop" else []
    return status, values, objective, bound, np.array(duals)


def _as_proto(model: LinearModel, *, integer: bool) -> Any:
    proto = require("ortools.linear_solver.linear_solver_pb2", purpose=PURPOSE).MPModelProto()
    columns = zip(model.lower.tolist(), model.upper.tolist(), model.objective.tolist(), model.integer.tolist())
    for lower, upper, price, whole in columns:
        proto.variable.add(
            lower_bound=lower, upper_bound=upper, objective_coefficient=price, is_integer=integer and whole
        )
    edges = model.matrix.indptr.tolist()
    for row, (lower, upper) in enumerate(zip(model.row_lower.tolist(), model.row_upper.tolist())):
        constraint = proto.constraint.add(lower_bound=lower, upper_bound=upper)
        constraint.var_index.extend(model.matrix.indices[edges[row] : edges[row + 1]].tolist())
        constraint.coefficient.extend(model.matrix.data[edges[row] : edges[row + 1]].tolist())
    return proto


def _parameters(name: str, gap: float) -> str:
    if name == "scip":
        return (
            f"limits/gap={gap}\nlimits/stallnodes={STALLED_NODES}\n"
            f"randomization/randomseedshift={SEED}\nparallel/maxnthreads=1"
        )
    return f"random_seed: {SEED} use_dual_simplex: true"


def _status(name: str) -> Status:
    return {
        "OPTIMAL": Status.OPTIMAL,
        "FEASIBLE": Status.FEASIBLE,
        "NOT_SOLVED": Status.NO_SOLUTION,
        "INFEASIBLE": Status.INFEASIBLE,
        "UNBOUNDED": Status.UNBOUNDED,
    }.get(name, Status.FAILED)
