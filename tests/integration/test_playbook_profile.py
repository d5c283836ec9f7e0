# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook profile on real llama.cpp servers: measure, keep, plan with it, leave nothing behind."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from loop_fleet import Fleet, make_fleet

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")

SLO = {"ttft_seconds": 1.0, "latency_seconds": 1.5, "quantile": 0.9}
SWEEP: dict[str, Any] = {
    **{"profile_model": "chat", "profile_hosts": ["alpha"], "profile_seconds": 45, "profile_level_seconds": 3},
    **{"profile_output_tokens": 64, "profile_prompt_words": 12, "profile_most_rate": 400, "profile_most_at_once": 64},
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    fleet.models["chat"]["slo"] = SLO
    # A new model: nothing is known of what a replica gives.
    fleet.models["chat"]["capacity"] = {}
    fleet.write_inventory()
    yield fleet
    fleet.stop()


def facts(fleet: Fleet, host: str = "alpha") -> dict[str, Any]:
    path = fleet.root / host / "facts.d/modelops.fact"
    return json.loads(path.read_text()) if path.exists() else {}


def test_check_mode_starts_and_sends_nothing(fleet: Fleet) -> None:
    run = fleet.play("profile", "--check", **SWEEP)
    assert run.code == 0, run.output
    assert facts(fleet) == {}
    assert fleet.running() == {}


def test_a_new_model_is_measured_and_nothing_is_left_running(fleet: Fleet) -> None:
    run = fleet.play("profile", **SWEEP)
    assert run.code == 0, run.output
    assert "chat sustains " in run.output
    kept = facts(fleet)["capacity"]["chat"]
    assert 0 < kept["low"] <= kept["requests_per_second"] <= kept["high"]
    assert kept["accelerator_type"] == "l40s-48gb"
    assert 0 < kept["service_time_seconds"] < SLO["latency_seconds"]
    assert facts(fleet)["replicas"] == []
    assert fleet.running() == {}


def test_what_was_measured_is_not_measured_again(fleet: Fleet) -> None:
    before = facts(fleet)
    run = fleet.play("profile", **SWEEP)
    assert run.code == 0, run.output
    assert "was measured already" in run.output
    assert run.changed()["alpha"] == 0
    assert facts(fleet) == before


def test_the_next_plan_goes_by_it(fleet: Fleet) -> None:
    rate = facts(fleet)["capacity"]["chat"]["requests_per_second"]
    demand = round(2.4 * rate / 1.2, 3)
    run = fleet.play("plan", plan_observed={"chat": demand, "code": 1.0}, plan_report=False)
    assert run.code == 0, run.output
    plan = fleet.plan()
    assert plan["models"]["chat"]["capacity"]["l40s-48gb"]["requests_per_second"] == rate
    assert sum(one["model"] == "chat" for one in plan["placements"]) == math.ceil(2.4)
    without = fleet.play("plan", plan_observed={"chat": demand}, plan_report=False, plan_measured_capacity=False)
    assert without.code != 0
    assert "the model has no capacity" in without.output


def test_apply_takes_the_plan_that_was_made_with_it(fleet: Fleet) -> None:
    run = fleet.play("apply", "--check")
    assert run.code == 0, run.output


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"profile_model": "absent"}, "The catalogue has no model absent"),
        ({"profile_model": "code"}, "The model code has no slo"),
        ({"profile_hosts": ["gamma"]}, "The inventory has no host gamma"),
        ({"profile_hosts": []}, "Name the hosts to measure on"),
        ({"profile_replica": "running", "profile_again": True}, "alpha runs no replica of chat"),
    ],
)
def test_bad_input_gives_one_clear_message(fleet: Fleet, change: dict[str, Any], says: str) -> None:
    run = fleet.play("profile", **{**SWEEP, **change})
    assert run.code != 0
    assert says in run.output
    assert fleet.running() == {}
