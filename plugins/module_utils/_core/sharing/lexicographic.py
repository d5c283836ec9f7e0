# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Lexicographic max-min over pools: few linear programmes instead of one for each task.

    c_i(t) = min(u_i, max(l_i, s_i t)) is what task i asks at level t, in scaled units.

Level t can be given to all when for every pair of prices (lambda, p) >= 0 with
g_p p_i <= (B' lambda)_p on each route (linear-programming duality, Farkas)

    sum_i p_i c_i(t) <= sum_r lambda_r.                                             (cut)

One cut is one resource, so the highest level under it is a closed form (water filling).
For given lambda the strongest p_i is the price of the cheapest route. A round starts at
the lowest level of the cuts with equal prices and with one price, and asks the linear programme

    minimise  sum_r lambda_r - sum_i p_i c0_i   subject to  sum_i s_i p_i = 1 and the routes,

where c_i(t) = c0_i + s_i t on the linear piece that holds the level. Its optimum is the
highest level of that piece; if it reaches the level, the level stands, else its prices
are a violated cut and the level falls to that cut's. A handful of programmes find the
exact level where bisection over the 2n sorted bounds takes log2(2n). The tasks with
p_i > 0 then cannot rise and are frozen; the rest goes on in the next round.

Source of the fairness: Radunovic and Le Boudec, A Unified Framework for Max-Min and
Min-Max Fairness, IEEE/ACM Trans. Networking 15 (2007); of the search: discrete Newton on
cuts (Radzik, Fractional combinatorial optimization, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import Status, solve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.linear_programme import (
    TIME_LIMIT_SECONDS,
    linear,
    solve_to_optimality,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import Routes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import (
    shares_at,
    slope_after,
    water_level,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
TOLERANCE = 1e-9
MAX_CUTS = 200


@dataclass(frozen=True, eq=False)
class Lexicographic:
    """Scaled shares, and how the first level reached would rise.

    Attributes:
        shares: x_i, shape (n,).
        level: the level at which the first tasks were stopped; infinite when all reach their ceilings.
        prices: rise of that level with one more of each whole resource, shape (m,).
        unit_prices: fall of that level with one more unit of x_i for task i, shape (n,).
        programmes: linear programmes solved.
    """

    shares: Array
    level: float
    prices: Array
    unit_prices: Array
    programmes: int


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the tasks of a round ask for: s_i (0 for those that are settled), l_i and u_i, each of shape (n,)."""

    rates: Array
    lower: Array
    upper: Array

    def at(self, level: float) -> Array:
        return shares_at(level, self.rates, self.lower, self.upper)


def lexicographic_max_min(routes: Routes, rates: Array, lower: Array, upper: Array) -> Lexicographic:
    """The lexicographic max-min of x_i / s_i with l <= x <= u.

    Args:
        routes: the ways to a share.
        rates: s_i > 0, shape (n,).
        lower, upper: bounds of x in scaled units; the lower ones fit together, shape (n,).
    """
    search = _Search(routes)
    unit = float(np.max(rates))
    asked = _Asked(np.asarray(rates) / unit, np.asarray(lower, dtype=float), np.minimum(upper, 1.0))
    first_level, level = np.inf, 0.0
    prices, unit_prices = np.zeros(search.resources), np.zeros(len(rates))
    while (asked.rates > 0).any():
        level, cut = search.highest_level(asked, level)
        shares = asked.at(level)
        if np.isinf(level):
            asked = _Asked(np.zeros(len(rates)), shares, shares)
            break
        dear = routes.surrogate(cut)
        if np.isinf(first_level):
            first_level = level
            slope = slope_after(level, asked.rates, asked.lower, asked.upper, dear)
            prices, unit_prices = (cut / slope, dear / slope) if slope > 0 else (prices, unit_prices)
        settled = (asked.rates == 0) | (dear > 0) | (shares >= asked.upper)
        if (settled == (asked.rates == 0)).all():
            settled[:] = True  # no cut names who cannot rise: nobody can by more than rounding
        asked = _Asked(
            np.where(settled, 0.0, asked.rates),
            np.where(settled, shares, asked.lower),
            np.where(settled, shares, asked.upper),
        )
    return Lexicographic(asked.lower, first_level / unit, prices / unit, unit_prices / unit, search.programmes)


class _Search:
    """The programmes of one search share their route rows; lambda and p are the columns."""

    def __init__(self, routes: Routes) -> None:
        self.sparse = require("scipy.sparse", purpose="Sharing several resources")
        self.routes = routes
        self.resources = int(routes.usage.shape[0])
        self.rows = self.sparse.hstack([routes.usage.T, -routes.share.T], format="csr")
        self.programmes = 0

    def highest_level(self, asked: _Asked, least: float) -> tuple[float, Array]:
        """The level all can be given, and the cut lambda that bars a higher one.

        Args:
            asked: the tasks of this round.
            least: a level that is known to be possible.

        Returns:
            The level, infinite when it brings every task to its upper bound, and lambda, shape (m,).
        """
        active = asked.rates > 0
        highest = float((asked.upper[active] / asked.rates[active]).max())
        starts = [np.ones(self.resources), *np.eye(self.resources)]
        levels = [self._level_under(asked, start) for start in starts]
        cut = starts[int(np.argmin(levels))]
        level = max(min(levels), least)
        for _step in range(MAX_CUTS):
            if level <= least < highest:
                break
            reached, better = self._violated(asked, min(level, highest))
            if reached >= min(level, highest) * (1.0 - TOLERANCE):
                return (np.inf, cut) if level >= highest else (level, cut)
            lower_level = max(self._level_under(asked, better), least)
            if lower_level >= level:
                break  # the programme saw no more than rounding
            level, cut = lower_level, better
        return level, cut

    def _level_under(self, asked: _Asked, cut: Array) -> float:
        """The highest level that one cut allows; infinite when it concerns none of the tasks that rise."""
        dear = self.routes.surrogate(cut)
        rates = np.where(dear > 0, asked.rates, 0.0)
        if not rates.any():
            return float("inf")
        return water_level(rates, asked.lower, asked.upper, dear, float(cut.sum()))

    def _violated(self, asked: _Asked, level: float) -> tuple[float, Array]:
        """The highest level of the linear piece that ends at or holds ``level``, and its cut."""
        given = asked.at(level)
        rising = (asked.rates > 0) & (level * asked.rates > asked.lower) & (level * asked.rates <= asked.upper)
        slopes = np.where(rising, asked.rates, 0.0)
        if rising.any():
            model = self._programme(np.where(rising, 0.0, given), slopes)
            self.programmes += 1
            solution = solve(model, integer=False, time_limit_seconds=TIME_LIMIT_SECONDS)
            if solution.status is Status.OPTIMAL:
                return solution.objective, self._cut(solution.values)
        # Nothing rises here, or what does not rise is too much already: the most violated cut.
        self.programmes += 1
        solution = solve_to_optimality(self._programme(given, np.ones(len(given))))
        return (level if solution.objective >= -TOLERANCE else -np.inf), self._cut(solution.values)

    def _programme(self, base: Array, slopes: Array) -> Any:
        """minimise sum lambda - base p  subject to  slopes p = 1 and p no dearer than any route."""
        last = self.sparse.csr_matrix(np.concatenate((np.zeros(self.resources), slopes))[None, :])
        return linear(
            np.concatenate((np.ones(self.resources), -base)),
            np.inf,
            self.sparse.vstack([self.rows, last], format="csr"),
            np.concatenate((np.zeros(self.rows.shape[0]), [1.0])),
            np.concatenate((np.full(self.rows.shape[0], np.inf), [1.0])),
        )

    def _cut(self, values: Array) -> Array:
        cut = np.maximum(values[: self.resources], 0.0)
        return np.where(cut > TOLERANCE * cut.max(), cut, 0.0)
