# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input is one clear message: where, what, what to do."""

from __future__ import annotations

import json
import math

import pytest
from sharing_problems import by_name, shared

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.tasks import parse_instance

A = {"name": "a", "demand": 1.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"capacity": 1, "tasks": {"a": {}}}, "tasks must be a list of tasks"),
        ({"capacity": 1, "tasks": [3]}, "tasks[0]: the task must be a mapping"),
        ({"capacity": 1, "tasks": [{"demand": 1}]}, "tasks[0]: a task has no name"),
        ({"capacity": 1, "tasks": [A, A]}, "task a: the task is listed twice"),
        (
            {"capacity": 1, "tasks": [{**A, "wieght": 2}]},
            "task a: 'wieght' is not a field of a task. It has name, demand",
        ),
        ({"capacity": 1, "tasks": [{**A, "weight": 0}]}, "task a: weight must be between 1e-09"),
        ({"capacity": 1, "tasks": [{**A, "weight": -1}]}, "task a: weight must be"),
        ({"capacity": 1, "tasks": [{**A, "demand": -1}]}, "task a: demand must be"),
        ({"capacity": 1, "tasks": [{**A, "demand": math.nan}]}, "task a: demand must be finite"),
        ({"capacity": 1, "tasks": [{**A, "ceiling": math.inf}]}, "task a: ceiling must be finite"),
        ({"capacity": 1, "tasks": [{**A, "floor": "much"}]}, "task a: floor must be a number"),
        ({"capacity": 1, "tasks": [{**A, "floor": True}]}, "task a: floor must be a number"),
        ({"capacity": 1, "tasks": [{**A, "floor": 2, "ceiling": 1}]}, "task a: the floor is above the ceiling"),
        ({"capacity": 1, "tasks": [{"name": "a"}]}, "task a: it has no demand"),
        ({"capacity": -1, "tasks": [A]}, "capacity must be"),
        ({"capacity": math.inf, "tasks": [A]}, "capacity must be finite"),
        ({"capacity": math.nan, "tasks": [A]}, "capacity must be finite"),
        ({"capacity": {"x": -2}, "tasks": [A]}, "resource x: amount must be"),
        ({"capacity": {"x": {"amonut": 2}}, "tasks": [A]}, "resource x: 'amonut' is not a field of a resource"),
        ({"tasks": [A]}, "there is nothing to divide"),
        ({"capacity": {}, "tasks": [A]}, "there is nothing to divide"),
        ({"capacity": {"x": 1}, "resources": {"x": 2}, "tasks": [A]}, "the resource x is given twice"),
        ({"resources": [1], "tasks": [A]}, "the resources must be a mapping"),
        (
            {"capacity": 1, "tasks": [{**A, "needs": {"gpu": 1}}]},
            "task a: it needs 'gpu', which is not among the resources",
        ),
        ({"capacity": {"x": 1}, "tasks": [{**A, "needs": {"x": -1}}]}, "task a: need of x must be"),
        (
            {"capacity": {"x": 1, "y": 1}, "resource_use": "any", "tasks": [{**A, "needs": {"x": 0}}]},
            "task a: a unit of share cannot take 0 of the pool x",
        ),
        (
            {"capacity": 1, "resources": {"x": 1}, "resource_use": "any", "tasks": [A]},
            "capacity as one number and resources as pools cannot both be given",
        ),
        ({"capacity": 1, "strategy": "fastest", "tasks": [A]}, "strategy must be one of"),
        ({"capacity": 1, "resource_use": "some", "tasks": [A]}, "resource_use must be one of"),
        ({"capacity": 1, "strategy": "least_cost", "resource_use": "all", "tasks": [A]}, "resource_use must be any"),
        ({"capacity": {"x": 1}, "tasks": [{**A, "needs": {}}]}, "task a: it needs none of the resources"),
        ({"capacity": 1, "tasks": "/nowhere/tasks.json"}, "/nowhere/tasks.json: the list of tasks file does not exist"),
    ],
)
def test_bad_input_is_said_in_one_line(options, words):
    with pytest.raises(InputError) as caught:
        parse_instance(options)
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_a_path_says_the_same_as_the_list(tmp_path):
    tasks = [{"name": "b", "demand": "4"}, {"name": "a", "demand": 1}]
    path, resources = tmp_path / "tasks.json", tmp_path / "resources.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    resources.write_text(json.dumps({"x": 9}), encoding="utf-8")
    inline = by_name(shared("least_response_time", tasks, capacity={"x": 9}))
    assert inline == pytest.approx({"a": 3.0, "b": 6.0})
    assert by_name(shared("least_response_time", str(path), resources=str(resources))) == inline


def test_numbers_in_words_are_taken_since_templates_make_them():
    assert by_name(shared("max_min_fairness", [{"name": "a"}, {"name": 7}], capacity="10")) == {"7": 5.0, "a": 5.0}
