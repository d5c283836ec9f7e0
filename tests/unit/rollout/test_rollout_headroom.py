# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many replicas may be away: the formula for equal replicas, the worst loss for others, later windows."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.headroom import (
    Replica,
    headroom,
    spare_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.window_demand import (
    HeadroomPolicy,
    demand_over,
)

START = "2026-11-26T18:00:00Z"
NOW = parse_moment(START)


def fleet(count: int, capacity: float = 10.0, per_host: int = 1, zones: int = 0) -> list[Replica]:
    return [
        Replica(
            f"h{number // per_host}",
            str(number),
            capacity,
            f"z{(number // per_host) % zones}" if zones else "",
        )
        for number in range(count)
    ]


def forecast(path: list[float], *, step: int = 600, maximum: float | None = None, **more: Any) -> dict[str, Any]:
    quantiles = {"0.5": [value / 2 for value in path], "0.95": path}
    top = maximum if maximum is not None else path[0]
    entry = {
        "usable": True,
        "beats_seasonal_naive": True,
        "start": START,
        "history_end": START,
        "step_seconds": step,
        "last_observed": 1.0,
        "recent_maximum": 1.0,
        "mean": quantiles["0.5"],
        "quantiles": quantiles,
        "window_maximum": {"0.5": top / 2, "0.95": top},
        "backtest": None,
        **more,
    }
    return {"kind": "forecast", "window_steps": 1, "series": {"chat": entry}}


@pytest.mark.parametrize(
    ("count", "demand", "spare"),
    # floor(N - D x 1.15 / c) - 1 host of one replica, c = 10
    [(6, 0.0, 5), (6, 30.0, 1), (6, 43.0, 0), (10, 52.0, 3), (20, 100.0, 7), (1, 0.0, 0)],
)
def test_equal_replicas_follow_the_formula(count: int, demand: float, spare: int) -> None:
    assert max(0, math.floor(count - demand * 1.15 / 10.0) - 1) == spare
    assert spare_replicas(fleet(count), demand).replicas == spare


def test_the_reserve_is_the_largest_of_host_and_declared_fault_domain() -> None:
    of_hosts = spare_replicas(fleet(12, per_host=2), 30.0)
    assert (of_hosts.reserve_replicas, of_hosts.reserve_domain, of_hosts.replicas) == (2, "host h0", 6)
    of_zones = spare_replicas(fleet(12, per_host=2, zones=3), 30.0)
    assert (of_zones.reserve_replicas, of_zones.reserve_domain) == (4, "fault domain z0")
    assert of_zones.replicas == math.floor(12 - 30 * 1.15 / 10) - 4
    assert spare_replicas(fleet(12, per_host=2), 30.0, HeadroomPolicy(reserve=False)).replicas == 8


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0.5, 20), st.integers(0, 2)), min_size=1, max_size=7),
    st.floats(0, 60),
)
def test_whichever_are_away_and_whatever_fails_the_demand_is_carried(
    drawn: list[tuple[int, float, int]], demand: float
) -> None:
    replicas = [Replica(f"h{h}", str(n), c, f"z{z}") for n, (h, c, z) in enumerate(drawn)]
    spare = spare_replicas(replicas, demand)
    domains = [{r for r in replicas if r.host == one.host} for one in replicas]
    domains += [{r for r in replicas if r.fault_domain == one.fault_domain} for one in replicas]
    for away in combinations(replicas, spare.replicas) if spare.replicas else ():
        for lost in domains:
            left = sum(r.requests_per_second for r in replicas if r not in away and r not in lost)
            assert left >= demand * 1.15 - 1e-6
    assert spare.replicas == 0 or spare.missing_requests_per_second == 0
    if spare.replicas == 0:
        extra = Replica("new", "new", spare.missing_requests_per_second + 1e-6)
        # what is missing, in small parts on hosts of their own, is just enough
        parts = [Replica(f"n{n}", "n", extra.requests_per_second / 1000) for n in range(1000)]
        assert spare_replicas([*replicas, *parts], demand).replicas >= 1


