# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Young series borrow the day of their siblings, and an interval that holds."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import HOUR, MONDAY, load_reference

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.fallback import forecast_short
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.siblings import (
    borrow_profile,
    step_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import ForecastOptions
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import t_quantile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

DAY = 24
OPTIONS = ForecastOptions(horizon_steps=24, window_steps=12)


def _wave(phases: np.ndarray) -> np.ndarray:
    return 1.0 + 0.6 * np.sin(2 * np.pi * phases / DAY)


def _sibling(number: int, *, days: int = 12, noise: float = 0.05, late_hours: int = 0) -> Series:
    random = np.random.default_rng(number)
    phases = np.arange(late_hours, days * DAY)
    values = 10.0 ** (number % 3) * _wave(phases) * (1.0 + noise * random.standard_normal(phases.size))
    return Series(f"s{number:02d}", MONDAY + late_hours * HOUR, HOUR, np.maximum(values, 0.0))


def _now(days: int = 12) -> float:
    return MONDAY + (days * DAY - 1) * HOUR


def test_the_shape_is_that_of_the_siblings_by_time_of_day_wherever_they_start():
    profile = borrow_profile([_sibling(n, late_hours=7 * n) for n in range(6)], HOUR, DAY, _now())
    expected = _wave(np.arange(DAY))
    first = step_number(MONDAY, HOUR)
    # smoothing over an hour is three neighbouring steps at most
    np.testing.assert_allclose(profile.at(first + np.arange(DAY)), expected, atol=0.06)
    assert profile.shape.mean() == pytest.approx(1.0)
    assert profile.siblings == 6


def test_one_sibling_of_another_habit_does_not_bend_the_shape():
    crowd = [_sibling(n) for n in range(7)]
    odd = Series("z", MONDAY, HOUR, 1000.0 * _wave(np.arange(12 * DAY) + 12))
    with_odd = borrow_profile([*crowd, odd], HOUR, DAY, _now())
    without = borrow_profile(crowd, HOUR, DAY, _now())
    np.testing.assert_allclose(with_odd.shape, without.shape, atol=0.03)
    assert with_odd.between.mean() > 3 * without.between.mean()


@pytest.mark.parametrize(
    "other",
    [
        Series("young", MONDAY + 10 * DAY * HOUR, HOUR, np.ones(2 * DAY)),
        Series("step", MONDAY, 1800, np.ones(24 * DAY)),
        Series("idle", MONDAY, HOUR, np.zeros(12 * DAY)),
        Series("gaps", MONDAY, HOUR, np.where(np.arange(12 * DAY) % 2, np.nan, 1.0)),
        Series("ended long ago", MONDAY, HOUR, np.ones(5 * DAY)),
    ],
    ids=lambda one: one.name,
)
def test_what_is_no_sibling(other):
    assert borrow_profile([other], HOUR, DAY, _now()) is None


def test_nothing_after_now_is_looked_at():
    full = [_sibling(n) for n in range(4)]
    cut = [one.until(_now(8)) for one in full]
    early, late = borrow_profile(full, HOUR, DAY, _now(8)), borrow_profile(cut, HOUR, DAY, _now(8))
    np.testing.assert_array_equal(early.histories, late.histories)
    np.testing.assert_array_equal(early.shape, late.shape)


def test_six_night_hours_are_enough_to_foresee_the_day():
    profile = borrow_profile([_sibling(n) for n in range(12)], HOUR, DAY, _now())
    phase = step_number(MONDAY, HOUR) + 12 * DAY - 6
    truth = 40.0 * _wave(np.arange(-6, DAY))
    short = forecast_short(truth[:6], DAY, OPTIONS, profile, phase)
    np.testing.assert_allclose(short.mean, truth[6:], rtol=0.15, atol=2.0)
    alone = forecast_short(truth[:6], DAY, OPTIONS)
    assert np.abs(alone.mean - truth[6:]).mean() > 5 * np.abs(short.mean - truth[6:]).mean()
    assert short.window_maximum[3] < 0.8 * alone.window_maximum[3]


@pytest.mark.parametrize("length", [1, 3, 12, 30])
def test_the_forecast_scales_with_the_series(length):
    profile = borrow_profile([_sibling(n, noise=0.3) for n in range(8)], HOUR, DAY, _now())
    values = 3.0 + np.arange(length) % 5
    small = forecast_short(values, DAY, OPTIONS, profile, 7)
    large = forecast_short(1e6 * values, DAY, OPTIONS, profile, 7)
    np.testing.assert_allclose(large.mean, 1e6 * small.mean, rtol=1e-9)
    np.testing.assert_allclose(large.quantiles, 1e6 * small.quantiles, rtol=1e-9)
    assert (np.diff(small.quantiles, axis=0) >= 0.0).all()
    assert (small.window_maximum >= small.quantiles[:, :12].max(axis=1)).all()


def test_alone_a_part_of_a_day_counts_as_one_sample():
    short = forecast_short(np.array([6.0, 6.0, 6.0]), DAY, OPTIONS)
    # half the level, one degree of freedom (Cauchy): 6 + 3 tan(0.45 pi)
    assert short.quantiles[3, 0] == pytest.approx(6.0 + 3.0 * np.tan(0.45 * np.pi))
    unseasonal = forecast_short(np.array([6.0, 6.0, 6.0]), 0, OPTIONS)
    assert unseasonal.quantiles[3, 0] == pytest.approx(6.0 + 3.0 * t_quantile(0.95, 2))


def test_alone_the_last_season_is_repeated():
    day = _wave(np.arange(30))
    np.testing.assert_allclose(forecast_short(day, DAY, OPTIONS).mean, _wave(np.arange(30, 54)))


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.0, 0.0], [np.nan, 4.0], [0.0, np.nan, 5.0]])
def test_gaps_and_zeros_stay_finite(values):
    profile = borrow_profile([_sibling(n) for n in range(8)], HOUR, DAY, _now())
    for borrowed in (None, profile):
        short = forecast_short(np.array(values), DAY, OPTIONS, borrowed, 3)
        for part in (short.mean, short.quantiles, short.window_maximum):
            assert np.isfinite(part).all() and (part >= 0.0).all()


