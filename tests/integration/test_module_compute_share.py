# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""compute_share as Ansible runs it: the ladder, files in and out, bad input."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import jsonschema
import module_command
import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/share.schema.json").read_text(encoding="utf-8"))
TASKS = [
    {"name": "chat-8b", "demand": 40, "weight": 3, "floor": 10},
    {"name": "code-7b", "demand": 90, "ceiling": 30},
    {"name": "batch", "demand": 200, "weight": 0.2},
]
POOLS = {"h100-80gb": {"amount": 16, "cost": 6.0}, "l40s-48gb": {"amount": 64, "cost": 1.8}}


def run_ansible(arguments: dict[str, Any], *flags: str) -> dict[str, Any]:
    return module_command.run_module("compute_share", arguments, *flags)


def run_module(**arguments: Any) -> dict[str, Any]:
    return module_command.run_alone("compute_share", arguments)


def test_the_ladder_check_mode_write_same_again_changed(tmp_path: Path) -> None:
    dest = tmp_path / "share.json"
    arguments = {"capacity": 100, "tasks": TASKS, "dest": str(dest)}

    looked = run_ansible(arguments, "--check")
    assert looked["changed"] is True
    assert not dest.exists()

    first = run_ansible(arguments)
    assert first["changed"] is True
    assert first["shares"] == looked["shares"]
    shares = {one["name"]: one["share"] for one in first["shares"]}
    # beside the ceiling of code-7b, 70 are shared as sqrt(120) to sqrt(40)
    assert shares["code-7b"] == 30.0
    assert shares["chat-8b"] == pytest.approx(70 * 120**0.5 / (120**0.5 + 40**0.5))
    assert sum(shares.values()) == pytest.approx(100.0)
    assert first["summary"].startswith("3 tasks share 100 of 100 units; weighted response time ")
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640
    document = json.loads(dest.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["shares"] == first["shares"]

    content = dest.read_bytes()
    assert run_module(**{**arguments, "tasks": TASKS[::-1]})["changed"] is False
    assert dest.read_bytes() == content
    assert run_module(**{**arguments, "capacity": 90})["changed"] is True
    assert dest.read_bytes() != content


@pytest.mark.parametrize(
    ("strategy", "extra"),
    [
        ("least_response_time", {}),
        ("max_utilization", {}),
        ("max_min_fairness", {}),
        ("least_cost", {}),
        ("least_response_time", {"resource_use": "any"}),
        ("max_utilization", {"resource_use": "any"}),
        ("max_min_fairness", {"resource_use": "any"}),
    ],
)
def test_every_strategy_with_several_resources(tmp_path: Path, strategy: str, extra: dict[str, Any]) -> None:
    dest = tmp_path / "share.json"
    result = run_module(strategy=strategy, resources=POOLS, tasks=TASKS, dest=str(dest), **extra)
    assert result.get("failed") is not True, result
    document = json.loads(dest.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    for pool, amount in (("h100-80gb", 16), ("l40s-48gb", 64)):
        assert document["resources"][pool]["used"] <= amount * (1 + 1e-12)
    assert document["solver"]["residual"] < 1e-9


def test_ansible_ships_the_solver_along() -> None:
    result = run_ansible({"strategy": "least_cost", "resources": POOLS, "tasks": [{"name": "a", "demand": 70}]})
    assert result["failed"] is False
    assert result["objective"] == pytest.approx(64 * 1.8 + 6 * 6.0)
    assert result["shares"][0]["pools"] == {"h100-80gb": pytest.approx(6.0), "l40s-48gb": pytest.approx(64.0)}


def test_overload_is_a_named_shortage_not_a_failure() -> None:
    result = run_module(
        capacity=9, tasks=[{"name": "a", "demand": 1, "floor": 8}, {"name": "b", "demand": 1, "floor": 4}]
    )
    assert result.get("failed") is not True
    assert [(one["task"], one["missing"]) for one in result["shortages"]] == [
        ("a", pytest.approx(2.0)),
        ("b", pytest.approx(1.0)),
    ]
    assert result["summary"].endswith("short: a by 2, b by 1")


def test_many_tasks_come_from_a_file_and_go_to_a_file(tmp_path: Path) -> None:
    src, dest = tmp_path / "tasks.json", tmp_path / "share.json"
    src.write_text(json.dumps([{"name": f"t{index:05}", "demand": 1 + index % 9} for index in range(20_000)]))
    result = run_module(capacity=5000, tasks=str(src), dest=str(dest))
    assert "shares" not in result
    document = json.loads(dest.read_text(encoding="utf-8"))
    assert len(document["shares"]) == 20_000
    assert sum(one["share"] for one in document["shares"]) == pytest.approx(5000.0)
    assert document["solver"]["residual"] < 1e-9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"capacity": 1}, "tasks"),
        ({"tasks": TASKS}, "there is nothing to divide"),
        ({"capacity": "lots", "tasks": TASKS}, "capacity must be a number, not 'lots'"),
        ({"capacity": 1, "tasks": TASKS + TASKS[:1]}, "task chat-8b: the task is listed twice"),
        ({"capacity": 1, "tasks": [{"name": "a", "demand": -3}]}, "task a: demand must be"),
        ({"capacity": 1, "tasks": [{"name": "a", "demand": 1, "needs": {"tpu": 1}}]}, "task a: it needs 'tpu'"),
        ({"capacity": 1, "tasks": TASKS, "strategy": "fast"}, "least_response_time, max_utilization"),
        ({"capacity": 1, "tasks": "/nowhere/tasks.json"}, "/nowhere/tasks.json"),
        ({"capacity": 1, "tasks": TASKS, "dest": "/nowhere/at/all/share.json"}, "/nowhere/at/all"),
    ],
)
def test_bad_input_is_one_clear_message(arguments: dict[str, Any], words: str) -> None:
    result = run_module(**arguments)
    assert result.get("failed") is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]
