# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One capacity: closed forms against their formulas, published examples and a general solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from sharing_problems import by_name, shared

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.water_filling import (
    shares_at,
    water_level,
)

STRATEGIES = ["least_response_time", "max_utilization", "max_min_fairness"]
AMOUNT = st.floats(0.01, 100.0)


@st.composite
def task_lists(draw, least=1):
    tasks = []
    for index in range(draw(st.integers(least, 8))):
        floor = draw(st.sampled_from([0.0, 0.0, draw(AMOUNT)]))
        task = {"name": f"t{index}", "demand": draw(AMOUNT), "weight": draw(st.floats(0.1, 10.0)), "floor": floor}
        if draw(st.booleans()):
            task["ceiling"] = floor + draw(st.floats(0.0, 50.0))
        tasks.append(task)
    return tasks


def test_the_square_root_rule():
    """Kleinrock 1964: shares in proportion to sqrt(w R), objective (sum sqrt(w R))^2 / C."""
    tasks = [{"name": "a", "demand": 1.0}, {"name": "b", "demand": 4.0}, {"name": "c", "demand": 4.0, "weight": 4.0}]
    found = shared("least_response_time", tasks, capacity=70.0)
    assert by_name(found) == pytest.approx({"a": 10.0, "b": 20.0, "c": 40.0})
    assert found.objective == pytest.approx(7.0**2 / 70.0)
    assert found.division.prices[0] == pytest.approx(7.0**2 / 70.0**2)
    assert found.binding == ("none", "none", "none")


def test_floors_and_ceilings_take_their_tasks_out_of_the_rule():
    tasks = [
        {"name": "a", "demand": 1.0, "floor": 20.0},
        {"name": "b", "demand": 4.0},
        {"name": "c", "demand": 4.0, "weight": 4.0, "ceiling": 30.0},
    ]
    found = shared("least_response_time", tasks, capacity=70.0)
    assert by_name(found) == pytest.approx({"a": 20.0, "b": 20.0, "c": 30.0})
    assert found.binding == ("floor", "none", "ceiling")
    price = 4.0 / 20.0**2
    assert found.division.prices[0] == pytest.approx(price)
    assert found.marginal.tolist() == pytest.approx([price - 1.0 / 400.0, 0.0, 16.0 / 900.0 - price])


def test_weighted_max_min_is_water_filling():
    """Keshav, An Engineering Approach to Computer Networking, 1997: demands 2, 2.6, 4, 5 on 10 units."""
    demands = {"a": 2.0, "b": 2.6, "c": 4.0, "d": 5.0}
    found = shared("max_min_fairness", [{"name": n, "demand": d} for n, d in demands.items()], capacity=10.0)
    assert by_name(found) == pytest.approx({"a": 2.0, "b": 2.6, "c": 2.7, "d": 2.7})
    assert found.objective == pytest.approx(2.7)
    weights = {"a": 2.5, "b": 4.0, "c": 0.5, "d": 1.0}
    demands = {"a": 4.0, "b": 2.0, "c": 10.0, "d": 4.0}
    tasks = [{"name": n, "demand": demands[n], "weight": weights[n]} for n in demands]
    found = shared("max_min_fairness", tasks, capacity=16.0)  # the weighted example of the same section
    assert by_name(found) == pytest.approx({"a": 4.0, "b": 2.0, "c": 6.0, "d": 4.0})


def test_use_goes_to_the_worthiest_and_ties_are_shared_fairly():
    tasks = [
        {"name": "a", "demand": 4.0, "weight": 2.0},
        {"name": "b", "demand": 10.0},
        {"name": "c", "demand": 10.0},
        {"name": "d", "demand": 10.0, "weight": 0.5, "floor": 1.0},
    ]
    found = shared("max_utilization", tasks, capacity=10.0)
    assert by_name(found) == pytest.approx({"a": 4.0, "b": 2.5, "c": 2.5, "d": 1.0})
    assert found.objective == pytest.approx(13.5)
    assert found.division.prices[0] == pytest.approx(1.0)
    assert found.marginal.tolist() == pytest.approx([1.0, 0.0, 0.0, 0.5])


