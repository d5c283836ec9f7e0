# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calendar: clock changes against zoneinfo, known events, holidays, and what may never change."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from forecast_samples import daily_demand, load_reference, make_series
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.calendar_forecast import (
    forecast_with_calendar,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.holiday_dates import (
    holidays_between,
    parse_holiday_calendars,
    rest_weekday,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.local_time import (
    parse_zone,
    zone_offsets,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.restoration import Restoration
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.traffic_calendar import parse_calendar
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

HOUR = 3600
DAY = 86_400
# First moment after the clocks changed, from the tz database (2026): forward, back.
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"),
    "America/New_York": ("2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"),
}
LEVELS = (0.05, 0.5, 0.9, 0.95)


def wall(zone: str, moment: float) -> datetime:
    return datetime.fromtimestamp(moment, tz=ZoneInfo(zone)).replace(tzinfo=None)


def wall_seconds(zone: str, moment: float) -> float:
    return wall(zone, moment).replace(tzinfo=timezone.utc).timestamp()


def habit(local_seconds: float) -> float:
    """Demand by local time of day, never the same twice within a day."""
    return 100.0 + 50.0 * math.sin(2 * math.pi * (local_seconds % DAY) / DAY + 0.3) + (local_seconds % DAY) / DAY


def event(**fields):
    return {"name": "launch", "start": "2026-01-20T00:00:00Z", "end": "2026-01-21T00:00:00Z", **fields}


def forecast_one(one, calendar, **options):
    wanted = parse_options({"horizon_steps": 24, "quantiles": list(LEVELS), **options})
    return forecast_with_calendar([one], wanted, calendar)["series"][one.name]


# ---- what an operator may write


def test_no_calendar_without_options() -> None:
    assert parse_calendar({}) is None
    assert parse_calendar({"timezone": "UTC", "holidays": [], "events": None}) is None
    assert parse_calendar({"timezone": "Europe/Berlin"}) is not None


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"timezone": "Berlin"}, ["timezone", "'Berlin'", "Europe/Berlin"]),
        ({"timezone": "Europe/Berlim"}, ["Europe/Berlin"]),
        ({"timezone": "../etc/passwd"}, ["no time zone"]),
        ({"timezone": "Europe"}, ["no time zone"]),
        ({"holidays": ["XX"]}, ["'XX'", "DE, ", "US"]),
        ({"holidays": ["DE-QQ"]}, ["'QQ'", "BE, BW, BY"]),
        ({"holidays": {"DE": 1}}, ["list of countries"]),
        ({"events": "soon"}, ["list of windows"]),
        ({"events": ["soon"]}, ["event 1", "mapping"]),
        ({"events": [{"start": "2026-01-01"}]}, ["event 1", "no name"]),
        ({"events": [event()]}, ["'launch'", "neither a multiplier nor a floor"]),
        ({"events": [event(multiplier=2, floor=3)]}, ["'launch'", "both a multiplier and a floor"]),
        ({"events": [event(multiplier=0)]}, ["above 0"]),
        ({"events": [event(multiplier="much")]}, ["must be a number"]),
        ({"events": [event(floor=-1)]}, ["floor", "-1"]),
        ({"events": [event(multiplier=2, end="2026-01-20T00:00:00Z")]}, ["not after its start"]),
        ({"events": [event(multiplier=2, start="tomorrow")]}, ["'launch'", "'tomorrow'", "ISO 8601"]),
        ({"events": [{"name": "launch", "start": "2026-01-20", "multiplier": 2}]}, ["'launch'", "no end"]),
        ({"events": [event(multiplier=2, factor=3)]}, ["unknown field 'factor'"]),
        ({"events": [event(multiplier=2, series=[3])]}, ["list of names"]),
    ],
)
def test_one_clear_message_for_each_bad_value(params, words) -> None:
    with pytest.raises(InputError) as caught:
        parse_calendar(params)
    for word in words:
        assert word in caught.value.message


