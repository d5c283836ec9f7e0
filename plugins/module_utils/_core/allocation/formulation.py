# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The replica plan as a mixed-integer linear programme.

Problem
    How many replicas of which model run on which class of alike hosts, so that the
    expected price of unserved demand, of hosts and of change is least.

Sets
    m models; k host classes (accelerator type, zone, region, room, cost, state);
    (m,k) admissible pairs; j layers of a model's demand ladder; r resources;
    z zones or regions.

Data (money is currency over the period of D hours)
    mu_mk   requests/s of one replica inside its service level
    a_mkr   need of one replica;  Q_kr room of one host;  n_k hosts
    phi_mk  replicas that fit one empty host
    x0_mk   replicas that run now, of any version
    d_mj    width of demand layer j, requests/s
    p_mj    money per request/s of layer j unserved: 3600 D pi_m (1 - qbar_j)
    c_mk    D x cost per hour of the replica's share of its host
    K_mk    price of a start
    l_mk    price of staying on a draining host
    lo_m, hi_m  least and most replicas;  P money per replica a limit gives way

Variables
    x_mk    replicas, integer, 0 <= x <= phi n (<= x0 on a draining class), sum_k x <= hi
    u_mk    starts,  s_mk stops >= 0 (integral by themselves)
    z_mj    demand not served, 0 <= z <= d
    v_m     replicas missing below lo_m;  w_mz replicas beyond the spread share

Minimise
    shortage   sum_mj p_mj z_mj
  + policy     sum_m P_m v_m + sum_mz P_m w_mz
  + running    sum_mk (c_mk + l_mk) x_mk + K_mk u_mk

subject to
    capacity   sum_k mu_mk x_mk + sum_j z_mj >= sum_j d_mj        for each m
    flow       x_mk - u_mk + s_mk = x0_mk                         for each (m,k)
    resource   sum_m a_mkr x_mk <= n_k Q_kr                       for each k, r
    packing    sum over m with a_mkr > Q_kr/(p+1) of x_mk <= p n_k  for each k, r and p that bind:
               more than p replicas that each take over 1/(p+1) of a host do not fit one
    most       sum_k x_mk <= hi_m                                 for each m
    least      sum_k x_mk + v_m >= lo_m                           for each m
    spread     sum_{k in z} x_mk - share sum_k x_mk - w_mz <= 1   for each m, z

Demand is counted by what is missing, not by what is served: the objective then has no
constant, and a solver's relative gap is a gap in money. x = 0 is always admissible: there is no infeasible plan, only a priced one. The packing
rows cut nothing that can be placed; with accelerator counts that divide each other they
are implied by the resource rows.

A second period adds a copy of every block with its own columns, and x0 in the flow rows
becomes the period before; response time adds segment columns to the capacity rows. Both
are further blocks of columns beside those of :class:`Columns`.

Source: a ladder of priced demand layers is simple recourse over a discrete distribution
(Birge and Louveaux, Introduction to Stochastic Programming, 2011); the newsvendor level
1 - c/pi follows from it (Arrow, Harris and Marschak, Econometrica 19, 1951).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Columns:
    """Where each block of variables is."""

    replicas: slice
    starts: slice
    stops: slice
    missing: slice
    below: slice
    beyond: slice
    count: int


@dataclass(frozen=True, eq=False)
class LinearModel:
    """minimise ``objective`` x with ``row_lower`` <= ``matrix`` x <= ``row_upper``.

    ``matrix`` is a SciPy CSR matrix; ``integer`` marks the columns that must be whole.
    """

    objective: Array
    lower: Array
    upper: Array
    matrix: Array
    row_lower: Array
    row_upper: Array
    integer: Array


@dataclass(frozen=True, eq=False)
class Formulation:
    """The programme and its objective in parts: weighted, it is their sum."""

    model: LinearModel
    columns: Columns
    shortage: Array
    policy: Array
    running: Array


class Rows:
    """Rows collected block by block as coordinate arrays; nothing is added term by term."""

    def __init__(self, column_count: int) -> None:
        self.column_count = column_count
        self.count = 0
        self._parts: list[tuple[Array, Array, Array]] = []
        self._lower: list[Array] = []
        self._upper: list[Array] = []

    def add(self, rows: Array, columns: Array, values: Array, lower: Array, upper: Array) -> None:
        """A block: ``rows`` counts from 0 within it; ``lower`` and ``upper`` have one entry a row."""
        shape = np.broadcast_shapes(np.shape(rows), np.shape(columns))
        self._parts.append(
            (
                np.asarray(rows) + self.count,
                np.asarray(columns),
                np.broadcast_to(np.asarray(values, dtype=float), shape),
            )
        )
        height = max(np.size(lower), np.size(upper))
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=float), (height,)))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=float), (height,)))
        self.count += height

    def build(self) -> tuple[Array, Array, Array]:
        """The CSR matrix, lower and upper bounds of the rows."""
        sparse = require("scipy.sparse", purpose="capacity planning")
        rows, columns, values = (
            np.concatenate([part[i] for part in self._parts]) if self._parts else np.zeros(0) for i in range(3)
        )
        matrix = sparse.csr_matrix((values, (rows, columns)), shape=(self.count, self.column_count))
        bounds = (np.concatenate(part) if part else np.zeros(0) for part in (self._lower, self._upper))
        return (matrix, *bounds)


