# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Prices: everything the plan weighs, in the same money.

**Cost of a replica** (currency/h): the host's cost (classes.py) times the replica's
dominant share of the host.

**Price of an unserved request.** A stated ``shortage_cost`` is taken at its word: the
layer of demand between quantile levels p and q counts with the probability that it
comes, ``1 - (p + q)/2``, so the plan serves up to the newsvendor level 1 - cost/price
and no further. Without one, a request is put at :data:`DERIVED_MULTIPLE` times what it
costs on the dearest host that can serve it, times the model's weight over the least; that
is what a shortage is reported to cost. To decide, demand without a stated price is to be
met where there is room: its least likely layer weighs :data:`DOMINANCE` times its cost,
likelier layers more, in proportion to their probability.

**Limits** that may have to give (least replicas, spread) are priced between the two:
a missing replica below the minimum like the demand of one replica, a replica beyond the
spread limit above any saving, below serving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.pairs import Pairs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Model

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any

DERIVED_MULTIPLE = 10.0
DOMINANCE = 300.0
SPREAD_DOMINANCE = 10.0
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Layer:
    """A slice of demand that comes with ``probability``.

    ``price``: currency a request, probability included, that decides.
    ``cost``: currency a request, probability included, that is reported.
    """

    requests_per_second: float
    probability: float
    price: float
    cost: float


@dataclass(frozen=True, eq=False)
class ModelValues:
    """Per model, shape (M,): ``weight`` over the smallest positive one, at least 1; ``replica_cost`` of the
    dearest replica and ``floor_value`` of one missing below the minimum, currency/h; ``request_cost``,
    currency a request on the dearest host that can serve it; ``least_rate``, requests/s, 0 without hosts.
    """

    weight: Array
    replica_cost: Array
    request_cost: Array
    floor_value: Array
    least_rate: Array


def model_values(models: Sequence[Model], pairs: Pairs) -> ModelValues:
    """What serving each model costs and is worth; a model without hosts counts with a cost of 1/h."""
    weights = np.array([model.weight for model in models], dtype=float)
    least = weights[weights > 0].min() if (weights > 0).any() else 1.0
    weight = np.maximum(1.0, weights / least)
    absent = ~np.isin(np.arange(len(models)), pairs.model)
    replica_cost, per_replica_second = np.zeros(len(models)), np.zeros(len(models))
    least_rate = np.full(len(models), np.inf)
    np.maximum.at(replica_cost, pairs.model, pairs.cost)
    np.maximum.at(per_replica_second, pairs.model, pairs.cost / pairs.rate)
    np.minimum.at(least_rate, pairs.model, pairs.rate)
    replica_cost[absent] = per_replica_second[absent] = 1.0
    least_rate[absent] = 0.0
    return ModelValues(
        weight=weight,
        replica_cost=replica_cost,
        request_cost=per_replica_second / SECONDS_PER_HOUR,
        floor_value=DOMINANCE * weight * replica_cost,
        least_rate=least_rate,
    )


def replica_values(
    models: Sequence[Model], values: ModelValues, period: Any, pairs: Pairs, period_hours: float
) -> Array:
    """Currency/h of the demand that one replica serves at the least likely layer, shape (M,)."""
    worth = values.floor_value.copy()
    stated = np.array([model.shortage_cost is not None for model in models], dtype=bool)
    served = np.flatnonzero(period.layer_served)
    last = np.zeros(len(models))
    last[period.layer_model[served]] = period.layer_cost[served] / period_hours  # the last of each model remains
    wanted = np.isin(np.arange(len(models)), period.layer_model[served])
    limited = stated & wanted & (values.least_rate > 0)
    worth[limited] = np.minimum(worth, last * values.least_rate)[limited]
    return worth


def layers(
    model: Model, levels: Sequence[tuple[float, float]], *, weight: float, cost_per_request: float
) -> list[Layer]:
    """The demand ladder as priced slices, likeliest first.

    Args:
        model: whose demand it is.
        levels: (quantile level, requests/s), ascending.
        weight: relative weight, at least 1.
        cost_per_request: currency a request on the dearest host that can serve it.
    """
    slices = []
    below_level, below_rate = 0.0, 0.0
    for level, rate in levels:
        if rate > below_rate:
            slices.append((rate - below_rate, 1.0 - (below_level + level) / 2.0))
            below_rate = rate
        below_level = level
    if model.shortage_cost is not None:
        price = cost = model.shortage_cost
    else:
        cost = DERIVED_MULTIPLE * weight * cost_per_request
        price = DOMINANCE * weight * cost_per_request / (slices[-1][1] if slices else 1.0)
    return [Layer(rate, probability, price * probability, cost * probability) for rate, probability in slices]
