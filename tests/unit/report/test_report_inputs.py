# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of another shape are refused with one message that names the place."""

from __future__ import annotations

import copy

import pytest
import report_samples

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import PlanRefusedError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import check_forecast, check_plan

SAMPLE = report_samples.build(3)


def _set(document, path, value):
    *way, last = path
    for step in way:
        document = document[step]
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["kind"], "forecast", "this is no plan (kind is 'forecast')"),
        (["schema_version"], 2, "schema_version 2"),
        (["placements"], None, "placements is missing"),
        (["placements", 0, "slot"], "one", "placements[0].slot is 'one', which is not a whole number"),
        (["placements", 1], [], "placements[1] must be a mapping"),
        (["actions", 0, "accelerators"], 3, "actions[0].accelerators must be a list"),
        (["demand", "chat-8b", "levels"], {"high": 1}, "demand.chat-8b.levels has the key 'high'"),
        (["cost_per_hour"], True, "cost_per_hour is True, which is not a number"),
        (["hosts", 2, "reachable"], "yes", "hosts[2].reachable is 'yes', which is not true or false"),
    ],
)
def test_a_fault_in_a_plan_is_named(path, value, said):
    plan = copy.deepcopy(SAMPLE.plan)
    _set(plan, path, value)
    with pytest.raises(PlanRefusedError) as refusal:
        check_plan(plan, where="plan.json")
    assert said in refusal.value.message and refusal.value.message.startswith("plan.json: ")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["series", "chat-8b", "quantiles", "0.5"], ["x"], "series.chat-8b.quantiles.0.5[0] is 'x'"),
        (["series", "chat-8b", "start"], None, "series.chat-8b.start is missing"),
        (["series", "chat-8b", "backtest", "mase"], "good", "series.chat-8b.backtest.mase is 'good'"),
    ],
)
def test_a_fault_in_a_forecast_is_named(path, value, said):
    forecast = copy.deepcopy(SAMPLE.forecast)
    _set(forecast, path, value)
    with pytest.raises(PlanRefusedError, match="demand_forecast") as refusal:
        check_forecast(forecast, where="forecast.json")
    assert said in refusal.value.message


def test_what_is_optional_may_be_absent_or_null():
    plan = {"schema_version": 1, "kind": "plan", "created_at": "2026-11-23T18:00:00Z"}
    plan |= {"demand": {"m": {"levels": {"0.9": None}}}, "placements": [], "actions": [], "waves": None}
    assert check_plan(plan, where="plan.json") is plan
    assert check_plan(SAMPLE.plan, where="plan.json") is SAMPLE.plan
    assert check_forecast(SAMPLE.forecast, where="forecast.json") is SAMPLE.forecast


@pytest.mark.parametrize("document", [None, [], "plan", 3])
def test_anything_else_is_no_plan(document):
    with pytest.raises(PlanRefusedError, match="this is no plan"):
        check_plan(document, where="plan.json")
