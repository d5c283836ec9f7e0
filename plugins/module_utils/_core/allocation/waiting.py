# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Waiting as a falling function of capacity, cut into segments for a linear programme.

With lambda the expected demand (requests/s), C the capacity and c = kappa C the servers it
stands for, the requests that wait at any moment are, by Little's law and the formula of
response_time.py,

    L(C) = lambda s rho^(sqrt(2 (c + 1)) - 1) / (c (1 - rho)),   rho = lambda / C > 0,

convex and falling for C > lambda. Between :data:`SEGMENTS` points, which lie geometrically
in the slack C - lambda, L is replaced by its chords. Below the first point, where L goes
to infinity, the first chord goes on: demand that is not served has its own price there.

Chords of a convex function are never below it; their error falls with the square of the
number of segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.pairs import Pairs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.response_time import expected_demand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Model

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
SEGMENTS = 64
LEAST_SLACK, MOST_SLACK = 0.02, 8.0  # of the expected demand, and of one replica for the most
NEGLIGIBLE = 1e-4  # of the waiting at the first point: no more capacity is bought for less


def waiting_requests(capacity: Array, demand: float, service_seconds: float, servers_per_rate: float) -> Array:
    """L(C): requests that wait at any moment; ``capacity`` and ``demand`` in requests/s, capacity above demand."""
    servers = servers_per_rate * capacity
    load = demand / capacity
    return demand * service_seconds * load ** (np.sqrt(2.0 * (servers + 1.0)) - 1.0) / (servers * (1.0 - load))


def segments(
    model: Model, levels: Sequence[tuple[float, float]], pairs: Pairs, m: int, price: float
) -> list[tuple[float, float]]:
    """Capacity from 0 on as (width in requests/s, price): what each request/s of capacity saves in waiting.

    Args:
        model: whose demand it is; its pairs are those of index ``m``.
        levels: (quantile level, requests/s), ascending.
        pairs: where it may run.
        m: its index.
        price: currency per request and second of waiting.
    """
    demand = expected_demand(levels)
    edges = np.searchsorted(pairs.model, [m, m + 1])
    rates = pairs.rate[edges[0] : edges[1]]
    if demand <= 0 or not len(rates) or not model.capacity:
        return []
    service = sum(one.service_time_seconds for one in model.capacity.values()) / len(model.capacity)
    rate = float(rates.mean())
    servers_per_rate = max(service, 1.0 / rate)
    most = MOST_SLACK * (demand + rate)
    points = demand + np.geomspace(LEAST_SLACK * demand, most, SEGMENTS + 1)
    waits = waiting_requests(points, demand, service, servers_per_rate)
    last = int(np.argmax(waits <= NEGLIGIBLE * waits[0])) or SEGMENTS
    widths = np.diff(points[: last + 1])
    slopes = np.minimum.accumulate(-np.diff(waits[: last + 1]) / widths)
    return [(float(points[0]), float(slopes[0] * price)), *zip(widths.tolist(), (slopes * price).tolist())]
