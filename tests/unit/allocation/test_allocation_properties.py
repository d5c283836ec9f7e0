# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plan, whatever the fleet, the catalogue and what runs."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from allocation_fleets import catalogues, check_document, demands, fleets, host, model, plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

relaxed = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def situations(draw):
    """A fleet that runs a plan for one demand, some of it outdated, and is now asked for another."""
    hosts, models = draw(fleets()), draw(catalogues())
    calm = [{**host, "state": "active", "reachable": True} for host in hosts]
    running = plan(calm, models, draw(demands(models)))["placements"]
    for one in running:
        one["version"] = draw(st.sampled_from(["1", "1", "0"]))
    kept = draw(st.lists(st.booleans(), min_size=len(running), max_size=len(running)))
    current = [one for one, keep in zip(running, kept) if keep]
    return hosts, models, draw(demands(models)), current


@relaxed
@given(situations(), st.sampled_from(["weighted", "lexicographic"]))
def test_plan_is_sound(situation, objective):
    hosts, models, demand, current = situation
    document = plan(hosts, models, demand, current, objective=objective)
    check_document(document)
    state = {host["name"]: host for host in hosts}
    for action in document["actions"]:
        if action["action"] == "start":
            assert state[action["host"]]["state"] == "active" and state[action["host"]]["reachable"]
            assert action["version"] == models[action["model"]]["version"]
    for one in document["placements"]:
        assert state[one["host"]]["state"] != "maintenance" and state[one["host"]]["reachable"]
    per_model = Counter(one["model"] for one in document["placements"])
    violated = {(one["limit"], one["model"]) for one in document["violations"]}
    for name, record in models.items():
        assert record["max_replicas"] is None or per_model[name] <= record["max_replicas"]
        assert per_model[name] >= record["min_replicas"] or ("min_replicas", name) in violated
        zones = Counter(state[one["host"]]["zone"] for one in document["placements"] if one["model"] == name)
        if record["spread"] and any(n > 0.6 * per_model[name] + 1 for n in zones.values()):
            assert ("spread.zone", name) in violated


@relaxed
@given(situations())
def test_what_is_not_served_is_named(situation):
    hosts, models, demand, current = situation
    document = plan(hosts, models, demand, current)
    short = {one["model"]: one["requests_per_second"] for one in document["shortages"]}
    for name in models:
        wanted = max(demand[name].values())
        served = document["capacity"][name]["planned_requests_per_second"]
        assert served + short.get(name, 0.0) >= wanted - 0.01 * 3.7
        assert document["fairness"][name] == pytest.approx(min(1.0, served / wanted) if wanted else 1.0, abs=1e-5)


WAYS = st.sampled_from(
    [
        {"objective": "weighted"},
        {"objective": "lexicographic"},
        {"objective": "weighted", "periods": 3},
        {"objective": "weighted", "method": "columns"},
        {"objective": "weighted", "response_time_price": 1e-4},
    ]
)


@relaxed
@given(situations(), WAYS)
def test_an_applied_plan_is_a_fixed_point(situation, way):
    hosts, models, demand, current = situation
    first = plan(hosts, models, demand, current, **way)
    again = plan(hosts, models, demand, first["placements"], **way)
    assert [one for one in again["actions"] if one["action"] != "keep"] == []
    assert again["shortages"] == first["shortages"]


