# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intervals of a small backtest, against the closed form of the normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.gaussian import (
    INDEPENDENT_STEPS,
    gaussian_intervals,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.intervals import PointBacktest

LEVELS = (0.05, 0.5, 0.9, 0.95)
Z = stats.norm.ppf(LEVELS)
HORIZON = 6


def _tested(errors, final=10.0):
    """Two origins that missed by plus and minus ``errors`` (horizon,), around a forecast of ``final``."""
    forecast = np.full((1, 2, HORIZON), final)
    actual = forecast + np.stack([errors, -errors])[None]
    return PointBacktest(forecast, actual, np.ones(actual.shape, bool), np.full((1, HORIZON), final))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
def test_steps_are_normal_with_the_two_spreads_mixed(share):
    spread = np.sqrt(np.arange(1.0, HORIZON + 1))[None]
    found = gaussian_intervals(_tested(np.full(HORIZON, 2.0)), spread, share, LEVELS, 1, 0, 1.0)
    size = np.sqrt(share * spread[0] ** 2 + (1.0 - share) * 4.0)
    np.testing.assert_allclose(found.quantiles[0], np.maximum(10.0 + Z[:, None] * size, 0.0), atol=1e-9)
    # the backtest is scored with what was known of its errors alone
    np.testing.assert_allclose(found.backtest[0, 0], 10.0 + 2.0 * np.tile(Z, (HORIZON, 1)), atol=1e-9)


@pytest.mark.parametrize("window", [1, 2, 4, 6])
def test_the_maximum_is_that_of_a_few_independent_steps(window):
    found = gaussian_intervals(_tested(np.full(HORIZON, 2.0)), np.full((1, HORIZON), 2.0), 0.5, LEVELS, window, 0, 1.0)
    steps = min(window, INDEPENDENT_STEPS)
    expected = 10.0 + 2.0 * stats.norm.ppf(np.array(LEVELS) ** (1.0 / steps))
    np.testing.assert_allclose(found.window_maximum[0], np.maximum(expected, 10.0 + 2.0 * Z), atol=1e-9)
    if steps == window and window > 1:
        random = np.random.default_rng(window)
        drawn = (10.0 + 2.0 * random.standard_normal((200_000, window))).max(axis=1)
        np.testing.assert_allclose(found.window_maximum[0], np.quantile(drawn, LEVELS), atol=0.05)


def test_widening_skipped_steps_and_zero():
    spread = np.array([[1.0, 1.0, 5.0, 1.0, 1.0, 1.0]])
    wide = gaussian_intervals(_tested(np.zeros(HORIZON)), spread, 1.0, LEVELS, 2, 0, np.array([[1.0, 1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(wide.quantiles[0, :, 0], 10.0 + Z * [1, 1, 2, 3], atol=1e-9)
    skipped = gaussian_intervals(_tested(np.zeros(HORIZON)), spread, 1.0, LEVELS, 2, 1, 1.0)
    typical = np.sqrt((1.0 + 25.0) / 2.0)
    expected = np.maximum(10.0 + typical * stats.norm.ppf(np.sqrt(LEVELS)), 10.0 + Z * [1, 1, 5, 5])
    np.testing.assert_allclose(skipped.window_maximum[0], expected, atol=1e-9)
    low = gaussian_intervals(_tested(np.full(HORIZON, 3.0), final=1.0), 3.0 * spread, 0.5, LEVELS, 3, 0, 1.0)
    assert low.quantiles.min() == low.backtest.min() == 0.0
    assert (np.diff(low.quantiles, axis=1) >= 0).all()
    assert (np.diff(low.window_maximum) >= 0).all()
