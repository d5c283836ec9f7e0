# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantiles from several sources: each level takes the source that was right there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.blend import (
    BEST,
    SHARPNESS,
    WITHIN,
    Source,
    blend,
)

LEVELS = (0.1, 0.5, 0.95)


def _source(name, tested, final=None):
    tested = np.asarray(tested, dtype=np.float64)
    return Source(name, tested, tested[:, 0] if final is None else final)


def _constant(name, shape, quantiles):
    return _source(name, np.broadcast_to(np.asarray(quantiles, dtype=np.float64), (*shape, len(quantiles))))


def test_each_level_takes_the_source_that_is_right_there():
    random = np.random.default_rng(1)
    actual = random.standard_normal((3, 40, 20))
    truth = stats.norm.ppf(LEVELS)
    low = _constant("right below", actual.shape, [truth[0], truth[1], 6.0])
    high = _constant("right above", actual.shape, [-6.0, truth[1], truth[2]])
    found = blend([low, high], actual, np.ones(actual.shape, bool), LEVELS)
    np.testing.assert_allclose(found.weights[:, :, 0], [[1.0] * 3, [0.0] * 3])
    np.testing.assert_allclose(found.weights[:, :, 1], 0.5)
    np.testing.assert_allclose(found.weights[:, :, 2], [[0.0] * 3, [1.0] * 3])
    np.testing.assert_allclose(found.final, np.broadcast_to(truth, found.final.shape))
    np.testing.assert_allclose(found.tested, np.broadcast_to(truth, found.tested.shape))


def test_each_series_chooses_for_itself():
    actual = np.stack([np.full((8, 5), 1.0), np.full((8, 5), 3.0)])
    sources = [_constant("one", actual.shape, [1.0]), _constant("three", actual.shape, [3.0])]
    found = blend(sources, actual, np.ones(actual.shape, bool), (0.9,))
    np.testing.assert_array_equal(found.weights[:, :, 0], [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_array_equal(found.final[:, 0, 0], [1.0, 3.0])


def test_equal_sources_share_and_only_the_best_few():
    random = np.random.default_rng(2)
    actual = random.random((2, 10, 6))
    sources = [_constant(f"{index}", actual.shape, [0.2, 0.5, 0.9]) for index in range(BEST + 3)]
    weights = blend(sources, actual, np.ones(actual.shape, bool), LEVELS).weights
    np.testing.assert_allclose(weights[:BEST], 1.0 / BEST)
    assert (weights[BEST:] == 0.0).all()


def test_weights_fall_with_the_loss_to_the_sixth_and_end_at_the_limit():
    actual = np.zeros((1, 4, 3))
    # a median too high by d loses d / 2
    sources = [_constant(name, actual.shape, [d]) for name, d in (("a", 1.0), ("b", 1.1), ("c", WITHIN * 1.001))]
    weights = blend(sources, actual, np.ones(actual.shape, bool), (0.5,)).weights[:, 0, 0]
    raw = np.array([1.0, 1.1**-SHARPNESS, 0.0])
    np.testing.assert_allclose(weights, raw / raw.sum())
    assert SHARPNESS == 6


def test_what_was_not_observed_is_not_scored():
    actual = np.ones((1, 6, 4))
    actual[:, 3:] = 100.0
    seen = np.ones(actual.shape, bool)
    seen[:, 3:] = False
    sources = [_constant("one", actual.shape, [1.0]), _constant("hundred", actual.shape, [100.0])]
    np.testing.assert_array_equal(blend(sources, actual, seen, (0.5,)).weights[:, 0, 0], [1.0, 0.0])
    mixed = blend(sources, actual, ~seen, (0.5,)).weights[:, 0, 0]
    np.testing.assert_array_equal(mixed, [0.0, 1.0])


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_weights_sum_to_one_whatever_the_losses(scale):
    random = np.random.default_rng(3)
    actual = scale * random.random((4, 12, 6))
    sources = [_source(f"{index}", scale * random.random((4, 12, 6, 3))) for index in range(7)]
    sources.append(_source("exact", np.repeat(actual[..., None], 3, axis=-1)))
    found = blend(sources, actual, np.ones(actual.shape, bool), LEVELS)
    np.testing.assert_allclose(found.weights.sum(axis=0), 1.0)
    np.testing.assert_allclose(found.tested, sources[-1].tested)
    nothing = blend(sources, actual, np.zeros(actual.shape, bool), LEVELS)
    np.testing.assert_allclose(nothing.weights.sum(axis=0), 1.0)
