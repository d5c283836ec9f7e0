# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust in a forecast falls by degrees, and a doubtful interval never lowers what is planned for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import model

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.trust import trust_in


def entry(skill: Any, coverage: Any = 0.95, *, beats: bool = False) -> dict[str, Any]:
    return {"beats_seasonal_naive": beats, "backtest": {"skill": skill, "coverage": {"0.5": 0.5, "0.95": coverage}}}


@pytest.mark.parametrize(
    ("skill", "weight"),
    [
        (0.3, 1.0),
        (0.0, 1.0),
        (-0.02, 1.0),
        (-0.065, 0.75),
        (-0.11, 0.5),
        (-0.2, 0.0),
        (-3.0, 0.0),
        (None, 0.0),
        ("x", 0.0),
    ],
)
def test_weight_by_skill(skill: Any, weight: float) -> None:
    assert trust_in(entry(skill)).weight == pytest.approx(weight)


def test_what_beats_seasonal_naive_is_trusted_and_what_was_not_tested_is_not() -> None:
    assert trust_in({"beats_seasonal_naive": True, "backtest": None}).weight == 1.0
    assert trust_in({"beats_seasonal_naive": False, "backtest": None}).weight == 0.0
    assert trust_in({}).weight == 0.0


@pytest.mark.parametrize(
    ("coverage", "doubt"), [(1.0, 0.0), (0.9, 0.0), (0.825, 0.5), (0.75, 1.0), (0.1, 1.0), (None, 0.0)]
)
def test_doubt_by_coverage(coverage: Any, doubt: float) -> None:
    assert trust_in(entry(0.1, coverage, beats=True)).doubt == pytest.approx(doubt, abs=1e-6)


def levels(recent: float, **trusted: Any) -> tuple[tuple[tuple[float, float], ...], str, str]:
    series = {
        "usable": True,
        "start": "2026-11-23T18:00:00Z",
        "step_seconds": 600,
        "last_observed": 0.0,
        "recent_maximum": recent,
        "quantiles": {"0.5": [6.0] * 9, "0.95": [10.0] * 9},
        "window_maximum": {"0.5": 6.0, "0.95": 10.0},
        **trusted,
    }
    forecast = {"kind": "forecast", "window_steps": 6, "series": {"chat": series}}
    found = planned_demand([model("chat")], forecast, None, [], planning_interval_seconds=600)[0]["chat"]
    return found.levels, found.source, found.reason


def test_half_trusted_is_half_forecast_half_seen() -> None:
    """Skill -0.11: half of 6 and 10, half of 5 x 1.2."""
    found, source, reason = levels(5.0, **entry(-0.11))
    assert [rate for _level, rate in found] == pytest.approx([6.0, 8.0], rel=1e-3)  # chance takes the rest off
    assert source == "forecast"
    assert "did not beat seasonal naive in its own backtest (skill -0.11)" in reason
    assert "so the recent maximum 5 requests/s x 1.2 counts for 50%" in reason


def test_a_tie_is_used_and_said() -> None:
    found, source, reason = levels(5.0, **entry(-0.01))
    assert (found, source) == (((0.5, 6.0), (0.95, pytest.approx(10.0, rel=1e-3))), "forecast")
    assert "as good as seasonal naive" in reason


def test_no_trust_is_the_reactive_value() -> None:
    found, source, reason = levels(5.0, **entry(-0.5))
    assert (found, source) == (((0.5, 6.0),), "observed")
    assert "reactive, because the forecast did not beat seasonal naive in its own backtest (skill -0.5)" in reason


def test_a_narrow_interval_is_raised_towards_what_was_seen_and_never_lowered() -> None:
    raised, _source, reason = levels(10.0, **entry(0.2, 0.825, beats=True))
    assert [rate for _level, rate in raised] == pytest.approx([9.0, 11.0], rel=1e-3)  # half way from 6 and 10 to 12
    assert "its level 0.95 held 82% of the time" in reason
    assert levels(1.0, **entry(0.2, 0.5, beats=True))[0] == ((0.5, 6.0), (0.95, pytest.approx(10.0, rel=1e-3)))


@given(st.floats(-1.0, 1.0), st.floats(0.0, 1e-3), st.floats(0.0, 30.0))
def test_a_little_less_skill_is_a_little_other_demand(skill: float, less: float, recent: float) -> None:
    """No cliff: at most |forecast - seen| x less / 0.18, but for the ladder's shape at no trust at all."""
    one, other = (trust_in(entry(value)) for value in (skill, skill - less))
    for forecast in (6.0, 10.0):
        change = abs(one.blend(forecast, recent) - other.blend(forecast, recent))
        assert change <= abs(forecast - recent) * (less / 0.18 + 2e-6) + 1e-9
