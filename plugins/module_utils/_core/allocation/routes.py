# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Routes from the programme to whole replicas, by size, under one time limit.

``direct``     the mixed-integer programme as it is. Up to :data:`PROVEN_INTEGERS` whole
               variables it is solved to proof, beyond within :data:`DIRECT_GAP`.
``lp_repair``  the linear relaxation, floored and repaired by its prices.
``box``        that, then the mixed-integer programme in a box around both: at most one
               replica from the relaxation or the repaired plan. The box loses little,
               since the relaxation has about as many fractional replicas as models, and
               it is solved in time that grows hardly faster than its size. Where demand goes
               unserved, which is dear, and up to :data:`FINE_INTEGERS` whole variables, where it
               is quick, the box moves to the best plan so far, a few times.

``auto`` takes ``direct`` up to :data:`DIRECT_INTEGERS` whole variables, ``box`` beyond.
Each route falls back on the plan of the one before it, so there always is one; the bound
is proven in any case, by the relaxation if by nothing else.

Source: relaxation-induced neighbourhoods (Danna, Rothberg, Le Pape, Math. Programming 102, 2005).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import Formulation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rounding import rounded
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import admissible

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
METHODS = ("auto", "direct", "lp_repair", "box", "columns")
DIRECT_INTEGERS = 2000
PROVEN_INTEGERS = 100
DIRECT_GAP = 5e-4
FINE_INTEGERS = 5000
BOX_GAP, FINE_GAP = 1e-3, 2e-4
RECENTRED, RECENTRED_ABOVE = 3, 0.02  # times, and the share of shortage in the money that is worth it
LEAST_SECONDS = 0.2  # with less time left a mixed-integer solve is not begun
LEAST_RELAXATION_SECONDS = 2.0  # the relaxation is worth this much beyond the limit: every plan stands on it
TOLERANCE = 1e-6


class Routes:
    """Solves of one formulation by one method. What is asked for twice is computed once."""

    def __init__(self, problem: Problem, formulation: Formulation, method: str, time_limit_seconds: float) -> None:
        integers = int(formulation.model.integer.sum())
        small = "direct" if integers <= DIRECT_INTEGERS else "box"
        self.problem, self.formulation = problem, formulation
        self.method = small if method in ("auto", "columns") else method
        self.gap = solver.RELATIVE_GAP if integers <= PROVEN_INTEGERS else DIRECT_GAP
        if self.method == "box":
            self.gap = BOX_GAP if integers > FINE_INTEGERS else FINE_GAP
        self._ends = time.monotonic() + time_limit_seconds
        self._relaxed: Optional[solver.Solution] = None
        self._repaired: Optional[Array] = None

    def seconds_left(self) -> float:
        return self._ends - time.monotonic()

    def relaxed(self) -> solver.Solution:
        """The linear relaxation of the weighted programme."""
        if self._relaxed is None:
            limit = max(LEAST_RELAXATION_SECONDS, self.seconds_left())
            self._relaxed = solver.solve(self.formulation.model, integer=False, time_limit_seconds=limit)
        return self._relaxed

    def repaired(self) -> Array:
        """Whole replicas near the relaxation, or near what runs where there is none; shape (T, P)."""
        if self._repaired is None:
            relaxation = self.relaxed()
            if relaxation.status.has_values:
                fractional = self.formulation.replicas(relaxation.values)
                prices = self.formulation.prices(relaxation.duals)
            else:
                stays = self.problem.running if admissible(self.problem, self.problem.running) else None
                fractional = np.zeros((len(self.problem.periods), self.problem.pairs))
                fractional[:] = 0.0 if stays is None else stays
                prices = [None] * len(fractional)
            self._repaired = self._path(fractional, prices)
        return self._repaired

    def minimise(self, model: LinearModel) -> solver.Solution:
        """Whole values for ``model``: the formulation's arrays, perhaps with another objective and more rows."""
        if self.method == "lp_repair" or self.seconds_left() < LEAST_SECONDS:
            return self._none("left to the repaired plan")
        weighted = model is self.formulation.model
        if self.method == "direct":
            return self._solve(model, self.repaired() if weighted else None)
        best = self._solve(self._boxed(model, self.repaired()), self.repaired() if weighted else None)
        for _unused in range(RECENTRED if weighted else 0):
            if not best.status.has_values or self.seconds_left() < LEAST_SECONDS:
                break
            short = float(self.formulation.shortage @ best.values) >= RECENTRED_ABOVE * abs(best.objective)
            if not short and self.gap > FINE_GAP:
                break
            centre = np.round(self.formulation.replicas(best.values))
            better = self._solve(self._boxed(model, centre), centre)
            if not better.status.has_values or better.objective >= best.objective * (1 - self.gap):
                break
            best = better
        return best

    def _solve(self, model: LinearModel, start: Array | None) -> solver.Solution:
        hint = None if start is None else self.formulation.values(self.problem, start)
        return solver.solve(model, time_limit_seconds=self.seconds_left(), gap=self.gap, hint=hint)

    def _path(self, fractional: Array, prices: Sequence[Array | None]) -> Array:
        """Period by period; nothing begins to serve before its lead time."""
        problem = self.problem
        path, before = [], problem.running
        for t, wanted in enumerate(problem.periods):
            early = problem.lead[problem.pair_model] > t
            most = np.where(early, np.minimum(problem.upper, before), problem.upper)
            before = rounded(problem, fractional[t], prices=prices[t], wanted=wanted, before=before, most=most)
            path.append(before)
        return np.stack(path)

    def _boxed(self, model: LinearModel, centre: Array) -> LinearModel:
        """Bounds around the relaxation and around ``centre``, whole replicas of shape (T, P)."""
        relaxation = self.relaxed()
        if not relaxation.status.has_values:
            return model
        again = centre is not self.repaired()
        lower, upper = model.lower.copy(), model.upper.copy()
        near = zip(self.formulation.periods, self.formulation.replicas(relaxation.values), centre)
        for columns, fractional, whole in near:
            block = columns.replicas
            least = np.minimum(np.floor(fractional + TOLERANCE), whole - again)
            most = np.maximum(np.ceil(fractional - TOLERANCE) + 1.0, whole + again)
            lower[block], upper[block] = np.maximum(least, 0.0), np.minimum(upper[block], most)
        return replace(model, lower=lower, upper=upper)

    def _none(self, why: str) -> solver.Solution:
        return solver.Solution(solver.Status.NO_SOLUTION, why, np.zeros(0), np.inf, -np.inf, 0.0)
