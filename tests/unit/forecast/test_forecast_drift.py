# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Level shifts: found when they last, not where there are none, and worth it."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import HOUR, MONDAY, daily_demand, load_reference, make_series

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.drift import (
    WIDENING,
    align,
    find_shifts,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import make_panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options

DAY = 24
WEEKS = 3 * 7 * DAY
PERIODS = (DAY, 7 * DAY)


def _shifted(steps, ratio, *, count=40, length=WEEKS, noise=0.05):
    """Series (S, n) that run at ``ratio`` times their usual level for the last ``steps`` samples."""
    rows = np.stack([daily_demand(seed, length, noise=noise) for seed in range(count)])
    rows[:, length - steps :] *= ratio
    return rows


def _found(rows):
    return find_shifts(rows / rows.mean(axis=1, keepdims=True), PERIODS)


@pytest.mark.parametrize(("steps", "ratio"), [(7, 2.0), (12, 2.0), (48, 3.0), (72, 0.5), (96, 0.4)])
def test_a_lasting_shift_is_found_where_it_began(steps, ratio):
    shifts = _found(_shifted(steps, ratio))
    assert shifts.found.mean() >= 0.9
    assert np.median(np.abs(shifts.start[shifts.found] - (WEEKS - steps))) <= 1
    # at least k / (k + a quarter of a day) of the logarithm of the ratio is believed, all of it where demand is steady
    believed = np.median(np.log(shifts.ratio[shifts.found])) / np.log(ratio)
    assert steps / (steps + 0.25 * DAY) - 0.1 <= believed <= 1.05
    np.testing.assert_array_equal(shifts.widening, np.where(shifts.found, WIDENING, 1.0))


def test_two_days_after_demand_doubled_real_series_are_forecast_at_the_new_level():
    """M4 hourly: before, 65 in 100 shifts were found, from a start CUSUM put too early, and the error was 2.5 times this."""
    found = []
    for values in load_reference("m4_hourly_even_train").values():
        shifted = values.copy()
        shifted[-2 * DAY :] *= 2.0
        shifts = find_shifts((shifted / shifted.mean())[None], PERIODS)
        found.append(bool(shifts.found[0]) and abs(np.log(shifts.ratio[0] / 2.0)) < 0.1)
    assert np.mean(found) >= 0.7


@pytest.mark.parametrize(("steps", "ratio"), [(3, 2.0), (3, 3.0), (12, 0.5), (24, 0.3), (36, 0.4)])
def test_a_rise_needs_a_quarter_of_a_day_and_a_fall_two_days(steps, ratio):
    assert not _found(_shifted(steps, ratio)).found.any()


def test_clean_seasonal_noise_raises_no_alarm():
    alarms = [
        _found(np.stack([daily_demand(seed, WEEKS, noise=noise) for seed in range(125)])).found
        for noise in (0.02, 0.1, 0.2, 0.4)
    ]
    assert np.mean(alarms) < 0.02


def test_what_has_happened_before_is_no_shift():
    """Every weekend runs at half the level, also the one that the history ends in."""
    rows = np.stack([daily_demand(seed, WEEKS, noise=0.05) for seed in range(20)])
    weekend = (np.arange(WEEKS) // DAY) % 7 >= 5
    rows = np.where(weekend, 0.4, 1.0) * rows
    assert not _found(rows).found.any()


def test_a_busy_day_like_an_earlier_one_is_no_shift():
    rows = np.stack([daily_demand(seed, WEEKS, noise=0.05) for seed in range(20)])
    busy, today = np.arange(WEEKS) // DAY == 12, np.arange(WEEKS) // DAY == 20
    assert _found(np.where(today, 2.0, 1.0) * rows).found.all()
    assert not _found(np.where(busy | today, 2.0, 1.0) * rows).found.any()


def test_short_histories_and_histories_without_a_season_are_left_alone():
    values = np.where(np.arange(95) < 80, 1.0, 9.0)[None]
    for periods, part in (((), values), (PERIODS, values), ((DAY,), values)):
        shifts = find_shifts(part, periods)
        assert not shifts.found.any()
        np.testing.assert_array_equal(align(part, shifts), part)


def test_the_history_is_brought_to_the_new_level():
    rows = _shifted(72, 3.0, count=6, noise=0.02)
    panel = make_panel(rows, PERIODS)
    assert panel.shifts.found.all()
    np.testing.assert_allclose(panel.values.mean(axis=1), 1.0)
    # divided by the scale the last samples are those that were observed, the older ones at the new level
    np.testing.assert_allclose(panel.values[:, -48:] * panel.scale[:, None], rows[:, -48:])
    whole = np.stack([daily_demand(seed, WEEKS, noise=0.02) for seed in range(6)]) * panel.shifts.ratio[:, None]
    old = np.arange(WEEKS)[None] < panel.shifts.start[:, None]
    np.testing.assert_allclose((panel.actual * panel.scale[:, None])[old], whole[old])


@pytest.fixture(scope="module")
def after_a_shift():
    """Documents of a rise to 2.5 times the level two days ago and of the same demand without it, with what followed the rise."""
    horizon = 24
    options = parse_options({"horizon_steps": horizon, "window_steps": 6})
    plain = [daily_demand(seed, WEEKS + horizon, noise=0.05) for seed in range(20)]
    names = [f"m{seed:02d}" for seed in range(20)]
    factor = np.where(np.arange(WEEKS + horizon) >= WEEKS - 2 * DAY, 2.5, 1.0)
    risen, calm = (
        forecast_series([make_series(name, row[:WEEKS]) for name, row in zip(names, rows)], options)["series"]
        for rows in ([row * factor for row in plain], plain)
    )
    return risen, calm, {name: (row * factor)[WEEKS:] for name, row in zip(names, plain)}, dict(zip(names, plain))


def test_forecasts_after_a_shift_beat_the_last_week_and_no_detection(after_a_shift):
    risen, _calm, truth, plain = after_a_shift
    ours = np.mean([np.abs(risen[name]["mean"] - truth[name]).mean() for name in truth])
    # the same day a week ago, at the old level, and yesterday, a Sunday at the new one
    week = np.mean([np.abs(plain[name][WEEKS - 168 : WEEKS - 144] - truth[name]).mean() for name in truth])
    day = np.mean([np.abs(2.5 * plain[name][WEEKS - 24 : WEEKS] - truth[name]).mean() for name in truth])
    assert ours < 0.3 * week
    assert ours < 0.8 * day
    covered = np.mean([np.mean(truth[name] <= risen[name]["quantiles"]["0.95"]) for name in truth])
    assert covered >= 0.9


def test_the_interval_is_wider_after_a_shift_and_the_document_says_so(after_a_shift):
    risen, calm, truth, _plain = after_a_shift
    for name in truth:
        shift = risen[name]["level_shift"]
        assert calm[name]["level_shift"] is None
        assert shift["ratio"] == pytest.approx(2.5, rel=0.3)
        begun = MONDAY + (WEEKS - 2 * DAY) * HOUR
        assert begun - 6 * HOUR <= parse_moment(shift["since"]) <= begun + 2 * HOUR
        assert any(f"since {shift['since']} demand runs at" in text for text in risen[name]["warnings"])
    relative = [
        np.mean(
            [
                (np.array(one[name]["quantiles"]["0.95"]) - one[name]["quantiles"]["0.05"]).mean()
                / np.mean(one[name]["mean"])
                for name in truth
            ]
        )
        for one in (risen, calm)
    ]
    assert relative[0] > 1.15 * relative[1]


def test_a_gap_after_the_shift_does_not_move_its_date():
    values = daily_demand(1, WEEKS, noise=0.05) * np.where(np.arange(WEEKS) >= WEEKS - 40, 3.0, 1.0)
    values[-5:] = np.nan
    options = parse_options({"horizon_steps": 12})
    shift = forecast_series([make_series("a", values)], options)["series"]["a"]["level_shift"]
    assert abs(parse_moment(shift["since"]) - (MONDAY + (WEEKS - 40) * HOUR)) <= HOUR
