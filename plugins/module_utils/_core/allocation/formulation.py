# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The replica plan as a mixed-integer linear programme.

Problem
    How many replicas of which model run on which class of alike hosts in each period, so
    that the expected price of unserved demand, of waiting, of hosts and of change is least.

Sets
    m models; k host classes (accelerator type, room, cost, state, and zone or region where
    a model must spread over them); (m,k) admissible pairs; j layers of a model's ladder of
    capacity; r resources; z zones or regions; t = 0..T-1 periods.

Data (money is currency over a period of D hours)
    mu_mk   requests/s of one replica inside its service level
    a_mkr   need of one replica;  Q_kr room of one host;  n_k hosts
    phi_mk  replicas that fit one empty host
    x0_mk   replicas that run now, of any version
    d_mtj   width of ladder layer j, requests/s
    p_mtj   money per request/s of layer j without capacity: for demand 3600 D pi_m (1 - qbar_j),
            and what the capacity saves in waiting
    c_mk    D x cost per hour of the replica's share of its host
    K_mk    price of a start;  L_m periods from start to first answer
    l_mk    price of staying on a draining host
    lo_m, hi_m  least and most replicas;  P money per replica a limit gives way

Variables
    x_mkt   replicas that serve, integer, 0 <= x <= phi n (<= x0 on a draining class)
    u_mkt   replicas that begin to serve in t, having occupied their host since t - L
    z_mtj   capacity that layer j lacks, 0 <= z <= d
    v_mt    replicas missing below lo_m;  w_mzt replicas beyond the spread share

Minimise the sum over t of
    shortage   sum_mj p_mtj z_mtj
  + policy     sum_m P_m v_mt + sum_mz P_m w_mzt
  + running    sum_mk (c_mk + l_mk) x_mkt + (K_mk + L_m c_mk) u_mkt

subject to, for each t,
    capacity   sum_k mu_mk x_mkt + sum_j z_mtj >= sum_j d_mtj       for each m
    flow       x_mkt - u_mkt <= x_mk,t-1,  u_mkt = 0 for t < L_m     for each (m,k)
    resource   sum_m a_mkr (x_mkt + sum_{t < s <= t+L} u_mks) <= n_k Q_kr   for each k, r
    packing    sum over m with a_mkr > Q_kr/(p+1) of the same <= p n_k  for each k, r and p that bind:
               more than p replicas that each take over 1/(p+1) of a host do not fit one
    most       sum_k x_mkt <= hi_m                                   for each m
    least      sum_k x_mkt + v_mt >= lo_m                            for each m
    spread     sum_{k in z} x_mkt - share sum_k x_mkt - w_mzt <= 1    for each m, z

Stops need no variable: a replica that is not carried over is stopped. In the first period
a start of a pair that does not run yet is its replica, so its price is in the replica's.

Demand is counted by what is missing, not by what is served: the objective then has no
constant, and a solver's relative gap is a gap in money. x = 0 is always admissible: there
is no infeasible plan, only a priced one. The packing rows cut nothing that can be placed;
with accelerator counts that divide each other they are implied by the resource rows.

Source: a ladder of priced demand layers is simple recourse over a discrete distribution
(Birge and Louveaux, Introduction to Stochastic Programming, 2011); the newsvendor level
1 - c/pi follows from it (Arrow, Harris and Marschak, Econometrica 19, 1951).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.packing import packing_sets
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import (
    PeriodDemand,
    Problem,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel, Rows
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import value

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True, eq=False)
class Columns:
    """Where each kind of variable of one period stands; ``starts`` has a column for each of ``start_pairs``."""

    replicas: slice
    starts: slice
    missing: slice
    below: slice
    beyond: slice
    start_pairs: Array

    @property
    def end(self) -> int:
        return int(self.beyond.stop)


