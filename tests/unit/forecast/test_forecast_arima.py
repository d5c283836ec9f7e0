# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The batched least-squares core against statsmodels and plain least squares."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import daily_demand
from statsmodels.tsa.ar_model import AutoReg

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import arima
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.arima import SubsetAutoregression

DAY = 24


def _fit(values, specification, last_row=None):
    z = arima.difference(values, specification.difference)
    equations = arima.normal_equations(
        z, np.ones(z.shape, bool), specification.terms, specification.samples_lost, last_row or z.shape[1]
    )
    return arima.solve(equations, specification)


@pytest.mark.parametrize("lags", [(1,), (1, 2, 3), (1, 2, 24, 25), (1, 2, 3, 24, 25, 168, 169)])
@pytest.mark.parametrize("log", [False, True])
def test_subset_autoregression_equals_statsmodels_autoreg(lags, log):
    values = np.stack([daily_demand(seed) for seed in range(3)])
    values = np.log(values) if log else values / values.mean(axis=1, keepdims=True)
    specification = SubsetAutoregression(lags, log=log)
    coefficients = _fit(values, specification)
    paths = arima.predict(specification, coefficients, values, np.array([values.shape[1]]), 60)
    for row, one in enumerate(values):
        reference = AutoReg(one, lags=list(lags), trend="c").fit()
        np.testing.assert_allclose(coefficients[row], reference.params, rtol=0, atol=1e-8)
        expected = reference.predict(len(one), len(one) + 59, dynamic=True)
        np.testing.assert_allclose(paths[row, 0], expected, rtol=0, atol=1e-8)


def test_fourier_terms_equal_statsmodels_autoreg_with_exogenous_waves():
    values = daily_demand(5)[None] / 50.0
    specification = SubsetAutoregression((1, 2, 24), harmonics=((DAY, 2),))
    when = np.arange(values.shape[1] + 48)
    waves = np.stack([arima.deterministic(term, when) for term in specification.terms[4:]], axis=1)
    reference = AutoReg(values[0], lags=[1, 2, 24], trend="c", exog=waves[: values.shape[1]]).fit()
    coefficients = _fit(values, specification)
    np.testing.assert_allclose(coefficients[0], reference.params, rtol=0, atol=1e-8)
    path = arima.predict(specification, coefficients, values, np.array([values.shape[1]]), 48)[0, 0]
    end = values.shape[1]
    expected = reference.predict(end, end + 47, dynamic=True, exog_oos=waves[end:])
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("span", [1, DAY])
def test_differenced_forecast_equals_autoreg_of_the_differences_summed_up(span):
    values = daily_demand(6)[None]
    specification = SubsetAutoregression((1, 2, 24), difference=span)
    origin = 400
    path = arima.predict(specification, _fit(values, specification, origin), values, np.array([origin]), 60)[0, 0]
    z = values[0, span:origin] - values[0, : origin - span]
    steps = AutoReg(z, lags=[1, 2, 24], trend="c").fit().predict(len(z), len(z) + 59, dynamic=True)
    expected = list(values[0, :origin])
    for step in steps:
        expected.append(step + expected[-span])
    np.testing.assert_allclose(path, expected[origin:], rtol=1e-8)


def test_means_of_recent_samples_equal_a_plain_regression_and_recursion():
    values = daily_demand(7)
    specification = SubsetAutoregression((1, 24), means=(3, 30))
    rows = np.arange(30, 504)
    X = np.stack(
        [np.ones(rows.size), values[rows - 1], values[rows - 24]]
        + [np.array([values[t - width : t].mean() for t in rows]) for width in (3, 30)],
        axis=1,
    )
    beta = np.linalg.lstsq(X, values[rows], rcond=None)[0]
    coefficients = _fit(values[None], specification)
    np.testing.assert_allclose(coefficients[0], beta, rtol=0, atol=1e-8)
    history = list(values)
    for _step in range(50):
        history.append(beta @ [1.0, history[-1], history[-24], np.mean(history[-3:]), np.mean(history[-30:])])
    path = arima.predict(specification, coefficients, values[None], np.array([504]), 50)[0, 0]
    np.testing.assert_allclose(path, history[504:], rtol=1e-8)


