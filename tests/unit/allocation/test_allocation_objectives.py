# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan weighs beyond demand and cost: waiting, fairness, what one more host is worth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from allocation_fleets import check_document, count, host, model, plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import (
    ladders,
    prices,
    search,
    waiting,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.classes import host_classes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.fairness import served_shares
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.marginal import host_values
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.pairs import admissible_pairs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import build_problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.response_time import (
    response_time_seconds,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import admissible, value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Capacity,
    parse_hosts,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand


def setting(rate: float = 20.0):
    models = parse_models({"m": model(1, h100=6.0)})
    pairs = admissible_pairs(models, host_classes(parse_hosts([host("a")])), [])
    demands, _unused = planned_demand(models, {"m": rate}, None, [])
    return models, pairs, demands


@pytest.mark.parametrize("replicas", [4, 5, 7])
def test_waiting_is_the_queue_of_the_response_time(replicas):
    """Little: what waits is the rate times the mean wait."""
    capacity = Capacity(6.0, 1.0)
    seconds = response_time_seconds([capacity] * replicas, 20.0) - 1.0
    waits = waiting.waiting_requests(np.array([6.0 * replicas]), 20.0, 1.0, 1.0)[0]
    assert waits == pytest.approx(20.0 * seconds)


def test_segments_are_convex_and_close_to_the_curve():
    models, pairs, demands = setting()
    segments = waiting.segments(models[0], demands["m"].levels, pairs, 0, 1.0)
    slopes = [price for _width, price in segments]
    assert slopes == sorted(slopes, reverse=True) and slopes[-1] >= 0
    ends = np.cumsum([width for width, _price in segments])
    negligible = 1.2 * waiting.NEGLIGIBLE * waiting.waiting_requests(np.array([20.4]), 20.0, 1.0, 1.0)[0]
    for capacity in np.linspace(21.0, 60.0, 25):
        left = sum(price * min(width, max(0.0, end - capacity)) for (width, price), end in zip(segments, ends))
        exact = waiting.waiting_requests(np.array([capacity]), 20.0, 1.0, 1.0)[0]
        assert left == pytest.approx(exact, abs=negligible + 0.02 * exact)


def test_layers_of_demand_and_waiting_add_up_on_the_same_capacity():
    models, pairs, _unused = setting()
    demands, _notes = planned_demand(models, {"m": {"0.5": 20.0, "0.9": 26.0}}, None, [])
    values = prices.model_values(models, pairs)
    without = ladders.ladder(models, pairs, values, demands, 0.0)
    both = ladders.ladder(models, pairs, values, demands, 0.001)
    assert both.rate[both.served].sum() == pytest.approx(without.rate.sum())
    assert (np.diff(both.price) <= 1e-12).all()
    curve = waiting.segments(models[0], demands["m"].levels, pairs, 0, 0.001)
    paid = [float((one.rate * one.price).sum()) for one in (without, both)]
    assert paid[1] - paid[0] == pytest.approx(sum(width * price for width, price in curve))


def test_dear_waiting_buys_replicas_and_cheap_waiting_none():
    models = {"m": model(1, h100=6.0)}
    needed = count(plan([host("a")], models, {"m": 23.5}), model="m")
    assert needed == 4
    cheap = plan([host("a")], models, {"m": 23.5}, response_time_price=1e-7)
    dear = plan([host("a")], models, {"m": 23.5}, response_time_price=0.01)
    assert count(cheap, model="m") == 4 < count(dear, model="m")
    for document in (cheap, dear):
        check_document(document)
        assert document["shortages"] == [] and document["fairness"] == {"m": 1.0}
    times = [one["expected_response_time_seconds"]["m"] for one in (cheap, dear)]
    assert times[1] < times[0]


def test_the_number_of_replicas_balances_waiting_and_cost():
    """One by one: 3 currency/h a replica against price x 3600 x lambda x wait."""
    price = 0.0005

    def money(replicas: int) -> float:
        waits = waiting.waiting_requests(np.array([6.0 * replicas]), 23.5, 1.0, 1.0)[0]
        return 3.0 * replicas * (1 + 0.05) + 3600.0 * price * waits

    best = min(range(4, 9), key=money)
    found = plan([host("a")], {"m": model(1, h100=6.0)}, {"m": 23.5}, response_time_price=price)
    assert count(found, model="m") == best


def fairest(problem) -> np.ndarray:
    """Of all admissible counts with the least price of shortage, the served shares that are leximin-largest."""
    ranges = [range(int(upper) + 1) for upper in problem.upper]
    options = [np.array(one, dtype=float) for one in itertools.product(*ranges)]
    worths = [(value(problem, one), one) for one in options if admissible(problem, one)]
    least = min(worth.shortage + worth.policy for worth, _unused in worths)
    good = [worth for worth, _unused in worths if worth.shortage + worth.policy <= least * (1 + 1e-6) + 1e-6]
    return max(
        (served_shares(problem, worth.missing_rate) for worth in good), key=lambda shares: tuple(np.round(shares, 5))
    )


@pytest.mark.parametrize("seed", range(8))
def test_shares_are_leximin_by_enumeration(seed):
    rng = np.random.default_rng(seed)
    fleet = parse_hosts([host("a", accelerator_count=4), host("b", "l40s-48gb", accelerator_count=2)])
    models = parse_models({f"m{i}": model(1, h100=6.0, l40s=[None, 6.0][i % 2], shortage_cost=0.01) for i in range(3)})
    asked = {one.name: 6.0 * float(rng.integers(1, 5)) for one in models}
    demands, _unused = planned_demand(models, asked, None, [])
    problem = build_problem(fleet, models, demands, [])
    found = search.replica_counts(problem, objective="lexicographic")
    ours = served_shares(problem, value(problem, found.replicas).missing_rate)
    assert ours == pytest.approx(fairest(problem), abs=1e-4)


def test_fairness_beyond_the_worst_off():
    """a is alone on its host and stays at a third; b and c share the other one by halves, not 1 to 0."""
    hosts = [host("x", accelerator_count=1), host("y", "l40s-48gb", accelerator_count=4)]
    models = {
        "a": model(1, h100=6.0, shortage_cost=0.01),
        "b": model(1, h100=None, l40s=6.0, shortage_cost=0.01),
        "c": model(1, h100=None, l40s=6.0, shortage_cost=0.01),
    }
    document = plan(hosts, models, {"a": 18, "b": 24, "c": 24}, objective="lexicographic")
    check_document(document)
    assert document["fairness"] == pytest.approx({"a": 1 / 3, "b": 0.5, "c": 0.5}, abs=1e-5)


def test_fairness_between_tenants():
    """Tenant t has two models, u has one: halves for tenants, not thirds for models."""
    models = {name: model(1, shortage_cost=0.01) for name in "abc"}
    demand = {"a": 24, "b": 24, "c": 48}
    tenants = {"a": "t", "b": "t", "c": "u"}
    document = plan([host("x")], models, demand, objective="lexicographic", tenants=tenants)
    assert count(document, model="c") == 4
    assert count(document, model="a") + count(document, model="b") == 4


def test_one_more_host_is_worth_the_shortage_it_removes():
    """8 replicas of 6 serve 48 of 200; a host more serves 48 more, worth 0.02 each at probability 3/4, and costs 24."""
    models = {"m": model(1, shortage_cost=0.02)}
    document = plan([host("a")], models, {"m": 200}, churn_hours=0.0)
    check_document(document)
    saved = 48 * 3600 * 0.02 * 0.75 - 24.0
    assert document["marginal_values"] == [
        {"hosts": "h100-80gb", "like": "a", "saves_per_hour": pytest.approx(saved, rel=1e-6)}
    ]
    assert plan([host("a")], models, {"m": 20})["marginal_values"] == []


@pytest.mark.parametrize("seed", range(5))
def test_marginal_values_are_at_least_what_a_host_really_saves(seed):
    rng = np.random.default_rng(seed)
    records = [host(f"h{i}", ("h100-80gb", "l40s-48gb")[i % 2]) for i in range(4)]
    models = parse_models({f"m{i}": model(1, l40s=float(rng.uniform(1, 4)), shortage_cost=0.02) for i in range(3)})
    asked = {one.name: float(rng.uniform(20, 90)) for one in models}
    demands, _unused = planned_demand(models, asked, None, [])
    problem = build_problem(parse_hosts(records), models, demands, [])
    values = host_values(problem)
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import solve

    base = solve(formulate(problem).model, integer=False).objective
    for k, one in enumerate(problem.classes):
        wider = parse_hosts([*records, host("z", one.example.accelerator_type)])
        saved = base - solve(formulate(build_problem(wider, models, demands, [])).model, integer=False).objective
        assert saved <= values[k] * (1 + 1e-6) + 1e-6
        assert values[k] > 0 or saved <= 1e-6
