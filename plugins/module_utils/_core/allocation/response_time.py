# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Expected response time of a model's replicas at the expected demand.

The replicas of a model are one queue with c servers, M/M/c. A replica that sustains mu
requests/s at a service time of s seconds works on mu s requests at once (Little), so

    c = sum of max(1, mu s) over the replicas,  s = service time averaged over capacity,
    rho = lambda / sum of mu,
    R = s + s rho^(sqrt(2 (c + 1)) - 1) / (c (1 - rho)).

The second term is the mean wait; it is exact for c = 1 and within a few percent of the
Erlang C formula else. At rho >= 1 no mean exists: the answer is None.

Source: Sakasegawa, Ann. Inst. Statist. Math. 29 (1977), 67-75.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Capacity

EXPECTED_LEVEL = 0.5


def expected_demand(levels: Sequence[tuple[float, float]]) -> float:
    """Requests/s at the lowest level from the median on, else at the highest."""
    return next((rate for level, rate in levels if level >= EXPECTED_LEVEL), levels[-1][1] if levels else 0.0)


def response_time_seconds(replicas: Iterable[Capacity], requests_per_second: float) -> float | None:
    """Mean seconds from arrival to answer; None without replicas, or when they cannot keep up."""
    pool = list(replicas)
    capacity = sum(one.requests_per_second for one in pool)
    if capacity <= requests_per_second or not pool:
        return None
    service = sum(one.requests_per_second * one.service_time_seconds for one in pool) / capacity
    servers = sum(max(1.0, one.requests_per_second * one.service_time_seconds) for one in pool)
    load = requests_per_second / capacity
    waiting = math.pow(load, math.sqrt(2.0 * (servers + 1.0)) - 1.0) / (servers * (1.0 - load))
    return service * (1.0 + waiting)
