# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan in short: every line a person needs, and not a thousand of them."""

from __future__ import annotations

import pytest
from planning_builders import sealed_plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.summary import summary_lines


def test_a_small_plan_reads_like_this() -> None:
    plan = sealed_plan(
        warnings=["Demand is known for ghost"],
        violations=[{"limit": "spread.zone", "model": "chat", "amount": 1, "reason": "one zone has room"}],
    )
    plan["waves"][0]["note"] = "Temporary stop of chat on gpu-a1 slot 0"
    assert summary_lines(plan) == [
        "Plan of 2026-11-23T18:00:00Z: 2 replicas of 2 models on 2 hosts, 13.00 per hour",
        "  code: 1 replica (as now)",
        "  chat: 1 replica (as now) for up to 6.25 requests/s: forecast: 6.25 requests/s at quantile 0.95",
        "Changes: 1 start and 1 stop (1 move) in 2 waves",
        "Wave 1: Temporary stop of chat on gpu-a1 slot 0",
        "Short: code lacks 1.5 requests/s and 1 replica, at 2.25 per hour: no free accelerator",
        "Limit not kept: spread.zone of chat: one zone has room",
        "Note: Demand is known for ghost",
    ]


def test_nothing_to_say_is_said() -> None:
    plan = sealed_plan(actions=[], waves=[], placements=[], shortages=[], demand={})
    assert summary_lines(plan) == [
        "Plan of 2026-11-23T18:00:00Z: 0 replicas of 0 models on 0 hosts, 13.00 per hour",
        "Changes: nothing, what runs is what is planned",
        "Short: nothing",
    ]


def test_a_reason_that_names_the_model_is_not_said_twice() -> None:
    shortage = {"model": "code", "requests_per_second": 1.5, "replicas": 1, "cost_per_hour": 2.25}
    plan = sealed_plan(shortages=[{**shortage, "reason": "code is 1.5 requests/s short: no room"}])
    assert summary_lines(plan)[-1] == "Short: code is 1.5 requests/s short: no room, at 2.25 per hour"


def test_a_model_that_left_the_catalogue_is_named() -> None:
    stop = {"action": "stop", "model": "old", "host": "gpu-a1", "slot": 3, "wave": 1, "move": None}
    plan = sealed_plan(actions=[stop], placements=[])
    assert "  old: 0 replicas (1 now): no longer in the catalogue" in summary_lines(plan)


def test_a_thousand_models_stay_readable() -> None:
    names = [f"m{number:04d}" for number in range(1000)]
    demand = {name: {"levels": {"0.5": 1.0}, "reason": "given"} for name in names}
    placements = [{"model": name, "host": "gpu-a1", "slot": slot} for slot, name in enumerate(names)]
    keeps = [{**one, "action": "keep", "wave": 0} for one in placements if one["model"] != "m0777"]
    plan = sealed_plan(
        demand=demand,
        models={name: {} for name in [*names, "code"]},
        placements=placements,
        actions=keeps,
        warnings=[f"w{number}" for number in range(50)],
    )
    lines = summary_lines(plan)
    assert len(lines) < 40
    assert "m0777: 1 replica (0 now)" in lines[2]  # after the model that is short, the one that changes
    assert "  and 981 more models" in lines
    assert "and 45 more notes" in lines


def test_what_is_no_plan_is_said() -> None:
    with pytest.raises(InputError, match="plan must be a mapping, not a list"):
        summary_lines([])  # type: ignore[arg-type]