def test_a_burst_after_silence_is_rehearsed_on_bursts_after_silence():
    """Siblings whose bursts of a few hours always end within the day, beside ones that are never silent."""
    bursts = []
    for number in range(12):
        values = np.zeros(12 * DAY)
        for day in range(1, 12, 2):
            values[day * DAY + 12 : day * DAY + 18] = 5.0 + number % 4
        bursts.append(Series(f"b{number:02}", MONDAY, HOUR, values))
    profile = borrow_profile([*bursts, *(_sibling(n) for n in range(12))], HOUR, DAY, _now())
    phase = step_number(MONDAY, HOUR) + 12 * DAY - 6
    young = np.array([6.0, 6.0, 6.0, 6.0, 6.0, 6.0])
    unknown = forecast_short(young, DAY, OPTIONS, profile, phase)
    silent = forecast_short(young, DAY, OPTIONS, profile, phase, after_silence=True)
    assert silent.quantiles[3].mean() < unknown.quantiles[3].mean()


@pytest.mark.parametrize("length", [3, 12, 36])
def test_the_interval_of_young_llm_clients_holds(length):
    """ServeGen, hourly: bursty clients of a real service, each in turn young, the others its siblings."""
    hourly = {}
    for name, values in load_reference("servegen_small_10min").items():
        if not name.endswith("total"):
            hourly[name] = values[: values.size // 6 * 6].reshape(-1, 6).mean(axis=1)
    below, tops = [], []
    for stop in (200, 237, 281):
        everyone = [Series(name, MONDAY, HOUR, values[:stop]) for name, values in sorted(hourly.items())]
        now, phase = MONDAY + (stop - 1) * HOUR, step_number(MONDAY, HOUR) + stop - length
        for one in everyone:
            young = one.values[-length:]
            if not young.any():
                continue
            profile = borrow_profile([other for other in everyone if other is not one], HOUR, DAY, now)
            short = forecast_short(young, DAY, OPTIONS, profile, phase)
            actual = hourly[one.name][stop : stop + 24]
            below.append((actual <= short.quantiles[3]).mean())
            tops.append(actual[:12].max() <= short.window_maximum[3])
    assert 0.91 <= np.mean(below) <= 0.985
    assert np.mean(tops) >= 0.88