def test_an_event_names_series_that_exist() -> None:
    calendar = parse_calendar({"events": [event(multiplier=2, series=["chat-8b"])]})
    calendar.check_series_names(["chat-8b|eu", "code-7b"])
    with pytest.raises(InputError, match=r"event 'launch'.*no series 'chat-8b'.*code-7b"):
        calendar.check_series_names(["code-7b"])


def test_holidays_of_a_state_and_of_the_weekend() -> None:
    calendars = parse_holiday_calendars(["us", "DE-by"])
    assert [one.name for one in calendars] == ["DE-BY", "US"]
    first = int(parse_moment("2026-01-01T00:00:00Z") // DAY)
    found = {one.date: one for one in holidays_between(calendars, first, first + 10)}
    # Epiphany is a holiday in Bavaria, not in the United States; New Year is one in both.
    assert set(found) == {"2026-01-01", "2026-01-06"}
    assert found["2026-01-01"].calendars == {"DE-BY", "US"}
    assert found["2026-01-06"].calendars == {"DE-BY"}
    assert rest_weekday(calendars) == 6
    assert rest_weekday(parse_holiday_calendars(["IL"])) == 5


# ---- local time


@pytest.mark.parametrize("zone", [*CHANGES, "Asia/Kolkata", "Australia/Lord_Howe"])
def test_offsets_are_those_of_zoneinfo(zone) -> None:
    first, last = parse_moment("2025-01-01T00:00:00Z"), parse_moment("2027-01-01T00:00:00Z")
    moments = np.arange(first, last, 1800.0)
    expected = [
        datetime.fromtimestamp(moment, tz=ZoneInfo(zone)).utcoffset().total_seconds() for moment in moments.tolist()
    ]
    np.testing.assert_array_equal(zone_offsets(parse_zone(zone), first, last).at(moments), expected)


@pytest.mark.parametrize("step", [600, 3600])
@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("zone", list(CHANGES))
@pytest.mark.parametrize("hours_before_end", [30, -5])
def test_clock_changes_do_not_move_the_day(zone, direction, step, hours_before_end) -> None:
    """In the history (30 hours before its end) or in the horizon (5 hours behind it)."""
    change = parse_moment(CHANGES[zone][direction])
    end = change + hours_before_end * HOUR
    length, horizon = 5 * DAY // step, 2 * DAY // step
    start = end - (length - 1) * step
    moments = start + step * np.arange(length)
    series = Series("m", start, step, np.array([habit(wall_seconds(zone, moment)) for moment in moments]))
    prepared, restoration = parse_calendar({"timezone": zone}).prepare(series, horizon)

    local = prepared.start + step * np.arange(len(prepared))
    assert prepared.start == wall_seconds(zone, start)
    known = np.isfinite(prepared.values)
    np.testing.assert_allclose(prepared.values[known], [habit(moment) for moment in local[known]])
    per_hour = HOUR // step
    in_history = hours_before_end > 0
    assert len(prepared) - length == ((per_hour, -per_hour)[direction] if in_history else 0)
    assert (~known).sum() == (per_hour if in_history and direction == 0 else 0)
    if not known.all():
        skipped = wall_seconds(zone, change) - HOUR
        np.testing.assert_array_equal(local[~known], skipped + step * np.arange(per_hour))

    # A perfect forecast in local time is a perfect forecast in UTC.
    ahead = restoration.steps_ahead
    assert ahead == horizon + (per_hour if not in_history and direction == 0 else 0)
    guess = np.array([habit(prepared.start + (len(prepared) + k) * step) for k in range(ahead)])
    mean, quantiles, _top = restoration.apply(guess, np.stack([guess, guess + 1]), [200.0, 201.0], (0.5, 0.9), 4)
    truth = [habit(wall_seconds(zone, end + (k + 1) * step)) for k in range(horizon)]
    np.testing.assert_allclose(mean, truth)
    np.testing.assert_allclose(quantiles, [truth, np.add(truth, 1)])


def test_the_hour_that_comes_twice_is_a_mean_that_ignores_gaps() -> None:
    change = parse_moment(CHANGES["Europe/Berlin"][1])
    start = change - 3 * HOUR
    series = Series("m", start, HOUR, np.array([1.0, 2.0, 3.0, 5.0, 6.0, 7.0]))
    prepared, _restoration = parse_calendar({"timezone": "Europe/Berlin"}).prepare(series, 3)
    np.testing.assert_array_equal(prepared.values, [1.0, 2.0, 4.0, 6.0, 7.0])
    series.values[2] = np.nan
    prepared, _restoration = parse_calendar({"timezone": "Europe/Berlin"}).prepare(series, 3)
    np.testing.assert_array_equal(prepared.values, [1.0, 2.0, 5.0, 6.0, 7.0])


def test_a_history_that_ends_between_the_two_hours() -> None:
    change = parse_moment(CHANGES["Europe/Berlin"][1])
    series = Series("m", change - 48 * HOUR, 600, np.arange(48.0 * 6))  # ends at 02:50 summer time
    prepared, restoration = parse_calendar({"timezone": "Europe/Berlin"}).prepare(series, 12)
    assert len(prepared) == len(series)
    # 02:00 to 02:50 come again and share the first step behind the history; 03:00 is that step itself.
    np.testing.assert_array_equal(restoration.positions, [0] * 7 + [1, 2, 3, 4, 5])


def test_a_step_that_does_not_fit_the_change_stays_in_utc_and_says_so() -> None:
    start = parse_moment("2026-03-20T00:00:00Z")
    series = Series("m", start, 2 * HOUR, np.ones(200))
    prepared, restoration = parse_calendar({"timezone": "Europe/Berlin"}).prepare(series, 12)
    assert prepared.start == start
    np.testing.assert_array_equal(prepared.values, series.values)
    assert "less than a step of 7200 s" in " ".join(restoration.remarks)


def test_forecast_across_the_change_beats_one_in_utc() -> None:
    zone = "America/New_York"
    step, horizon = HOUR, 24
    change = parse_moment(CHANGES[zone][0])
    start = change - 21 * DAY
    noise = np.random.default_rng(7).standard_normal(23 * 24)
    values = np.array([habit(wall_seconds(zone, start + k * step)) for k in range(23 * 24)]) + noise
    history, truth = values[: 22 * 24], values[22 * 24 : 23 * 24]
    series = Series("m", start, step, history)
    plain = forecast_one(series, None)
    local = forecast_one(series, parse_calendar({"timezone": zone}))
    miss = [np.abs(np.array(found["mean"]) - truth).mean() for found in (plain, local)]
    assert miss[1] < 0.5 * miss[0]
    assert {key: local[key] for key in ("start", "history_end", "last_observed")} == {
        key: plain[key] for key in ("start", "history_end", "last_observed")
    }
    # Forward in the horizon: still exactly the steps asked for.
    earlier = Series("m", start, step, history[: 21 * 24 - 5])
    document = forecast_with_calendar(
        [earlier], parse_options({"horizon_steps": horizon}), parse_calendar({"timezone": zone})
    )
    assert document["horizon_steps"] == horizon
    assert len(document["series"]["m"]["mean"]) == horizon


# ---- events


def test_without_anything_to_do_the_document_is_the_very_same() -> None:
    series = [make_series("a", daily_demand(1)), make_series("b", daily_demand(2, 400))]
    options = parse_options({"horizon_steps": 24})
    plain = forecast_series(series, options)
    assert forecast_with_calendar(series, options, None) == plain
    elsewhere = {"name": "old", "start": "2020-01-01", "end": "2020-01-02", "multiplier": 3}
    for params in ({"events": [elsewhere]}, {"timezone": "Asia/Tokyo"}, {"holidays": ["US"], "timezone": "Asia/Tokyo"}):
        if "holidays" in params:
            series = [one.since(parse_moment("2026-01-22T00:00:00Z")) for one in series]
            series = [one.until(parse_moment("2026-01-30T00:00:00Z")) for one in series[:1]]
            plain = forecast_series(series, options)
        assert forecast_with_calendar(series, options, parse_calendar(params)) == plain


def test_a_doubled_window_is_divided_out_and_a_coming_one_multiplied_in() -> None:
    clean = make_series("m", daily_demand(3))
    moments = clean.moments
    past = (moments[200] + 0.25 * HOUR, moments[230] + 0.5 * HOUR)
    # The share of each hour inside the window is doubled.
    share = np.clip(np.minimum(moments + HOUR, past[1]) - np.maximum(moments, past[0]), 0, HOUR) / HOUR
    seen = make_series("m", clean.values * (1.0 + share))
    ahead = (clean.end + 6 * HOUR, clean.end + 10 * HOUR)  # forecast steps 5 to 8, counted from 0
    windows = [
        {"name": name, "start": format_moment(first), "end": format_moment(last), "multiplier": 2}
        for name, (first, last) in {"past": past, "ahead": ahead}.items()
    ]
    calendar = parse_calendar({"events": windows})
    prepared, _restoration = calendar.prepare(seen, 24)
    np.testing.assert_allclose(prepared.values, clean.values)

    plain, found = forecast_one(clean, None), forecast_one(seen, calendar)
    factor = np.ones(24)
    factor[5:9] = 2.0
    np.testing.assert_allclose(found["mean"], factor * plain["mean"], rtol=1e-6)
    for level in map(str, LEVELS):
        np.testing.assert_allclose(found["quantiles"][level], factor * plain["quantiles"][level], rtol=1e-6, atol=1e-5)
        assert found["window_maximum"][level] >= max(found["quantiles"][level]) - 1e-5
    assert found["last_observed"] == seen.values[-1]
    assert any("'ahead'" in text and "multiplied by 2" in text for text in found["warnings"])
    assert not any("'past'" in text for text in found["warnings"])


def test_an_event_is_for_its_series_alone() -> None:
    pair = [make_series("chat|eu", daily_demand(4)), make_series("code", daily_demand(4))]
    window = {
        "name": "x",
        "start": format_moment(pair[0].end),
        "end": "2027-01-01",
        "multiplier": 3,
        "series": ["chat"],
    }
    chat, code = parse_calendar({"events": [window]}).prepare_all(pair, 24).restorations
    np.testing.assert_array_equal(chat.factor, np.full(24, 3.0))
    assert code.changes_nothing


def test_a_floor_lifts_the_horizon_and_its_past_becomes_a_gap_when_demand_came() -> None:
    clean = make_series("m", daily_demand(5))
    lifted = make_series("m", clean.values.copy())
    lifted.values[200:212] = np.maximum(lifted.values[200:212], 150.0)
    past = {"name": "test run", "start": format_moment(clean.moments[200]), "end": format_moment(clean.moments[212])}
    ahead = {"name": "again", "start": format_moment(clean.end + 3 * HOUR), "end": format_moment(clean.end + 5 * HOUR)}
    calendar = parse_calendar({"events": [{**past, "floor": 150}, {**ahead, "floor": 150}]})

    prepared, restoration = calendar.prepare(lifted, 24)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(prepared.values)), np.arange(200, 212))
    found = forecast_one(lifted, calendar)
    assert found["mean"][2:4] == [150.0, 150.0]
    assert min(found["quantiles"]["0.05"][2:4]) == 150.0
    assert max(found["mean"][:2] + found["mean"][4:]) < 120.0
    assert found["window_maximum"]["0.05"] >= 150.0

    # The same promise without the demand: nothing to take out, and it is said.
    prepared, restoration = calendar.prepare(clean, 24)
    np.testing.assert_array_equal(prepared.values, clean.values)
    assert any("'test run'" in text and "kept" in text for text in restoration.remarks)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_way_back_keeps_order_sign_and_length(data) -> None:
    horizon = data.draw(st.integers(1, 12))
    window = data.draw(st.integers(1, horizon))
    positive = st.floats(0, 1e6)

    def row(values):
        return np.array(data.draw(st.lists(values, min_size=horizon, max_size=horizon)))

    mean = row(positive)
    quantiles = np.sort(np.stack([row(positive) for _level in LEVELS]), axis=0)
    top = quantiles[:, :window].max(axis=1) + np.sort(np.array(data.draw(st.lists(positive, min_size=4, max_size=4))))
    floor = row(positive)
    way_back = Restoration(
        positions=np.sort(data.draw(st.permutations(range(horizon)))),
        shift=row(st.floats(-1e5, 1e5)),
        factor=row(st.floats(0.01, 100)),
        effect_sd=row(st.floats(0, 1)),
        floor=floor,
    )
    found_mean, found, found_top = way_back.apply(mean, quantiles, top, LEVELS, window)
    assert found_mean.shape == (horizon,)
    assert found.shape == (4, horizon)
    assert np.all(found >= floor)
    assert np.all(found_mean >= floor)
    assert np.all(np.diff(found, axis=0) >= 0.0)
    assert np.all(found_top >= found[:, :window].max(axis=1))
    assert np.all(np.diff(found_top) >= 0.0)


