# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures against closed forms, published figures of the M4 competition, and statsmodels."""

from __future__ import annotations

import math
import statistics

import naive2
import numpy as np
import pytest
import scores
import tasks
from scores import LEVELS, Forecasts

# Published for all 414 hourly series: the competition's tables of benchmarks.
PUBLISHED = {"seasonal naive": (13.912, 1.193), "naive2": (18.383, 2.395)}
ALL_SERIES = 414


def _case(history: list[float], actual: list[float]) -> tasks.Case:
    return tasks.Case("a", len(history), 0.0, 3600, np.array(history), np.array(actual), "")


def _task(*cases: tasks.Case, season: int = 2) -> tasks.Task:
    return tasks.Task("t", "t", cases[0].actual.size, (season,), cases)


def _forecasts(mean: list[list[float]], quantiles: dict[float, float]) -> Forecasts:
    point = np.array(mean)
    bands = np.stack([np.full_like(point, quantiles.get(level, math.nan)) for level in LEVELS], axis=1)
    return Forecasts(point, bands, np.full(len(mean), 0.002), {})


def test_measures_of_one_case_by_hand() -> None:
    # Changes over a season of 2: |3-1|, |6-2|, so the scale is 3; the level is 3.
    task = _task(_case([1.0, 2.0, 3.0, 6.0], [4.0, 10.0]))
    made = _forecasts([[5.0, 6.0]], {0.025: 2.0, 0.05: 3.0, 0.5: 5.0, 0.9: 7.0, 0.95: 8.0, 0.975: 9.0})
    found = {name: float(values[0]) for name, values in scores.per_case(task, made).items()}
    assert found["mase"] == pytest.approx((1 + 4) / 2 / 3)
    assert found["smape"] == pytest.approx(200 * (1 / 9 + 4 / 16) / 2)
    # Width 7 both times, and 40 times the one unit that 10 lies above 9.
    assert found["msis95"] == pytest.approx((7 + 40 * 1 / 2) / 3)
    assert found["below95"] == 0.5
    assert found["excess95"] == pytest.approx((4 + 0) / 2 / 3)
    assert found["demand"] == pytest.approx(7 / 3)
    assert found["pinball0.95"] == pytest.approx((0.05 * 4 + 0.95 * 2) / 2 / 3)
    assert found["pinball0.05"] == pytest.approx((0.05 * 1 + 0.05 * 7) / 2 / 3)
    assert found["pinball0.5"] == pytest.approx(0.5 * (1 + 5) / 2 / 3)
    assert found["cpu_ms"] == pytest.approx(2.0)


def test_gaps_are_neither_scored_nor_scale() -> None:
    gap = math.nan
    full = _task(_case([1.0, 2.0, 3.0, 6.0], [4.0]))
    holed = _task(_case([1.0, 2.0, 3.0, 6.0, gap, gap], [4.0, gap]))
    levels = dict.fromkeys(LEVELS, 5.0)
    one = scores.per_case(full, _forecasts([[5.0]], levels))
    other = scores.per_case(holed, _forecasts([[5.0, 99.0]], levels))
    for name in one:
        assert other[name][0] == pytest.approx(one[name][0]), name


def test_what_cannot_be_scaled_is_left_out_of_the_mean_and_counted() -> None:
    task = _task(_case([1.0, 2.0, 1.0, 2.0], [3.0]), _case([1.0, 2.0, 3.0, 4.0], [5.0]))
    measures = scores.per_case(task, _forecasts([[3.0], [3.0]], dict.fromkeys(LEVELS, 5.0)))
    summary = scores.summarise(measures, np.array([True, True]), measures)
    assert math.isnan(measures["mase"][0])
    assert summary["mase"] == pytest.approx(1.0)
    assert (summary["cases"], summary["scored"]) == (2, 1)
    # In units of each history's mean: (2 / 1.5 + 0) of (3 / 1.5 + 5 / 2.5).
    assert summary["over95"] == pytest.approx((2 / 1.5) / (2 + 2))
    assert summary["owa"] == pytest.approx(1.0)


def test_nothing_forecast_for_nothing_that_came_is_no_error() -> None:
    task = _task(_case([1.0, 2.0, 0.0, 0.0], [0.0]))
    assert scores.per_case(task, _forecasts([[0.0]], {}))["smape"][0] == 0.0


def test_naive2_indices_are_the_classical_decomposition() -> None:
    seasonal = pytest.importorskip("statsmodels.tsa.seasonal")
    rng = np.random.default_rng(3)
    for season, length in ((12, 100), (7, 61), (24, 700)):
        shape = 2.0 + np.sin(2 * np.pi * np.arange(season) / season)
        values = np.resize(shape, length) * (50 + 0.1 * np.arange(length)) * rng.uniform(0.9, 1.1, length)
        expected = seasonal.seasonal_decompose(values, model="multiplicative", period=season).seasonal[:season]
        assert naive2.seasonal_indices(values, season) == pytest.approx(expected, rel=1e-12)
        assert naive2.is_seasonal(values, season)
        ahead = naive2.naive2(values, season, 2 * season)
        phase = (length + np.arange(2 * season)) % season
        assert ahead == pytest.approx(values[-1] / expected[(length - 1) % season] * expected[phase])


def test_naive2_without_a_season_is_the_last_value() -> None:
    noise = np.random.default_rng(1).uniform(1.0, 2.0, 200)
    assert not naive2.is_seasonal(noise, 12)
    assert naive2.naive2(noise, 12, 3).tolist() == [noise[-1]] * 3
    assert naive2.naive2(np.array([5.0, 0.0, 3.0]), 1, 2).tolist() == [3.0, 3.0]


def _plainly(history: list[float], actual: list[float], ahead: list[float], season: int) -> tuple[float, float]:
    """sMAPE and MASE written out from their definitions, without numpy."""
    scale = sum(abs(b - a) for a, b in zip(history, history[season:])) / (len(history) - season)
    mase = sum(abs(y - f) for y, f in zip(actual, ahead)) / len(actual) / scale
    return 200.0 / len(actual) * sum(abs(y - f) / (abs(y) + abs(f)) for y, f in zip(actual, ahead)), mase


@pytest.fixture(scope="module")
def m4() -> tasks.Task:
    try:
        return tasks.m4_hourly()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_seasonal_naive_on_m4_is_what_was_published(m4: tasks.Task) -> None:
    """Exactly what a second computation gives; and the half we have is within sampling error of the whole."""
    repeated = [np.tile(case.history[-24:], 2).tolist() for case in m4.cases]
    measures = scores.per_case(m4, _forecasts(repeated, {}))
    expected = [_plainly(c.history.tolist(), c.actual.tolist(), f, 24) for c, f in zip(m4.cases, repeated)]
    for index, name in enumerate(("smape", "mase")):
        values = [pair[index] for pair in expected]
        assert measures[name] == pytest.approx(values, rel=1e-10)
        error_of_half = statistics.stdev(values) / math.sqrt(ALL_SERIES)
        assert abs(statistics.mean(values) - PUBLISHED["seasonal naive"][index]) < 2.0 * error_of_half


def test_naive2_on_m4_is_what_was_published(m4: tasks.Task) -> None:
    measures = scores.per_case(m4, naive2.forecast_task(m4))
    for name, published in zip(("smape", "mase"), PUBLISHED["naive2"]):
        error_of_half = float(measures[name].std()) / math.sqrt(ALL_SERIES)
        assert abs(float(measures[name].mean()) - published) < 2.0 * error_of_half
    summary = scores.summarise(measures, np.ones(len(m4.cases), dtype=bool), measures)
    assert summary["owa"] == pytest.approx(1.0)
