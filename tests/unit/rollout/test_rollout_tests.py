# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statistics against scipy, closed forms and simulation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import bad_events
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.bad_events import (
    RATIOS,
    Window,
    cut_windows,
    log_steps,
    weigh,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.bounds import requests_for, upper_bound
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.latency_shift import (
    compare,
    least_telling_ratio,
)


@pytest.mark.parametrize(
    ("requests", "percent"), [(60, 4.9), (100, 2.95), (150, 2.0), (300, 1.0), (600, 0.5), (3000, 0.1)]
)
def test_bounds_without_a_bad_event(requests: int, percent: float) -> None:
    bound = upper_bound(0, requests)
    assert 100 * bound == pytest.approx(percent, abs=0.02 if percent == 2.95 else 0.05)
    assert bound == pytest.approx(1 - 0.05 ** (1 / requests), rel=1e-12)


@pytest.mark.parametrize(("bad", "requests"), [(1, 100), (5, 100), (3, 1000), (99, 100)])
def test_bounds_are_clopper_pearson_as_scipy_has_them(bad: int, requests: int) -> None:
    interval = stats.binomtest(bad, requests, alternative="less").proportion_ci(0.95, method="exact")
    assert upper_bound(bad, requests) == pytest.approx(interval.high, rel=1e-9)


def test_requests_for_a_bound_are_the_fewest() -> None:
    for bad, bound in product((0, 1, 5), (0.03, 0.01)):
        wanted = requests_for(bad, bound)
        assert wanted is not None
        assert upper_bound(bad, wanted) <= bound < upper_bound(bad, wanted - 1)
    assert requests_for(0, 0.0) is None
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1.0


@pytest.mark.parametrize("ties", [False, True])
def test_one_stratum_is_mann_and_whitney_as_scipy_has_it(ties: bool) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.lognormal(0.2, 0.8, 80), rng.lognormal(0, 0.8, 110)
    if ties:
        x, y = x.round(1) + 0.1, y.round(1) + 0.1
    expected = stats.mannwhitneyu(x, y, alternative="greater", method="asymptotic", use_continuity=False).pvalue
    assert compare({"all": (x, y)}, 1.0).p_value == pytest.approx(expected, rel=1e-9)
    shifted = stats.mannwhitneyu(x / 1.25, y, alternative="greater", method="asymptotic", use_continuity=False).pvalue
    if not ties:
        assert compare({"all": (x, y)}, 1.25).p_value == pytest.approx(shifted, rel=1e-9)


def test_strata_are_weighed_as_van_elteren_did() -> None:
    rng = np.random.default_rng(5)
    strata = {str(n): (rng.lognormal(n, 0.5, 20 + n), rng.lognormal(n, 0.5, 30)) for n in range(3)}
    score = variance = 0.0
    for x, y in strata.values():
        m, n = len(x), len(y)
        u = stats.mannwhitneyu(x, y).statistic
        score += (u - m * n / 2) / (m + n + 1)
        variance += m * n * (m + n + 1) / 12 / (m + n + 1) ** 2
    assert compare(strata, 1.0).p_value == pytest.approx(stats.norm.sf(score / math.sqrt(variance)), rel=1e-9)


def test_unbalanced_prompts_are_no_shift_within_strata() -> None:
    rng = np.random.default_rng(6)
    sizes = {"short": (0, 50, 250), "long": (2, 250, 50)}
    strata = {name: tuple(rng.lognormal(mean, 0.3, n) for n in counts) for name, (mean, *counts) in sizes.items()}
    assert compare(strata, 1.25).p_value > 0.5
    pooled = {"all": tuple(np.concatenate([strata["short"][arm], strata["long"][arm]]) for arm in (0, 1))}
    assert compare(pooled, 1.25).p_value < 1e-6


def test_hodges_and_lehmann_by_all_differences() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.lognormal(0.5, 0.8, 60), rng.lognormal(0, 0.8, 75)
    differences = np.sort(np.subtract.outer(np.log(x), np.log(y)).ravel())
    found = compare({"all": (x, y)}, 1.25)
    assert found.ratio == pytest.approx(math.exp(np.median(differences)), rel=1e-9)
    reach = stats.norm.ppf(0.99) * math.sqrt(60 * 75 * 136 / 12)
    lowest = math.floor(60 * 75 / 2 - reach)
    assert found.lower == pytest.approx(math.exp(differences[lowest - 1]), rel=1e-9)
    assert found.upper == pytest.approx(math.exp(differences[60 * 75 - lowest]), rel=1e-9)


def test_the_interval_covers_and_thinning_changes_little() -> None:
    rng = np.random.default_rng(8)
    inside = 0
    for _unused in range(200):
        found = compare({"all": (rng.lognormal(0.3, 0.8, 50), rng.lognormal(0, 0.8, 80))}, 1.25)
        inside += found.lower <= math.exp(0.3) <= found.upper
    assert inside / 200 > 0.95  # 98 % less three standard errors
    x, y = rng.lognormal(0.3, 0.8, 2000), rng.lognormal(0, 0.8, 2500)
    found = compare({"all": (x, y)}, 1.25)
    assert found.ratio == pytest.approx(math.exp(np.median(np.subtract.outer(np.log(x), np.log(y)))), rel=5e-3)


def test_what_failed_ranks_worst_and_nothing_to_compare_says_nothing() -> None:
    assert compare({"all": ([math.inf] * 60, [1.0] * 60)}, 1.25).p_value < 1e-6
    alone = compare({"a": ([1.0], []), "b": ([], [2.0])}, 1.25)
    assert alone.p_value == 1.0 and math.isnan(alone.ratio)
    assert compare({"all": ([1.0] * 9, [1.0] * 9)}, 1.25).p_value > 0.99


def test_each_window_has_mean_at_most_one_under_equal_rates() -> None:
    """Exactly, over the hypergeometric law of which requests are bad, for every number of bad ones."""
    for canary, baseline in ((6, 6), (6, 54), (40, 7)):
        for bad in range(canary + baseline + 1):
            law = stats.hypergeom(canary + baseline, canary, bad)
            mean = np.zeros(len(RATIOS))
            for hit in range(max(0, bad - baseline), min(bad, canary) + 1):
                window = Window(canary, baseline, hit, bad - hit)
                mean += law.pmf(hit) * np.exp(log_steps(window, 1.0, [ratio for ratio, _unused in RATIOS]))
            assert (mean <= 1 + 1e-9).all()


def test_weights_are_shares_and_nothing_starts_at_one() -> None:
    assert math.fsum(weight for _unused, weight in RATIOS) == pytest.approx(1.0)
    assert math.fsum(bad_events.KIND_SHARES.values()) == pytest.approx(1.0)
    assert weigh([], {}).largest == 1.0
    assert weigh([(0.0, "failed", Window(6, 6, 0, 0))], {}).course == (pytest.approx(1.0),)


def test_windows_close_by_count_alone() -> None:
    arms = [row % 10 == 0 for row in range(200)]
    windows = cut_windows(arms, [False] * 200)
    assert [(end, window.canary, window.baseline) for end, window in windows] == [
        (50, 6, 45),
        (110, 6, 54),
        (170, 6, 54),
    ]
    bad = cut_windows(arms, [row % 3 == 0 for row in range(200)])
    assert [end for end, _unused in bad] == [50, 110, 170]
    # the numbers of one window by hand: 2 bad on 6 of 60 requests, q = 0.1, at ratio 30
    step = log_steps(Window(6, 54, 2, 1), 1.0, [30.0])[0]
    assert step == pytest.approx(2 * math.log(30) - 3 * math.log(1 + 0.1 * 29))


def test_what_hosts_explain_is_no_shift_of_the_version() -> None:
    # 2.65 standard deviations of the difference of two hosts, of one and the mean of three
    assert least_telling_ratio(0.1, 1, 1) == pytest.approx(math.exp(0.265 * math.sqrt(2)))
    assert least_telling_ratio(0.1, 1, 3) == pytest.approx(math.exp(0.265 * math.sqrt(4 / 3)))
    assert least_telling_ratio(0.0, 1, 1) == 1.0