@dataclass(frozen=True, eq=False)
class Formulation:
    """The programme and its objective in parts: weighted, it is their sum. ``periods`` has the columns of each.

    ``room_class`` is the class whose room a row shares out, -1 for other rows: their duals price room.
    ``folded`` is the price of a start where it stands in the price of its replica. ``flow`` has
    the flow rows of each period.
    """

    model: LinearModel
    periods: tuple[Columns, ...]
    shortage: Array
    policy: Array
    running: Array
    room_class: Array
    folded: Array
    flow: tuple[slice, ...]

    @property
    def columns(self) -> Columns:
        """Those of the first period."""
        return self.periods[0]

    def replicas(self, values: Array) -> Array:
        """What a solution says of replicas, shape (T, P)."""
        return np.stack([values[one.replicas] for one in self.periods])

    def values(self, problem: Problem, path: Array) -> Array:
        """The columns at ``path``, replicas of shape (T, P): a solution where the path is admissible."""
        values = np.zeros(len(self.model.objective))
        before = problem.running
        for columns, wanted, replicas in zip(self.periods, problem.periods, path):
            worth = value(problem, replicas, wanted=wanted, before=before)
            values[columns.replicas] = replicas
            values[columns.starts] = np.maximum(replicas - before, 0.0)[columns.start_pairs]
            values[columns.missing], values[columns.below] = worth.missing, worth.below
            values[columns.beyond] = worth.beyond
            before = replicas
        return values

    def prices(self, duals: Array) -> Array:
        """Money a replica without its start, what it takes of the shared rows included, shape (T, P)."""
        objective = self.running - self.folded - self.model.matrix.T @ np.where(self.room_class >= 0, duals, 0.0)
        money = np.stack([objective[one.replicas] for one in self.periods])
        for t, rows in enumerate(self.flow[1:]):
            money[t] += duals[rows]  # what is carried over needs no start in the next period
        return money


def formulate(problem: Problem) -> Formulation:
    """The arrays of the programme in this file's docstring."""
    periods = _columns(problem)
    count = periods[-1].end
    rows = Rows(count)
    lower, upper, integer = np.zeros(count), np.full(count, np.inf), np.zeros(count, dtype=bool)
    shortage, policy, running = np.zeros((3, count))
    packing = packing_sets(problem)
    flow: list[slice] = []
    for t, (columns, wanted) in enumerate(zip(periods, problem.periods)):
        pairs, where = _occupants(problem, periods, t)
        _capacity_rows(rows, problem, wanted, columns)
        flow.append(_flow_rows(rows, problem, periods, t))
        _resource_rows(rows, problem, pairs, where)
        for k, members, most in packing:
            mine = np.isin(pairs, members)
            rows.add(np.zeros(int(mine.sum()), dtype=np.int64), where[mine], 1.0, -np.inf, most, room_class=k)
        _limit_rows(rows, problem, wanted, columns)
        _spread_rows(rows, problem, columns)
        upper[columns.replicas] = problem.upper if t else _first_upper(problem)
        upper[columns.missing] = wanted.layer_rate
        integer[columns.replicas] = True
        shortage[columns.missing] = wanted.layer_price
        policy[columns.below] = problem.floor_price
        policy[columns.beyond] = [limit.price for limit in problem.spread]
        running[columns.replicas] = problem.cost + problem.leave_price
        waits = problem.lead[problem.pair_model] * problem.cost
        running[columns.starts] = (problem.start_price + waits)[columns.start_pairs]
    folded = np.zeros(count)
    folded[_starts_fresh(problem)] = problem.start_price[_starts_fresh(problem)]
    running += folded
    matrix, row_lower, row_upper = rows.build()
    model = LinearModel(shortage + policy + running, lower, upper, matrix, row_lower, row_upper, integer)
    return Formulation(model, periods, shortage, policy, running, rows.room_classes(), folded, tuple(flow))


def _starts_fresh(problem: Problem) -> Array:
    """Pairs whose first replicas in the first period are all starts."""
    return np.flatnonzero((problem.running == 0) & (problem.lead[problem.pair_model] == 0))


def _first_upper(problem: Problem) -> Array:
    """Nothing begins to serve before its lead time."""
    return np.where(problem.lead[problem.pair_model] > 0, np.minimum(problem.upper, problem.running), problem.upper)


def _columns(problem: Problem) -> tuple[Columns, ...]:
    lead = problem.lead[problem.pair_model]
    periods: list[Columns] = []
    for t, wanted in enumerate(problem.periods):
        able = lead <= t if t else (lead == 0) & (problem.running > 0)
        start_pairs = np.flatnonzero(able)
        sizes = (
            problem.pairs,
            len(start_pairs),
            len(wanted.layer_rate),
            len(problem.models),
            len(problem.spread),
        )
        begin = periods[-1].end if periods else 0
        ends = (begin + np.cumsum(sizes)).tolist()
        blocks = [slice(end - size, end) for size, end in zip(sizes, ends)]
        replicas, starts, missing, below, beyond = blocks
        periods.append(Columns(replicas, starts, missing, below, beyond, start_pairs))
    return tuple(periods)


