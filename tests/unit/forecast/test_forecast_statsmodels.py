# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines that fit named orders through statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import daily_demand, make_series
from statsmodels.tsa.statespace.sarimax import SARIMAX

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import statsmodels_engines
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options


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

    def sometimes(self, values, fitted_to):
        if values[0] == values[24]:
            raise np.linalg.LinAlgError("Singular matrix")
        return fit(self, values, fitted_to)

    monkeypatch.setattr(statsmodels_engines.StatsmodelsForecaster, "_fit", sometimes)
    periodic = np.tile(np.arange(1.0, 25.0), 12)
    series = [make_series("periodic", periodic), make_series("wave", daily_demand(3, 288))]
    found = forecast_series(series, _options(engine="arima"))["series"]
    assert found["periodic"]["mean"] == [float(value) for value in range(1, 13)]
    assert "could not be fitted (Singular matrix); seasonal naive stands in" in found["periodic"]["warnings"][-1]
    assert not any("could not" in text for text in found["wave"]["warnings"])
