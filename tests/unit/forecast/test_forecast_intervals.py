# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantiles that cover what they say, by simulation and against scipy and numpy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import lay_out, targets
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.blend import Source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.conformal import (
    long_source,
    spread_by_lead,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.empirical import (
    masked_quantiles,
    phase_quantiles,
    recent_quantiles,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.intervals import (
    PointBacktest,
    find_intervals,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import make_panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import forecast_panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import ForecastOptions
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import (
    t_cdf,
    t_quantile,
    tail_allowance,
)

LEVELS = (0.05, 0.5, 0.9, 0.95)
HORIZON, WINDOW = 24, 6


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
    whole = masked_quantiles(values, np.ones_like(mask), LEVELS)
    np.testing.assert_allclose(whole, np.quantile(values, LEVELS, axis=1, method="weibull").T)
    assert (masked_quantiles(values, np.zeros_like(mask), LEVELS) == 0.0).all()
    # never beyond the extremes
    np.testing.assert_array_equal(
        masked_quantiles(values[:1, :3], mask[:1, :3] | True, (0.01, 0.99))[0],
        [values[0, :3].min(), values[0, :3].max()],
    )


def test_quantiles_of_the_past_by_hand():
    values = np.arange(20.0)[None]
    np.testing.assert_allclose(recent_quantiles(values, np.array([3, 20]), 5, (0.5,))[0, :, 0], [1.0, 17.0])
    # before 20 with a season of 5: leads 0 and 6 are phases 15, 10 and 16, 11, with one neighbour on each side
    found = phase_quantiles(values, np.array([20]), np.array([0, 6]), 5, 2, 1, (0.001, 0.5, 0.999))
    np.testing.assert_allclose(found[0, 0], [[9.0, 12.5, 16.0], [10.0, 13.5, 17.0]])
    # the last phase's neighbour lies in the future: the last known sample stands in for it
    last = phase_quantiles(values, np.array([20]), np.array([4]), 5, 1, 1, (0.001, 0.999))
    np.testing.assert_allclose(last[0, 0], [[18.0, 19.0]])


def _simulate(noise, level, series=400, length=480, seed=3):
    """Panels whose true mean is the forecast, with independent errors ``noise(random, level)``, and what followed.

    Returns:
        The intervals on the scale of the data, the mean (S, horizon) and what happened then.
    """
    random = np.random.default_rng(seed)
    mean = level(random, (series, length + HORIZON))
    demand = np.maximum(mean + noise(random, mean), 0.0)
    panel = make_panel(demand[:, :length], ())
    layout = lay_out(length, HORIZON, ())
    assert layout is not None
    guess = mean / panel.scale[:, None]
    tested = PointBacktest(
        targets(guess, layout), targets(panel.actual, layout), targets(panel.observed, layout), guess[:, length:]
    )
    found = find_intervals(panel, layout, tested, LEVELS, WINDOW)
    paths = found.quantiles * panel.scale[:, None, None]
    return paths, found.window_maximum * panel.scale[:, None], mean[:, length:], demand[:, length:]


def _level(random, shape):
    return np.exp(random.uniform(-1.0, 1.0, shape))


@pytest.mark.parametrize(
    ("power", "noise"),
    [
        (0.0, lambda random, level: 0.1 * random.standard_normal(level.shape)),
        (0.5, lambda random, level: 0.1 * np.sqrt(level) * random.standard_normal(level.shape)),
        (1.0, lambda random, level: 0.2 * level * random.standard_normal(level.shape)),
    ],
)
def test_coverage_and_the_law_of_the_noise_by_simulation(power, noise):
    paths, tops, mean, actual = _simulate(noise, _level)
    for index, level in enumerate(LEVELS):
        share = np.mean(actual <= paths[:, index])
        # the allowance for eight windows widens: never less than asked, and not by much more
        assert level - 0.015 <= share <= level + 0.03 or (level < 0.5 and level - 0.03 <= share <= level + 0.015)
        if level > 0.5:
            assert level - 0.03 <= np.mean(actual[:, :WINDOW].max(axis=1) <= tops[:, index])
    # the width goes with the level as the noise does; powers that lose little share the weight
    width = np.log(paths[:, 3] - paths[:, 0])
    slope = np.polyfit(np.log(mean).ravel(), width.ravel(), 1)[0]
    assert slope == pytest.approx(power, abs=0.25)


def test_skewed_noise_gets_skewed_quantiles():
    paths, _tops, _mean, actual = _simulate(
        lambda random, level: level * (random.exponential(0.5, level.shape) - 0.5), _level
    )
    upper, middle, lower = paths[:, 3], paths[:, 1], paths[:, 0]
    assert np.mean((upper - middle) > 1.5 * (middle - lower)) > 0.95
    assert 0.93 <= np.mean(actual <= upper) <= 0.99


def test_the_maximum_over_a_window_is_not_the_maximum_of_the_quantiles():
    paths, tops, _mean, actual = _simulate(
        lambda random, level: 0.2 * random.standard_normal(level.shape), lambda random, shape: np.full(shape, 2.0)
    )
    peak = actual[:, :WINDOW].max(axis=1)
    naive = paths[:, :, :WINDOW].max(axis=2)
    median = LEVELS.index(0.5)
    assert np.mean(peak <= naive[:, median]) < 0.1
    assert 0.4 <= np.mean(peak <= tops[:, median]) <= 0.6
    assert (tops >= naive).all()


def test_where_the_forecast_knows_nothing_the_past_speaks():
    """Demand that is independent of any forecast: its own quantiles cover, and a wild forecast does not widen them."""
    random = np.random.default_rng(8)
    demand = random.lognormal(0.0, 1.0, (200, 480 + HORIZON))
    panel, layout = make_panel(demand[:, :480], ()), lay_out(480, HORIZON, ())
    assert layout is not None
    wild = 3.0 * random.random((200, 480 + HORIZON))
    tested = PointBacktest(
        targets(wild, layout), targets(panel.actual, layout), targets(panel.observed, layout), wild[:, 480:]
    )
    paths = find_intervals(panel, layout, tested, LEVELS, WINDOW).quantiles * panel.scale[:, None, None]
    assert 0.93 <= np.mean(demand[:, 480:] <= paths[:, 3]) <= 0.985
    truth = np.exp(stats.norm.ppf(0.95))
    assert np.median(paths[:, 3]) == pytest.approx(truth, rel=0.25)


def test_filled_samples_are_not_calibrated():
    random = np.random.default_rng(5)
    panel, layout = make_panel(1.0 + 0.1 * random.standard_normal((3, 240)), ()), lay_out(240, 12, ())
    assert layout is not None
    actual = targets(panel.actual, layout)
    guess = np.ones_like(actual)
    seen = np.ones(actual.shape, bool)
    seen[:, ::3, 4:8] = False
    spoiled = np.where(seen, actual, 1e6)
    one, other, naive = (
        find_intervals(panel, layout, PointBacktest(guess, told, mask, guess[:, 0]), LEVELS, 4)
        for told, mask in ((actual, seen), (spoiled, seen), (spoiled, np.ones_like(seen)))
    )
    np.testing.assert_array_equal(one.quantiles, other.quantiles)
    np.testing.assert_array_equal(one.window_maximum, other.window_maximum)
    assert not np.allclose(one.window_maximum, naive.window_maximum)
    np.testing.assert_allclose(spread_by_lead(guess, actual, seen, 0.0), spread_by_lead(guess, spoiled, seen, 0.0))


def test_spread_by_lead_is_the_root_mean_square_over_neighbouring_leads():
    forecast = np.full((1, 2, 16), 4.0)
    error = np.arange(16.0)
    actual = forecast + np.stack([error, -error])[None]
    seen = np.ones(forecast.shape, bool)
    smooth = [np.sqrt(np.mean(error[max(0, lead - 2) : lead + 3] ** 2)) for lead in range(16)]
    np.testing.assert_allclose(spread_by_lead(forecast, actual, seen, 0.0)[0], smooth, atol=1e-9)
    np.testing.assert_allclose(spread_by_lead(forecast, actual, seen, 0.5)[0], np.array(smooth) / 2.0, atol=1e-9)
    np.testing.assert_allclose(spread_by_lead(forecast, actual, seen, 1.0)[0], np.array(smooth) / 4.0, atol=1e-9)


def test_widening_moves_the_quantiles_out_from_the_forecast_and_not_those_of_the_backtest():
    random = np.random.default_rng(6)
    panel, layout = make_panel(5.0 + 0.1 * random.standard_normal((2, 480)), ()), lay_out(480, HORIZON, ())
    assert layout is not None
    actual = targets(panel.actual, layout)
    guess = np.ones_like(actual)
    tested = PointBacktest(guess, actual, np.ones(actual.shape, bool), guess[:, 0])
    plain = find_intervals(panel, layout, tested, LEVELS, WINDOW)
    wide = find_intervals(panel, layout, tested, LEVELS, WINDOW, widening=np.array([[1.0] * 4, [2.0] * 4]))
    np.testing.assert_array_equal(wide.backtest, plain.backtest)
    np.testing.assert_allclose(wide.quantiles[0], plain.quantiles[0])
    # stretched from a_q to 2 a_q: for the upper levels that is the distance times (2 a + ...) / a of the blend
    for index in (0, 2, 3):
        allowance = tail_allowance(LEVELS[index], layout.windows)
        ratio = (wide.quantiles[1, index] - 1.0) / (plain.quantiles[1, index] - 1.0)
        np.testing.assert_allclose(ratio, 2.0 * allowance / allowance, rtol=1e-9)


def test_a_source_that_is_given_and_right_is_believed():
    """Quantiles that are exact beat those learned from the errors of a bad forecast."""
    random = np.random.default_rng(7)
    demand = random.exponential(1.0, (50, 480))
    panel, layout = make_panel(demand, ()), lay_out(480, HORIZON, ())
    assert layout is not None
    actual = targets(panel.actual, layout)
    bad = random.random(actual.shape) * 2.0
    exact = stats.expon.ppf(LEVELS) / panel.scale[:, None]
    told = np.where(actual[..., None] > 1.0, 3.0, 0.5) * np.array([0.4, 0.9, 1.0, 1.1])
    tested = PointBacktest(bad, actual, np.ones(actual.shape, bool), bad[:, 0])
    prophet = Source("prophet", told, np.broadcast_to(exact[:, None, :], (50, HORIZON, 4)))
    plain = find_intervals(panel, layout, dataclasses.replace(tested), LEVELS, WINDOW)
    given = find_intervals(panel, layout, tested, LEVELS, WINDOW, extra=[prophet])
    stretch = tail_allowance(0.95, layout.windows)
    expected = tested.final + stretch * (exact[:, 3:] - tested.final)
    assert np.mean(np.abs(given.quantiles[:, 3] - expected) < 0.02) > 0.9
    assert np.mean(np.abs(plain.quantiles[:, 3] - expected) < 0.02) < 0.2


def test_no_quantile_lies_far_beyond_what_was_ever_seen():
    """Demand that jumps from nearly nothing: errors relative to its level are in the hundreds."""
    random = np.random.default_rng(3)
    values = 0.001 * random.random((6, 16 * 24))
    values[:, -30:] = 5.0 + random.random((6, 30))
    panel = make_panel(list(values), (24,))
    layout = lay_out(values.shape[1], HORIZON, (24,))
    result = forecast_panel(panel, layout, ForecastOptions(horizon_steps=HORIZON, window_steps=WINDOW))
    seen = values.max(axis=1) / panel.scale
    np.testing.assert_allclose(panel.highest, seen)
    most = 1.25 * (1.0 + 8.0 / values.shape[1]) * np.maximum(seen[:, None], result.mean)
    assert (result.quantiles <= most[:, None, :] * (1.0 + 1e-12)).all()
    assert (result.window_maximum <= most.max(axis=1)[:, None] * (1.0 + 1e-12)).all()
    assert (result.mean <= 2.0 * seen[:, None] * (1.0 + 1e-12)).all()


def test_the_whole_historys_errors_are_scaled_to_those_of_the_forecast():
    """A perfect forecast has no errors of its own, so nothing is added; one twice as wrong adds twice as much."""
    random = np.random.default_rng(4)
    values = 10.0 + random.standard_normal((3, 24 * 20))
    layout = lay_out(values.shape[1], HORIZON, (24,))
    actual, known = targets(values, layout), np.ones(values.shape, dtype=bool)
    final = np.full((3, HORIZON), 10.0)
    perfect = long_source(values, known, 24, layout, actual, final, LEVELS)
    np.testing.assert_allclose(perfect.final, final[..., None] + np.zeros(len(LEVELS)))
    once = long_source(values, known, 24, layout, actual + 0.5, final, LEVELS)
    twice = long_source(values, known, 24, layout, actual + 1.0, final, LEVELS)
    np.testing.assert_allclose((twice.final - 10.0) / (once.final - 10.0), 2.0, rtol=0.06)
