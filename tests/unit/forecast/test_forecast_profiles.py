# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Median of the phase, shape at today's level, and zero, by hand and on the demand they are for."""

from __future__ import annotations

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import SeasonalMean
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.profiles import (
    LEVEL_OFFSET,
    MOST_RATIO,
    LevelledProfile,
    PhaseMedian,
    Zero,
    same_phase,
)


def test_the_median_of_the_same_phase_by_hand():
    values = np.array([[9.0, 1, 2, 3, 4, 9, 1, 2, 3, 40, 9, 1]])
    path = PhaseMedian(5, 2, reach=0).predict(values, np.array([11]), 7)
    # a season of 5: phases of steps 11 to 15 are at 6 and 1, 7 and 2, 8 and 3, 9 and 4, 10 and 5
    np.testing.assert_allclose(path[0, 0], [1, 2, 3, 22, 9, 1, 2])
    near = PhaseMedian(5, 2).predict(values, np.array([11]), 3)
    # at the first phase 5, 6, 7 and 0, 1, 2: the median of 9, 1, 2, 9, 1, 2
    np.testing.assert_allclose(near[0, 0], [2.0, np.median([1, 2, 3, 1, 2, 3]), np.median([2, 3, 40, 2, 3, 4])])


def test_what_lies_beyond_the_origin_is_not_seen():
    values = np.arange(24.0)[None]
    seen = same_phase(values, np.array([12]), np.arange(4), 4, 2, 1)
    assert seen.max() == 11.0
    np.testing.assert_array_equal(seen[0, 0, 3], [11, 11, 10, 8, 7, 6])
    for candidate in (PhaseMedian(4, 2), LevelledProfile(4, 2, 3)):
        spoiled = values.copy()
        spoiled[:, 12:] = 1e9
        origins = np.array([candidate.samples_lost, 12])
        np.testing.assert_array_equal(
            candidate.predict(values[:, :12], origins, 9), candidate.predict(spoiled, origins, 9)
        )


def test_bursts_do_not_move_the_median_but_the_mean():
    random = np.random.default_rng(2)
    usual = np.tile(2.0 + np.sin(2 * np.pi * np.arange(24) / 24), 8)
    bursts = np.where(random.random(usual.size) < 0.05, 10.0, 1.0)
    miss = {}
    for candidate in (PhaseMedian(24, 7), SeasonalMean(24, 7)):
        path = candidate.predict((usual * bursts)[None], np.array([24 * 8]), 24)[0, 0]
        miss[candidate.name] = np.abs(path - usual[:24]).mean()
    assert miss["median of last 7 seasons(24)"] < 0.15 < 0.5 < miss["mean of last 7 seasons(24)"]


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_the_shape_is_brought_to_the_level_of_the_last_samples(ratio):
    shape = np.array([1.0, 2.0, 4.0, 2.0])
    values = np.tile(shape, 5)
    values[-2:] *= ratio
    path = LevelledProfile(4, 2, 2).predict(values[None], np.array([20]), 6)[0, 0]
    usual = 3.0  # the mean of 4 and 2, at these phases in the seasons before
    found = (ratio * usual + LEVEL_OFFSET) / (usual + LEVEL_OFFSET)
    before = np.stack([values[16:20], values[12:16]]).mean(axis=0)
    np.testing.assert_allclose(path, found * before[np.arange(6) % 4])


def test_the_ratio_of_levels_is_bounded():
    values = np.concatenate([np.full(8, 1e-9), np.full(2, 5.0)])[None]
    path = LevelledProfile(4, 1, 2).predict(values, np.array([10]), 2)[0, 0]
    np.testing.assert_allclose(path, MOST_RATIO * 1e-9)
    silent = LevelledProfile(4, 1, 2).predict(np.zeros((1, 10)), np.array([10]), 2)
    np.testing.assert_array_equal(silent, np.zeros((1, 1, 2)))


def test_origins_and_series_do_not_touch_each_other():
    values = np.random.default_rng(3).random((5, 120))
    origins = np.array([60, 77, 101])
    for candidate in (PhaseMedian(12, 3), LevelledProfile(12, 3, 4), Zero()):
        together = candidate.predict(values, origins, 30)
        assert together.shape == (5, 3, 30)
        for column, origin in enumerate(origins):
            alone = candidate.predict(values[2:3], np.array([origin]), 30)
            np.testing.assert_allclose(together[2:3, column : column + 1], alone)
    assert (Zero().predict(values, origins, 30) == 0.0).all()
    assert (PhaseMedian(12, 3).samples_lost, LevelledProfile(12, 3, 4).samples_lost) == (37, 40)
