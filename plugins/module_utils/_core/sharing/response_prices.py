# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Least response time with several resources used together: Newton's method on their prices.

In scaled units (x_i = C_i / U_i, e_i = w_i R_i / U_i, B_ri = a_ir U_i / Q_r) the Lagrangian dual of

    minimise sum_i e_i / x_i   subject to  B x <= 1,  l <= x <= u

is, with p = B' lambda and x_i(p) = min(u_i, max(l_i, sqrt(e_i / p_i))), to minimise over lambda >= 0

    h(lambda) = sum_r lambda_r - sum_i (e_i / x_i + p_i x_i)
    gradient    1 - B x,      Hessian  sum over free i of B_i B_i' x_i / (2 p_i).

m unknowns instead of n: each step costs O(n m^2). A step goes towards the least of the
quadratic model over lambda >= 0, a non-negative least squares problem, and is cut
until h falls enough (Nocedal and Wright, Numerical Optimization, 2nd ed. 2006, ch. 18).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import water_level

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
MAX_STEPS = 80
MAX_CUTS = 30
RIDGES = (-13, -5)
GOAL = 1e-13
ROUNDING = 1e-13
# x <= 1 follows from the resources; a bound above it that never binds keeps h finite.
BEYOND_REACH = 2.0


def newton_prices(usage: Array, effort: Array, lower: Array, upper: Array) -> tuple[Array, Array, float]:
    """Scaled shares and prices.

    Args:
        usage: B, SciPy matrix, shape (m, n).
        effort: e_i >= 0, weighted seconds at x_i = 1, shape (n,).
        lower, upper: bounds of x, shape (n,).

    Returns:
        x (n,), lambda (m,) in weighted seconds per whole resource, and the Karush-Kuhn-Tucker residual, relative: x
        follows from lambda, so it is what remains of feasibility and complementarity.
    """
    total = float(effort.sum())
    if total <= 0:
        return np.array(lower), np.zeros(usage.shape[0]), 0.0
    matrix = usage.toarray()
    point = _Dual(matrix, effort / total, lower, np.minimum(upper, BEYOND_REACH))
    prices = np.array([_alone(row, effort / total, lower, upper) for row in matrix])
    best, smallest = prices, np.inf
    for _step in range(MAX_STEPS):
        value, gradient, hessian = point.at(prices)
        residual = _residual(prices, gradient)
        if residual < smallest:
            best, smallest = prices, residual
        if residual <= GOAL:
            break
        following = _step_from(point, prices, value, gradient, hessian)
        if following is None:
            break
        prices = following
    return point.shares(best), best * total, smallest


def price_at(level: float) -> float:
    """lambda = 1 / t^2 of a level t > 0; infinite when it is too large to say."""
    return (1.0 / level) * (1.0 / level)


class _Dual:
    """h, its gradient and its Hessian."""

    def __init__(self, matrix: Array, effort: Array, lower: Array, upper: Array) -> None:
        self.matrix, self.effort, self.lower, self.upper = matrix, effort, lower, upper
        self.nnls = require("scipy.optimize", purpose="Sharing several resources").nnls

    def shares(self, prices: Array) -> Array:
        unit = prices @ self.matrix
        root = np.sqrt(np.divide(self.effort, unit, out=np.where(self.effort > 0, np.inf, 0.0), where=unit > 0))
        return np.clip(root, self.lower, self.upper)

    def value(self, prices: Array) -> float:
        shares = self.shares(prices)
        spent = np.divide(self.effort, shares, out=np.zeros(len(shares)), where=shares > 0)
        return float(prices.sum() - (spent + (prices @ self.matrix) * shares).sum())

    def at(self, prices: Array) -> tuple[float, Array, Array]:
        shares, unit = self.shares(prices), prices @ self.matrix
        free = (shares > self.lower) & (shares < self.upper) & (unit > 0)
        curvature = np.where(free, shares / np.where(unit > 0, 2.0 * unit, 1.0), 0.0)
        return self.value(prices), 1.0 - self.matrix @ shares, (self.matrix * curvature) @ self.matrix.T


def _step_from(point: _Dual, prices: Array, value: float, gradient: Array, hessian: Array) -> Array:
    """The next prices, or None when no step helps. Each failure shortens the step by a heavier ridge."""
    size = float(np.trace(hessian)) or float(np.abs(gradient).max()) / (float(prices.max()) or 1.0)
    for power in RIDGES:
        target = _least_of_model(point.nnls, prices, gradient, hessian + 10.0**power * size * np.eye(len(prices)))
        following = _along(point, prices, target - prices, value, gradient)
        if following is not None:
            return following
    return None


def _least_of_model(nnls: Any, prices: Array, gradient: Array, hessian: Array) -> Array:
    """lambda' >= 0 of least gradient'(lambda' - lambda) + (lambda' - lambda)' H (lambda' - lambda) / 2."""
    root = np.linalg.cholesky(hessian)
    aim = np.linalg.solve(root, hessian @ prices - gradient)
    return nnls(root.T, aim)[0]


def _along(point: _Dual, prices: Array, direction: Array, value: float, gradient: Array) -> Array:
    """The first of the shortened steps that helps, or None."""
    promised = float(gradient @ direction)
    before = _residual(prices, gradient)
    step = 1.0
    for _cut in range(MAX_CUTS):
        tried = np.maximum(prices + step * direction, 0.0)
        fall = value - point.value(tried)
        if promised < 0 and fall >= -1e-4 * step * promised and fall > ROUNDING * abs(value):
            return tried
        # Near the optimum h no longer shows progress in float64; the residual still does.
        stands = abs(fall) <= ROUNDING * abs(value)
        if stands and _residual(tried, 1.0 - point.matrix @ point.shares(tried)) < 0.5 * before:
            return tried
        step *= 0.25
    return None


def _alone(row: Array, effort: Array, lower: Array, upper: Array) -> float:
    """The price of one resource as if it were the only one."""
    users = row > 0
    if not users.any():
        return 0.0
    rates = np.sqrt(effort[users] / row[users])
    level = water_level(rates, lower[users], upper[users], row[users], 1.0)
    return price_at(level) if level > 0 else float(effort.max()) or 1.0


def _residual(prices: Array, gradient: Array) -> float:
    """Resources overused, and left over at a price, as shares of the resource."""
    total = float(prices.sum())
    idle = float((prices * np.abs(gradient)).max()) / total if total > 0 else 0.0
    return max(float(np.maximum(-gradient, 0.0).max()), idle)
