# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order search on processes whose order is known."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest
from scipy.signal import lfilter
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.stattools import kpss

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import order_search
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.order_search import search_order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import ForecastOptions
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.statsmodels_engines import (
    StatsmodelsForecaster,
)

SEASON = 12


def _arma(ar, ma, samples, seed):
    noise = np.random.default_rng(seed).standard_normal(samples + 200)
    return lfilter(np.r_[1.0, ma], np.r_[1.0, -np.array(ar)], noise)[200:]


def _airline(seed, samples=168):
    """(0,1,1)(0,1,1)12 with moving averages -0.4 and -0.6, started from a season of amplitude 20."""
    w = _arma([], np.convolve([1.0, -0.4], np.r_[1.0, np.zeros(SEASON - 1), -0.6])[1:], samples, seed)
    season = 20.0 * np.sin(2 * np.pi * np.arange(SEASON) / SEASON)
    level = np.concatenate([season, np.zeros(samples)])
    steps = np.cumsum(w)
    for t in range(samples):
        level[SEASON + t] = level[t] + steps[t]
    return level[SEASON:]


def _exactly(values, season, **options):
    forecaster = StatsmodelsForecaster(ForecastOptions(horizon_steps=1, engine="sarimax"), ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return search_order(values, season, deviance=forecaster._deviance, **{"budget_seconds": 60.0, **options})


@pytest.mark.parametrize(("ar", "ma", "order"), [([1.0, -0.5], [], (2, 0, 0)), ([], [0.7], (0, 0, 1))])
def test_a_simulated_order_is_found_or_one_that_its_criterion_prefers(ar, ma, order):
    p, _d, q = order
    same = 0
    for seed in range(5):
        values = 10.0 + _arma(ar, ma, 120, seed)
        found = _exactly(values, 0, most_fits=12)
        if found.order == order:
            same += 1
        elif found.order[1] == 0:
            true = SARIMAX(values - values.mean(), order=order).fit(disp=0)
            k = p + q + 2
            assert found.aicc <= -2.0 * true.llf + 2 * k + 2 * k * (k + 1) / (120 - k - 1) + 1e-3
    assert same >= 3


def test_the_ranking_alone_finds_a_clear_autoregression():
    found = Counter(search_order(10.0 + _arma([1.0, -0.5], [], 300, seed), 0).order for seed in range(20))
    assert found[2, 0, 0] >= 12


def test_a_random_walk_is_differenced_once():
    walks = [np.cumsum(np.random.default_rng(seed).standard_normal(300)) for seed in range(20)]
    assert sum(search_order(walk, 0).order[1] == 1 for walk in walks) >= 17


def test_the_airline_order_is_found():
    found = _exactly(_airline(3), SEASON)
    assert (found.order, found.seasonal_order) == ((0, 1, 1), (0, 1, 1, SEASON))
    assert found.complete


def test_kpss_equals_statsmodels():
    for seed in range(5):
        values = _arma([0.5], [], 150, seed)
        lags = int(3 * np.sqrt(150) / 13)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = kpss(values, regression="c", nlags=lags)[0]
        np.testing.assert_allclose(order_search.kpss(values), expected, rtol=1e-9)


def test_the_strength_of_a_season_is_that_of_its_variance():
    wave = np.sqrt(2.0) * np.sin(2 * np.pi * np.arange(1200) / SEASON)
    noise = np.random.default_rng(1).standard_normal(1200)
    assert order_search.seasonal_strength(wave, SEASON) == pytest.approx(1.0)
    assert order_search.seasonal_strength(noise, SEASON) < 0.05
    assert order_search.seasonal_strength(wave + noise, SEASON) == pytest.approx(0.5, abs=0.05)


def test_the_search_keeps_the_best_so_far_when_its_budget_ends():
    values = _airline(3)
    cut = _exactly(values, SEASON, budget_seconds=0.0)
    assert not cut.complete and cut.fits == 1
    assert np.isfinite(cut.aicc)
    few = _exactly(values, SEASON, most_fits=3)
    assert few.fits == 3 and few.complete


def test_the_same_series_gives_the_same_order():
    values = _airline(4)
    assert _exactly(values, SEASON, most_fits=6) == _exactly(values, SEASON, most_fits=6)


@pytest.mark.parametrize("values", [np.full(60, 2.0), np.zeros(60), np.arange(60.0), np.tile([1.0, 2.0, 3.0], 20)])
def test_series_without_noise_are_answered_too(values):
    found = search_order(values, 3)
    assert np.isfinite(found.aicc)
    assert search_order(values[:9], 12).seasonal_order == (0, 0, 0, 0)
