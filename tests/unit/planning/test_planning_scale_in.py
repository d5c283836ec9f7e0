# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scale-in waits until demand is known to have been low for the hold time: day and night in a few plans."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_builders import host, model, replica

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import (
    ModelDemand,
    planned_demand,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.scale_in import replicas_to_hold

NOW = 1_795_456_800.0  # 2026-11-23T18:00:00Z
HOLD = 1800.0
CHAT = model("chat", rate=2.0, min_replicas=1, startup_seconds=0.0)  # two requests/s a replica
HOSTS = [host("a", 10)]
TEN = [replica("a", slot, "chat") for slot in range(10)]


def forecast_of(rate: float, *, window_steps: int = 1, recent: float | None = None, **fields: Any) -> dict[str, Any]:
    """A forecast that asks for ``rate`` all along; of the history only one step of 600 s is known."""
    entry = {
        "usable": True,
        "beats_seasonal_naive": True,
        "start": format_moment(NOW),
        "step_seconds": 600,
        "last_observed": 0.1,
        "recent_maximum": 0.1 if recent is None else recent,
        "quantiles": {"0.5": [rate] * 1000},
        "window_maximum": {"0.5": rate},
        **fields,
    }
    return {"kind": "forecast", "window_steps": window_steps, "series": {"chat": entry}}


def plan_at(
    minutes: float, asked: float, previous: Any = None, *, runs: Any = TEN, forecast: Any = None, **options: Any
) -> tuple[ModelDemand, dict[str, Any]]:
    """The demand of a plan so many minutes after :data:`NOW`, and the part of the plan that remembers it."""
    moment = NOW + 60 * minutes
    options = {"scale_in_hold_seconds": HOLD, "planning_interval_seconds": 600.0, "hosts": HOSTS, **options}
    given_forecast = forecast_of(asked) if forecast is None else forecast
    found = planned_demand([CHAT], given_forecast, None, runs, as_of=moment, previous=previous, **options)[0]["chat"]
    return found, {"kind": "plan", "as_of": format_moment(moment), "demand": {"chat": found.as_record()}}


def test_the_first_low_plans_hold_and_the_hold_ends() -> None:
    """20 requests/s until 18:00, then 4; plans every ten minutes: nothing stops before 18:40.

    The look of 18:00 counts until the next one is made, at 18:10, and half an hour from then on.
    """
    _unused, memory = plan_at(-40, 20.0)
    for minutes in (-30, -20, -10, 0):
        _unused, memory = plan_at(minutes, 20.0, memory)
    floors = []
    for minutes in (10, 20, 30, 40, 50):
        found, memory = plan_at(minutes, 4.0, memory)
        floors.append(found.floor_replicas)
        if minutes == 20:
            assert "20 requests/s were asked for until 10 min ago, within the hold time of 30 min" in found.reason
            assert "the 10 that run stay" in found.reason
    assert floors == [10, 10, 10, 1, 1]


def test_scale_in_goes_no_further_than_the_last_peak_within_the_hold_time() -> None:
    memory = None
    for minutes, asked in ((-40, 4.0), (-30, 4.0), (-20, 4.0), (-10, 11.0), (0, 4.0)):
        found, memory = plan_at(minutes, asked, memory)
    assert found.floor_replicas == 6  # 11 requests/s at 2 a replica
    assert found.recent.highs == ((0.0, 4.0), (0.0, 11.0))  # what was lower before tells nothing any more
    assert "6 of the 10 that run stay: 11 requests/s were asked for until now" in found.reason


def test_without_memory_what_runs_stays_until_enough_is_known() -> None:
    memory = None
    floors = []
    for minutes in (0, 10, 20, 30):
        found, memory = plan_at(minutes, 4.0, memory)
        floors.append(found.floor_replicas)
    assert floors == [10, 10, 10, 1]
    first, _unused = plan_at(0, 4.0)
    assert "demand is known for 0 min only, less than the hold time of 30 min" in first.reason


def test_history_that_reaches_back_far_enough_stands_in_for_memory() -> None:
    quiet = forecast_of(4.0, window_steps=6, recent=3.0)
    assert plan_at(0, 4.0, forecast=quiet)[0].floor_replicas == 1
    busy = forecast_of(4.0, window_steps=6, recent=10.0)
    found, _unused = plan_at(0, 4.0, forecast=busy)
    assert found.floor_replicas == 6  # 10 x 1.2 at 2 a replica
    assert "12 requests/s were needed within the hold time of 30 min, as the history shows" in found.reason


@pytest.mark.parametrize(
    "broken",
    [
        forecast_of(4.0, last_observed=float("nan")),
        forecast_of(4.0, recent_maximum=None),
        forecast_of(4.0, usable=False),
        forecast_of(4.0, history_end=format_moment(NOW - 7200)),
        {"kind": "forecast", "window_steps": 1, "series": {}},
    ],
    ids=["NaN", "gap", "too short", "stale", "missing"],
)
def test_what_cannot_be_read_holds_and_begins_the_hold_anew(broken: Any) -> None:
    memory = None
    for minutes in (0, 10, 20, 30):
        _unused, memory = plan_at(minutes, 4.0, memory)
    found, memory = plan_at(40, 4.0, memory, forecast=broken)
    assert found.floor_replicas == 10
    again, _unused = plan_at(50, 4.0, memory)
    assert again.floor_replicas == 10


def test_a_gap_between_plans_and_a_plan_of_the_future_are_no_memory() -> None:
    memory = None
    for minutes in (0, 10, 20, 30):
        _unused, memory = plan_at(minutes, 4.0, memory)
    assert plan_at(60, 4.0, memory)[0].floor_replicas == 1
    assert plan_at(61, 4.0, memory)[0].floor_replicas == 10  # longer than the hold time and two intervals
    assert plan_at(29, 4.0, memory)[0].floor_replicas == 10


def test_planning_again_for_the_same_moment_remembers_the_same() -> None:
    memory = None
    for minutes, asked in ((-10, 9.0), (0, 4.0)):
        found, memory = plan_at(minutes, asked, memory)
    again, same = plan_at(0, 4.0, memory)
    assert (again, same) == (found, memory)


def test_numbers_given_by_hand_and_no_hold_time_are_not_held() -> None:
    assert plan_at(0, 0, forecast={"chat": 4.0})[0].floor_replicas == 1
    assert plan_at(0, 4.0, scale_in_hold_seconds=0.0)[0].floor_replicas == 1


def test_true_zero_goes_to_nothing_after_the_hold_time() -> None:
    idle = model("chat", min_replicas=0, startup_seconds=0.0)
    silent = forecast_of(0.0, last_observed=0.0, recent_maximum=0.0)
    memory: dict[str, Any] | None = None
    floors = []
    for minutes in (0, 10, 20, 30):
        moment = NOW + 60 * minutes
        found = planned_demand(
            [idle], silent, None, TEN, as_of=moment, previous=memory, hosts=HOSTS,
            scale_in_hold_seconds=HOLD, planning_interval_seconds=600.0,
        )[0]["chat"]  # fmt: skip
        memory = {"kind": "plan", "as_of": format_moment(moment), "demand": {"chat": found.as_record()}}
        floors.append(found.floor_replicas)
    assert floors == [10, 10, 10, 0]


def test_how_many_to_hold() -> None:
    assert replicas_to_hold(10, 2.0, 11.0) == 6
    assert replicas_to_hold(10, 2.0, 12.0) == 6
    assert replicas_to_hold(4, 2.0, 12.0) == 4
    assert replicas_to_hold(10, 0.1, 0.3) == 3  # 0.3 / 0.1 is a little above 3 in binary
    assert replicas_to_hold(10, 0.0, 1.0) == 10  # not known what one serves


@pytest.mark.parametrize(
    ("previous", "words"),
    [
        ({"kind": "forecast"}, "this is not a plan"),
        ({"kind": "plan", "as_of": "soon"}, "not an ISO 8601 moment"),
        (
            {"kind": "plan", "as_of": format_moment(NOW), "demand": {"chat": {"recent": {"covers_seconds": -1}}}},
            "covers_seconds must be at least 0",
        ),
        (
            {
                "kind": "plan",
                "as_of": format_moment(NOW),
                "demand": {"chat": {"recent": {"covers_seconds": 1, "highs": [3]}}},
            },
            "highs must be pairs",
        ),
    ],
)
def test_a_broken_previous_plan_is_one_clear_message(previous: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan_at(0, 4.0, previous)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 25), st.floats(0.0, 20.0)), min_size=1, max_size=12))
def test_never_fewer_than_the_peak_of_the_hold_time_needs(looks: list[tuple[int, float]]) -> None:
    """Against all looks kept in full: the floor carries the highest of those in force within the hold time."""
    memory = None
    minute, known_since = 0, 0
    history: list[tuple[int, float]] = []
    for step, (gap, asked) in enumerate(looks):
        minute += gap if step else 0
        found, memory = plan_at(minute, asked, memory)
        if step and gap * 60 > max(HOLD, 1200.0):
            history, known_since = [], minute
        known_since = minute if step == 0 else known_since
        history.append((minute, asked))
        if (minute - known_since) * 60 < HOLD:
            assert found.floor_replicas == 10
            continue
        ends = [*(later for later, _rate in history[1:]), minute]
        within = [rate for (_made, rate), end in zip(history[:-1], ends) if (minute - end) * 60 < HOLD]
        highest = max([*within, asked])
        floor = 1 if highest <= asked else max(1, replicas_to_hold(10, 2.0, highest))
        assert found.floor_replicas == floor
