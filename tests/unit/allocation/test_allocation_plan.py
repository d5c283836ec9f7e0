# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan document: its schema, its words, and the situations that must not break it."""

from __future__ import annotations

import copy

import pytest
from allocation_fleets import check_document, count, host, model, plan, replica

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes


def reason(document, name="m") -> str:
    return next(one["reason"] for one in document["shortages"] if one["model"] == name)


def test_a_small_fleet_is_planned_as_by_hand():
    """20 requests/s at 6 a replica: 4 replicas of one eighth of a 24/h host, 3/h each, at most 60 % + 1 in a zone."""
    models = {"m": model(1, spread={"zone": 0.5})}
    document = plan([host("a"), host("b", zone="b")], models, {"m": {"0.5": 10, "0.9": 15, "0.95": 20}})
    check_document(document)
    assert document["capacity"]["m"] == {"planned_requests_per_second": 24.0, "running_requests_per_second": 0.0}
    assert document["cost_per_hour"] == 12.0
    assert document["fairness"] == {"m": 1.0}
    assert document["solver"]["status"] == "optimal" and document["solver"]["gap"] == 0.0
    # 12/h for hosts and 4 starts at 0.05 h of 3/h each.
    assert document["solver"]["objective"] == pytest.approx(12 + 4 * 0.15)
    assert {one["port"] for one in document["placements"]} <= {8100, 8101, 8102, 8103}
    assert document["lead_time_seconds"] == {"m": 300.0}
    assert document["reasons"][0].startswith("m: replicas 4 on h100-80gb, for 20 requests/s at level 0.95")


def test_the_same_input_gives_the_same_bytes():
    arguments = ([host("a"), host("b")], {"m": model(1), "n": model(2)}, {"m": 20, "n": 9})
    assert canonical_bytes(plan(*copy.deepcopy(arguments))) == canonical_bytes(plan(*arguments))


@pytest.mark.parametrize(
    ("hosts", "models", "demand"),
    [
        ([], {"m": model(1)}, {"m": 5}),
        ([host("a")], {}, {"m": 5}),
        ([], {}, {}),
        ([host("a")], {"m": model(1)}, {"m": 0}),
        ([host("a")], {"m": model(1)}, {}),
        ([host("a")], {"m": model(1)}, {"m": 1e9}),
        ([host("a")], {"m": model(1)}, {"m": 1e-9}),
        ([host("a")], {"m": model(16)}, {"m": 5}),
        ([host("a", cost_per_hour=0)], {"m": model(1, weight=0, shortage_cost=0)}, {"m": 5}),
        ([host("a", state="maintenance")], {"m": model(1, min_replicas=2)}, {"m": 5}),
        ([host("a", max_replicas=0)], {"m": model(1, min_replicas=2)}, {"m": 5}),
        ([host("a")], {"m": model(1, min_replicas=500)}, {"m": 5}),
        ([host("a", "cpu")], {"m": {**model(0), "capacity": {"cpu": {"requests_per_second": 1}}}}, {"m": 500}),
    ],
)
@pytest.mark.parametrize("objective", ["weighted", "lexicographic"])
def test_every_situation_has_a_plan(hosts, models, demand, objective):
    document = plan(hosts, models, demand, objective=objective)
    check_document(document)
    for name, rate in demand.items():
        if name in models and rate > 0.1:
            served = document["capacity"][name]["planned_requests_per_second"]
            assert served >= rate or reason(document, name)
        elif name not in models:
            assert any(name in text for text in document["warnings"])


@pytest.mark.parametrize(
    ("hosts", "entry", "words"),
    [
        (
            [host("a", accelerator_count=4)],
            model(2),
            "no host of a type it can run on (h100-80gb) has 2 free accelerators",
        ),
        ([host("a", accelerator_count=4)], model(2), "1 more"),
        ([host("a", "l40s-48gb")], model(1), "the fleet has no host of a type it can run on (h100-80gb)"),
        ([host("a", accelerator_count=2)], model(4), "it needs 4 accelerators, a has 2"),
        ([host("a", state="maintenance")], model(1), "all hosts it can run on are in maintenance"),
        ([host("a", reachable=False)], model(1), "all hosts it can run on are not answering"),
        ([host("a")], model(1, max_replicas=2), "max_replicas (2) is reached"),
        ([host("a")], model(1, max_replicas_per_host=2), "fewer than max_replicas_per_host (2)"),
        ([host("a")], model(1, shortage_cost=1e-9), "costs more than the shortage_cost of 1e-09 a request justifies"),
        (
            [host("a", memory_gib=10)],
            {**model(1), "resources": {"accelerators": 1, "memory_gib": 8}},
            "8 GiB of memory free",
        ),
        (
            [host("a")],
            {**model(1), "resources": {"accelerators": 1, "accelerator_memory_gib": 96}},
            "its accelerator memory per accelerator exceeds that of a (80 GiB)",
        ),
    ],
)
def test_a_shortage_says_why_and_what_would_help(hosts, entry, words):
    document = plan(hosts, {"m": entry}, {"m": 100})
    check_document(document)
    text = reason(document)
    if words == "1 more":
        # 100 requests/s need 15 more replicas of 6 beside the 2 that fit: two to a host of 4.
        assert "8 more h100-80gb hosts like a would remove it" in text
        assert document["shortages"][0]["replicas"] == 15
        assert document["shortages"][0]["requests_per_second"] == pytest.approx(88)
    else:
        assert words in text
    assert text.startswith("m is ")


