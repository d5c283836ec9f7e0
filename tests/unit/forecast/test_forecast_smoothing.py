# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batched exponential smoothing and Theta against statsmodels, and on the M3 monthly series."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from forecast_samples import daily_demand, load_reference
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import exponential_smoothing as es
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import make_panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.smoothing import SmoothingForecaster
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.theta import forecast_theta

PERIOD = 6
SHORT_NAME = {"none": None, "additive": "add", "multiplicative": "mul"}


def _one_set(alpha, beta, gamma, phi, trend):
    one = [np.array([[value]]) for value in (alpha, beta, gamma, phi)]
    return es.Parameters(*one, np.array([es.TRENDS.index(trend)]))


def _samples(count=90):
    random = np.random.default_rng(4)
    when = np.arange(count)
    wave = 1.0 + 0.3 * np.sin(2 * np.pi * when / PERIOD)
    return (10.0 + 0.1 * when) * wave * (1.0 + 0.05 * random.standard_normal(count))


@pytest.mark.parametrize("season", ["none", "additive", "multiplicative"])
@pytest.mark.parametrize("trend", ["none", "linear", "damped"])
def test_recursion_and_forecast_equal_statsmodels_holt_winters(trend, season):
    values = _samples()
    alpha, beta, gamma, phi = 0.3, 0.0 if trend == "none" else 0.05, 0.0 if season == "none" else 0.2, 0.9
    sets = _one_set(alpha, beta, gamma, phi if trend == "damped" else 1.0, trend)
    start = es.starting_state(values[None, :18], season, PERIOD, sets)
    recursion = es.Recursion(start, season, sets)
    recursion.advance(values[None], np.ones((1, values.size), bool))

    model = ExponentialSmoothing(
        values,
        trend=None if trend == "none" else "add",
        damped_trend=trend == "damped",
        seasonal=SHORT_NAME[season],
        seasonal_periods=None if season == "none" else PERIOD,
        initialization_method="known",
        initial_level=start.level.item(),
        initial_trend=None if trend == "none" else start.slope.item(),
        initial_seasonal=None if season == "none" else start.season[:, 0, 0],
    )
    reference = model.fit(
        smoothing_level=alpha,
        smoothing_trend=None if trend == "none" else beta / alpha,
        smoothing_seasonal=None if season == "none" else gamma,
        damping_trend=phi if trend == "damped" else None,
        optimized=False,
    )
    expected = reference.forecast(15)
    np.testing.assert_allclose(recursion.squared_errors.item(), reference.sse, rtol=1e-8)
    averaged = es.averaged_forecast(recursion.state, np.ones((1, 1)), season, sets, 15)
    # statsmodels forecasts the phase of the last sample without what that sample taught the season
    same = (np.arange(15) % PERIOD != PERIOD - 1) | (season == "none")
    np.testing.assert_allclose(averaged[0, same], expected[same], rtol=1e-8)
    separate = es.separate_forecasts(recursion.state, season, sets, 15)
    np.testing.assert_allclose(separate[0], averaged, rtol=1e-12)


@pytest.mark.parametrize("trend", ["none", "linear", "damped"])
def test_recursion_and_variance_equal_statsmodels_ets_with_additive_season(trend):
    values = _samples()
    params = {"none": [0.3, 0.2], "linear": [0.3, 0.05, 0.2], "damped": [0.3, 0.05, 0.2, 0.9]}[trend]
    sets = _one_set(0.3, 0.0 if trend == "none" else 0.05, 0.2, 0.9 if trend == "damped" else 1.0, trend)
    start = es.starting_state(values[None, :18], "additive", PERIOD, sets)
    recursion = es.Recursion(start, "additive", sets)
    recursion.advance(values[None], np.ones((1, values.size), bool))
    model = ETSModel(
        pd.Series(values),
        trend=None if trend == "none" else "add",
        damped_trend=trend == "damped",
        seasonal="add",
        seasonal_periods=PERIOD,
        initialization_method="known",
        initial_level=start.level.item(),
        initial_trend=None if trend == "none" else start.slope.item(),
        initial_seasonal=start.season[:, 0, 0],
    )
    reference = model.smooth(np.array(params))
    np.testing.assert_allclose(recursion.squared_errors.item(), (reference.resid**2).sum(), rtol=1e-8)
    exact = reference.get_prediction(start=values.size, end=values.size + 14)
    paths = es.separate_forecasts(recursion.state, "additive", sets, 15)
    np.testing.assert_allclose(paths[0, 0], exact.predicted_mean, rtol=1e-8)
    growth = es.variance_growth(sets, PERIOD, 15)[0] * reference.mse
    np.testing.assert_allclose(growth, exact.forecast_variance, rtol=1e-8)


