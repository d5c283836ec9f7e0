# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample paths: their marginals in closed form, their dependence by construction and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.sample_paths import draw_paths

LEVELS = (0.05, 0.5, 0.9, 0.95)
Z = stats.norm.ppf(LEVELS)


def _autoregression(random, shape, phi):
    noise = random.standard_normal(shape)
    for step in range(1, shape[-1]):
        noise[..., step] = phi * noise[..., step - 1] + np.sqrt(1 - phi * phi) * noise[..., step]
    return noise


def _draw(quantiles, errors, *, observed=None, names=None, count=100, seed=1, levels=LEVELS):
    seen = np.ones(errors.shape, bool) if observed is None else observed
    names = [f"series {row}" for row in range(len(errors))] if names is None else names
    return draw_paths(levels, quantiles, errors, seen, names=names, count=count, seed=seed)


def _example(series=3, origins=16, leads=12, seed=2, phi=0.8):
    random = np.random.default_rng(seed)
    rises = random.uniform(0.1, 3.0, (series, len(LEVELS), leads))
    return 5.0 + np.cumsum(rises, axis=1), _autoregression(random, (series, origins, leads), phi)


@pytest.mark.parametrize("count", [5, 10, 30, 1000])
def test_sorted_paths_equal_the_quantile_function_at_every_rank(count):
    quantiles, errors = _example()
    ordered = np.sort(_draw(quantiles, errors, count=count), axis=1)
    at = stats.norm.ppf((np.arange(count) + 0.5) / count)
    for row in range(3):
        for lead in range(12):
            given = quantiles[row, :, lead]
            expected = np.interp(at, Z, given)
            low, high = at < Z[0], at > Z[-1]
            expected[low] = given[0] + (given[1] - given[0]) / (Z[1] - Z[0]) * (at[low] - Z[0])
            expected[high] = given[3] + (given[3] - given[2]) / (Z[3] - Z[2]) * (at[high] - Z[3])
            np.testing.assert_allclose(ordered[row, :, lead], np.maximum(expected, 0.0), rtol=1e-12, atol=1e-12)


def test_the_given_levels_are_met_exactly_where_a_rank_falls_on_them():
    quantiles, errors = _example()
    ordered = np.sort(_draw(quantiles, errors, count=10), axis=1)
    np.testing.assert_allclose(ordered[:, 0], quantiles[:, 0], rtol=1e-12)
    np.testing.assert_allclose(ordered[:, 9], quantiles[:, 3], rtol=1e-12)


def test_normal_quantiles_give_normal_paths_and_never_negative_demand():
    errors = _example(series=1)[1]
    quantiles = np.broadcast_to((1.0 + Z)[None, :, None], (1, 4, 12))
    paths = np.sort(_draw(quantiles, errors, count=400), axis=1)
    normal = 1.0 + stats.norm.ppf((np.arange(400) + 0.5) / 400)
    np.testing.assert_allclose(paths[0], np.maximum(normal, 0.0)[:, None].repeat(12, axis=1), atol=1e-12)
    assert paths.min() == 0.0


def test_persistent_errors_give_paths_that_do_not_cross():
    quantiles = _example()[0]
    errors = np.random.default_rng(3).standard_normal((3, 16, 1)).repeat(12, axis=2)
    paths = _draw(quantiles, errors, count=90)
    ordered = np.take_along_axis(paths, np.argsort(paths[:, :, :1], axis=1), axis=1)
    assert (np.diff(ordered, axis=1) >= 0.0).all()
    # not in the order of rank, or the test would pass on sorted columns
    assert (np.diff(paths[:, :, 0], axis=1) < 0.0).any()


@pytest.mark.parametrize(("phi", "lag"), [(0.0, 1), (0.9, 1), (0.9, 4), (0.5, 2)])
def test_rank_correlation_over_leads_is_that_of_the_errors(phi, lag):
    random = np.random.default_rng(4)
    errors = _autoregression(random, (200, 16, 8), phi)
    quantiles = np.broadcast_to((10.0 + Z)[None, :, None], (200, 4, 8))
    paths = _draw(quantiles, errors, count=128)
    ranks = stats.rankdata(paths, axis=1)
    found = np.mean([np.corrcoef(one[:, 0], one[:, lag])[0, 1] for one in ranks])
    expected = 6 / np.pi * np.arcsin(phi**lag / 2)  # Spearman's of a normal pair
    assert found == pytest.approx(expected, abs=0.06)


