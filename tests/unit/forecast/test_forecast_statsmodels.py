# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines that fit named orders through statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import daily_demand, make_series
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.statespace.sarimax import SARIMAX

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import statsmodels_engines
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import make_panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
    parse_options,
)


def _options(**params):
    return parse_options({"horizon_steps": 12, "quantiles": [0.5, 0.95], **params})


@pytest.mark.parametrize("engine", ["arima", "sarimax"])
def test_a_wave_is_forecast_better_than_by_seasonal_naive_and_repeatably(engine):
    series = [make_series("wave", daily_demand(1, 300))]
    document = forecast_series(series, _options(engine=engine))
    fields = document["series"]["wave"]
    assert fields["model"].startswith(engine)
    assert fields["backtest"]["skill"] > 0.1
    assert fields["warnings"] == []
    assert canonical_bytes(document) == canonical_bytes(forecast_series(series, _options(engine=engine)))


def test_sarimax_equals_statsmodels_called_plainly():
    values = daily_demand(2, 240)
    order, seasonal_order = [1, 0, 0], [0, 1, 1, 24]
    options = _options(engine="sarimax", order=order, seasonal_order=seasonal_order)
    fields = forecast_series([make_series("wave", values)], options)["series"]["wave"]
    plain = SARIMAX(values, order=order, seasonal_order=seasonal_order).fit(disp=0, maxiter=200).forecast(12)
    np.testing.assert_allclose(fields["mean"], plain, rtol=0.01)
    assert fields["model"] == "sarimax(1,0,0)(0,1,1)24"


def test_differenced_arima_follows_a_trend():
    line = 100.0 + 2.0 * np.arange(200) + np.random.default_rng(1).standard_normal(200)
    options = _options(engine="arima", order=[1, 1, 1], seasonal_periods=[200])
    fields = forecast_series([make_series("line", line)], options)["series"]["line"]
    assert abs(fields["mean"][0] - line[-1]) < 10.0


def test_a_fit_that_fails_falls_back_to_seasonal_naive_for_that_series_alone(monkeypatch):
    fit = statsmodels_engines.StatsmodelsForecaster._fit

    def sometimes(self, row, values, fitted_to):
        if values[0] == values[24]:
            raise np.linalg.LinAlgError("Singular matrix")
        return fit(self, row, values, fitted_to)

    monkeypatch.setattr(statsmodels_engines.StatsmodelsForecaster, "_fit", sometimes)
    periodic = np.tile(np.arange(1.0, 25.0), 12)
    series = [make_series("periodic", periodic), make_series("wave", daily_demand(3, 288))]
    found = forecast_series(series, _options(engine="arima"))["series"]
    assert found["periodic"]["mean"] == [float(value) for value in range(1, 13)]
    assert "could not be fitted (Singular matrix); seasonal naive stands in" in found["periodic"]["warnings"][-1]
    assert not any("could not" in text for text in found["wave"]["warnings"])


def _forecaster(engine, order, seasonal_order=None, periods=()):
    options = ForecastOptions(horizon_steps=12, engine=engine, order=order, seasonal_order=seasonal_order)
    return statsmodels_engines.StatsmodelsForecaster(options, periods)


@pytest.mark.parametrize("engine", ["arima", "sarimax"])
def test_a_named_order_equals_a_direct_call_of_statsmodels(engine):
    panel = make_panel([daily_demand(4, 200)], ())
    p, q = (2, 0) if engine == "arima" else (2, 1)
    path = _forecaster(engine, (p, 1, q)).forecast(panel, 200, [200], 12)[0, 0, 0]
    mean = panel.values[0].mean()
    steps = np.diff(panel.values[0] - mean)
    if engine == "arima":
        reference = ARIMA(steps, order=(p, 0, q), trend="n").fit(method="hannan_rissanen")
    else:
        reference = SARIMAX(steps, order=(p, 0, q), concentrate_scale=True).fit(disp=0, cov_type="none", maxiter=50)
    expected = panel.values[0, -1] + np.cumsum(reference.forecast(12))
    np.testing.assert_allclose(path, np.clip(expected, 0.0, panel.ceiling[0]), rtol=1e-8)


def test_states_run_on_to_later_origins_with_the_parameters_of_the_head():
    panel = make_panel([daily_demand(5, 200)], ())
    path = _forecaster("sarimax", (2, 0, 0)).forecast(panel, 150, [150, 180], 12)[0, 0]
    level = panel.values[0, :150].mean()
    head = SARIMAX(panel.values[0, :150] - level, order=(2, 0, 0), concentrate_scale=True)
    params = head.fit(disp=0, cov_type="none", maxiter=50).params
    later = SARIMAX(panel.values[0, :180] - level, order=(2, 0, 0), concentrate_scale=True).smooth(params)
    np.testing.assert_allclose(path[1], np.maximum(later.forecast(12) + level, 0.0), rtol=1e-6)


@pytest.mark.parametrize("engine", ["arima", "sarimax"])
def test_a_searched_order_is_told_and_forecasts_as_the_same_order_named(engine):
    random = np.random.default_rng(3)
    values = [10.0, 10.0]
    for _step in range(220):
        values.append(5.0 + values[-1] - 0.5 * values[-2] + random.standard_normal())
    panel = make_panel([values[20:]], ())
    searched = _forecaster(engine, None)
    path = searched.forecast(panel, panel.length, [panel.length], 12)
    found = searched.found[0]
    assert searched.names == (f"{engine}(auto)",)
    assert found.order[1] == 0 and found.complete
    named = _forecaster(engine, found.order).forecast(panel, panel.length, [panel.length], 12)
    np.testing.assert_allclose(path, named, rtol=1e-6)


def test_a_searched_seasonal_order_uses_the_season():
    wave = 50.0 + 20.0 * np.sin(2 * np.pi * np.arange(96) / 12)
    panel = make_panel([wave + np.random.default_rng(6).standard_normal(96)], (12,))
    searched = _forecaster("sarimax", None, periods=(12,))
    path = searched.forecast(panel, 96, [96], 12)[0, 0, 0] * panel.scale[0]
    assert searched.names == ("sarimax(auto)(auto)12",)
    assert searched.found[0].seasonal_order[1] == 1
    assert np.abs(path - wave[:12]).max() < 5.0
