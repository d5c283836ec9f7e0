# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shortages in words, marginal values against differences, documents against the schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from sharing_problems import by_name, random_problem, shared

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.document import as_document, summarise

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[3] / "docs/schemas/share.schema.json").read_text(encoding="utf-8")
)
STRATEGIES = ["least_response_time", "max_utilization", "max_min_fairness", "least_cost"]


def document(strategy, tasks, **options):
    found = as_document(shared(strategy, tasks, **options))
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(canonical_bytes(found)))
    return found


@pytest.mark.parametrize("strategy", ["least_response_time", "max_utilization"])
@pytest.mark.parametrize("use", ["all", "any"])
@pytest.mark.parametrize(("resource_count", "seed"), [(1, 1), (1, 4), (3, 1), (3, 2)])
def test_marginal_values_are_what_a_little_more_would_bring(strategy, use, resource_count, seed):
    problem = random_problem(seed, 8, resource_count)
    sign = -1.0 if strategy == "least_response_time" else 1.0
    base = shared(strategy, resource_use=use, **problem)

    def gained(change):
        """The gain of the objective for a step to both sides; they differ only at a kink."""
        return sign * (change(1.0) - change(-1.0)) / 2.0

    for index, (name, amount) in enumerate(problem["resources"].items()):
        step = 1e-4 * amount

        def changed(side, name=name, amount=amount, step=step):
            more = {**problem["resources"], name: amount + side * step}
            return shared(strategy, problem["tasks"], resources=more, resource_use=use).objective

        low, high = sign * (base.objective - changed(-1.0)) / step, sign * (changed(1.0) - base.objective) / step
        price = base.division.prices[index]
        assert min(low, high) * (1 - 1e-2) - 1e-6 <= price <= max(low, high) * (1 + 1e-2) + 1e-6
    names = [task["name"] for task in problem["tasks"]]
    checked = 0
    for index, binding in enumerate(base.binding):
        task = problem["tasks"][names.index(base.instance.names[index])]
        if binding == "none" or binding not in task or base.marginal[index] < 1e-6:
            continue
        if strategy == "max_utilization" and task.get("ceiling", 0.0) > task["demand"]:
            continue  # the demand binds
        step = 1e-5 * task[binding]
        direction = -1.0 if binding == "floor" else 1.0

        def moved(side, task=task, binding=binding, step=step, direction=direction):
            tasks = [
                {**one, binding: one[binding] + side * direction * step} if one is task else one
                for one in problem["tasks"]
            ]
            return shared(strategy, tasks, resources=problem["resources"], resource_use=use).objective

        assert gained(moved) / step == pytest.approx(base.marginal[index], rel=2e-2, abs=1e-5)
        checked += 1
    assert checked > 0 or strategy == "max_utilization"


@pytest.mark.parametrize("use", ["all", "any"])
def test_the_price_of_fairness_is_the_rise_of_the_level(use):
    tasks = [{"name": "a", "demand": 2.0}, {"name": "b", "weight": 2.0}, {"name": "c", "needs": {"x": 2.0}}]
    resources = {"x": 12.0} if use == "all" else {"x": 8.0, "y": 4.0}
    base = shared("max_min_fairness", tasks, resources=resources, resource_use=use)
    step = 1e-3
    for index, name in enumerate(base.instance.resources):
        more = shared(
            "max_min_fairness", tasks, resources={**resources, name: resources[name] + step}, resource_use=use
        )
        assert (more.objective - base.objective) / step == pytest.approx(base.division.prices[index], rel=1e-6)
    wider = [{**tasks[0], "demand": 2.0 + step}, *tasks[1:]]
    lower = shared("max_min_fairness", wider, resources=resources, resource_use=use)
    if base.binding[0] == "ceiling":
        assert (lower.objective - base.objective) / step == pytest.approx(base.marginal[0], rel=1e-6)


def test_floors_beyond_the_capacity_are_cut_by_weight_and_named():
    tasks = [
        {"name": "a", "demand": 3.0, "floor": 8.0},
        {"name": "b", "demand": 3.0, "floor": 8.0, "weight": 2.0},
        {"name": "c", "demand": 3.0, "floor": 4.0},
    ]
    found = document("max_min_fairness", tasks, capacity=14.0)
    shares = {record["name"]: record["share"] for record in found["shares"]}
    # fractions t, 2t, t of 8, 8 and 4 fill 14: t = 1/2, and b keeps its whole floor
    assert shares == pytest.approx({"a": 4.0, "b": 8.0, "c": 2.0})
    assert [(one["task"], one["kind"]) for one in found["shortages"]] == [("a", "floor"), ("c", "floor")]
    assert found["shortages"][0] == {
        "task": "a",
        "kind": "floor",
        "wanted": 8.0,
        "granted": pytest.approx(4.0),
        "missing": pytest.approx(4.0),
        "reason": "the floors together are more than there is; it was cut to 4 of 8 by weight",
    }
    assert summarise(found).endswith("short: a by 4, c by 2")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("use", ["all", "any"])
def test_every_strategy_survives_ten_times_too_high_floors(strategy, use):
    if strategy == "least_cost" and use == "all":
        use = "any"
    problem = random_problem(7, 15, 3)
    tasks = [{**task, "floor": 10.0, "ceiling": 20.0} for task in problem["tasks"]]
    found = document(strategy, tasks, resources=problem["resources"], resource_use=use)
    assert len(found["shortages"]) > 10
    for one in found["resources"].values():
        assert one["used"] <= one["amount"] * (1 + 1e-9)
    assert {one["kind"] for one in found["shortages"]} == {"floor"}


