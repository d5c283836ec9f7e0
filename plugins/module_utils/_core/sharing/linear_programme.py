# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Linear objectives over routes: the best use, and the prices that prove it.

    maximise  sum_p c_p z_p      subject to  B z <= 1,  l <= G z <= u,  z >= 0

Any prices lambda >= 0 of the resources bound it from above (Lagrangian duality): with the
margin of task i, b_i = max over its routes of (c_p - (B' lambda)_p) / g_p, the worth of one
more unit of x_i beyond what it takes from others,

    sum_p c_p z_p  <=  sum_r lambda_r + sum_i max(l_i b_i, u_i b_i).

The solver's duals are such prices; the gap is a certificate that needs no trust in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import Solution, Status, solve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import Routes

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TIME_LIMIT_SECONDS = 600.0
# Lower bounds that were cut to fit exactly may miss by rounding, which a presolver takes for infeasible.
SLACK = 1e-11


@dataclass(frozen=True, eq=False)
class BestUse:
    """z (p,), lambda (m,), margins b (n,), and the gap between objective and bound, in the objective's units."""

    ways: Array
    prices: Array
    margins: Array
    gap: float


def linear(objective: Array, upper: Array, matrix: Array, row_lower: Array, row_upper: Array) -> LinearModel:
    """A programme with continuous columns between 0 and ``upper``, to be minimised."""
    count = len(objective)
    return LinearModel(
        objective=np.asarray(objective, dtype=float),
        lower=np.zeros(count),
        upper=np.broadcast_to(np.asarray(upper, dtype=float), (count,)).copy(),
        matrix=matrix,
        row_lower=np.asarray(row_lower, dtype=float),
        row_upper=np.asarray(row_upper, dtype=float),
        integer=np.zeros(count, dtype=bool),
    )


def solve_to_optimality(model: LinearModel) -> Solution:
    """The optimum of a programme that has one.

    Raises:
        ModelOpsError: the solver did not reach it.
    """
    solution = solve(model, integer=False, time_limit_seconds=TIME_LIMIT_SECONDS)
    if solution.status is not Status.OPTIMAL:
        raise ModelOpsError(
            f"the linear programme of the shares was not solved ({solution.status.value})",
            remedy="Bring the amounts, needs and weights closer to one another in size",
        )
    return solution


def best_use(routes: Routes, values: Array, lower: Array, upper: Array) -> BestUse:
    """z that maximises ``values`` (p,) with l <= x <= u. Alike tasks get alike shares."""
    sparse = require("scipy.sparse", purpose="Sharing several resources")
    resources = routes.usage.shape[0]
    upper = np.minimum(upper, 1.0)
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    model = linear(
        -values / scale,
        np.inf,
        sparse.vstack([routes.usage, routes.share], format="csr"),
        np.concatenate((np.full(resources, -np.inf), lower * (1.0 - SLACK))),
        np.concatenate((np.ones(resources), upper)),
    )
    solution = solve_to_optimality(model)
    ways = even_out(routes, np.maximum(solution.values, 0.0), np.column_stack((lower, upper)), values)
    prices = np.maximum(-scale * np.asarray(solution.duals)[:resources], 0.0)
    margins = routes.best_of((values - routes.usage.T @ prices) / routes.gain)
    bound = float(prices.sum() + np.maximum(lower * margins, upper * margins).sum())
    return BestUse(ways, prices, margins, max(0.0, bound - float(values @ ways)))


def even_out(routes: Routes, ways: Array, marks: Array, values: Array) -> Array:
    """Average z over tasks that nothing tells apart: as good by convexity, and fair.

    Args:
        marks: what the strategy knows of each task, shape (n, any).
        values: worth of each route, shape (p,).
    """
    pools = routes.usage.shape[0]
    known = np.zeros((len(routes.reach), 2 * pools))
    where = routes.pool if routes.pool is not None else np.zeros(len(ways), dtype=int)
    known[routes.task, where] = routes.gain
    known[routes.task, pools + where] = values
    table = routes.usage.T.toarray() if routes.pool is None else np.zeros((len(routes.reach), 0))
    described = np.column_stack((marks, known, table))
    _kinds, kind = np.unique(described, axis=0, return_inverse=True)
    group = kind.reshape(-1)[routes.task] * pools + where
    return (np.bincount(group, weights=ways) / np.maximum(np.bincount(group), 1))[group]