def test_now_uses_the_quantile_of_the_maximum_and_never_less_than_what_is_seen() -> None:
    document = forecast([20.0] * 12, maximum=30.0)
    assert demand_over(document, "chat", begins=NOW, window_seconds=600).requests_per_second == pytest.approx(
        30.0, rel=1e-3
    )
    assert demand_over(document, "chat", begins=NOW, window_seconds=600, observed=41.0).requests_per_second == 41.0
    answer = headroom(fleet(6), document, "chat", as_of=NOW, window_seconds=600, cap=3)
    assert (answer.decision, answer.batch) == ("now", 1)
    assert headroom(fleet(20), document, "chat", as_of=NOW, window_seconds=600, cap=3).batch == 3


def test_a_surge_comes_before_waiting_and_takes_as_few_as_will_do() -> None:
    document = forecast([45.0] * 3 + [10.0] * 9)
    free = [Replica("free0", "0", 10.0), Replica("free1", "0", 10.0)]
    answer = headroom(fleet(6), document, "chat", as_of=NOW, window_seconds=600, cap=1, surge=free)
    # 60 + 10 s - 51.75 - 10 >= 10 from s = 2 on
    assert (answer.decision, answer.surge_replicas, answer.batch) == ("surge", 2, 1)


def test_without_room_the_next_window_is_named_and_holds_for_all_of_it() -> None:
    document = forecast([45.0, 45.0, 10.0, 45.0, 10.0, 10.0, 10.0, 45.0])
    answer = headroom(fleet(6), document, "chat", as_of=NOW, window_seconds=1800, cap=2)
    assert answer.decision == "wait"
    assert answer.opens_at == NOW + 4 * 600  # the dip at the third step is too short for 30 minutes
    assert "2026-11-26T18:40:00Z" in answer.reason


def test_without_any_window_the_missing_number_is_said() -> None:
    answer = headroom(fleet(6), forecast([60.0] * 12), "chat", as_of=NOW, window_seconds=600, cap=1)
    # needed 69 + reserve 10 + one away 10 - 60 = 29 requests/s, 3 replicas of 10
    assert (answer.decision, answer.batch, answer.missing_replicas) == ("refuse", 0, 3)
    assert answer.spare.missing_requests_per_second == pytest.approx(29.0, rel=1e-3)
    assert "3 more replicas" in answer.reason
    assert spare_replicas(fleet(9), 60.0).replicas == 1


def test_unknown_demand_is_never_zero() -> None:
    for document in (None, {"series": {}}, forecast([1.0] * 12, usable=False, recent_maximum=None)):
        answer = headroom(fleet(6), document, "chat", as_of=NOW, window_seconds=600, cap=1)
        assert (answer.decision, answer.batch) == ("refuse", 0)
        assert "not known" in answer.reason
        seen = headroom(fleet(6), document, "chat", as_of=NOW, window_seconds=600, cap=1, observed=20.0)
        assert (seen.decision, seen.demand.requests_per_second) == ("now", 24.0)


def test_a_window_beyond_the_forecast_is_not_taken_for_open() -> None:
    answer = headroom(fleet(6), forecast([45.0] * 5 + [1.0]), "chat", as_of=NOW, window_seconds=1800, cap=1)
    assert answer.decision == "refuse"


def test_regions_are_summed_and_bad_input_is_named() -> None:
    document = forecast([15.0] * 12)
    document["series"] = {"chat|eu": document["series"]["chat"], "chat|us": document["series"]["chat"]}
    assert demand_over(document, "chat", begins=NOW, window_seconds=600).requests_per_second == pytest.approx(
        30.0, rel=1e-3
    )
    with pytest.raises(InputError, match="at least one replica"):
        headroom(fleet(6), document, "chat", as_of=NOW, window_seconds=600, cap=0)
    with pytest.raises(InputError, match="h0/0"):
        spare_replicas([Replica("h0", "0", math.nan)], 1.0)
