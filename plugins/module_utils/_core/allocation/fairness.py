# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Shortage first, then fairness, then cost: one programme, solved level by level.

1. Minimise the price of shortage and policy; hold it.
2. Max-min fairness of the served share of demand, lexicographically. A group is a model,
   or a tenant with several; its share is what is served of all that it asks for. The
   level t rises for all groups that are not settled yet:

       maximise t   with   sum_{j of g} z_j + D_g t <= D_g   for each group g not settled

   Then the groups that hold t down are settled at it, and the level rises for the others,
   at most :data:`MAX_LEVELS` times. Which those are the duals of the relaxation say: a
   group whose row has a price cannot have more unless another has less. At last the sum of
   all shares is raised above these floors, so that nothing is wasted. Of fractional replicas
   this is the lexicographic optimum; of whole ones it is exact for the worst served.
3. Minimise cost and churn.

Each level is held within :data:`HELD`. Later periods are held to the shortage of level 1.

Source: lexicographic max-min by settling groups level by level (Nace and Pioro, IEEE
Communications Surveys 10(4), 2008).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import PURPOSE, LinearModel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.routes import Routes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import demand, value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
HELD = 1e-6
MAX_LEVELS = 12


def lexicographic(routes: Routes, groups: Array | None = None) -> solver.Solution:
    """The plan that is best on the first level, then the second, then the third.

    Args:
        routes: the programme and how it is solved.
        groups: index of each model's group, shape (M,); each model is its own where None.
    """
    parts = routes.formulation
    first = parts.shortage + parts.policy
    solution = routes.minimise(replace(parts.model, objective=first))
    if not solution.status.has_values:
        return solution
    held = parts.model.with_row(first, solution.objective + HELD * max(1.0, abs(solution.objective)))
    fair = _levels(routes, held, groups)
    cheapest = routes.minimise(replace(fair, objective=_widened(parts.running, fair)))
    return cheapest if cheapest.status.has_values else solution


def served_shares(problem: Problem, missing_rate: Array, groups: Array | None = None) -> Array:
    """Served share of demand by group, for groups that want something some class can serve; ascending."""
    of_model, wanted, able = _groups(problem, groups)
    missing = np.bincount(of_model, weights=missing_rate, minlength=len(wanted))
    return np.sort(1.0 - missing[able] / wanted[able])


def as_fair(problem: Problem, stays: Array, found: Array, groups: Array | None = None) -> bool:
    """Whether ``stays`` is no worse than ``found`` in shortage, policy and fairness of the first period."""
    ours, theirs = value(problem, found), value(problem, stays)
    limits = (theirs.shortage + theirs.policy, ours.shortage + ours.policy)
    if limits[0] > limits[1] + 2 * HELD * max(1.0, limits[1]):
        return False
    gap = served_shares(problem, theirs.missing_rate, groups) - served_shares(problem, ours.missing_rate, groups)
    apart = np.flatnonzero(np.abs(gap) > 2 * HELD)
    return not len(apart) or bool(gap[apart[0]] > 0)


def _groups(problem: Problem, groups: Array | None) -> tuple[Array, Array, Array]:
    """Group of each model, demand of each group, and the groups that want something that can be served."""
    of_model = np.arange(len(problem.models)) if groups is None else np.asarray(groups)
    reachable = np.bincount(problem.pair_model, weights=problem.upper, minlength=len(problem.models)) > 0
    wanted = np.bincount(of_model, weights=demand(problem), minlength=int(of_model.max(initial=-1)) + 1)
    hopeless = np.bincount(of_model, weights=demand(problem) * ~reachable, minlength=len(wanted))
    return of_model, wanted, (wanted > 0) & (hopeless < wanted)


def _levels(routes: Routes, held: LinearModel, groups: Array | None) -> LinearModel:
    """``held`` with a row for each group that holds it to its max-min share."""
    problem, columns = routes.problem, routes.formulation.columns
    of_model, wanted, able = _groups(problem, groups)
    shares = _share_rows(problem, columns.missing, of_model, wanted, len(held.objective))
    active, floor = np.flatnonzero(able), np.zeros(len(wanted))
    floor[~able] = -np.inf
    for _unused in range(MAX_LEVELS):
        if not len(active):
            break
        model = _raise_level(held, shares, wanted, active, floor)
        raised = routes.minimise(model)
        if not raised.status.has_values:
            break
        level = float(raised.values[-1])
        floor[active] = np.maximum(floor[active], level - HELD)
        relaxed = solver.solve(model, integer=False, time_limit_seconds=max(0.1, routes.seconds_left()))
        if level >= 1.0 - HELD or relaxed.status is not solver.Status.OPTIMAL:
            break
        holding = np.abs(relaxed.duals[-len(active) :]) > HELD / len(wanted)
        active = active[~holding]
    floored = _held_shares(held, shares, wanted, floor)
    weight = np.where(able, 1.0 / np.where(wanted > 0, wanted, 1.0), 0.0)
    unserved = np.asarray(shares.T @ weight).ravel()
    best = routes.minimise(replace(floored, objective=unserved))
    return floored.with_row(unserved, best.objective + HELD) if best.status.has_values else floored


def _share_rows(problem: Problem, missing: slice, of_model: Array, wanted: Array, width: int) -> Array:
    """Demand not served by group, as a matrix over columns."""
    sparse = require("scipy.sparse", purpose=PURPOSE)
    served = np.flatnonzero(problem.layer_served)
    where = (of_model[problem.layer_model[served]], missing.start + served)
    return sparse.csr_matrix((np.ones(len(served)), where), shape=(len(wanted), width))


def _held_shares(held: LinearModel, shares: Array, wanted: Array, floor: Array) -> LinearModel:
    sparse = require("scipy.sparse", purpose=PURPOSE)
    mine = np.flatnonzero(np.isfinite(floor))
    return replace(
        held,
        matrix=sparse.vstack([held.matrix, shares[mine]], format="csr"),
        row_lower=np.append(held.row_lower, np.full(len(mine), -np.inf)),
        row_upper=np.append(held.row_upper, wanted[mine] * (1.0 - floor[mine])),
    )


def _raise_level(held: LinearModel, shares: Array, wanted: Array, active: Array, floor: Array) -> LinearModel:
    """Maximise t <= 1, the last column, under the floors of all and t for the active groups."""
    sparse = require("scipy.sparse", purpose=PURPOSE)
    model = _held_shares(held, shares, wanted, floor)
    height, width = model.matrix.shape
    left = sparse.vstack([model.matrix, shares[active]], format="csr")
    right = np.concatenate([np.zeros(height), wanted[active]])
    return LinearModel(
        objective=np.append(np.zeros(width), -1.0),
        lower=np.append(model.lower, 0.0),
        upper=np.append(model.upper, 1.0),
        matrix=sparse.hstack([left, sparse.csr_matrix(right[:, None])], format="csr"),
        row_lower=np.append(model.row_lower, np.full(len(active), -np.inf)),
        row_upper=np.append(model.row_upper, wanted[active]),
        integer=np.append(model.integer, False),
    )


def _widened(objective: Array, model: LinearModel) -> Array:
    return np.append(objective, np.zeros(len(model.objective) - len(objective)))