def test_independent_errors_of_many_origins_leave_ranks_uncorrelated():
    errors = np.random.default_rng(6).standard_normal((1, 400, 10))
    quantiles = np.broadcast_to((10.0 + Z)[None, :, None], (1, 4, 10))
    correlation = np.corrcoef(_draw(quantiles, errors, count=400)[0], rowvar=False)
    assert np.abs(correlation - np.eye(10)).max() < 0.2
    assert abs(correlation[~np.eye(10, dtype=bool)].mean()) < 0.03


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_the_maximum_over_a_window_is_calibrated(phi):
    random = np.random.default_rng(5)
    series, origins, leads = 1000, 16, 12
    noise = _autoregression(random, (series, origins + 1, leads), phi)
    quantiles = np.broadcast_to((10.0 + Z)[None, :, None], (series, 4, leads))
    tops = _draw(quantiles, noise[:, :-1], count=160).max(axis=2)
    truth = 10.0 + noise[:, -1].max(axis=1)
    for level, slack in ((0.5, 0.07), (0.9, 0.03), (0.95, 0.025)):
        assert np.mean(truth <= np.quantile(tops, level, axis=1)) == pytest.approx(level, abs=slack)


def test_each_origin_serves_equally_often_and_none_more_when_few_paths_are_asked():
    leads = 6
    errors = np.arange(16.0)[None, :, None].repeat(leads, axis=2) * np.array([1.0, -1.0] * 3)
    quantiles = np.broadcast_to((10.0 + Z)[None, :, None], (1, 4, leads))
    for count in (7, 16):
        paths = _draw(quantiles, errors, count=count)[0]
        ranks = stats.rankdata(paths, axis=0)
        # errors that alternate in sign: what is highest at one lead is lowest at the next
        np.testing.assert_array_equal(ranks[:, 0] + ranks[:, 1], count + 1)
        np.testing.assert_array_equal(ranks[:, 0], ranks[:, 2])


def test_same_seed_same_bytes_and_another_seed_another_draw():
    quantiles, errors = _example()
    first = _draw(quantiles, errors, seed=7)
    assert first.tobytes() == _draw(quantiles, errors, seed=7).tobytes()
    assert first.tobytes() != _draw(quantiles, errors, seed=8).tobytes()


def test_a_series_own_paths_do_not_depend_on_the_others():
    quantiles, errors = _example(series=4)
    observed = np.random.default_rng(8).random(errors.shape) < 0.8
    names = ["chat", "code", "embed", "vision|eu"]
    together = _draw(quantiles, errors, observed=observed, names=names)
    turned = [2, 0, 3, 1]
    other = _draw(quantiles[turned], errors[turned], observed=observed[turned], names=[names[k] for k in turned])
    assert together[turned].tobytes() == other.tobytes()
    alone = _draw(quantiles[1:2], errors[1:2], observed=observed[1:2], names=["code"])
    assert together[1].tobytes() == alone[0].tobytes()


def test_equal_series_of_different_names_are_drawn_apart():
    quantiles, errors = _example(series=1)
    paths = _draw(quantiles.repeat(2, axis=0), errors.repeat(2, axis=0), names=["a", "b"])
    assert (paths[0] != paths[1]).any()


def test_gaps_in_the_errors_are_bridged_and_blind_origins_left_out():
    quantiles = _example()[0][:1]
    errors = np.random.default_rng(9).standard_normal((1, 16, 1)).repeat(12, axis=2)
    observed = np.ones(errors.shape, bool)
    observed[:, 3] = observed[:, 11] = False  # blind
    errors[:, 3], errors[:, 11] = np.nan, 1e9
    observed[:, ::3, 4:6] = False
    errors[~observed] = 1e9
    paths = _draw(quantiles, errors, observed=observed, count=14)[0]
    assert np.isfinite(paths).all()
    whole = [lead for lead in range(12) if lead not in (4, 5)]
    ranks = stats.rankdata(paths, axis=0)
    # fourteen origins know something: each gives one path, persistent wherever all were seen
    assert (ranks[:, whole] == ranks[:, :1]).all()


def test_where_nothing_is_known_of_the_errors_paths_keep_their_rank():
    quantiles = _example()[0]
    errors = np.full((3, 16, 12), np.nan)
    for observed, given in (
        (np.zeros(errors.shape, bool), errors),
        (np.ones(errors.shape, bool), np.zeros_like(errors)),
    ):
        paths = _draw(quantiles, given, observed=observed)
        assert (np.diff(paths, axis=1) >= 0.0).all()


def test_one_level_alone_and_one_path_alone():
    quantiles, errors = _example()
    assert (_draw(quantiles[:, 1:2], errors, levels=(0.5,), count=5) == quantiles[:, 1:2]).all()
    np.testing.assert_allclose(_draw(quantiles, errors, count=1)[:, 0], quantiles[:, 1], rtol=1e-12)
