# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What capacity is worth, model by model: a ladder of layers with falling prices.

Capacity C of a model (requests/s) is worth something twice. It serves demand, which
comes with the probabilities of its quantile ladder, and beyond that it shortens waiting.
Both are convex in C, so both are layers: a layer is so many requests/s of capacity, and
the price of each that is lacking. Layers of both kinds over the same capacity are cut at
each other's ends and their prices added, which keeps the ladder falling.

Layers are ordered by model, dearest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import prices, waiting
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.pairs import Pairs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Model
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True, eq=False)
class Ladder:
    """Per layer, shape (J,): ``model`` (index), ``rate`` (requests/s), ``price`` and ``cost`` (currency
    a request), ``served`` (whether the layer is demand).
    """

    model: Array
    rate: Array
    price: Array
    cost: Array
    served: Array


def ladder(
    models: Sequence[Model],
    pairs: Pairs,
    values: prices.ModelValues,
    demands: Mapping[str, ModelDemand],
    waiting_price: float,
) -> Ladder:
    """The layers of all models.

    Args:
        models: the catalogue, sorted.
        pairs: where they may run.
        values: what serving each model costs and is worth.
        demands: what is planned for, an entry for each model.
        waiting_price: currency per request and second of waiting; 0 leaves waiting out.
    """
    rows: list[tuple[int, float, float, float, bool]] = []
    weights, request_costs = values.weight.tolist(), values.request_cost.tolist()
    for m, model in enumerate(models):
        levels = demands[model.name].levels
        wanted = prices.layers(model, levels, weight=weights[m], cost_per_request=request_costs[m])
        layers = [(one.requests_per_second, one.price, one.cost, True) for one in wanted]
        if waiting_price > 0:
            curve = waiting.segments(model, levels, pairs, m, waiting_price * weights[m])
            layers = _summed(layers, curve)
        rows.extend((m, *layer) for layer in layers)
    columns = list(zip(*rows)) or [()] * 5
    return Ladder(
        model=np.array(columns[0], dtype=np.int64),
        rate=np.array(columns[1], dtype=float),
        price=np.array(columns[2], dtype=float),
        cost=np.array(columns[3], dtype=float),
        served=np.array(columns[4], dtype=bool),
    )


def _summed(
    demand: Sequence[tuple[float, float, float, bool]], curve: Sequence[tuple[float, float]]
) -> list[tuple[float, float, float, bool]]:
    """Demand layers and (width, price) segments of waiting over the same capacity, cut and added."""
    ends_demand = np.cumsum([one[0] for one in demand]) if demand else np.zeros(0)
    ends_curve = np.cumsum([one[0] for one in curve]) if curve else np.zeros(0)
    ends = np.unique(np.concatenate([ends_demand, ends_curve]))
    layers, begin = [], 0.0
    for end in ends.tolist():
        width, middle = end - begin, (begin + end) / 2
        i, j = int(np.searchsorted(ends_demand, middle)), int(np.searchsorted(ends_curve, middle))
        price, cost = (demand[i][1], demand[i][2]) if i < len(demand) else (0.0, 0.0)
        waits = curve[j][1] if j < len(curve) else 0.0
        if width > 1e-12 * max(1.0, end):
            layers.append((width, price + waits, cost, i < len(demand)))
            begin = end
    return layers
