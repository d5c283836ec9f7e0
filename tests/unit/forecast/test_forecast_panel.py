# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, gaps, seasons and the layout of the backtest."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import daily_demand

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    Layout,
    lay_out,
    naive_scale,
    pinball,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    SeasonalMean,
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import candidate_menu
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import (
    fill_gaps,
    make_panel,
    trim,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.selection import (
    SHORT,
    combination_weights,
    combine_out_of_fold,
    fold_sums,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    parse_options,
    periods_for,
)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"horizon_steps": 0}, "horizon_steps must be"),
        ({"horizon_steps": 2.5}, "whole number"),
        ({"horizon_steps": 4, "window_steps": 5}, "beyond horizon_steps"),
        ({"horizon_steps": 4, "quantiles": [0.5, 1.0]}, "strictly between 0 and 1"),
        ({"horizon_steps": 4, "quantiles": ["high"]}, "must be a number"),
        ({"horizon_steps": 4, "engine": "prophet"}, "auto, arima, sarimax, seasonal_naive"),
        ({"horizon_steps": 4, "order": [1, 0]}, "list of 3"),
        ({"horizon_steps": 4, "seasonal_periods": "daily"}, "seasonal period"),
    ],
)
def test_options_out_of_range_are_named(params, words):
    with pytest.raises(InputError, match=words):
        parse_options(params)


def test_seasons_are_read_off_the_step_and_must_be_seen_twice():
    auto = parse_options({"horizon_steps": 4})
    assert periods_for(auto, 600, 2016) == (144, 1008)
    assert periods_for(auto, 600, 2015) == (144,)
    assert periods_for(auto, 3600, 47) == ()
    assert periods_for(auto, 86_400, 60) == (7,)
    assert periods_for(auto, 7_000, 6000) == ()
    assert periods_for(parse_options({"horizon_steps": 4, "seasonal_periods": [168, 24]}), 60, 400) == (24, 168)


def test_a_day_missing_from_a_clean_wave_is_filled_by_its_shape():
    when = np.arange(24 * 14)
    wave = 10.0 + 4.0 * np.sin(2 * np.pi * when / 24)
    gappy = wave.copy()
    gappy[100:124] = np.nan
    filled = fill_gaps(gappy, (24,))
    assert np.abs(filled - wave).max() < 0.35
    assert np.abs(np.interp(when, when[np.isfinite(gappy)], wave[np.isfinite(gappy)]) - wave).max() > 3.0
    np.testing.assert_array_equal(filled[np.isfinite(gappy)], wave[np.isfinite(gappy)])


def test_gap_filling_keeps_the_weekday_shape_and_never_goes_negative():
    values = daily_demand(1, 24 * 28, noise=0.0)
    gappy = values.copy()
    gappy[24 * 12 : 24 * 13] = np.nan  # a Saturday
    assert np.abs(fill_gaps(gappy, (24, 168)) - values).max() < 6.0
    assert (fill_gaps(np.where(np.arange(60) % 7 == 3, np.nan, np.arange(60) % 2), (2,)) >= 0).all()
    assert (fill_gaps(np.full(10, np.nan), ()) == 0.0).all()


def test_panel_divides_by_the_mean_and_remembers_what_was_filled():
    panel = make_panel([np.array([2.0, np.nan, 6.0]), np.zeros(3)], ())
    np.testing.assert_array_equal(panel.observed, [[True, False, True], [True, True, True]])
    np.testing.assert_allclose(panel.scale, [4.0, 1.0])
    np.testing.assert_allclose(panel.values[0], [0.5, 1.0, 1.5])
    np.testing.assert_allclose(panel.ceiling, [2.0, 0.0])
    assert trim(np.array([0.0, np.nan, 0.0, 3.0, 0.0])) == 3
    assert trim(np.zeros(4)) == 0


def test_origins_leave_the_whole_horizon_before_the_end():
    layout = lay_out(2016, 48, (144, 1008))
    assert layout is not None
    assert layout.origins[0] == 2016 - 8 * 48
    assert layout.origins[-1] == 2016 - 48
    assert len(layout.origins) == 16
    assert layout.windows == 8
    assert sorted(set(layout.folds.tolist())) == list(range(8))
    assert lay_out(3, 48, ()) is None
    assert lay_out(60, 48, (24,)) is None
    few = lay_out(100, 48, (24,))
    assert few is not None
    assert few.windows == 1
    assert few.origins.tolist() == [52]


def test_baselines_scores_and_weights_by_hand():
    values = np.arange(12.0)[None]
    path = predict_seasonal_mean(SeasonalMean(3, 2), values, np.array([9]), 5)
    np.testing.assert_allclose(path[0, 0], [4.5, 5.5, 6.5, 4.5, 5.5])
    np.testing.assert_allclose(naive_scale(values, np.ones((1, 12), bool), 3), [3.0])
    np.testing.assert_allclose(pinball(np.array([3.0, 1.0]), np.array([2.0, 2.0]), 0.9), [0.9, 0.1])
    weights = combination_weights(np.array([[1.0], [1.2], [1.5], [1.4]]))
    raw = np.array([1.0, 1.2**-4, 0.0, 1.4**-4])
    np.testing.assert_allclose(weights[:, 0], raw / raw.sum())
    assert (combination_weights(np.ones((12, 1))) > 0).sum() == 8
    short = combination_weights(np.array([[1.0], [1.2], [1.5], [1.9]]), SHORT, (1.0, 5.0, 3.0, 1.0))
    raw = np.array([1.0, 5.0 / 1.44, 3.0 / 2.25, 0.0])
    np.testing.assert_allclose(short[:, 0], raw / raw.sum())


def test_each_fold_is_weighted_by_the_others_alone():
    layout = Layout(np.array([10, 20]), 2, 4, np.array([0, 1]))
    actual = np.zeros((1, 2, 4))
    # the first candidate is right in the first fold only, the second in the second only
    forecasts = np.stack([actual + [[[0.0], [3.0]]], actual + [[[3.0], [0.0]]]])
    seen = np.ones(actual.shape, bool)
    sums, counts = fold_sums(forecasts, actual, seen, layout)
    np.testing.assert_allclose(sums[:, 0], [[0.0, 12.0], [12.0, 0.0]])
    np.testing.assert_allclose(counts, [[4, 4]])
    np.testing.assert_allclose(combine_out_of_fold(forecasts, sums, counts, layout), 3.0)
    seen[:, 1, 1:] = False
    sums, counts = fold_sums(forecasts, actual, seen, layout)
    np.testing.assert_allclose(sums[:, 0], [[0.0, 3.0], [12.0, 0.0]])
    np.testing.assert_allclose(counts, [[4, 1]])
    alone = Layout(np.array([10]), 1, 4, np.array([0]))
    first, second = fold_sums(forecasts[:, :, :1], actual[:, :1], seen[:, :1], alone)
    np.testing.assert_allclose(combine_out_of_fold(forecasts[:, :, :1], first, second, alone), 0.0)


def test_the_menu_grows_with_the_history():
    short, long = candidate_menu(60, (24,)), candidate_menu(1600, (144, 1008))
    assert 5 <= len(short) < len(long)
    assert len({candidate.name for candidate in long}) == len(long)
    assert all(candidate.samples_lost <= 60 for candidate in short)
    assert any("1008" in candidate.name for candidate in long)
