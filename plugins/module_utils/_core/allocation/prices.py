# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Prices: everything the plan weighs, in the same money.

**Cost of a replica** (currency/h): the host's cost times the replica's dominant share
of the host. Where no host states a cost, 1/h stands in; a host that states none among
hosts that do is taken at a thousandth of the dearest, so that fewer replicas still win.

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

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model

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


def decision_costs(hosts: Sequence[Host]) -> dict[str, float]:
    """Currency/h to decide by, for each host: never zero."""
    dearest = max((host.cost_per_hour for host in hosts), default=0.0)
    least = dearest / 1000.0 if dearest > 0 else 1.0
    return {host.name: max(host.cost_per_hour, least) for host in hosts}


def relative_weight(model: Model, models: Sequence[Model]) -> float:
    """The model's weight over the smallest positive one, at least 1."""
    least = min((one.weight for one in models if one.weight > 0), default=1.0)
    return max(1.0, model.weight / least)


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
