# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From a fleet and its demand to replicas on hosts.

Counts first, by the programme of formulation.py; hosts second, by hosts.py. Where a count
does not fit its class, the class is bounded by what did fit and the programme is solved
again, so that another class or another model gets the room; after :data:`ROUNDS` of that,
what is left is put wherever it fits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.hosts import Assignment, assign
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem, build_problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.search import Counts, replica_counts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import Value, value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Allocation:
    """The decision: ``assignment`` on hosts, what it is ``worth``, and the ``counts`` it came from.

    ``objective`` is that of the assignment, ``bound`` that of the first programme, whose room
    was not yet bounded by what hosts can hold; both in money over the period.
    """

    problem: Problem
    counts: Counts
    assignment: Assignment
    worth: Value
    bound: float | None
    seconds: float

    @property
    def objective(self) -> float:
        return self.worth.objective

    @property
    def gap(self) -> float | None:
        """The share of the objective that may yet be saved."""
        return None if self.bound is None else max(0.0, self.objective - self.bound) / max(self.objective, 1e-9)


def allocate(
    hosts: Sequence[Host],
    models: Sequence[Model],
    demands: Mapping[str, ModelDemand],
    running: Sequence[Replica],
    *,
    objective: str = "weighted",
    period_hours: float = 1.0,
    churn_hours: float = 0.03,
    time_limit_seconds: float = 30.0,
) -> Allocation:
    """Decide what runs where.

    Args:
        hosts: the stock.
        models: the catalogue.
        demands: what is planned for, an entry for each model.
        running: what runs on hosts of the stock that answer.
        objective: ``weighted`` or ``lexicographic``.
        period_hours: how long the plan is for.
        churn_hours: hours of a replica's cost that a start is charged.
        time_limit_seconds: wall time for the solver.
    """
    started = time.monotonic()
    problem = build_problem(hosts, models, demands, running, period_hours=period_hours, churn_hours=churn_hours)
    bounded, bounds = problem, []
    for remaining in reversed(range(ROUNDS)):
        left = max(0.1, time_limit_seconds - (time.monotonic() - started))
        counts = replica_counts(bounded, objective=objective, time_limit_seconds=left)
        bounds.append(counts.bound)
        assignment = assign(problem, counts.replicas, hosts, running, elsewhere=remaining == 0)
        if not assignment.left_over:
            break
        bounded = _bounded_by(bounded, counts, assignment)
    if bounded is not problem:
        assignment = _or_stay(problem, assignment, hosts, running)
    worth = value(problem, _counted(problem, assignment.replicas))
    return Allocation(problem, counts, assignment, worth, bounds[0], time.monotonic() - started)


def _bounded_by(problem: Problem, counts: Counts, assignment: Assignment) -> Problem:
    """No pair above the count that found hosts."""
    upper = problem.upper.copy()
    for pair, (m, k) in enumerate(zip(problem.pair_model.tolist(), problem.pair_class.tolist())):
        if (m, k) in assignment.left_over:
            upper[pair] = counts.replicas[pair] - assignment.left_over[(m, k)]
    return replace(problem, upper=upper)


def _or_stay(problem: Problem, assignment: Assignment, hosts: Sequence[Host], running: Sequence[Replica]) -> Assignment:
    """What runs now, where that fits and is worth as much as what could be put on hosts."""
    stays = assign(problem, problem.running, hosts, running, elsewhere=False)
    if stays.left_over:
        return assignment
    ours = value(problem, _counted(problem, assignment.replicas)).objective
    return stays if value(problem, problem.running).objective <= ours * (1 + 1e-6) else assignment


def _counted(problem: Problem, replicas: Sequence[Replica]) -> Any:
    """Replicas a pair, shape (P,)."""
    model_of = {model.name: m for m, model in enumerate(problem.models)}
    class_of = {host: k for k, one in enumerate(problem.classes) for host in one.hosts}
    pair_of = {pair: p for p, pair in enumerate(zip(problem.pair_model.tolist(), problem.pair_class.tolist()))}
    counts = np.zeros(problem.pairs)
    for replica in replicas:
        counts[pair_of[(model_of[replica.model], class_of[replica.host])]] += 1
    return counts
