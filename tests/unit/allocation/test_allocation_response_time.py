# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Response times against the exact queues."""

from __future__ import annotations

import math

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.response_time import (
    expected_demand,
    response_time_seconds,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Capacity


def erlang_c_response(servers: int, service: float, rate: float) -> float:
    """M/M/c mean response time by the Erlang C formula."""
    offered = rate * service
    tail = offered**servers / math.factorial(servers) / (1 - offered / servers)
    waits = tail / (sum(offered**k / math.factorial(k) for k in range(servers)) + tail)
    return service + waits * service / (servers - offered)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.99])
def test_one_server_is_exact(load):
    """M/M/1: R = 1 / (mu - lambda)."""
    assert response_time_seconds([Capacity(2.0, 0.5)], 2.0 * load) == pytest.approx(1 / (2.0 - 2.0 * load))


@pytest.mark.parametrize("servers", [2, 5, 20])
@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
def test_many_servers_are_close_to_erlang_c(servers, load):
    pool = [Capacity(1.0, 1.0)] * servers
    exact = erlang_c_response(servers, 1.0, servers * load)
    assert response_time_seconds(pool, servers * load) == pytest.approx(exact, rel=0.03)


def test_a_replica_that_works_on_many_requests_is_many_servers():
    """mu s = 6.5 x 1.2 = 7.8 requests at once, so it waits like 7.8 servers, not like one."""
    assert response_time_seconds([Capacity(6.5, 1.2)], 3.0) == pytest.approx(1.2, rel=0.03)


def test_no_mean_exists_at_full_load_or_without_replicas():
    assert response_time_seconds([Capacity(2.0, 0.5)], 2.0) is None
    assert response_time_seconds([], 0.0) is None


def test_expected_demand_is_the_median_or_the_next_level_above():
    assert expected_demand([(0.05, 1.0), (0.5, 2.0), (0.95, 3.0)]) == 2.0
    assert expected_demand([(0.1, 1.0), (0.9, 3.0)]) == 3.0
    assert expected_demand([(0.1, 1.0)]) == 1.0
