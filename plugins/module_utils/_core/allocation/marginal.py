# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What one more host of each class would save an hour.

The linear relaxation of the first period, with shortage at the price it is reported at,
has a dual y for every row of room and a reduced cost for every replica count at its upper
bound. One more host of class k moves those rows by the room Q_k of one host and those
bounds by phi, so it saves

    - sum of y Q_k over the rows of k  -  sum of reduced cost x phi over the bounds of k.

The optimum is concave in the number of hosts: this is exact for a fraction of a host and
at most that for a whole one. What the host costs for the share that is used is already
paid from it; what stands idle is not.

Source: sensitivity of linear programmes (Bertsimas and Tsitsiklis, Introduction to Linear
Optimization, 1997, chapter 5).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
NEGLIGIBLE = 1e-6


def host_values(problem: Problem, *, time_limit_seconds: float = 10.0) -> Array:
    """Currency/h that one more host of each class saves at most, shape (K,); zeros where no optimum was found."""
    values = np.zeros(len(problem.classes))
    if problem.pairs == 0:
        return values
    reported = replace(
        problem,
        later=(),
        lead=np.zeros_like(problem.lead),
        layer_price=np.where(problem.layer_served, problem.layer_cost, problem.layer_price),
    )
    parts = formulate(reported)
    model = parts.model
    solution = solver.solve(model, integer=False, time_limit_seconds=time_limit_seconds)
    if solution.status is not solver.Status.OPTIMAL or len(solution.duals) != len(parts.room_class):
        return values
    rows = np.flatnonzero(parts.room_class >= 0)
    k = parts.room_class[rows]
    np.add.at(values, k, -solution.duals[rows] * model.row_upper[rows] / problem.host_count[k])
    block = parts.columns.replicas
    reduced = (model.objective - model.matrix.T @ solution.duals)[block]
    full = (solution.values[block] >= model.upper[block] - NEGLIGIBLE) & (reduced < 0)
    full &= problem.upper >= problem.fits * problem.host_count[problem.pair_class]
    np.add.at(values, problem.pair_class[full], -(reduced * problem.fits)[full])
    open_classes = np.array([not one.draining for one in problem.classes], dtype=bool)
    return np.where((values > NEGLIGIBLE) & open_classes, values, 0.0) / problem.period_hours