def formulate(problem: Problem) -> Formulation:
    """The arrays of the programme in this file's docstring."""
    columns = _columns(problem)
    rows = Rows(columns.count)
    _capacity_rows(rows, problem, columns)
    _flow_rows(rows, problem, columns)
    _resource_rows(rows, problem)
    _packing_rows(rows, problem)
    _limit_rows(rows, problem, columns)
    _spread_rows(rows, problem, columns)
    matrix, row_lower, row_upper = rows.build()
    shortage, policy, running = _objective(problem, columns)
    upper = np.full(columns.count, np.inf)
    upper[columns.replicas] = problem.upper
    upper[columns.missing] = problem.layer_rate
    integer = np.zeros(columns.count, dtype=bool)
    integer[columns.replicas] = True
    return Formulation(
        model=LinearModel(
            objective=shortage + policy + running,
            lower=np.zeros(columns.count),
            upper=upper,
            matrix=matrix,
            row_lower=row_lower,
            row_upper=row_upper,
            integer=integer,
        ),
        columns=columns,
        shortage=shortage,
        policy=policy,
        running=running,
    )


def _columns(problem: Problem) -> Columns:
    sizes = (
        problem.pairs,
        problem.pairs,
        problem.pairs,
        len(problem.layer_rate),
        len(problem.models),
        len(problem.spread),
    )
    ends = np.cumsum(sizes).tolist()
    blocks = [slice(end - size, end) for size, end in zip(sizes, ends)]
    replicas, starts, stops, missing, below, beyond = blocks
    return Columns(replicas, starts, stops, missing, below, beyond, count=ends[-1])


def _objective(problem: Problem, columns: Columns) -> tuple[Array, Array, Array]:
    shortage, policy, running = np.zeros((3, columns.count))
    shortage[columns.missing] = problem.layer_price
    policy[columns.below] = problem.floor_price
    policy[columns.beyond] = [limit.price for limit in problem.spread]
    running[columns.replicas] = problem.cost + problem.leave_price
    running[columns.starts] = problem.start_price
    return shortage, policy, running


def _capacity_rows(rows: Rows, problem: Problem, columns: Columns) -> None:
    missing = np.arange(columns.missing.start, columns.missing.stop)
    demand = np.bincount(problem.layer_model, weights=problem.layer_rate, minlength=len(problem.models))
    rows.add(
        np.concatenate([problem.pair_model, problem.layer_model]),
        np.concatenate([np.arange(problem.pairs), missing]),
        np.concatenate([problem.rate, np.ones(len(missing))]),
        demand,
        np.inf,
    )


def _flow_rows(rows: Rows, problem: Problem, columns: Columns) -> None:
    pairs = np.arange(problem.pairs)
    blocks = [pairs, pairs + columns.starts.start, pairs + columns.stops.start]
    rows.add(
        np.tile(pairs, 3),
        np.concatenate(blocks),
        np.repeat([1.0, -1.0, 1.0], problem.pairs),
        problem.running,
        problem.running,
    )


def _resource_rows(rows: Rows, problem: Problem) -> None:
    total = problem.room * problem.host_count[:, None]
    for r in range(problem.need.shape[1]):
        pairs = np.flatnonzero(problem.need[:, r] > 0)
        pairs = pairs[np.isfinite(total[problem.pair_class[pairs], r])]
        classes, row = np.unique(problem.pair_class[pairs], return_inverse=True)
        rows.add(row, pairs, problem.need[pairs, r], np.full(len(classes), -np.inf), total[classes, r])


def _packing_rows(rows: Rows, problem: Problem) -> None:
    """For each class and resource the p at which the row says more than the resource row does."""
    by_class = np.argsort(problem.pair_class, kind="stable")
    edges = np.searchsorted(problem.pair_class[by_class], np.arange(len(problem.classes) + 1))
    for k in range(len(problem.classes)):
        mine = by_class[edges[k] : edges[k + 1]]
        for r in np.flatnonzero(np.isfinite(problem.room[k])):
            share = problem.need[mine, r] / max(problem.room[k, r], TOLERANCE)
            times = np.floor(1.0 / np.maximum(share, TOLERANCE) * (1 + TOLERANCE))
            for p in sorted(set(times[share > TOLERANCE].tolist())):
                large = (share > TOLERANCE) & (times <= p)
                if share[large].min() * p < 1.0 - TOLERANCE:
                    pairs = mine[large]
                    rows.add(np.zeros(len(pairs), dtype=np.int64), pairs, 1.0, -np.inf, p * problem.host_count[k])


def _limit_rows(rows: Rows, problem: Problem, columns: Columns) -> None:
    models = np.arange(len(problem.models))
    pairs = np.arange(problem.pairs)
    rows.add(
        np.concatenate([problem.pair_model, models]),
        np.concatenate([pairs, models + columns.below.start]),
        1.0,
        problem.floor,
        np.inf,
    )
    rows.add(problem.pair_model, pairs, 1.0, np.full(len(models), -np.inf), problem.ceiling)


def _spread_rows(rows: Rows, problem: Problem, columns: Columns) -> None:
    for i, limit in enumerate(problem.spread):
        all_pairs = np.flatnonzero(problem.pair_model == limit.model)
        inside = np.isin(all_pairs, limit.pairs)
        rows.add(
            np.zeros(len(all_pairs) + 1, dtype=np.int64),
            np.append(all_pairs, columns.beyond.start + i),
            np.append(inside - limit.share, -1.0),
            -np.inf,
            1.0,
        )
