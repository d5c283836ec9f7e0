# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plan, whatever the fleet, the catalogue and what runs."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from allocation_fleets import catalogues, check_document, demands, fleets, plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


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


@relaxed
@given(situations(), st.sampled_from(["weighted", "lexicographic"]))
def test_an_applied_plan_is_a_fixed_point(situation, objective):
    hosts, models, demand, current = situation
    first = plan(hosts, models, demand, current, objective=objective)
    again = plan(hosts, models, demand, first["placements"], objective=objective)
    assert [one for one in again["actions"] if one["action"] != "keep"] == []
    assert again["shortages"] == first["shortages"]


@relaxed
@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(situation, shuffler: random.Random):
    hosts, models, demand, current = situation
    expected = plan(hosts, models, demand, current)
    shuffler.shuffle(hosts)
    shuffler.shuffle(current)
    names = list(models)
    shuffler.shuffle(names)
    shuffled = plan(hosts, {name: models[name] for name in names}, {name: demand[name] for name in names}, current)
    assert shuffled == expected
