# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences and numbers a person reads."""

from __future__ import annotations

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123456, "0.0123"),
        (1.0, "1"),
        (1.234, "1.23"),
        (9.996, "10"),
        (99.96, "100"),
        (123.6, "124"),
        (1234.5, "1,234"),
        (8714.9, "8,715"),
        (-2.5, "-2.5"),
        (None, words.UNKNOWN),
        (float("nan"), words.UNKNOWN),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.84 s"), (45, "45 s"), (240, "4 min"), (3600, "1 h"), (5400, "1 h 30 min"), (None, words.UNKNOWN)],
)
def test_durations_take_the_fitting_unit(seconds, text):
    assert words.duration(seconds) == text


def test_moments_are_utc():
    assert words.moment("2026-11-23T20:00:00+02:00") == "2026-11-23 18:00 UTC"
    assert words.moment("2026-11-23T18:00:12Z") == "2026-11-23 18:00:12 UTC"
    assert words.moment("yesterday") == "yesterday"


def test_indices_show_runs():
    assert words.indices([3, 0, 1, 2, 6]) == f"0{words.DASH}3, 6"
    assert words.indices([]) == ""


def test_skill_says_which_way():
    assert words.skill(0.304) == "30.4 % smaller error than repeating the last season"
    assert words.skill(-0.059) == "5.9 % larger error than repeating the last season"
    assert words.skill(0.001) == "as good as repeating the last season"


def test_a_forecast_that_earned_no_trust_is_named():
    untrusted = {"usable": True, "beats_seasonal_naive": False}
    assert words.trust(untrusted, "observed") == (
        "The forecast did not beat seasonal naive, the observed value was used."
    )
    assert words.trust(untrusted, "forecast") == "The forecast did not beat seasonal naive."
    assert words.trust({"usable": False}, "observed").startswith("There was no usable forecast")
    assert words.trust({"usable": True, "beats_seasonal_naive": True}, "forecast") == ""


def test_coverage_of_the_interval_is_the_difference_of_its_levels():
    text = words.coverage({"coverage": {"0.05": 0.062, "0.5": 0.5, "0.95": 0.941}}, ("0.05", "0.95"))
    assert text == "87.9 % inside 0.05 to 0.95 (90 % wanted), 94.1 % below the 0.95 level"
    assert words.coverage({}, None) == words.UNKNOWN


def test_sentences_of_a_plan_that_changes_nothing():
    plan = {"placements": [{}], "actions": [], "demand": {}, "cost_per_hour": 24.0}
    assert words.decision(plan, hosts_in_use=1, hosts=2, models=1) == (
        "1 replica of 1 model on 1 of 2 hosts, at 24.00 per hour."
    )
    assert words.changes(plan) == "Nothing has to change: what runs is what is planned."
    assert words.shortage(plan) == "Nothing is short."
    assert words.demand_sources(plan) == "No demand was planned for."


def test_moves_are_said_to_be_among_the_starts_and_stops():
    actions = [{"wave": 1, "action": "start"}, {"wave": 1, "action": "start"}, {"wave": 2, "action": "stop"}]
    plan = {"actions": actions, "starts": 2, "stops": 1, "moves": 1}
    assert words.changes(plan) == "To get there: 2 starts and 1 stop (1 move), in 2 waves."


def test_demand_sources_are_counted_the_most_frequent_first():
    plan = {"demand": {"a": {"source": "observed"}, "b": {"source": "forecast"}, "c": {"source": "forecast"}}}
    assert words.demand_sources(plan) == (
        "The demand planned for is the forecast for 2 models and what is observed now for 1."
    )
