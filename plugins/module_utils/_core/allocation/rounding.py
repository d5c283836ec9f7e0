# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whole replicas from a fractional plan: floor, then repair by the prices of the relaxation.

The linear programme says what is worth having; its floor is admissible, and loses at most
one replica a pair. Its duals say what the room of each class is worth to the others: with
those prices on room the models no longer depend on each other, and each is repaired by
itself. From the counts x of model m the repair looks at every exchange

    x' = x - e_i + n e_j,    i, j classes of m or none, n >= 0 the fewest that reach the
                             capacity the relaxation gave, or the least replicas, or one less

and takes the cheapest that the room left allows, as long as it saves money: (p+1)^2
exchanges for a model with p classes. Models with the dearest requests choose first. What
is still free then goes, at its cost alone, to models that are short: nobody else wants it.

Source: Lagrangian repair, as for generalised assignment (Yagiura, Ibaraki, Glover,
INFORMS J. Computing 16, 2004), with the prices of the linear relaxation.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import (
    PeriodDemand,
    Problem,
    SpreadLimit,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import used_room

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-6
MAX_EXCHANGES = 50  # a model


def rounded(
    problem: Problem,
    fractional: Array,
    *,
    prices: Array | None = None,
    wanted: PeriodDemand | None = None,
    before: Array | None = None,
    most: Array | None = None,
) -> Array:
    """Whole counts, shape (P,), near ``fractional`` and admissible when that is.

    Args:
        problem: the arrays.
        fractional: replicas a pair of the relaxation.
        prices: money a replica, room included, shape (P,), from the duals of the relaxation. None where
            nothing was solved: then it is the cost of the replica, and all demand is to be reached.
        wanted: what the period asks for; the first period's where None.
        before: replicas of the period before, which need no start; what runs where None.
        most: upper bounds of the pairs; the problem's where None.
    """
    period = problem if wanted is None else wanted
    repair = _Repair(
        problem,
        period,
        np.floor(np.maximum(fractional, 0.0) + TOLERANCE),
        problem.cost + problem.leave_price if prices is None else prices,
        problem.running if before is None else before,
        problem.upper if most is None else most,
    )
    reached = np.bincount(problem.pair_model, weights=problem.rate * fractional, minlength=len(problem.models))
    if prices is None:
        reached = np.bincount(period.layer_model, weights=period.layer_rate, minlength=len(problem.models))
    order = _by_urgency(problem, period)
    for m in order:
        repair.model(m, float(reached[m]))
    repair.release_prices()
    wanted_rate = np.bincount(period.layer_model, weights=period.layer_rate, minlength=len(problem.models))
    short = repair.short(wanted_rate)
    for m in order:
        if short[m]:
            repair.model(m, float(wanted_rate[m]))
    return repair.replicas


def _by_urgency(problem: Problem, period: PeriodDemand) -> list[int]:
    """Models, those with the dearest request first."""
    dearest = np.zeros(len(problem.models))
    np.maximum.at(dearest, period.layer_model, period.layer_price)
    return [int(m) for m in np.lexsort((np.arange(len(dearest)), -dearest))]


class _Repair:
    """Counts under repair and the room they leave."""

    def __init__(
        self, problem: Problem, period: PeriodDemand, replicas: Array, prices: Array, before: Array, most: Array
    ) -> None:
        self.replicas = np.minimum(replicas, most)
        self._problem, self._period = problem, period
        self._prices, self._before, self._most = prices, before, most
        self._free = problem.room * problem.host_count[:, None] - used_room(problem, self.replicas)
        models = np.arange(len(problem.models) + 1)
        self._pairs = np.searchsorted(problem.pair_model, models).tolist()
        self._layers = np.searchsorted(period.layer_model, models).tolist()
        self._limits: dict[int, list[SpreadLimit]] = {}
        for limit in problem.spread:
            self._limits.setdefault(limit.model, []).append(limit)

    def release_prices(self) -> None:
        """From here on a replica counts with what it costs, whatever its room is worth to others."""
        self._prices = self._problem.cost + self._problem.leave_price

    def short(self, wanted_rate: Array) -> Array:
        """Which models lack capacity or replicas, shape (M,)."""
        problem, count = self._problem, len(wanted_rate)
        capacity = np.bincount(problem.pair_model, weights=problem.rate * self.replicas, minlength=count)
        replicas = np.bincount(problem.pair_model, weights=self.replicas, minlength=count)
        return (capacity < wanted_rate * (1 - TOLERANCE)) | (replicas < self._period.floor)

    def model(self, m: int, reached: float) -> None:
        """Exchange replicas of one model while that saves money."""
        begin, end = self._pairs[m], self._pairs[m + 1]
        if begin == end:
            return
        mine = slice(begin, end)
        for _unused in range(MAX_EXCHANGES):
            removed, added, number = self._exchanges(m, mine, reached)
            counts = np.repeat(self.replicas[None, mine], len(removed), axis=0)
            rows = np.arange(len(removed))
            counts[rows[removed >= 0], removed[removed >= 0]] -= 1
            counts[rows, added] += number
            able = self._admissible(m, mine, counts)
            counts = counts[able]
            money = self._money(m, mine, counts)
            now = float(self._money(m, mine, self.replicas[None, mine])[0])
            best = int(np.argmin(money)) if len(money) else -1
            if best < 0 or money[best] >= now - TOLERANCE * max(1.0, abs(now)):
                return
            change = counts[best] - self.replicas[mine]
            np.add.at(self._free, self._problem.pair_class[mine], -self._problem.need[mine] * change[:, None])
            self.replicas[mine] = counts[best]

    def _exchanges(self, m: int, mine: slice, reached: float) -> tuple[Array, Array, Array]:
        """Which replica goes (-1: none), which come, and how many; one row an exchange."""
        rate, have = self._problem.rate[mine], self.replicas[mine]
        width = len(rate)
        removed = np.concatenate([[-1], np.flatnonzero(have > 0)])
        lost = np.where(removed >= 0, rate[removed], 0.0)
        gone, come = np.repeat(np.arange(len(removed)), width), np.tile(np.arange(width), len(removed))
        capacity = float(rate @ have) - lost[gone]
        short = np.ceil((reached - capacity) / rate[come] - TOLERANCE)
        below = self._period.floor[m] - (float(have.sum()) - (removed[gone] >= 0))
        number = np.maximum(0.0, np.concatenate([short, short - 1, np.maximum(short, below)]))
        space = self._space(mine, removed[gone], come)
        number = np.minimum(number, np.tile(space, 3))
        return np.tile(removed[gone], 3), np.tile(come, 3), number

    def _space(self, mine: slice, removed: Array, come: Array) -> Array:
        """How many replicas find room, shape (exchanges,)."""
        problem = self._problem
        need, host_class = problem.need[mine], problem.pair_class[mine]
        free = self._free[host_class[come]]
        back = (removed >= 0) & (host_class[removed] == host_class[come])
        free = free + np.where(back[:, None], need[removed], 0.0)
        taken = need[come]
        ratio = np.where(taken > 0, (free + TOLERANCE) / np.where(taken > 0, taken, 1.0), np.inf)
        return np.maximum(0.0, np.floor(ratio.min(axis=1)))

    def _admissible(self, m: int, mine: slice, counts: Array) -> Array:
        within = (counts <= self._most[mine] + TOLERANCE).all(axis=1)
        return within & (counts.sum(axis=1) <= self._problem.ceiling[m] + TOLERANCE)

    def _money(self, m: int, mine: slice, counts: Array) -> Array:
        """Money of the model at each row of counts, room at its price."""
        problem, period = self._problem, self._period
        starts = np.maximum(counts - self._before[mine], 0.0)
        money = counts @ self._prices[mine] + starts @ problem.start_price[mine]
        money += problem.floor_price[m] * np.maximum(period.floor[m] - counts.sum(axis=1), 0.0)
        for limit in self._limits.get(m, ()):
            inside = counts[:, limit.pairs - mine.start].sum(axis=1)
            money += limit.price * np.maximum(inside - limit.share * counts.sum(axis=1) - 1.0, 0.0)
        layers = slice(self._layers[m], self._layers[m + 1])
        width = period.layer_rate[layers]
        lacking = np.clip(np.cumsum(width)[None, :] - (counts @ problem.rate[mine])[:, None], 0.0, width)
        return money + lacking @ period.layer_price[layers]
