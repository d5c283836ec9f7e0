# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Least weighted response time: minimise sum_i w_i R_i / C_i.

R_i is work in capacity-unit seconds, C_i capacity units, R_i / C_i seconds. The
Karush-Kuhn-Tucker conditions with resource prices lambda_r >= 0 (seconds per unit) are

    p_i = sum_r a_ir lambda_r  (used together)  or  min_r a_ir lambda_r  (pools)
    C_i = min(u_i, max(l_i, sqrt(w_i R_i / p_i)))
    sum_i a_ir C_i <= Q_r, with equality where lambda_r > 0.

One resource: C_i = s_i t with s_i = sqrt(w_i R_i / a_i), t = 1/sqrt(lambda): Kleinrock's
square-root assignment, a closed form by water filling. Several used together: Newton's
method on the m prices. Pools, or when Newton does not arrive: the segment form.

Marginal values, in weighted seconds per unit: lambda_r of a resource, p_i - w_i R_i/C_i^2
of a binding floor, its negative of a binding ceiling.

Source: Kleinrock, Communication Nets: Stochastic Message Flow and Delay, 1964.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import (
    Division,
    Instance,
    per_unit,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.response_prices import (
    newton_prices,
    price_at,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import build_routes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.segments import segment_form
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import (
    shares_at,
    water_level,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
ENOUGH = 1e-9
# What the floors leave of a resource, as a share of it, that is only rounding.
ROUNDING = 1e-12


def least_response_time(instance: Instance, lower: Array, upper: Array) -> Division:
    """The shares of least weighted response time.

    Args:
        lower, upper: bounds of the shares, capacity units; the lower ones fit together, shape (n,).
    """
    if len(instance.resources) == 1:
        return _one_resource(instance, lower, upper)
    routes = build_routes(instance)
    reach, effort = routes.reach, instance.weight * instance.demand / routes.reach
    full, stuck = _used_up(instance, lower)
    most = np.where(stuck, lower, upper)
    low, high = lower / reach, most / reach
    parts = None
    method, residual, found, scaled = "", np.inf, low, np.zeros(len(instance.amounts))
    if instance.use == "all":
        found, scaled, residual = newton_prices(routes.usage, np.where(stuck, 0.0, effort), low, high)
        method = "square-root rule, Newton's method on the prices"
    if residual > ENOUGH:
        form = segment_form(routes, np.where(stuck, 0.0, effort), low, high)
        if form.gap < residual:
            found, scaled, residual = form.shares, form.prices, form.gap
            method = f"segment form, refined {form.refinements} times"
            parts = routes.parts(instance.amounts, form.ways)
    shares = np.where(found >= high, most, np.where(found <= low, lower, np.clip(found * reach, lower, upper)))
    slopes, prices = response_slopes(instance, shares), per_unit(scaled, instance.amounts)
    for resource in np.flatnonzero(full).tolist():
        users = stuck & (instance.needs[:, resource] > 0) & (shares < upper)
        prices[resource] = float((slopes[users] / instance.needs[users, resource]).max(initial=0.0))
    unit_prices = routes.surrogate(scaled) / reach
    if full.any():
        taken = instance.needs > 0
        unit_prices = np.multiply(instance.needs, prices, out=np.zeros(taken.shape), where=taken).sum(axis=1)
    return Division(shares, prices, unit_prices, slopes, method, residual, parts)


def _used_up(instance: Instance, lower: Array) -> tuple[Array, Array]:
    """Resources used together of which the floors leave nothing (m,), and the tasks that need one of those (n,)."""
    if instance.use == "any":
        return np.zeros(len(instance.amounts), dtype=bool), np.zeros(len(lower), dtype=bool)
    full = instance.amounts - lower @ instance.needs <= ROUNDING * instance.amounts
    return full, (instance.needs[:, full] > 0).any(axis=1)


def response_slopes(instance: Instance, shares: Array) -> Array:
    """w_i R_i / C_i^2, weighted seconds saved by one more unit of share; infinite at a share of nothing, shape (n,)."""
    effort = instance.weight * instance.demand
    slopes = np.where(effort > 0, np.inf, 0.0)
    return np.divide(effort, shares * shares, out=slopes, where=shares * shares > 0)


def _one_resource(instance: Instance, lower: Array, upper: Array) -> Division:
    needs, amount = instance.needs[:, 0], float(instance.amounts[0])
    rates = np.sqrt(instance.weight * instance.demand / needs)
    full = amount - float(needs @ lower) <= ROUNDING * amount
    level = 0.0 if full else water_level(rates, lower, upper, needs, amount)
    shares = shares_at(level, rates, lower, upper)
    slopes = response_slopes(instance, shares)
    price = price_at(level) if level > 0 else float((slopes / needs)[shares < upper].max(initial=0.0))
    unit_prices = needs * price
    residual = square_root_residual(instance, shares, lower, upper, price) if np.isfinite(price) else 0.0
    parts = shares[:, None].copy() if instance.use == "any" else None
    return Division(shares, np.array([price]), unit_prices, slopes, "square-root rule", residual, parts)


def square_root_residual(instance: Instance, shares: Array, lower: Array, upper: Array, price: float) -> float:
    """Largest relative violation of stationarity, feasibility and complementarity for one resource."""
    needs, amount = instance.needs[:, 0], float(instance.amounts[0])
    gain, cost = response_slopes(instance, shares), needs * price
    with np.errstate(invalid="ignore"):
        pull = np.nan_to_num((gain - cost) / np.maximum(gain, cost), nan=0.0)
    pull = np.where(shares <= lower, np.maximum(pull, 0.0), pull)
    pull = np.where(shares >= upper, np.minimum(pull, 0.0), pull)
    used = float(needs @ shares) / amount
    slack = max(0.0, 1.0 - used) if price > 0 else 0.0
    outside = float(np.maximum(lower - shares, shares - upper).max(initial=0.0)) / (float(shares.max()) or 1.0)
    return max(float(np.abs(pull).max(initial=0.0)), used - 1.0, slack, outside)