@relaxed
@given(situations(), WAYS, st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(situation, way, shuffler: random.Random):
    hosts, models, demand, current = situation
    expected = plan(hosts, models, demand, current, **way)
    shuffler.shuffle(hosts)
    shuffler.shuffle(current)
    names = list(models)
    shuffler.shuffle(names)
    turned = ({name: of[name] for name in names} for of in (models, demand))
    shuffled = plan(hosts, *turned, current, **way)
    assert shuffled == expected


def priced(document) -> float:
    """Cost of hosts and of what is not served, currency/h."""
    return document["cost_per_hour"] + sum(one["cost_per_hour"] for one in document["shortages"])


@st.composite
def served_by_price(draw):
    """Models with a stated price and no limits: then more room can only help, and more demand can only cost."""
    hosts = [{**one, "state": "active", "reachable": True} for one in draw(fleets())]
    models = draw(catalogues())
    for record in models.values():
        record.update(shortage_cost=0.02, min_replicas=0, max_replicas=None, max_replicas_per_host=None, spread={})
        record["resources"] = {"accelerators": draw(st.sampled_from([1, 2, 4]))}
    return hosts, models, draw(demands(models))


@relaxed
@given(served_by_price(), st.sampled_from(["h100-80gb", "l40s-48gb"]))
def test_one_more_host_never_costs_more(situation, kind):
    hosts, models, demand = situation
    fewer = priced(plan(hosts, models, demand, churn_hours=0.0))
    more = priced(plan([*hosts, host("z", kind)], models, demand, churn_hours=0.0))
    assert more <= fewer * (1 + 1e-5) + 1e-6


@relaxed
@given(served_by_price(), st.sampled_from([1.1, 2.0]))
def test_more_demand_never_costs_less(situation, factor):
    hosts, models, demand = situation
    raised = {name: {level: factor * rate for level, rate in levels.items()} for name, levels in demand.items()}
    assert priced(plan(hosts, models, raised, churn_hours=0.0)) >= priced(
        plan(hosts, models, demand, churn_hours=0.0)
    ) * (1 - 1e-5)


@relaxed
@given(situations(), st.sampled_from(["lp_repair", "box", "columns"]))
def test_every_method_makes_sound_plans(situation, method):
    hosts, models, demand, current = situation
    document = plan(hosts, models, demand, current, method=method, time_limit_seconds=5)
    check_document(document)
    short = {one["model"]: one["requests_per_second"] for one in document["shortages"]}
    for name in models:
        served = document["capacity"][name]["planned_requests_per_second"]
        assert served + short.get(name, 0.0) >= max(demand[name].values()) - 0.01 * 3.7


@relaxed
@given(situations(), st.integers(2, 4))
def test_several_periods_make_sound_plans(situation, periods):
    hosts, models, demand, current = situation
    document = plan(hosts, models, demand, current, periods=periods)
    check_document(document)
    assert len(document["outlook"]["periods"]) == periods - 1


@pytest.mark.parametrize("objective", ["weighted", "lexicographic"])
@pytest.mark.parametrize(
    ("change", "count_of_hosts"),
    [("overload", 4), ("a lost zone", 4), ("one host left", 1), ("no hosts", 0), ("contradiction", 4), ("too big", 4)],
)
def test_no_disaster_is_infeasible(change, count_of_hosts, objective):
    hosts = [host(f"h{i}", zone="ab"[i % 2]) for i in range(4)][:count_of_hosts]
    models = {f"m{i}": model(1, min_replicas=1, spread={"zone": 0.6}) for i in range(3)}
    demand = dict.fromkeys(models, 30.0)
    running = plan([host(f"h{i}", zone="ab"[i % 2]) for i in range(4)], models, demand)["placements"]
    if change == "overload":
        demand = dict.fromkeys(models, 3000.0)
    elif change == "a lost zone":
        hosts = [{**one, "reachable": one["zone"] == "a"} for one in hosts]
    elif change == "contradiction":
        models["m0"].update(min_replicas=40, max_replicas=40, max_replicas_per_host=1, spread={"zone": 0.01})
    elif change == "too big":
        models["m0"]["resources"] = {"accelerators": 64}
    document = plan(hosts, models, demand, running, objective=objective)
    check_document(document)
    assert "infeasible" not in document["solver"]["status"]
    for one in (*document["shortages"], *document["violations"]):
        assert one["reason"]
    for name, rate in demand.items():
        served = document["capacity"][name]["planned_requests_per_second"]
        assert served >= rate - 1e-6 or any(one["model"] == name for one in document["shortages"])
