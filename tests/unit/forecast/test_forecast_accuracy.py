# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy on the M4 hourly series, scored by a few independent lines."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import load_reference, make_series

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options

SAMPLE = 40
LEVELS = [0.025, 0.5, 0.95, 0.975]


@pytest.fixture(scope="module")
def m4():
    train, test = load_reference("m4_hourly_even_train"), load_reference("m4_hourly_even_test")
    return [(name, train[name], test[name]) for name in sorted(train)[:: len(train) // SAMPLE][:SAMPLE]]


def _forecast(m4, engine):
    options = parse_options({"horizon_steps": 48, "window_steps": 12, "quantiles": LEVELS, "engine": engine})
    return forecast_series([make_series(name, train) for name, train, _test in m4], options)["series"]


def _mase(m4, forecasts):
    scores = []
    for name, train, test in m4:
        scale = np.mean(np.abs(train[24:] - train[:-24]))
        scores.append(np.mean(np.abs(test - forecasts[name])) / scale)
    return float(np.mean(scores))


def _smape(m4, forecasts):
    return float(
        np.mean(
            [
                200 * np.mean(np.abs(test - forecasts[name]) / (np.abs(test) + np.abs(forecasts[name])))
                for name, _train, test in m4
            ]
        )
    )


def test_seasonal_naive_is_the_last_day_twice(m4):
    ours = _forecast(m4, "seasonal_naive")
    assert all(fields["level_shift"] is None for fields in ours.values())
    expected = {name: np.tile(train[-24:], 2) for name, train, _test in m4}
    means = {name: np.array(fields["mean"]) for name, fields in ours.items()}
    differ = {name: np.flatnonzero(~np.isclose(means[name], path, rtol=1e-5)) for name, path in expected.items()}
    # a lone spike in the last day is not repeated
    spiked = {name: steps for name, steps in differ.items() if steps.size}
    assert len(spiked) <= 0.05 * len(m4)
    for name, steps in spiked.items():
        assert steps.size == 2
        assert np.diff(steps) == 24
        assert (means[name][steps] < expected[name][steps]).all()
    assert _mase(m4, means) == pytest.approx(_mase(m4, expected), rel=0.01)


def test_auto_beats_seasonal_naive_by_a_quarter_and_covers(m4):
    ours = _forecast(m4, "auto")
    means = {name: np.array(fields["mean"]) for name, fields in ours.items()}
    naive = {name: np.tile(train[-24:], 2) for name, train, _test in m4}
    owa = 0.5 * (_mase(m4, means) / _mase(m4, naive) + _smape(m4, means) / _smape(m4, naive))
    assert owa < 0.75
    covered = np.mean([np.mean(test <= np.array(ours[name]["quantiles"]["0.95"])) for name, _train, test in m4])
    assert 0.92 <= covered <= 0.98
    topped = np.mean([test[:12].max() <= ours[name]["window_maximum"]["0.95"] for name, _train, test in m4])
    assert topped >= 0.85
    claimed = np.mean([fields["backtest"]["coverage"]["0.95"] for fields in ours.values()])
    assert abs(claimed - covered) < 0.04
