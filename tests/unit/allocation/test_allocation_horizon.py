# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several periods: what comes is reckoned with, lead times are kept, the plan acts on the first."""

from __future__ import annotations

import numpy as np
import pytest
from allocation_fleets import NOW, check_document, count, host, model, replica

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import search
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.horizon import (
    later_demands,
    lead_periods,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_document import (
    Inputs,
    Policy,
    plan_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import build_problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand

PERIOD = 600.0


def forecast(path: list[float], name: str = "m") -> dict:
    return {
        "kind": "forecast",
        "window_steps": 1,
        "series": {
            name: {
                "usable": True,
                "beats_seasonal_naive": True,
                "start": format_moment(NOW),
                "step_seconds": PERIOD,
                "last_observed": path[0] / 1.2,
                "recent_maximum": path[0] / 1.2,
                "quantiles": {"0.5": path, "0.95": path},
                "window_maximum": {"0.5": path[0], "0.95": path[0]},
            }
        },
    }


def plan(path, current=(), hosts=1, startup=0.0, **policy):
    fields = {"planning_interval_seconds": PERIOD, "as_of": NOW, "periods": len(path), **policy}
    inputs = Inputs(
        parse_hosts([host(f"h{i}") for i in range(hosts)]),
        parse_models({"m": model(1, startup_seconds=startup)}),
        current=parse_replicas(list(current)),
        forecast=forecast(path),
    )
    document = plan_capacity(inputs, Policy(**fields), now=NOW).plan
    check_document(document)
    return document


def outlook(document):
    return [sum(period["replicas"]["m"].values()) for period in document["outlook"]["periods"]]


def running(number: int):
    return [replica("h0", i, "m", accelerators=[i]) for i in range(number)]


def test_one_period_has_no_outlook():
    assert plan([12.0])["outlook"] is None


def test_later_periods_follow_the_forecast():
    document = plan([12.0, 12.0, 36.0, 12.0])
    assert count(document, model="m") == 2
    assert outlook(document) == [2, 6, 2]
    reasons = [period["reasons"] for period in document["outlook"]["periods"]]
    assert reasons == [
        [],
        ["m: 2 to 6 replicas, as demand goes from 12 to 36 requests/s"],
        ["m: 6 to 2 replicas, as demand goes from 36 to 12 requests/s"],
    ]


@pytest.mark.parametrize(("churn_hours", "stops"), [(0.3, 0), (0.05, 2)])
def test_what_is_wanted_again_soon_is_kept_where_a_start_costs_more(churn_hours, stops):
    """Idle for one period of 1/6 h costs two replicas 1/3 h of theirs; starting them again 2 x churn_hours."""
    path = [24.0, 12.0, 24.0]
    assert plan(path[1:], running(4), churn_hours=churn_hours)["stops"] == stops
    alone = plan(path[1:2], running(4), churn_hours=churn_hours)
    assert alone["stops"] == 2


def test_what_takes_longer_than_a_period_starts_in_time():
    """Two periods to start: what period 2 asks for must begin now, and takes its room from now on."""
    document = plan([12.0, 12.0, 36.0, 36.0], running(2), startup=2 * PERIOD)
    assert count(document, model="m") == 6
    assert outlook(document) == [2, 6, 6]
    late = plan([12.0, 12.0, 12.0, 36.0], running(2), startup=2 * PERIOD)
    assert count(late, model="m") == 2
    assert outlook(late) == [2, 2, 6]


def test_a_replica_that_starts_occupies_its_host():
    """Both models fill the host; what grows takes room two periods before it serves, what shrinks must give it by then."""
    fleet = parse_hosts([host("h", accelerator_count=2)])
    models = parse_models({"a": model(1, shortage_cost=1.0), "b": model(1, shortage_cost=1.0)})
    asked = [{"a": 6.0, "b": 6.0}, {"a": 6.0, "b": 6.0}, {"a": 12.0, "b": 0.0}]
    demands = [planned_demand(models, one, None, [])[0] for one in asked]
    now = parse_replicas([replica("h", 0, "a"), replica("h", 1, "b")])
    paths = {}
    for lead in (0, 2):
        problem = build_problem(fleet, models, demands[0], now, later=demands[1:], lead_periods={"a": lead, "b": lead})
        paths[lead] = search.replica_counts(problem).path
    assert paths[0].tolist() == [[1, 1], [1, 1], [2, 0]]
    # b serves 6 requests/s in two periods or a serves 6 more in one: a's second replica cannot begin beside both.
    assert paths[2].tolist() == [[1, 1], [1, 1], [1, 0]]


@pytest.mark.parametrize("seed", range(6))
def test_several_periods_are_worth_no_more_than_each_alone(seed):
    rng = np.random.default_rng(seed)
    fleet = parse_hosts([host("a"), host("b", "l40s-48gb")])
    models = parse_models({f"m{i}": model(int(rng.integers(1, 3)), l40s=2.0) for i in range(2)})
    asked = [{one.name: float(rng.uniform(0, 30)) for one in models} for _unused in range(4)]
    demands = [planned_demand(models, one, None, [])[0] for one in asked]
    together = build_problem(fleet, models, demands[0], [], later=demands[1:], period_hours=1 / 6, churn_hours=0.2)
    found = search.replica_counts(together)
    alone, before = 0.0, []
    from dataclasses import replace

    running_now = np.zeros(together.pairs)
    for demand in demands:
        one = replace(
            build_problem(fleet, models, demand, before, period_hours=1 / 6, churn_hours=0.2), running=running_now
        )
        counts = search.replica_counts(one)
        alone += counts.objective
        running_now = counts.replicas
    assert found.objective <= alone * (1 + 1e-6)


def test_an_applied_plan_of_several_periods_is_a_fixed_point():
    path = [12.0, 30.0, 18.0, 36.0]
    first = plan(path, running(1))
    again = plan(path, first["placements"])
    assert (again["starts"], again["stops"]) == (0, 0)


def test_a_period_beyond_the_forecast_asks_for_what_the_one_before_did():
    models = parse_models({"m": model(1)})
    document = forecast([6.0, 12.0])
    first, _unused = planned_demand(models, document, None, [], planning_interval_seconds=PERIOD, as_of=NOW)
    later = later_demands(document, first, {"m": 0.0}, periods=4, period_seconds=PERIOD, headroom=1.2, as_of=NOW)
    assert [one["m"].levels[-1][1] for one in later] == [12.0, 12.0, 12.0]


def test_demand_given_as_numbers_is_the_same_in_every_period():
    models = parse_models({"m": model(1)})
    first, _unused = planned_demand(models, {"m": 9.0}, None, [])
    later = later_demands({"m": 9.0}, first, {"m": 0.0}, periods=3, period_seconds=60.0, headroom=1.2, as_of=NOW)
    assert [one["m"] for one in later] == [first["m"]] * 2


def test_lead_time_in_whole_periods():
    assert lead_periods({"a": 599.0, "b": 600.0, "c": 1900.0}, 600.0) == {"a": 0, "b": 1, "c": 3}


@pytest.mark.parametrize("startup", [0.0, 2.2 * PERIOD])
def test_what_serving_leaves_to_jobs_is_told_by_host(startup):
    """Eight accelerators a host, six requests/s a replica: what serves and what starts is taken, the rest is free."""
    document = plan([12.0, 12.0, 12.0, 60.0, 60.0], hosts=2, startup=startup)
    now = {name: 8 - count(document, host=name) for name in ("h0", "h1")}
    totals = []
    for period in document["outlook"]["periods"]:
        assert all(period["free_accelerators"][name] != now[name] for name in period["free_accelerators"])
        totals.append(sum({**now, **period["free_accelerators"]}.values()))
    # ten replicas from the fourth period on; those that take two periods to start occupy their hosts from the second
    assert totals == ([14, 14, 6, 6] if startup == 0.0 else [6, 6, 6, 6])
