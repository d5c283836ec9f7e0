# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Least response time as a linear programme: the segment form.

minimise sum_i e_i / x_i, x = G z, B z <= 1, l <= x <= u (scaled units, see routes). Within
a window around a first guess each x_i = b_i0 + sum_j d_ij is cut into k pieces
0 <= d_ij <= b_i,j+1 - b_ij, with breaks b in geometric progression. Their slopes
e_i / (b_ij b_i,j+1) fall from piece to piece, so a minimum fills them in order and no
integer is needed.

k pieces over a window of ratio W each way err by at most about (2 ln W / k)^2 / 5 of the
objective, 2/k^2 at W = 5, when every share lies in the middle of a piece. Placing the pieces anew around the solution, two steps each
way, divides the step by k/4 and the error by its square; a share at the edge of its
window gets a wider one instead. Tangent cuts would be as exact and 20 to 40 times slower.

To see differences far below a solver's tolerance, each programme is stated relative to
the prices lambda of the one before: with p_i the price of the cheapest route of task i,

    minimise  sum (p_i - slope_ij) d_ij + sum ((B' lambda)_p - g_p p_i(p)) z_p + sum lambda_r (1 - B z)_r

differs from the objective by a constant, and all that is near its optimum costs near
nothing (iterative refinement: Gleixner, Steffy and Wolter, INFORMS J. Computing 28, 2016).

The duals of one programme are the prices of the next. Any prices bound the optimum from
below (Lagrangian duality), with an error that is the square of theirs: a certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import Status, solve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.lexicographic import (
    lexicographic_max_min,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.linear_programme import (
    SLACK,
    TIME_LIMIT_SECONDS,
    even_out,
    linear,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.response_prices import price_at
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import Routes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import (
    shares_at,
    water_level,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
PIECES = 64
FEWEST_PIECES = 8
WINDOW = 5.0
WIDER = 4.0
MAX_REFINEMENTS = 12
GOAL = 1e-12
ENOUGH = 1e-9
NOTHING = 1e-12
AT_EDGE = 1e-9
# A route or an idle resource that costs this many times the dearest piece is not wanted anyway.
NOT_WANTED = 1e5


@dataclass(frozen=True, eq=False)
class SegmentForm:
    """x (n,), z (p,), lambda (m,), the duality gap over the objective, and how often pieces were placed anew."""

    shares: Array
    ways: Array
    prices: Array
    gap: float
    refinements: int


def segment_form(
    routes: Routes,
    effort: Array,
    lower: Array,
    upper: Array,
    *,
    pieces: int = PIECES,
    refinements: int = MAX_REFINEMENTS,
) -> SegmentForm:
    """Shares of least response time over any routes.

    Args:
        effort: e_i, weighted seconds at x_i = 1, shape (n,).
        lower, upper: bounds of x; the lower ones fit together, shape (n,).
        pieces: k.
        refinements: how often to place the pieces anew at most; fewer when the gap is small enough.

    Raises:
        ModelOpsError: not even the first programme was solved.
    """
    upper = np.minimum(upper, 1.0)
    centre, prices = _first_guess(routes, effort, lower, upper)
    effort = np.where(centre > NOTHING, effort, 0.0)  # the floors of others leave these tasks nothing, ever
    marks, window = np.column_stack((effort, lower, upper)), np.full(len(effort), WINDOW)
    best = SegmentForm(lower, np.zeros(len(routes.task)), prices, np.inf, 0)
    objective, bound = np.inf, -np.inf
    for done in range(refinements + 1):
        breaks = _breaks(centre, window, lower, upper, pieces)
        ways, prices = _solve(routes, effort, breaks, prices)
        if ways is None:
            pieces = max(pieces * 3 // 4, FEWEST_PIECES)  # another programme, which the solver may not give up on
            continue
        ways = even_out(routes, ways, marks, np.zeros(len(routes.task)))
        shares = np.clip(routes.share @ ways, lower, upper)
        reached = float(_spent(effort, shares).sum())
        if reached < objective:
            objective, best = reached, replace(best, shares=shares, ways=ways)
        below = lagrangian_bound(routes, effort, lower, upper, prices)
        if below > bound:
            bound, best = below, replace(best, prices=prices)
        gap = max(objective - bound, 0.0) / objective if objective > 0 else 0.0
        stalled = gap <= ENOUGH and gap > 0.5 * best.gap
        best = replace(best, gap=gap, refinements=done)
        if gap <= GOAL or stalled:
            break
        low_edge = (shares <= breaks[:, 0] * (1.0 + AT_EDGE)) & (breaks[:, 0] > lower)
        high_edge = (shares >= breaks[:, -1] * (1.0 - AT_EDGE)) & (breaks[:, -1] < upper)
        step = np.exp(2.0 * np.log(window) / pieces)
        window = np.where(low_edge | high_edge, window * WIDER, np.maximum(step * step, 1.0 + 1e-12))
        centre = shares
    if not np.isfinite(best.gap):
        raise ModelOpsError(
            "the linear programme of the shares was not solved",
            remedy="Bring the amounts, needs and weights closer to one another in size",
        )
    return best


def _spent(effort: Array, shares: Array) -> Array:
    """e_i / x_i, 0 where nothing is asked, shape (n,)."""
    return np.divide(effort, shares, out=np.where(effort > 0, np.inf, 0.0), where=shares > 0)


def _solve(routes: Routes, effort: Array, breaks: Array, prices: Array) -> tuple[Array, Array]:
    """z and new prices of the programme with the pieces between ``breaks`` (n, k + 1), stated relative to ``prices``.

    z is None where the solver does not reach an optimum. A column of a piece is the part of it that is filled, 0..1.
    """
    sparse = require("scipy.sparse", purpose="Sharing several resources")
    count, pieces = breaks.shape[0], breaks.shape[1] - 1
    resources = routes.usage.shape[0]
    unit = routes.surrogate(prices)
    widths = np.diff(breaks, axis=1)
    widths = np.where(widths > SLACK * breaks[:, 1:], widths, 0.0)
    slopes = effort[:, None] / np.maximum(breaks[:, :-1] * breaks[:, 1:], 1e-300)
    fills = (unit[:, None] - slopes) * widths
    scale = float(np.abs(fills).max(initial=0.0)) or 1.0
    # Routes and balances in units of each task's largest share keep all coefficients about 1.
    size = np.where(breaks[:, -1] > 0, breaks[:, -1], 1.0)
    rows = np.repeat(np.arange(count), pieces)
    filled = sparse.csr_matrix((widths.ravel(), (rows, np.arange(count * pieces))), shape=(count, count * pieces))
    filled.eliminate_zeros()
    start, idle = breaks[:, 0], sparse.identity(resources)
    per_route = size[routes.task] / routes.gain
    if routes.pool is None:  # one route for each task: z is x, and needs no columns and rows of its own
        detours = np.zeros(0)
        matrix = sparse.hstack([idle, routes.usage @ filled], format="csr")
        right = 1.0 - routes.usage @ start
    else:
        detours = np.maximum(routes.usage.T @ prices - unit[routes.task] * routes.gain, 0.0) * per_route
        usage = routes.usage @ sparse.diags(per_route)
        share = sparse.csr_matrix((np.ones(len(per_route)), (routes.task, np.arange(len(per_route)))))
        matrix = sparse.bmat([[usage, idle, None], [share, None, -sparse.diags(1.0 / size) @ filled]], format="csr")
        right = np.concatenate((np.ones(resources), start / size))
    others = np.concatenate((detours, prices))
    model = linear(
        np.concatenate((np.minimum(others / scale, NOT_WANTED), fills.ravel() / scale)),
        np.concatenate((np.full(len(others), np.inf), np.ones(count * pieces))),
        matrix,
        right,
        right,
    )
    solution = solve(model, integer=False, time_limit_seconds=TIME_LIMIT_SECONDS)
    if solution.status is not Status.OPTIMAL:
        return None, prices
    better = prices - scale * np.asarray(solution.duals)[:resources]
    found = solution.values
    ways = start + filled @ found[resources:] if routes.pool is None else found[: len(detours)] * per_route
    return np.maximum(ways, 0.0), np.maximum(better, 0.0)


def _breaks(centre: Array, window: Array, lower: Array, upper: Array, pieces: int) -> Array:
    """Ends of the pieces, not falling, shape (n, pieces + 1)."""
    powers = np.linspace(-1.0, 1.0, pieces + 1)
    return np.clip(centre[:, None] * window[:, None] ** powers[None, :], lower[:, None], upper[:, None])


def _first_guess(routes: Routes, effort: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Possible shares, and prices: the closed form for one resource in place of all, scaled down fairly until it fits."""
    equal = np.ones(routes.usage.shape[0])
    unit = routes.surrogate(equal)
    rates = np.sqrt(effort / unit)
    level = water_level(rates, lower, upper, unit, float(equal.sum()))
    guess = shares_at(level, rates, lower, upper)
    rates = np.where(guess > 0, guess, 1.0)
    fitting = lexicographic_max_min(routes, rates, lower, np.where(effort > 0, upper, lower)).shares
    return fitting, equal * price_at(level) if 0 < level < np.inf else equal * float(effort.max(initial=0.0))


def lagrangian_bound(routes: Routes, effort: Array, lower: Array, upper: Array, prices: Array) -> float:
    """sum_i min over l <= x <= u of (e_i / x + p_i x), less sum_r lambda_r: no shares have a lower objective."""
    unit = routes.surrogate(prices)
    wanted = np.sqrt(np.divide(effort, unit, out=np.where(effort > 0, np.inf, 0.0), where=unit > 0))
    shares = np.clip(wanted, lower, upper)
    spent = np.divide(effort, shares, out=np.zeros(len(shares)), where=effort > 0)
    return float((spent + unit * shares).sum() - prices.sum())