def test_a_task_alone_takes_all_whatever_the_strategy():
    for strategy in STRATEGIES:
        assert by_name(shared(strategy, [{"name": "a", "demand": 50.0}], capacity=10.0)) == {"a": pytest.approx(10.0)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_tasks_get_equal_shares(strategy):
    found = shared(strategy, [{"name": f"t{index}", "demand": 7.0} for index in range(7)], capacity=10.0)
    assert found.division.shares == pytest.approx(np.full(7, 10.0 / 7.0))


@pytest.mark.parametrize("seed", range(6))
def test_least_response_time_against_a_general_solver(seed):
    rng = np.random.default_rng(seed)
    count = 6
    effort, floor = rng.uniform(0.1, 10.0, count), rng.uniform(0.0, 2.0, count)
    ceiling = floor + rng.uniform(0.5, 6.0, count)
    tasks = [{"name": f"t{i}", "demand": effort[i], "floor": floor[i], "ceiling": ceiling[i]} for i in range(count)]
    capacity = float(0.7 * floor.sum() + 0.3 * ceiling.sum())
    found = shared("least_response_time", tasks, capacity=capacity)
    reference = minimize(
        lambda x: (effort / x).sum(),
        np.maximum(floor, 0.1),
        jac=lambda x: -effort / x**2,
        bounds=list(zip(np.maximum(floor, 1e-6), ceiling)),
        constraints={"type": "ineq", "fun": lambda x: capacity - x.sum(), "jac": lambda x: -np.ones(count)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.objective <= reference.fun * (1 + 1e-9)
    assert found.division.shares == pytest.approx(reference.x, abs=2e-4)
    assert found.division.residual < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_max_utilization_against_a_linear_programme(seed):
    rng = np.random.default_rng(seed)
    count = 20
    weight, need, demand = rng.uniform(0.1, 3, count), rng.uniform(0.2, 2, count), rng.uniform(0.5, 3, count)
    floor = rng.uniform(0, 0.3, count)
    tasks = [
        {"name": f"t{i:02}", "weight": weight[i], "needs": {"gpu": need[i]}, "demand": demand[i], "floor": floor[i]}
        for i in range(count)
    ]
    found = shared("max_utilization", tasks, resources={"gpu": 12.0})
    reference = linprog(-weight, need[None, :], [12.0], bounds=list(zip(floor, demand)), method="highs")
    assert found.objective == pytest.approx(-reference.fun, rel=1e-12)
    assert found.division.prices[0] == pytest.approx(-reference.ineqlin.marginals[0], rel=1e-9)


@given(task_lists(), AMOUNT, st.sampled_from(STRATEGIES), st.randoms())
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_tasks_changes_no_bit(tasks, capacity, strategy, random):
    shuffled = list(tasks)
    random.shuffle(shuffled)
    assert by_name(shared(strategy, tasks, capacity=capacity)) == by_name(shared(strategy, shuffled, capacity=capacity))


@given(task_lists(), AMOUNT, st.sampled_from(STRATEGIES))
@settings(max_examples=40, deadline=None)
def test_what_is_given_fits_and_keeps_its_bounds(tasks, capacity, strategy):
    found = shared(strategy, tasks, capacity=capacity)
    shares = found.division.shares
    assert shares.sum() <= capacity * (1 + 1e-12)
    assert (shares >= found.lower * (1 - 1e-12)).all()
    assert (shares <= found.upper * (1 + 1e-12)).all()
    below = shares < found.upper * (1 - 1e-9)
    if below.any() and sum(task["floor"] for task in tasks) < capacity:
        assert shares.sum() == pytest.approx(capacity, rel=1e-9), "nobody waits beside idle capacity"
    assert found.division.residual <= 1e-9


@given(task_lists(), AMOUNT, st.sampled_from(STRATEGIES), st.sampled_from([2.0**-20, 1e-3, 7.0, 1e6]))
@settings(max_examples=30, deadline=None)
def test_a_change_of_unit_changes_nothing(tasks, capacity, strategy, unit):
    lengths = ("demand", "floor", "ceiling")
    scaled = [{key: value * unit if key in lengths else value for key, value in task.items()} for task in tasks]
    before = shared(strategy, tasks, capacity=capacity).division.shares
    after = shared(strategy, scaled, capacity=capacity * unit).division.shares
    assert after / unit == pytest.approx(before, rel=1e-9, abs=1e-9 * capacity)


@given(task_lists(), AMOUNT, st.floats(0.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_more_capacity_never_lowers_a_fair_share(tasks, capacity, more):
    before = shared("max_min_fairness", tasks, capacity=capacity).division.shares
    after = shared("max_min_fairness", tasks, capacity=capacity + more).division.shares
    assert (after >= before * (1 - 1e-12) - 1e-12).all()


@given(task_lists(), AMOUNT, st.floats(0.0, 50.0))
@settings(max_examples=40, deadline=None)
def test_more_capacity_never_slows_the_answers(tasks, capacity, more):
    before = shared("least_response_time", tasks, capacity=capacity).objective
    after = shared("least_response_time", tasks, capacity=capacity + more).objective
    assert np.isnan(before) or after <= before * (1 + 1e-12)


@given(task_lists(2), AMOUNT)
@settings(max_examples=30, deadline=None)
def test_nobody_can_be_better_off_without_somebody_worse_off_losing(tasks, capacity):
    """Max-min fairness by its definition: whoever has more per weight than another is at its floor."""
    found = shared("max_min_fairness", tasks, capacity=capacity)
    shares, weight = found.division.shares, found.instance.weight
    if sum(task["floor"] for task in tasks) > capacity:
        return
    level = shares / weight
    waiting = shares < found.upper * (1 - 1e-9)
    for one in np.flatnonzero(waiting):
        richer = level > level[one] * (1 + 1e-9) + 1e-12
        assert (shares[richer] <= found.lower[richer] * (1 + 1e-9)).all()


def test_the_level_is_the_largest_that_fits():
    rates, lower, upper = np.array([1.0, 2.0]), np.array([0.0, 0.0]), np.array([3.0, 4.0])
    needs = np.ones(2)
    assert water_level(rates, lower, upper, needs, 3.0) == pytest.approx(1.0)
    assert water_level(rates, lower, upper, needs, 6.5) == pytest.approx(2.5)
    assert water_level(rates, lower, upper, needs, 7.5) == np.inf
    assert shares_at(np.inf, rates, lower, upper).tolist() == [3.0, 4.0]
    # flat between 2 (the first stops) and 5 (the second starts): the next unit goes to the second
    flat = water_level(np.array([1.0, 1.0]), np.array([0.0, 5.0]), np.array([2.0, 9.0]), needs, 7.0)
    assert flat == pytest.approx(5.0)


def test_a_hundred_thousand_tasks_to_the_last_digits():
    rng = np.random.default_rng(3)
    count = 100_000
    effort = rng.lognormal(0.0, 2.0, count)
    lower = np.where(rng.random(count) < 0.3, rng.uniform(0, 1.0, count), 0.0)
    upper = np.where(rng.random(count) < 0.3, lower + rng.uniform(0, 3.0, count), np.inf)
    rates, needs, amount = np.sqrt(effort), np.ones(count), float(lower.sum() + 0.4 * count)
    level = water_level(rates, lower, upper, needs, amount)
    shares = shares_at(level, rates, lower, upper)
    assert shares.sum() == pytest.approx(amount, rel=1e-13)
    free = (shares > lower) & (shares < upper)
    assert 10_000 < free.sum() < 95_000
    slopes = effort[free] / shares[free] ** 2
    assert np.abs(slopes * level**2 - 1.0).max() < 1e-12
    assert (effort[shares <= lower] <= lower[shares <= lower] ** 2 / level**2 * (1 + 1e-12)).all()