def test_one_factor_all_over_the_window_scales_the_maximum_by_it() -> None:
    factor = np.full(3, 1.7)
    way_back = Restoration(np.arange(3), np.zeros(3), factor, np.zeros(3), np.zeros(3))
    quantiles = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    _mean, _paths, top = way_back.apply(quantiles[0], quantiles, [3.5, 9.0], (0.5, 0.9), 3)
    np.testing.assert_allclose(top, [1.7 * 3.5, 1.7 * 9.0])


# ---- holidays


def with_holidays(values: np.ndarray, start: float, effect: float, dates) -> Series:
    """Hourly demand times ``effect`` from four in the morning of each date to four in the next."""
    values = values.copy()
    for text in dates:
        first = int((parse_moment(text) - start) // HOUR) + 4
        values[max(0, first) : first + 24] *= effect
    return Series("m", start, HOUR, values)


US_2025 = ["2025-01-01", "2025-01-20", "2025-02-17", "2025-05-26", "2025-06-19", "2025-07-04"]


def test_past_holidays_become_gaps_and_the_effect_comes_back() -> None:
    start = parse_moment("2024-12-30T00:00:00Z")  # a Monday
    last = int((parse_moment("2025-07-04T00:00:00Z") - start) // HOUR)
    rng = np.random.default_rng(11)
    hours = np.arange(last + 48)
    shape = 100.0 + 40.0 * np.sin(2 * np.pi * (hours % 24) / 24.0)
    values = shape * (1.0 + 0.03 * rng.standard_normal(hours.size))
    full = with_holidays(values, start, 0.5, US_2025)
    history = Series("m", start, HOUR, full.values[:last])
    calendar = parse_calendar({"holidays": ["US"]})

    prepared, restoration = calendar.prepare(history, 48)
    gaps = np.flatnonzero(np.isnan(prepared.values))
    new_year = 48
    np.testing.assert_array_equal(gaps[:28], np.arange(new_year, new_year + 28))
    assert gaps.size == 5 * 28  # from midnight to four in the night after
    # Five holidays at 0.5: the effect is nearly all of it, and on the holiday's own hours alone.
    np.testing.assert_array_equal(np.flatnonzero(restoration.effect_sd), np.arange(4, 28))
    assert 0.48 < restoration.factor[16] < 0.60
    truth = full.values[last : last + 48]
    plain, found = (forecast_one(history, one, horizon_steps=48) for one in (None, calendar))
    miss = {name: np.abs(np.array(one["mean"]) - truth) for name, one in (("plain", plain), ("calendar", found))}
    assert miss["calendar"][4:28].mean() < 0.3 * miss["plain"][4:28].mean()
    assert miss["calendar"][28:].mean() < 1.1 * miss["plain"][28:].mean()
    # a holiday is less sure than the ordinary day after it, at the same hours
    width = np.subtract(found["quantiles"]["0.95"], found["quantiles"]["0.05"]) / np.array(found["mean"])
    assert width[8:24].mean() > 1.1 * width[32:48].mean()
    assert np.all(np.array(found["quantiles"]["0.95"])[4:28] >= truth[4:28])
    said = " ".join(found["warnings"])
    assert "2025-07-04 (Independence Day) lies in the horizon: demand there was scaled by 0.5" in said
    assert "learned from 5 holidays" in said
    assert "missing" not in said


def test_a_holiday_never_seen_lies_between_an_ordinary_day_and_a_sunday() -> None:
    start = parse_moment("2025-05-26T00:00:00Z") - 42 * DAY + 2 * DAY  # a Wednesday; Memorial Day is the Monday
    hours = np.arange(40 * 24)
    day = (hours // 24 + 2) % 7
    values = np.where(day == 6, 40.0, 100.0) + 10.0 * np.sin(2 * np.pi * hours / 24)
    series = Series("m", start, HOUR, values)
    _prepared, restoration = parse_calendar({"holidays": ["US"]}).prepare(series, 24)
    np.testing.assert_allclose(restoration.shift[4:], -30.0, atol=3.0)
    np.testing.assert_allclose(restoration.factor[4:], 1.0)
    assert restoration.effect_sd[4:].min() > 0.3
    assert "a guess" in restoration.remarks[0]


def test_a_new_series_learns_from_its_siblings() -> None:
    start = parse_moment("2024-12-30T00:00:00Z")
    last = int((parse_moment("2025-07-04T00:00:00Z") - start) // HOUR)
    rng = np.random.default_rng(12)
    base = 100.0 * (1.0 + 0.02 * rng.standard_normal(last)) + 20.0 * np.sin(2 * np.pi * np.arange(last) / 24)
    old = with_holidays(base, start, 0.5, US_2025[:-1])
    new = Series("new", start + (last - 240) * HOUR, HOUR, 3.0 * base[-240:])
    alone = parse_calendar({"holidays": ["US"]}).prepare(new, 24)[1]
    together = parse_calendar({"holidays": ["US"]}).prepare_all([new, old], 24)
    assert alone.factor[12] == pytest.approx(1.0)
    assert together.restorations[0].factor[12] < 0.7
    assert together.restorations[0].effect_sd[12] < alone.effect_sd[12]
    assert "of other series" in together.restorations[0].remarks[0]
    np.testing.assert_array_equal(together.series[0].values, new.values)
    assert together.series[0].start == new.start


def test_a_history_of_holidays_is_left_as_it_is() -> None:
    start = parse_moment("2025-12-25T00:00:00Z")
    series = Series("m", start, HOUR, np.full(40, 5.0))
    prepared, restoration = parse_calendar({"holidays": ["DE"]}).prepare(series, 24)
    np.testing.assert_array_equal(prepared.values, series.values)
    assert restoration.changes_nothing
    assert "too few ordinary days" in " ".join(restoration.remarks)


def test_steps_that_do_not_divide_a_day_know_no_holidays() -> None:
    series = Series("m", parse_moment("2025-12-20T00:00:00Z"), 420, np.full(2000, 5.0))
    prepared, restoration = parse_calendar({"holidays": ["DE"]}).prepare(series, 24)
    np.testing.assert_array_equal(prepared.values, series.values)
    assert "does not divide a day" in " ".join(restoration.remarks)


def test_series_without_demand_or_samples_pass() -> None:
    calendar = parse_calendar({"timezone": "Europe/Berlin", "holidays": ["DE"], "events": [event(multiplier=2)]})
    start = parse_moment("2025-12-01T00:00:00Z")
    series = [
        Series("empty", start, HOUR, np.empty(0)),
        Series("zero", start, HOUR, np.zeros(24 * 24)),
        Series("gaps", start, HOUR, np.full(24 * 24, np.nan)),
        Series("late", start, HOUR, np.r_[np.zeros(24 * 23), np.ones(24)]),
    ]
    prepared = calendar.prepare_all(series, 48)
    for restoration in prepared.restorations:
        assert np.all(np.isfinite(restoration.factor))
        assert np.all(np.isfinite(restoration.shift))
        assert np.all(np.isfinite(restoration.effect_sd))
    assert calendar.prepare_all([], 4).series == ()


def test_the_order_of_the_series_does_not_matter() -> None:
    start = parse_moment("2025-11-01T00:00:00Z")
    series = [Series(name, start, HOUR, daily_demand(seed, 1000 + seed)) for seed, name in enumerate("abc")]
    series = [one.until(start + 999 * HOUR) for one in series]
    calendar, options = parse_calendar({"holidays": ["US"]}), parse_options({"horizon_steps": 24})
    assert forecast_with_calendar(series, options, calendar) == forecast_with_calendar(series[::-1], options, calendar)


def test_taxi_rides_over_thanksgiving_and_new_year() -> None:
    """Rides in New York, in local time, 2014-07-01 to 2015-01-31 (Numenta Anomaly Benchmark)."""
    values = load_reference("nyc_taxi_30min")["nyc_taxi"].copy()
    start = parse_moment("2014-07-01T00:00:00Z")
    values[5954:5956] /= 2.0  # 2014-11-02, 01:00 and 01:30 came twice and were added up
    values = values.reshape(-1, 2).mean(axis=1)
    calendar = parse_calendar({"holidays": ["US"]})

    def loss(day: str, known) -> float:
        first = int((parse_moment(day) - start) // HOUR)
        found = forecast_one(Series("m", start, HOUR, values[:first]), known)
        truth = values[first : first + 24]
        gaps = [(level, truth - np.array(found["quantiles"][str(level)])) for level in LEVELS]
        return float(np.mean([np.maximum(level * gap, (level - 1) * gap).mean() for level, gap in gaps]))

    days = {
        "holidays": (["2014-11-27", "2014-12-25"], 0.75),
        "a week later": (["2014-12-04"], 0.75),
        "ordinary": (["2014-10-02", "2014-11-20"], 1.03),
    }
    for name, (dates, most) in days.items():
        plain, known = (np.mean([loss(day, one) for day in dates]) for one in (None, calendar))
        assert known < most * plain, name


def test_a_thousand_series_are_prepared_quickly() -> None:
    from time import process_time

    start = parse_moment("2025-12-12T00:00:00Z")
    series = [Series(f"s{number}", start, HOUR, daily_demand(number % 7, 336)) for number in range(1000)]
    calendar = parse_calendar({"timezone": "Europe/Berlin", "holidays": ["DE-BY"]})
    calendar.prepare_all(series[:1], 24)
    before = process_time()
    calendar.prepare_all(series, 24)
    assert process_time() - before < 4.0


def test_zone_names_of_hours_only_differ() -> None:
    """A constant offset moves no sample: only the days of holidays begin elsewhere."""
    start = parse_moment("2025-12-01T00:00:00Z")
    series = Series("m", start, HOUR, np.ones(24 * 20))
    for zone, offset in (("Asia/Tokyo", 9), ("America/Phoenix", -7)):
        prepared, restoration = parse_calendar({"timezone": zone, "holidays": ["US"]}).prepare(series, 24 * 7)
        assert prepared.start == start
        christmas = parse_moment("2025-12-25T04:00:00Z") - offset * HOUR
        steps = int((christmas - series.end) // HOUR) - 1 + np.arange(24)
        np.testing.assert_array_equal(np.flatnonzero(restoration.effect_sd), steps)
    assert timedelta(hours=offset) == datetime.fromtimestamp(start, tz=ZoneInfo(zone)).utcoffset()