def test_rows_whose_target_was_filled_weigh_nothing():
    values = daily_demand(8)
    observed = np.ones(values.shape, bool)
    observed[100:130] = False
    specification = SubsetAutoregression((1, 2, 24))
    equations = arima.normal_equations(values[None], observed[None], specification.terms, 24, 504)
    rows = np.flatnonzero(observed)
    rows = rows[rows >= 24]
    X = np.stack([np.ones(rows.size)] + [values[rows - lag] for lag in (1, 2, 24)], axis=1)
    expected = np.linalg.lstsq(X, values[rows], rcond=None)[0]
    np.testing.assert_allclose(arima.solve(equations, specification)[0], expected, rtol=0, atol=1e-8)


def test_every_origin_sees_only_its_own_past():
    values = daily_demand(9)[None]
    specification = SubsetAutoregression((1, 2, 24, 25), means=(3, 24), harmonics=((DAY, 2),))
    coefficients = _fit(values, specification, 300)
    origins = np.array([300, 341, 420])
    paths = arima.predict(specification, coefficients, values, origins, 48)
    for index, origin in enumerate(origins):
        changed = values.copy()
        changed[:, origin:] = 1e6
        alone = arima.predict(specification, coefficients, changed, np.array([origin]), 48)
        np.testing.assert_allclose(paths[:, index], alone[:, 0], rtol=1e-9)


def test_a_perfectly_periodic_series_is_solved_and_continued():
    wave = 2.0 + np.sin(2 * np.pi * np.arange(240) / DAY)
    specification = SubsetAutoregression((1, 2, 24, 25))
    coefficients = _fit(wave[None], specification)
    path = arima.predict(specification, coefficients, wave[None], np.array([240]), 48)[0, 0]
    np.testing.assert_allclose(path, 2.0 + np.sin(2 * np.pi * np.arange(240, 288) / DAY), atol=1e-4)


@pytest.mark.parametrize("span", [1, DAY])
def test_differencing_with_waves_and_missing_targets_equals_plain_least_squares_on_the_observed_rows(span):
    values = daily_demand(10) / 50.0
    observed = np.ones(values.shape, bool)
    observed[[150, 151, 152, 300, 411]] = False
    specification = SubsetAutoregression((1, 2, 24), difference=span, harmonics=((DAY, 2),))
    z = arima.difference(values[None], span)
    first = specification.samples_lost
    equations = arima.normal_equations(z, observed[None], specification.terms, first, values.size)
    rows = np.array([t for t in range(first, values.size) if observed[t]])
    angles = 2 * np.pi * rows[:, None] * np.array([1, 2]) / DAY
    waves = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(rows.size, 4)
    change = np.r_[np.zeros(span), values[span:] - values[:-span]]
    X = np.column_stack([np.ones(rows.size), *(change[rows - lag] for lag in (1, 2, 24)), waves])
    expected = np.linalg.lstsq(X, change[rows], rcond=None)[0]
    np.testing.assert_allclose(arima.solve(equations, specification)[0], expected, rtol=0, atol=1e-8)


def test_differencing_with_waves_equals_statsmodels_autoreg():
    values = daily_demand(11)[None] / 50.0
    specification = SubsetAutoregression((1, 2, 24), difference=1, harmonics=((DAY, 2),))
    coefficients = _fit(values, specification)
    when = np.arange(1, values.shape[1])
    waves = np.stack([arima.deterministic(term, when) for term in specification.terms[4:]], axis=1)
    reference = AutoReg(np.diff(values[0]), lags=[1, 2, 24], trend="c", exog=waves).fit()
    np.testing.assert_allclose(coefficients[0], reference.params, rtol=0, atol=1e-8)
