# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantiles that cover what they say, by simulation and against scipy and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.intervals import (
    calibrate,
    masked_quantiles,
    quantile_paths,
    window_maxima,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import (
    t_cdf,
    t_quantile,
    tail_allowance,
)

LEVELS = (0.05, 0.5, 0.9, 0.95)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 8, 23])
def test_student_t_equals_scipy(degrees):
    for x in (-3.0, -0.5, 0.0, 0.7, 2.5, 40.0):
        assert t_cdf(x, degrees) == pytest.approx(stats.t.cdf(x, degrees), abs=1e-12)
    for level in (0.01, 0.05, 0.5, 0.9, 0.975, 0.999):
        assert t_quantile(level, degrees) == pytest.approx(stats.t.ppf(level, degrees), rel=1e-9, abs=1e-9)
    assert tail_allowance(0.95, degrees) == pytest.approx(stats.t.ppf(0.95, degrees) / stats.norm.ppf(0.95))


def test_masked_quantiles_equal_numpys_weibull_rank():
    random = np.random.default_rng(1)
    values = random.standard_normal((4, 200))
    mask = random.random((4, 200)) < 0.7
    found = masked_quantiles(values, mask, LEVELS)
    for row in range(4):
        np.testing.assert_allclose(found[row], np.quantile(values[row, mask[row]], LEVELS, method="weibull"))
    assert (masked_quantiles(values, np.zeros_like(mask), LEVELS) == 0.0).all()


def _simulate(noise, forecast, horizon=24, origins=24, series=400, seed=3):
    """Backtests and one future each of many series with independent errors ``noise(random, shape, level)``."""
    random = np.random.default_rng(seed)
    mean = forecast(random, (series, origins + 1, horizon))
    actual = np.maximum(mean + noise(random, mean.shape, mean), 0.0)
    seen = np.ones((series, origins, horizon), bool)
    calibration = calibrate(mean[:, :-1], actual[:, :-1], seen, LEVELS, 6, 8)
    paths = quantile_paths(mean[:, -1], calibration)
    tops = window_maxima(mean[:, -1], paths, calibration, 6)
    return calibration, paths, tops, actual[:, -1]


def _level(random, shape):
    return np.exp(random.uniform(-1.0, 1.0, shape))


@pytest.mark.parametrize(
    ("power", "noise"),
    [
        (0.0, lambda random, shape, level: 0.1 * random.standard_normal(shape)),
        (0.5, lambda random, shape, level: 0.1 * np.sqrt(level) * random.standard_normal(shape)),
        (1.0, lambda random, shape, level: 0.2 * level * random.standard_normal(shape)),
    ],
)
def test_coverage_and_power_are_found_by_simulation(power, noise):
    calibration, paths, tops, actual = _simulate(noise, _level)
    assert np.mean(calibration.power == power) > 0.9
    for index, level in enumerate(LEVELS):
        share = np.mean(actual <= paths[:, index])
        # the allowance for eight windows widens: never less than asked, and not by much more
        assert level - 0.015 <= share <= level + 0.03 or (level < 0.5 and level - 0.03 <= share <= level + 0.015)
        top_share = np.mean(actual[:, :6].max(axis=1) <= tops[:, index])
        if level > 0.5:
            assert level - 0.03 <= top_share <= 1.0


def test_skewed_noise_gets_skewed_quantiles():
    _calibration, paths, _tops, actual = _simulate(
        lambda random, shape, level: level * (random.exponential(0.5, shape) - 0.5), _level
    )
    upper, middle, lower = paths[:, 3], paths[:, 1], paths[:, 0]
    assert np.mean((upper - middle) > 1.5 * (middle - lower)) > 0.95
    assert 0.93 <= np.mean(actual <= upper) <= 0.99


def test_the_maximum_over_a_window_is_not_the_maximum_of_the_quantiles():
    _calibration, paths, tops, actual = _simulate(
        lambda random, shape, level: 0.2 * random.standard_normal(shape), lambda random, shape: np.full(shape, 2.0)
    )
    peak = actual[:, :6].max(axis=1)
    naive = paths[:, :, :6].max(axis=2)
    median = LEVELS.index(0.5)
    assert np.mean(peak <= naive[:, median]) < 0.1
    assert 0.4 <= np.mean(peak <= tops[:, median]) <= 0.6


def test_filled_samples_are_not_calibrated():
    random = np.random.default_rng(5)
    mean = np.ones((3, 24, 12))
    actual = mean + 0.1 * random.standard_normal(mean.shape)
    seen = np.ones(mean.shape, bool)
    seen[:, ::3, 4:8] = False
    spoiled = np.where(seen, actual, 1e6)
    one = calibrate(mean, actual, seen, LEVELS, 4, 8)
    other = calibrate(mean, spoiled, seen, LEVELS, 4, 8)
    np.testing.assert_allclose(one.shape, other.shape)
    np.testing.assert_allclose(one.spread, other.spread)
    np.testing.assert_allclose(one.window_shape, other.window_shape)
