# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From a fleet and its demand to replicas on hosts.

Counts first, by the programme of formulation.py; hosts second, by hosts.py. Where a count
does not fit its class, the class is bounded by what did fit and the programme is solved
again, so that another class or another model gets the room; after :data:`ROUNDS` of that,
what is left is put wherever it fits. Where that happened, classes mislead: hosts are then
also planned as whole fillings (host_fillings.py), and the better plan is taken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.filled_hosts import assign_fillings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.host_fillings import fill_hosts
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
STAYS_WITHIN = 3e-3  # fillings must beat what runs by this share


@dataclass(frozen=True, eq=False)
class Allocation:
    """The decision: ``assignment`` on hosts, what it is ``worth``, and the ``counts`` it came from.

    ``objective`` is that of the assignment, over all periods where there are several; ``bound`` that of the
    first programme, whose room was not yet bounded by what hosts can hold; both in money.
    """

    problem: Problem
    counts: Counts
    assignment: Assignment
    worth: Value
    bound: float | None
    seconds: float

    @property
    def objective(self) -> float:
        return self.counts.objective if self.problem.later else self.worth.objective

    @property
    def gap(self) -> float | None:
        """The share of the objective that may yet be saved."""
        return None if self.bound is None else max(0.0, self.objective - self.bound) / max(self.objective, 1e-9)


@dataclass(frozen=True)
class Settings:
    """How to decide.

    ``objective``: ``weighted`` or ``lexicographic``. ``method``: one of routes.METHODS.
    ``period_hours``: how long a period is. ``churn_hours``: hours of a replica's cost that a start is charged.
    ``waiting_price``: currency per request and second of waiting. ``tenants``: by model, whom it belongs to;
    a model that is not named stands for itself. ``time_limit_seconds``: wall time for the solver.
    ``dask_address``: a Dask scheduler for the parts of a fleet beyond one solve.
    """

    objective: str = "weighted"
    method: str = "auto"
    period_hours: float = 1.0
    churn_hours: float = 0.05
    waiting_price: float = 0.0
    tenants: Mapping[str, str] = field(default_factory=dict)
    time_limit_seconds: float = 30.0
    dask_address: str | None = None


def allocate(
    hosts: Sequence[Host],
    models: Sequence[Model],
    demands: Mapping[str, ModelDemand],
    running: Sequence[Replica],
    settings: Settings | None = None,
    *,
    later: Sequence[Mapping[str, ModelDemand]] = (),
    lead_periods: Mapping[str, int] | None = None,
) -> Allocation:
    """Decide what runs where.

    Args:
        hosts: the stock.
        models: the catalogue.
        demands: what is planned for, an entry for each model.
        running: what runs on hosts of the stock that answer.
        settings: how to decide.
        later: what is planned for in each period after the first.
        lead_periods: whole periods from start to first answer by model.
    """
    started = time.monotonic()
    chosen = settings or Settings()
    problem = build_problem(
        hosts,
        models,
        demands,
        running,
        period_hours=chosen.period_hours,
        churn_hours=chosen.churn_hours,
        later=later,
        lead_periods=lead_periods,
        waiting_price=chosen.waiting_price,
    )
    if chosen.method == "columns" and chosen.objective == "weighted" and not later:
        return _by_fillings(problem, hosts, running, chosen, started)
    groups = _groups(problem, chosen.tenants)
    bounded, bounds = problem, []
    for remaining in reversed(range(ROUNDS)):
        counts = replica_counts(
            bounded,
            objective=chosen.objective,
            method=chosen.method,
            time_limit_seconds=max(0.1, chosen.time_limit_seconds - (time.monotonic() - started)),
            groups=groups,
            address=chosen.dask_address,
        )
        bounds.append(counts.bound)
        assignment = assign(problem, counts.replicas, hosts, running, elsewhere=remaining == 0)
        if not assignment.left_over:
            break
        bounded = _bounded_by(bounded, counts, assignment)
    if bounded is not problem and not problem.later:
        assignment = _or_stay(problem, assignment, hosts, running)
        if chosen.method == "auto" and chosen.objective == "weighted":
            by_fillings = _by_fillings(problem, hosts, running, chosen, started)
            ours = value(problem, _counted(problem, assignment.replicas)).objective
            if by_fillings.objective <= ours * (1 + STAYS_WITHIN):
                return by_fillings
    worth = value(problem, _counted(problem, assignment.replicas))
    return Allocation(problem, counts, assignment, worth, bounds[0], time.monotonic() - started)


def _by_fillings(
    problem: Problem, hosts: Sequence[Host], running: Sequence[Replica], chosen: Settings, started: float
) -> Allocation:
    """The plan by whole host fillings; its bound is that of the relaxation over classes."""
    relaxation = solver.solve(formulate(problem).model, integer=False) if problem.pairs else None
    left = max(0.5, chosen.time_limit_seconds - (time.monotonic() - started))
    fillings, status = fill_hosts(problem, left)
    assignment = _or_stay(problem, assign_fillings(problem, fillings, hosts, running), hosts, running, STAYS_WITHIN)
    replicas = _counted(problem, assignment.replicas)
    worth = value(problem, replicas)
    proven = relaxation is not None and relaxation.status is solver.Status.OPTIMAL
    bound = min(relaxation.bound, worth.objective) if relaxation is not None and proven else 0.0
    status = solver.Status.FEASIBLE if status.has_values else status
    counts = Counts(
        replicas, replicas[None], "fillings of whole hosts (column generation)", status, worth.objective, bound
    )
    return Allocation(problem, counts, assignment, worth, bound, time.monotonic() - started)


def _groups(problem: Problem, tenants: Mapping[str, str]) -> Any:
    """The index of each model's tenant, None where no tenant is named."""
    if not tenants:
        return None
    names = [(1, tenants[one.name]) if one.name in tenants else (0, one.name) for one in problem.models]
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    return np.array([number[name] for name in names], dtype=np.int64)


def _bounded_by(problem: Problem, counts: Counts, assignment: Assignment) -> Problem:
    """No pair above the count that found hosts."""
    upper = problem.upper.copy()
    for pair, (m, k) in enumerate(zip(problem.pair_model.tolist(), problem.pair_class.tolist())):
        if (m, k) in assignment.left_over:
            upper[pair] = counts.replicas[pair] - assignment.left_over[(m, k)]
    return replace(problem, upper=upper)


def _or_stay(
    problem: Problem,
    assignment: Assignment,
    hosts: Sequence[Host],
    running: Sequence[Replica],
    within: float = 1e-6,
) -> Assignment:
    """What runs now, where that fits and is worth as much as what could be put on hosts."""
    stays = assign(problem, problem.running, hosts, running, elsewhere=False)
    if stays.left_over:
        return assignment
    ours = value(problem, _counted(problem, assignment.replicas)).objective
    return stays if value(problem, problem.running).objective <= ours * (1 + within) else assignment


def _counted(problem: Problem, replicas: Sequence[Replica]) -> Any:
    """Replicas a pair, shape (P,)."""
    model_of = {model.name: m for m, model in enumerate(problem.models)}
    class_of = {host: k for k, one in enumerate(problem.classes) for host in one.hosts}
    pair_of = {pair: p for p, pair in enumerate(zip(problem.pair_model.tolist(), problem.pair_class.tolist()))}
    counts = np.zeros(problem.pairs)
    for replica in replicas:
        counts[pair_of[(model_of[replica.model], class_of[replica.host])]] += 1
    return counts