def test_the_price_of_a_shortage_is_the_stated_one():
    """6 requests/s are served, 4 are not: of the single layer, (1 - 0.5/2) x 4 x 3600 x 0.02."""
    document = plan([host("a", accelerator_count=1)], {"m": model(1, shortage_cost=0.02)}, {"m": 10})
    assert document["shortages"][0]["cost_per_hour"] == pytest.approx(0.75 * 4 * 3600 * 0.02)


def test_a_shortage_that_spread_causes_says_so():
    """1 replica in zone b allows 3 in zone a; the remainder of 0.05 requests/s is not worth breaking the limit."""
    hosts = [host("a"), host("b", zone="b", accelerator_count=1)]
    document = plan(hosts, {"m": model(1, spread={"zone": 0.5})}, {"m": 24.05})
    check_document(document)
    assert (count(document, host="a"), count(document, host="b")) == (3, 1)
    assert reason(document).endswith("hosts with room are in zone a, where its spread allows no more")


def test_a_limit_that_gives_way_is_named():
    document = plan([host("a")], {"m": model(1, spread={"zone": 0.5}, min_replicas=9)}, {"m": 48})
    check_document(document)
    limits = {one["limit"]: one for one in document["violations"]}
    assert limits["min_replicas"]["amount"] == 1
    assert limits["spread.zone"]["amount"] == pytest.approx(8 - 0.5 * 8 - 1)
    assert document["shortages"] == []


def test_unknown_hosts_and_models_are_said_and_left_out():
    current = [replica("gone", 0, "m"), replica("a", 0, "old", accelerators=[0])]
    document = plan([host("a")], {"m": model(1)}, {"m": 5, "ghost": 3}, current)
    check_document(document)
    text = " ".join(document["warnings"])
    assert "not in the inventory (gone)" in text and "ghost" in text and "(old)" in text
    assert [one["model"] for one in document["actions"] if one["action"] == "stop"] == ["old"]
    assert all(one["host"] != "gone" for one in document["actions"])


def test_demand_that_cannot_be_read_stops_nothing():
    current = [replica("a", i, "m", accelerators=[i]) for i in range(4)]
    document = plan([host("a")], {"m": model(1)}, {}, current)
    assert document["demand"]["m"]["source"] == "held"
    assert (document["starts"], document["stops"], document["keeps"]) == (0, 0, 4)


def test_scale_in_on_hold_keeps_what_runs():
    current = [replica("a", i, "m", accelerators=[i]) for i in range(4)]
    models = {"m": model(1)}
    assert plan([host("a")], models, {"m": 1}, current)["stops"] == 3
    assert plan([host("a")], models, {"m": 1}, current, hold_scale_in=True)["stops"] == 0


def test_weight_decides_who_is_short():
    models = {"m": model(1, weight=1), "n": model(1, weight=5)}
    document = plan([host("a")], models, {"m": 48, "n": 48})
    assert count(document, model="n") == 8
    assert [one["model"] for one in document["shortages"]] == ["m"]


def test_lexicographic_shares_a_shortage_that_costs_the_same_either_way():
    """8 accelerators for two models of equal price that want 8 each: any split costs the same, 4 and 4 is fairest."""
    models = {"m": model(1, shortage_cost=0.01), "n": model(1, shortage_cost=0.01)}
    document = plan([host("a")], models, {"m": 48, "n": 48}, objective="lexicographic")
    check_document(document)
    assert (count(document, model="m"), count(document, model="n")) == (4, 4)
    assert document["fairness"] == {"m": 0.5, "n": 0.5}


def test_the_cheaper_type_serves_and_the_report_of_cost_is_the_share_used():
    """A request costs 3/6 on the h100, 1.5/2 on the l40s: the h100 is cheaper a request, the l40s for a remainder."""
    hosts = [host("a"), host("b", "l40s-48gb")]
    document = plan(hosts, {"m": model(1, h100=6.0, l40s=2.0)}, {"m": 26})
    placed = {one: count(document, host=one) for one in "ab"}
    assert placed == {"a": 4, "b": 1}
    assert document["cost_per_hour"] == pytest.approx(4 * 3 + 1.5)


def test_a_resource_that_is_not_stated_does_not_limit():
    entry = {
        **model(0),
        "resources": {"cpu_cores": 8, "memory_gib": 64},
        "capacity": {"cpu": {"requests_per_second": 1}},
    }
    unlimited = plan([host("a", "cpu")], {"m": entry}, {"m": 40})
    assert count(unlimited, model="m") == 40
    assert count(plan([host("a", "cpu", cpu_cores=32)], {"m": entry}, {"m": 40}), model="m") == 4
    assert all(one["accelerators"] == [] for one in unlimited["placements"])


def test_measured_startup_overrides_the_catalogue():
    from allocation_fleets import NOW

    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_document import (
        Inputs,
        Policy,
        plan_capacity,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_hosts, parse_models

    inputs = Inputs(
        parse_hosts([host("a")]), parse_models({"m": model(1)}), forecast={"m": 1}, startup_seconds={"m": 77}
    )
    assert plan_capacity(inputs, Policy(), now=NOW).plan["lead_time_seconds"] == {"m": 77.0}