def _occupants(problem: Problem, periods: tuple[Columns, ...], t: int) -> tuple[Array, Array]:
    """Pairs and columns of what takes room in period t: what serves, and what is still starting."""
    first = periods[t].replicas.start
    pairs, where = [np.arange(problem.pairs)], [np.arange(problem.pairs) + first]
    lead = problem.lead[problem.pair_model]
    for s in range(t + 1, min(t + int(lead.max(initial=0)), len(periods) - 1) + 1):
        starting = lead[periods[s].start_pairs] >= s - t
        pairs.append(periods[s].start_pairs[starting])
        where.append(periods[s].starts.start + np.flatnonzero(starting))
    return np.concatenate(pairs), np.concatenate(where)


def _capacity_rows(rows: Rows, problem: Problem, wanted: PeriodDemand, columns: Columns) -> None:
    missing = np.arange(columns.missing.start, columns.missing.stop)
    ladder = np.bincount(wanted.layer_model, weights=wanted.layer_rate, minlength=len(problem.models))
    rows.add(
        np.concatenate([problem.pair_model, wanted.layer_model]),
        np.concatenate([np.arange(problem.pairs) + columns.replicas.start, missing]),
        np.concatenate([problem.rate, np.ones(len(missing))]),
        ladder,
        np.inf,
    )


def _flow_rows(rows: Rows, problem: Problem, periods: tuple[Columns, ...], t: int) -> slice:
    columns = periods[t]
    mine = columns.start_pairs if t == 0 else np.arange(problem.pairs)
    row_of = np.full(problem.pairs, -1)
    row_of[mine] = np.arange(len(mine))
    starts = np.arange(columns.starts.start, columns.starts.stop)
    blocks = [(row_of[mine], mine + columns.replicas.start, 1.0), (row_of[columns.start_pairs], starts, -1.0)]
    if t:
        blocks.append((row_of[mine], mine + periods[t - 1].replicas.start, -1.0))
    rows.add(
        np.concatenate([block[0] for block in blocks]),
        np.concatenate([block[1] for block in blocks]),
        np.concatenate([np.full(len(block[0]), block[2]) for block in blocks]),
        np.full(len(mine), -np.inf),
        np.zeros(len(mine)) if t else problem.running[mine],
    )
    return slice(rows.count - len(mine), rows.count)


def _resource_rows(rows: Rows, problem: Problem, pairs: Array, where: Array) -> None:
    total = problem.room * problem.host_count[:, None]
    for r in range(problem.need.shape[1]):
        mine = (problem.need[pairs, r] > 0) & np.isfinite(total[problem.pair_class[pairs], r])
        taking = pairs[mine]
        classes, row = np.unique(problem.pair_class[taking], return_inverse=True)
        rows.add(
            row,
            where[mine],
            problem.need[taking, r],
            np.full(len(classes), -np.inf),
            total[classes, r],
            room_class=classes,
        )


def _limit_rows(rows: Rows, problem: Problem, wanted: PeriodDemand, columns: Columns) -> None:
    pairs = np.arange(problem.pairs) + columns.replicas.start
    least = np.flatnonzero(wanted.floor > 0)
    mine = (wanted.floor > 0)[problem.pair_model]
    rows.add(
        np.concatenate([np.searchsorted(least, problem.pair_model[mine]), np.arange(len(least))]),
        np.concatenate([pairs[mine], least + columns.below.start]),
        1.0,
        wanted.floor[least],
        np.full(len(least), np.inf),
    )
    limited = np.flatnonzero(np.isfinite(problem.ceiling))
    mine = np.isfinite(problem.ceiling)[problem.pair_model]
    at = np.searchsorted(limited, problem.pair_model[mine])
    rows.add(at, pairs[mine], 1.0, np.full(len(limited), -np.inf), problem.ceiling[limited])


def _spread_rows(rows: Rows, problem: Problem, columns: Columns) -> None:
    if not problem.spread:
        return
    edges = np.searchsorted(problem.pair_model, np.arange(len(problem.models) + 1))
    model = np.array([limit.model for limit in problem.spread])
    share = np.array([limit.share for limit in problem.spread])
    count = edges[model + 1] - edges[model]
    row = np.repeat(np.arange(len(model)), count)
    pair = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(edges[model], count)
    inside = np.concatenate([i * problem.pairs + limit.pairs for i, limit in enumerate(problem.spread)])
    beyond = np.arange(len(model))
    rows.add(
        np.concatenate([row, beyond]),
        np.concatenate([pair + columns.replicas.start, beyond + columns.beyond.start]),
        np.concatenate([np.isin(row * problem.pairs + pair, inside) - share[row], np.full(len(model), -1.0)]),
        np.full(len(model), -np.inf),
        np.ones(len(model)),
    )
