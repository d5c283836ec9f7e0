# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single spikes are kept from the forecast; bursts and batch jobs are demand."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import daily_demand, make_series

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import panel as panels
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.outliers import without_spikes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options

DAY, WEEK = 24, 168
PERIODS = (DAY, WEEK)
LENGTH, HORIZON = 504, 48
MODELS = 25


def _clean(seed=0, length=LENGTH, noise=0.05):
    values = daily_demand(seed, length, noise=noise)
    return values / values.mean()


def _changed(values, periods=PERIODS):
    return np.flatnonzero(without_spikes(values[None], periods)[0] != values)


@pytest.mark.parametrize("at", [0, 1, 30, 250, LENGTH - 2, LENGTH - 1])
@pytest.mark.parametrize("periods", [PERIODS, (DAY,)])
def test_a_single_spike_is_replaced_by_the_middle_of_its_neighbours(at, periods):
    values = _clean()
    spiked = values.copy()
    spiked[at] += 5.0
    np.testing.assert_array_equal(_changed(spiked, periods), [at])
    calm = without_spikes(spiked[None], periods)[0, at]
    if DAY <= at < LENGTH - DAY:
        around = values[[at - DAY, at - 1, at + 1, at + DAY]]
        assert calm == np.median(around)
    assert abs(calm - values[at]) < 0.5


def test_a_spike_is_found_although_another_came_a_day_before():
    values = _clean()
    values[[200, 200 + DAY, 300, 300 + WEEK]] += 6.0
    np.testing.assert_array_equal(_changed(values), [200, 200 + DAY, 300, 300 + WEEK])


@pytest.mark.parametrize("steps", [3, 5, 8])
@pytest.mark.parametrize("at", [100, 300, LENGTH - 10])
def test_a_burst_is_demand(steps, at):
    values = _clean()
    values[at : at + steps] *= 5.0
    assert not _changed(values).size


def test_a_burst_that_the_history_ends_in_is_demand():
    values = _clean()
    values[-3:] *= 5.0
    assert not _changed(values).size


@pytest.mark.parametrize("hour", range(0, 24, 5))
def test_a_job_that_comes_back_every_day_or_week_is_demand(hour):
    daily, weekly, weekdays = (_clean(seed) for seed in range(3))
    daily[hour::DAY] += 4.0
    weekly[hour::WEEK] += 4.0
    when = np.arange(LENGTH)
    weekdays[(when % DAY == hour) & (when // DAY % 7 < 5)] += 4.0
    for values in (daily, weekly, weekdays):
        assert not _changed(values).size


@pytest.mark.parametrize("days", range(15, 22))
def test_the_first_hours_after_a_quiet_weekend_are_demand(days):
    when = np.arange(days * DAY)
    values = _clean(length=when.size) * np.where(when // DAY % 7 >= 5, 0.15, 1.0)
    assert not _changed(values / values.mean()).size


def test_noise_drops_and_sporadic_demand_are_left_alone():
    random = np.random.default_rng(4)
    drops = _clean()
    drops[[50, 222, 444]] = 0.0
    for values in (drops, _clean(noise=0.3), np.ones(LENGTH), np.zeros(LENGTH), random.lognormal(0.0, 0.5, LENGTH)):
        assert not _changed(values).size
    short = np.ones((2, 48))
    short[:, 20] = 30.0
    assert without_spikes(short, (DAY,)) is short
    assert without_spikes(np.ones((1, 4)), ()).shape == (1, 4)


def test_without_a_season_two_steps_stand_in():
    values = 1.0 + 0.05 * np.sin(np.arange(60.0))
    values[30] = 9.0
    np.testing.assert_array_equal(_changed(values, ()), [30])


@pytest.fixture(scope="module")
def errors():
    """Mean absolute error with and without spikes in the history, with and without their removal."""
    options = parse_options({"horizon_steps": HORIZON, "window_steps": 12})
    full = np.stack([daily_demand(seed, LENGTH + HORIZON, noise=0.05) for seed in range(MODELS)])
    random = np.random.default_rng(1)
    spiked = full[:, :LENGTH] * np.where(random.random((MODELS, LENGTH)) < 0.01, 5.0, 1.0)

    def run(rows):
        series = forecast_series([make_series(f"{row:02d}", values) for row, values in enumerate(rows)], options)
        paths = [series["series"][f"{row:02d}"]["mean"] for row in range(MODELS)]
        return np.abs(np.array(paths) - full[:, LENGTH:]).mean(), series["series"]

    found = {"clean": run(full[:, :LENGTH]), "spiked": run(spiked)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "without_spikes", lambda values, periods: values)
        found |= {"clean, kept": run(full[:, :LENGTH]), "spiked, kept": run(spiked)}
    return found


def test_spikes_cost_little_and_their_removal_harms_no_clean_series(errors):
    mae = {name: error for name, (error, _series) in errors.items()}
    assert mae["spiked"] < 1.25 * mae["clean"]
    assert mae["clean"] < 1.01 * mae["clean, kept"]
    # what it is for
    assert mae["spiked, kept"] > 1.3 * mae["clean"]


def test_the_interval_still_knows_of_spikes(errors):
    tops = {
        name: np.mean([fields["window_maximum"]["0.95"] for fields in series.values()])
        for name, (_error, series) in errors.items()
    }
    assert tops["spiked"] > 1.3 * tops["clean"]
