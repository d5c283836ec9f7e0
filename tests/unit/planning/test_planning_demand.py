# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which demand is planned for: the rule as a table, and what may never happen as properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planning_builders import host, model, replica

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.counting import (
    beyond_chance,
    surely_seen,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import (
    ModelDemand,
    lead_times,
    planned_demand,
)

NAN = float("nan")
CHAT = model("chat", min_replicas=1, startup_seconds=600.0)
RUNS = [replica("a", slot, "chat") for slot in range(3)]


def series(**fields: Any) -> dict[str, Any]:
    """A series of 600 s steps whose demand climbs from 1; the window covers six steps."""
    return {
        "usable": True,
        "beats_seasonal_naive": True,
        "start": "2026-11-23T18:00:00Z",
        "step_seconds": 600,
        "last_observed": 1.0,
        "recent_maximum": 2.0,
        "quantiles": {
            "0.5": [1.0 + step for step in range(12)],
            "0.95": [2.0 + 2 * step for step in range(12)],
        },
        "window_maximum": {"0.5": 6.5, "0.95": 14.0},
        **fields,
    }


def document(*, window_steps: int = 6, **named: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "kind": "forecast",
        "window_steps": window_steps,
        "quantile_levels": [0.5, 0.95],
        "series": named or {"chat": series()},
    }


def demand_of_chat(forecast: Any, observed: Any = None, runs: Any = RUNS, **options: Any) -> ModelDemand:
    options = {"planning_interval_seconds": 3000, **options}
    return planned_demand([CHAT], forecast, observed, runs, **options)[0]["chat"]


HELD = 3  # what runs
FREE = 1  # min_replicas

RULES: list[tuple[str, Any, Any, tuple[tuple[float, float], ...], str, int]] = [
    # 600 s lead time + 3000 s interval = 6 steps: the window maximum is exactly that.
    ("forecast above observed", document(), {"chat": 5.0}, ((0.5, 6.5), (0.95, 14.0)), "forecast", FREE),
    ("observed raises the low level", document(), {"chat": 10.0}, ((0.5, 12.0), (0.95, 14.0)), "forecast", FREE),
    ("observed above the forecast", document(), {"chat": 20.0}, ((0.5, 24.0), (0.95, 24.0)), "observed", FREE),
    ("last sample stands in", document(), None, ((0.5, 6.5), (0.95, 14.0)), "forecast", FREE),
    ("observation missing", document(), {}, ((0.5, 6.5), (0.95, 14.0)), "forecast", HELD),
    ("observation NaN", document(), {"chat": NAN}, ((0.5, 6.5), (0.95, 14.0)), "forecast", HELD),
    ("observation negative", document(), {"chat": -1.0}, ((0.5, 6.5), (0.95, 14.0)), "forecast", HELD),
    (
        "no trust, recent maximum decides",
        document(chat=series(beats_seasonal_naive=False)),
        {"chat": 1.0},
        ((0.5, 2.4),),
        "observed",
        FREE,
    ),
    (
        "no trust, observed decides",
        document(chat=series(beats_seasonal_naive=False)),
        {"chat": 5.0},
        ((0.5, 6.0),),
        "observed",
        FREE,
    ),
    (
        "no backtest is no trust",
        document(chat=series(beats_seasonal_naive=None)),
        None,
        ((0.5, 2.4),),
        "observed",
        FREE,
    ),
    ("not usable", document(chat=series(usable=False)), {"chat": 5.0}, ((0.5, 6.0),), "observed", HELD),
    (
        "not usable, history ends in a gap",
        document(chat=series(usable=False, recent_maximum=None)),
        {"chat": 5.0},
        ((0.5, 6.0),),
        "observed",
        HELD,
    ),
    (
        "not usable, nothing observed",
        document(chat=series(usable=False, recent_maximum=None)),
        None,
        ((0.5, 0.0),),
        "held",
        HELD,
    ),
    (
        "history ends in a gap",
        document(chat=series(recent_maximum=None)),
        {"chat": 1.0},
        ((0.5, 6.5), (0.95, 14.0)),
        "forecast",
        HELD,
    ),
    ("not in the forecast", document(code=series()), {"chat": 5.0}, ((0.5, 6.0),), "observed", HELD),
    ("in nothing", document(code=series()), {}, ((0.5, 0.0),), "held", HELD),
    ("no forecast at all", None, {"chat": 5.0}, ((0.5, 6.0),), "observed", HELD),
    ("nothing at all", None, None, ((0.5, 0.0),), "held", HELD),
    ("given as a number", {"chat": 5.0}, None, ((0.5, 5.0),), "given", FREE),
    ("given as text", {"chat": "5.5"}, None, ((0.5, 5.5),), "given", FREE),
    ("given as levels", {"chat": {"0.9": 7, "0.5": 5}}, None, ((0.5, 5.0), (0.9, 7.0)), "given", FREE),
    ("given with crossing levels", {"chat": {"0.9": 4, "0.5": 5}}, None, ((0.5, 5.0), (0.9, 5.0)), "given", FREE),
    (
        "given, observed above",
        {"chat": {"0.5": 5, "0.9": 7}},
        {"chat": 10},
        ((0.5, 12.0), (0.9, 12.0)),
        "observed",
        FREE,
    ),
    ("given as NaN", {"chat": NAN}, None, ((0.5, 0.0),), "held", HELD),
    ("given as null", {"chat": None}, {"chat": 2.0}, ((0.5, 2.4),), "observed", HELD),
    ("given, not for this model", {"code": 5.0}, None, ((0.5, 0.0),), "held", HELD),
    ("true zero given", {"chat": 0}, None, ((0.5, 0.0),), "given", FREE),
    ("true zero observed", {"chat": 0}, {"chat": 0.0}, ((0.5, 0.0),), "given", FREE),
    (
        "true zero seen",
        document(chat=series(beats_seasonal_naive=False, recent_maximum=0.0, last_observed=0.0)),
        {"chat": 0.0},
        ((0.5, 0.0),),
        "observed",
        FREE,
    ),
    (
        "negative forecasts are zero",
        document(chat=series(window_maximum={"0.5": -1.0, "0.95": 3.0})),
        {"chat": 0.0},
        ((0.5, 0.0), (0.95, 3.0)),
        "forecast",
        FREE,
    ),
    (
        "a null in the path is no forecast",
        document(chat=series(window_maximum={}, quantiles={"0.5": [1.0, None, 3.0] * 4})),
        None,
        ((0.5, 2.4),),
        "observed",
        HELD,
    ),
    (
        "regions are added up",
        document(**{"chat|eu": series(), "chat|us": series(window_maximum={"0.5": 1.0, "0.95": 2.0})}),
        {"chat|eu": 3.0, "chat|us": 1.0},
        ((0.5, 7.5), (0.95, 16.0)),
        "forecast",
        FREE,
    ),
    (
        "one region reactive",
        document(**{"chat|eu": series(), "chat|us": series(beats_seasonal_naive=False)}),
        {"chat": 3.0},
        ((0.5, 8.9), (0.95, 16.4)),
        "forecast",
        FREE,
    ),
    (
        "one region unknown",
        document(**{"chat|eu": series(), "chat|us": series(usable=False, recent_maximum=None)}),
        {"chat": 3.0},
        ((0.5, 6.5), (0.95, 14.0)),
        "forecast",
        HELD,
    ),
    (
        "one region not observed",
        document(**{"chat|eu": series(), "chat|us": series()}),
        {"chat|eu": 3.0, "chat|us": NAN},
        ((0.5, 13.0), (0.95, 28.0)),
        "forecast",
        HELD,
    ),
]


@pytest.mark.parametrize(
    ("forecast", "observed", "levels", "source", "floor"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES]
)
def test_the_rule(forecast: Any, observed: Any, levels: Any, source: str, floor: int) -> None:
    found = demand_of_chat(forecast, observed)
    assert [level for level, _unused in found.levels] == [level for level, _unused in levels]
    # Chance takes up to 0.3 % off the quantiles of these counts of 600 a step and more.
    assert [rate for _unused, rate in found.levels] == pytest.approx([rate for _unused, rate in levels], rel=3e-3)
    assert (found.source, found.floor_replicas) == (source, floor)
    assert found.reason
    if floor == HELD:
        assert "the 3 that run stay" in found.reason


# 18:00 to the end of the window is lead time 600 s + interval; steps are 600 s; paths climb 1, 2, 3 ... and 2, 4, 6 ...
@pytest.mark.parametrize(
    ("interval_seconds", "window_steps", "as_of", "expected", "words"),
    [
        (3000, 6, None, (6.5, 14.0), "of the maximum over 6 steps"),
        (1200, 6, None, (6.5, 14.0), "of the maximum over 3 steps"),  # a longer window is on the safe side
        # One second into a seventh step: 7 and 14, and what the maximum of six has over its path, 0.5 and 2.
        (3001, 6, None, (7.5, 16.0), "the largest of 7 steps standing in"),
        (6000, 6, None, (11.5, 24.0), "the largest of 11 steps standing in"),
        (1200, 1, None, (8.5, 18.0), "the largest of 3 steps standing in"),  # the maximum of one step has 5.5 and 12
        (3000, 6, "2026-11-23T18:10:00Z", (7.5, 16.0), "the largest of 6 steps standing in"),  # begins a step later
        (3000, 6, "2026-11-23T18:15:00Z", (8.5, 18.0), "the largest of 7 steps standing in"),  # the one in progress
        (600, 6, "2026-11-23T18:10:00Z", (3.5, 8.0), "the largest of 2 steps standing in"),
        (600, 6, "2026-11-23T19:00:00Z", (8.5, 18.0), "the largest of 2 steps standing in"),
        (3000, 6, "2026-11-23T17:00:00Z", (6.5, 14.0), "of the maximum over 6 steps"),
        (9000, 6, None, (12.5, 26.0), "the forecast ends before"),
        (0, 6, "2026-11-23T19:55:00Z", (12.5, 26.0), "the forecast ends before"),
    ],
)
def test_the_window(
    interval_seconds: float, window_steps: int, as_of: str | None, expected: tuple[float, float], words: str
) -> None:
    found = demand_of_chat(
        document(window_steps=window_steps),
        planning_interval_seconds=interval_seconds,
        as_of=parse_moment(as_of) if as_of else None,
    )
    assert tuple(rate for _unused, rate in found.levels) == pytest.approx(expected, rel=5e-3)
    assert words in found.reason
    assert found.floor_replicas == (HELD if "ends before" in words else FREE)


def test_demand_that_falls_is_followed_between_two_forecasts() -> None:
    """Medians fall from 12, and the maximum of the first six steps has 0.5 over them; steps 5 and 6 say 7 and 6."""
    falling = series(quantiles={"0.5": [12.0 - step for step in range(12)]}, window_maximum={"0.5": 12.5})
    for as_of, expected in (("2026-11-23T18:50:00Z", 7.5), ("2026-11-23T19:00:00Z", 6.5)):
        found = demand_of_chat(document(chat=falling), planning_interval_seconds=600, as_of=parse_moment(as_of))
        assert found.levels == ((0.5, pytest.approx(expected, rel=1e-3)),)


def test_a_forecast_of_the_past_is_no_forecast() -> None:
    found = demand_of_chat(document(), {"chat": 1.0}, as_of=parse_moment("2026-11-24T18:00:00Z"))
    assert (found.source, found.levels, found.floor_replicas) == ("observed", ((0.5, 1.2),), HELD)
    assert "the forecast ended at 2026-11-23T20:00:00Z" in found.reason


def test_measured_lead_time_replaces_the_catalogue_and_nan_does_not() -> None:
    assert lead_times([CHAT], {"chat": 90.0}) == {"chat": 90.0}
    assert lead_times([CHAT], {"chat": NAN, "code": 5.0}) == {"chat": 600.0}
    longer = demand_of_chat(document(), lead_time_seconds={"chat": 3000.0})
    assert "10 steps" in longer.reason


def test_scale_in_on_hold_keeps_what_runs() -> None:
    assert demand_of_chat({"chat": 0.5}).floor_replicas == FREE
    held = demand_of_chat({"chat": 0.5}, hold_scale_in=True)
    assert held.floor_replicas == HELD
    assert "scale-in is on hold" in held.reason


def test_without_demand_what_a_silent_host_ran_is_held_too() -> None:
    hosts = [host("a"), host("b", reachable=False)]
    plan = {"placements": [one.as_record() for one in (*RUNS, replica("b", 0, "chat"), replica("b", 1, "chat"))]}
    demand = demand_of_chat(None, hosts=hosts, previous=plan)
    assert (demand.source, demand.floor_replicas) == ("held", 5)
    assert "the 5 that run (2 on hosts that do not answer) stay" in demand.reason
    assert demand_of_chat(None, hosts=[host("a"), host("b")], previous=plan).floor_replicas == HELD
    # Where demand is known, it decides.
    assert demand_of_chat({"chat": 2.0}, hosts=hosts, previous=plan).floor_replicas == FREE


def test_min_replicas_may_be_zero_and_then_true_zero_needs_nothing() -> None:
    idle = model("idle", min_replicas=0)
    found, _unused = planned_demand([idle], {"idle": 0.0}, {"idle": 0.0}, [replica("a", 0, "idle")])
    assert (found["idle"].floor_replicas, found["idle"].levels) == (0, ((0.5, 0.0),))


def test_the_ceiling_gives_way_to_what_is_held() -> None:
    narrow = model("chat", max_replicas=2)
    found, _unused = planned_demand([narrow], {"chat": 9.0}, None, RUNS)
    assert (found["chat"].floor_replicas, found["chat"].ceiling_replicas) == (1, 2)
    held, _unused = planned_demand([narrow], None, None, RUNS)
    assert (held["chat"].floor_replicas, held["chat"].ceiling_replicas) == (3, 3)


def test_notes_name_what_concerns_the_whole() -> None:
    forecast = document(**{"chat|eu": series(), "chat|us": series(), "ghost": series()})
    _unused, notes = planned_demand([CHAT, model("code")], forecast, {"chat": 1.0, "other": 2.0}, RUNS)
    assert any("code" in note and "stays" in note for note in notes)
    assert any("chat is the sum over regions" in note and "conservative" in note for note in notes)
    assert any("ghost, other" in note and "ignored" in note for note in notes)


@pytest.mark.parametrize(
    ("forecast", "options", "words"),
    [
        ({"chat": "many"}, {}, "demand of chat: requests/s must be a number, not 'many'"),
        ({"chat": {"high": 3}}, {}, "quantile level must be a number"),
        ({"chat": {"1.5": 3}}, {}, "quantile level must be between"),
        ([1, 2], {}, "forecast or demand must be a mapping, not a list"),
        (document(chat=series(step_seconds=0)), {}, "step_seconds must be at least"),
        (document(chat=series(start="soon")), {}, "not an ISO 8601 moment"),
        (document(chat=series(quantiles={"0.5": 3})), {}, "needs a list of values per quantile"),
        (document(chat=series(quantiles={})), {}, "needs a list of values per quantile"),
        (document(chat=[1]), {}, "forecast series must be a mapping"),
        (None, {"headroom": 0.5}, "headroom must be at least 1"),
        (None, {"planning_interval_seconds": -1}, "planning_interval_seconds must be at least 0"),
    ],
)
def test_broken_input_is_one_clear_message(forecast: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        planned_demand([CHAT], forecast, None, RUNS, **options)


RATES = st.one_of(st.none(), st.just(NAN), st.floats(min_value=-5, max_value=1e6), st.just(math.inf))


@given(
    values=st.lists(RATES, min_size=1, max_size=8),
    window=st.one_of(st.none(), RATES),
    usable=st.booleans(),
    trusted=st.booleans(),
    recent=RATES,
    last=RATES,
    observed=st.one_of(st.none(), st.fixed_dictionaries({}, optional={"chat": RATES})),
    running=st.integers(0, 5),
    hold=st.booleans(),
)
def test_whatever_is_read_the_plan_is_sound(
    values: Any,
    window: Any,
    usable: bool,
    trusted: bool,
    recent: Any,
    last: Any,
    observed: Any,
    running: int,
    hold: bool,
) -> None:
    """Levels ascend and are finite; they carry what is observed; anything unreadable keeps what runs."""
    entry = series(
        usable=usable,
        beats_seasonal_naive=trusted,
        quantiles={"0.5": values, "0.95": values[::-1]},
        window_maximum={"0.5": window},
        recent_maximum=recent,
        last_observed=last,
    )
    runs = [replica("a", slot, "chat") for slot in range(running)]
    found = demand_of_chat(document(chat=entry), observed, runs, hold_scale_in=hold)
    rates = [rate for _unused, rate in found.levels]
    assert rates == sorted(rates)
    assert all(math.isfinite(rate) and rate >= 0 for rate in rates)
    now = None if observed is None else observed.get("chat")
    readable = now is not None and math.isfinite(now) and now >= 0
    if readable:
        assert rates[0] >= now * (1.2 if found.source == "observed" and not trusted else 1.0) - 1e-9
    if hold or found.source == "held" or (observed is not None and not readable):
        assert found.floor_replicas == max(1, running)
    assert 1 <= found.floor_replicas <= max(1, running)


def test_a_guard_takes_off_what_may_be_chance() -> None:
    def seen(rate: float, seconds: float, forecast: Any) -> tuple[tuple[float, float], ...]:
        return demand_of_chat(forecast, {"chat": rate}, observed_seconds=seconds).levels

    # 20 requests/s over 5 s are 100 +- 10: (10 - 1/2)^2 / 5 = 18.05 are sure.
    assert seen(20.0, 5.0, document())[-1] == (0.95, pytest.approx(18.05 * 1.2))
    assert seen(20.0, 0.0, document())[-1] == (0.95, 24.0)
    assert seen(20.0, 86_400.0, document())[-1][1] == pytest.approx(24.0, rel=1e-3)
    # Where nothing is forecast there is nothing to guard: the observation is all there is.
    assert seen(20.0, 5.0, {}) == ((0.5, 24.0),)


def test_chance_crowds_seldom_pass_the_guard() -> None:
    """Of Poisson counts, about one in six is above mean and one deviation: that share passes, at any mean."""
    random = np.random.default_rng(7)
    for mean in (5.0, 30.0, 300.0):
        sure = [surely_seen(float(count), 1.0) for count in random.poisson(mean, 20_000)]
        assert 0.10 < np.mean(np.array(sure) > mean) < 0.20


def test_what_the_forecast_expects_needs_no_headroom_and_what_it_does_not_gets_all_of_it() -> None:
    """The forecast says 10 now (at most 12), and 13 at most of the coming hour."""
    flat = series(quantiles={"0.5": [10.0] * 12, "0.95": [12.0] * 12}, window_maximum={"0.5": 11.0, "0.95": 13.0})

    def top(observed: float, **fields: Any) -> float:
        return demand_of_chat(document(chat={**flat, **fields}), {"chat": observed}).levels[-1][1]

    as_forecast = top(1.0)
    assert as_forecast == pytest.approx(13.0, rel=0.02)
    assert top(10.0) == as_forecast
    assert top(11.5) == pytest.approx(11.5 * (1 + 0.2 * 0.75))  # three quarters of the way from 10 to 12
    assert top(12.0) == pytest.approx(12.0 * 1.2)
    assert top(20.0) == pytest.approx(20.0 * 1.2)
    # A forecast that is not trusted excuses nothing, one that is trusted by half excuses half as much.
    assert top(11.5, beats_seasonal_naive=False) == pytest.approx(11.5 * 1.2)
    assert top(11.5, beats_seasonal_naive=False, backtest={"skill": -0.11}) == pytest.approx(11.5 * 1.2)
    reason = demand_of_chat(document(chat=flat), {"chat": 10.0}).reason
    assert "observed 10 requests/s x 1, as the forecast expects up to 12 now" in reason


def test_chance_is_not_planned_for_twice() -> None:
    """Quantiles of the largest of n Poisson counts around a demand that is known say just that demand."""
    random = np.random.default_rng(7)
    for mean, steps in ((75.0, 1), (75.0, 3), (1500.0, 2)):
        counts = random.poisson(mean, (200_000, steps)).max(axis=1)
        for level in (0.75, 0.9, 0.95):
            found = beyond_chance(float(np.quantile(counts, level)) / 300, mean / 300, level, steps=steps, seconds=300)
            assert found * 300 == pytest.approx(mean, rel=0.07)
    # What demand itself may do stays: 100 +- 20 by itself, counted over 1 s, scatters by sqrt(20^2 + 10^2).
    assert beyond_chance(100 + 1.645 * 500**0.5, 100.0, 0.95, steps=1, seconds=1.0) == pytest.approx(132.9, abs=0.1)
    assert beyond_chance(90.0, 100.0, 0.05, steps=1, seconds=1.0) == 90.0


def test_counted_demand_that_is_known_is_planned_for_as_it_is() -> None:
    """15 requests/s in steps of 10 s are 150 +- 12; the forecast holds that scatter and no other."""
    scattered = series(
        step_seconds=10,
        quantiles={"0.5": [15.0] * 12, "0.95": [15.0 + 1.645 * 1.5**0.5] * 12},
        window_maximum={"0.5": 15.0 + 0.545 * 1.5**0.5, "0.95": 15.0 + 1.955 * 1.5**0.5},
    )
    quick = model("chat", startup_seconds=10.0)
    document_of_two = document(window_steps=2, chat=scattered)
    found, _unused = planned_demand([quick], document_of_two, {"chat": 15.0}, RUNS, planning_interval_seconds=10)
    assert found["chat"].levels[-1][1] == pytest.approx(15.0, rel=0.01)