def test_the_average_over_many_sets_is_the_weighted_mean_of_their_forecasts():
    values = np.stack([_samples(), _samples()[::-1]])
    for season in ("none", "additive", "multiplicative"):
        sets = es.parameter_grid(season)
        recursion = es.Recursion(es.starting_state(values[:, :18], season, PERIOD, sets), season, sets)
        recursion.advance(values, np.ones(values.shape, bool))
        weights = np.random.default_rng(1).dirichlet(np.ones(sets.alpha.size), 2).T
        paths = es.separate_forecasts(recursion.state, season, sets, 15)
        expected = np.einsum("gs,gsh->sh", weights, paths)
        averaged = es.averaged_forecast(recursion.state, weights, season, sets, 15)
        np.testing.assert_allclose(averaged, expected, rtol=1e-10)
        short = es.averaged_forecast(recursion.state, weights, season, sets, 3)
        np.testing.assert_allclose(short, expected[:, :3], rtol=1e-10)


def test_a_sample_not_observed_teaches_nothing():
    values = _samples()[None]
    observed = np.ones(values.shape, bool)
    observed[0, 40:50] = False
    wild = values.copy()
    wild[0, 40:50] = 1e6
    sets = es.parameter_grid("additive")
    found = []
    for one in (values, wild):
        recursion = es.Recursion(es.starting_state(values[:, :18], "additive", PERIOD, sets), "additive", sets)
        recursion.advance(one, observed)
        found.append(recursion)
    np.testing.assert_array_equal(found[0].squared_errors, found[1].squared_errors)
    np.testing.assert_array_equal(found[0].state.level, found[1].state.level)


@pytest.mark.parametrize("seasonal", [True, False])
def test_theta_equals_statsmodels_theta_at_the_same_alpha(seasonal):
    values = _samples() if seasonal else 10.0 + np.random.default_rng(2).random(80)
    reference = ThetaModel(values, period=PERIOD, deseasonalize=True, use_test=True, method="multiplicative").fit()
    assert bool(reference.model._has_seasonality) is seasonal
    panel = make_panel([values], (PERIOD,))
    alpha = (float(reference.params["alpha"]),)
    ours = forecast_theta(panel, PERIOD, values.size, np.array([values.size]), 15, alpha)[0, 0] * panel.scale[0]
    np.testing.assert_allclose(ours, reference.forecast(15, theta=2), rtol=1e-6)


def test_every_origin_sees_only_its_own_past():
    panel = make_panel([daily_demand(1, 240), daily_demand(2, 240)], (24,))
    origins = np.array([150, 171, 192])
    paths = SmoothingForecaster().forecast(panel, 150, origins, 48)
    for index, origin in enumerate(origins):
        values = panel.values.copy()
        values[:, origin:] = 0.5
        alone = SmoothingForecaster().forecast(
            dataclasses.replace(panel, values=values), 150, origins[index : index + 1], 48
        )
        np.testing.assert_allclose(paths[:, :, index], alone[:, :, 0], rtol=1e-9)


@pytest.mark.parametrize("periods", [(), (7,), (7, 14), (96,)])
def test_any_history_gives_finite_forecasts_within_the_ceiling(periods):
    random = np.random.default_rng(5)
    rows = [
        np.zeros(40),
        np.full(40, 3.0),
        np.where(random.random(40) < 0.8, 0.0, 5.0),
        np.exp(np.arange(40.0)),
        np.where(np.arange(40) % 9 == 4, np.nan, 2.0 + random.random(40)),
    ]
    panel = make_panel(rows, periods)
    paths, spread = SmoothingForecaster().forecast_with_spread(panel, 20, np.array([20, 25, 40]), 12)
    assert paths.shape == (2, 5, 3, 12) and spread.shape == (5, 12)
    assert np.isfinite(paths).all() and np.isfinite(spread).all()
    assert (paths >= 0.0).all() and (paths <= panel.ceiling[:, None, None]).all()
    np.testing.assert_allclose(paths[:, 1] * panel.scale[1], 3.0, rtol=1e-6)


def test_m3_monthly_is_forecast_as_well_as_by_the_published_methods():
    reference = load_reference("m3_monthly_even")
    names = sorted(reference)[::7]
    smape, naive, inside = [], [], []
    for length in sorted({reference[name].size for name in names}):
        rows = [reference[name] for name in names if reference[name].size == length]
        train, test = [row[:-18] for row in rows], np.stack([row[-18:] for row in rows])
        panel = make_panel(train, (12,))
        paths, spread = SmoothingForecaster().forecast_with_spread(panel, panel.length, np.array([panel.length]), 18)
        mean = paths.mean(axis=0)[:, 0] * panel.scale[:, None]
        last = np.stack([np.tile(row[-12:], 2)[:18] for row in train])
        smape.append(200 * (np.abs(mean - test) / (mean + test)).mean(axis=1))
        naive.append(200 * (np.abs(last - test) / (last + test)).mean(axis=1))
        inside.append((test <= mean + 1.645 * spread * panel.scale[:, None]).mean(axis=1))
    ours, simple = np.concatenate(smape).mean(), np.concatenate(naive).mean()
    assert ours < 0.85 * simple
    assert 0.90 <= np.concatenate(inside).mean() <= 0.97