def test_who_needs_none_of_the_scarce_resource_keeps_its_floor():
    tasks = [
        {"name": "a", "floor": 5.0, "demand": 1.0, "needs": {"gpu": 1.0}},
        {"name": "b", "floor": 5.0, "demand": 1.0, "needs": {"cpu": 1.0}},
    ]
    found = shared("least_response_time", tasks, resources={"gpu": 2.0, "cpu": 9.0})
    assert by_name(found) == pytest.approx({"a": 2.0, "b": 9.0})


def test_demand_beyond_the_pools_is_cut_after_the_floors():
    tasks = [
        {"name": "a", "demand": 8.0, "floor": 6.0},
        {"name": "b", "demand": 8.0},
    ]
    found = document("least_cost", tasks, resources={"x": {"amount": 10.0, "cost": 1.0}})
    assert {one["name"]: one["share"] for one in found["shares"]} == pytest.approx({"a": 6.0, "b": 4.0})
    assert [(one["task"], one["kind"]) for one in found["shortages"]] == [("a", "demand"), ("b", "demand")]
    assert found["objective"] == pytest.approx(10.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_to_divide_and_nobody_to_divide_among(strategy):
    empty = document(strategy, [], capacity=5.0)
    assert empty["shares"] == [] and empty["shortages"] == []
    none = document(strategy, [{"name": "a", "demand": 3.0, "floor": 1.0}, {"name": "b", "demand": 0.0}], capacity=0.0)
    assert [record["share"] for record in none["shares"]] == [0.0, 0.0]
    assert none["capacity_price"] is None
    assert none["shortages"][0]["task"] == "a"
    zero = document(strategy, [{"name": "a", "demand": 0.0}, {"name": "b", "demand": 3.0}], capacity=2.0)
    assert [record["share"] for record in zero["shares"]] == [0.0, pytest.approx(2.0)]


def test_a_task_that_never_answers_is_said_so():
    tasks = [{"name": "a", "demand": 1.0, "floor": 10.0}, {"name": "b", "demand": 1.0}]
    found = document("least_response_time", tasks, capacity=10.0)
    assert found["objective"] is None
    assert found["capacity_price"] is None
    assert found["shares"][1]["response_time_seconds"] is None
    assert found["shortages"][0]["reason"] == "it never answers: nothing is left beside the floors of the others"
    assert "a task never answers" in summarise(found)
    shut = document("least_response_time", [{"name": "a", "demand": 1.0, "ceiling": 0.0}], capacity=10.0)
    assert shut["shortages"][0]["reason"] == "it never answers: its ceiling is 0"


@pytest.mark.parametrize("use", ["all", "any"])
def test_nothing_left_beside_the_floors_with_several_resources(use):
    tasks = [
        {"name": "a", "demand": 1.0, "floor": 10.0, "needs": {"x": 1.0}},
        {"name": "b", "demand": 1.0, "needs": {"x": 1.0}},
        {"name": "c", "demand": 1.0, "needs": {"y": 1.0}},
        {"name": "d", "demand": 4.0, "needs": {"y": 1.0}},
    ]
    found = document("least_response_time", tasks, resources={"x": 10.0, "y": 9.0}, resource_use=use)
    shares = [record["share"] for record in found["shares"]]
    assert shares == pytest.approx([10.0, 0.0, 3.0, 6.0], rel=1e-4, abs=1e-9)
    assert [one["task"] for one in found["shortages"]] == ["b"]


def test_a_floor_above_the_demand_is_a_reserve():
    tasks = [{"name": "a", "demand": 2.0, "floor": 5.0}, {"name": "b"}]
    assert by_name(shared("max_min_fairness", tasks, capacity=12.0)) == pytest.approx({"a": 5.0, "b": 7.0})


def test_a_task_that_takes_nothing_gets_its_ceiling():
    tasks = [{"name": "a", "ceiling": 3.0, "needs": {}}, {"name": "b", "needs": {"x": 1}}]
    assert by_name(shared("max_min_fairness", tasks, resources={"x": 4.0})) == pytest.approx({"a": 3.0, "b": 4.0})


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_same_problem_same_bytes_in_any_order(strategy):
    problem = random_problem(5, 30, 3)
    first = canonical_bytes(document(strategy, problem["tasks"], resources=problem["resources"]))
    shuffled = [problem["tasks"][index] for index in np.random.default_rng(0).permutation(30)]
    backwards = dict(reversed(list(problem["resources"].items())))
    assert canonical_bytes(document(strategy, shuffled, resources=backwards)) == first


def test_the_summary_says_what_matters():
    tasks = [{"name": "a", "demand": 40.0}, {"name": "b", "demand": 90.0}]
    found = document("least_response_time", tasks, capacity=100.0)
    text = summarise(found)
    assert text.startswith(
        "2 tasks share 100 of 100 units; weighted response time 2.5 s; one more unit would save 0.025"
    )
    assert text.endswith("nothing is short")
    assert "\n" not in text
    pools = document("least_cost", [{"name": "a", "demand": 4.0}], resources={"x": {"amount": 10, "cost": 2}})
    assert summarise(pools) == "1 task shares 4 of 10 x; cost 8; nothing is short"
    full = document("max_min_fairness", [{"name": "a", "demand": 4.0}], capacity=9.0)
    assert "every task is at its ceiling" in summarise(full)
