# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which series share a panel, and what of their history is used."""

from __future__ import annotations

import numpy as np
import pytest
from forecast_samples import HOUR, MONDAY, daily_demand, make_series

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import tasks as module
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.engine import forecast_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import parse_options
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.tasks import (
    LEAST_KEPT,
    make_tasks,
    recent_part,
)

OPTIONS = parse_options({"horizon_steps": 12, "window_steps": 4})


def _begun(days, seed=1, length=504):
    """A service whose demand began so many days (and some hours) after the first sample."""
    values = daily_demand(seed, length)
    values[: int(days * 24)] = 0.0
    return values


def test_histories_of_different_ages_share_a_panel():
    series = [make_series(f"m{hours:02d}", _begun(3 + hours / 24, seed=hours)) for hours in range(1, 24)]
    tasks, short = make_tasks(series, OPTIONS, {})
    assert not short
    assert len(tasks) == 1
    assert {values.size for values in tasks[0].values} == {17 * 24}
    assert len({values.tobytes() for values in tasks[0].values}) == len(series)


@pytest.mark.parametrize("hours", [0, 1, 23, 24, 100])
def test_leading_zeros_and_gaps_are_before_the_service_began(hours):
    values = daily_demand(1, 504)
    values[:hours:2], values[1:hours:2] = 0.0, np.nan
    kept, periods = recent_part(make_series("a", values), OPTIONS)
    # at most one season of real demand is given up, so that whole seasons remain
    assert 0 <= (504 - hours) - kept.size < 24
    assert kept.size % 24 == 0
    assert periods == (24, 168)
    np.testing.assert_array_equal(kept, values[504 - kept.size :])
    whole, none = recent_part(make_series("a", np.zeros(40)), OPTIONS)
    assert (whole.size, none) == (40, ())


def test_leading_zeros_change_no_forecast():
    values = daily_demand(2, 504)
    padded = np.concatenate([np.zeros(240), values])
    plain = forecast_series([make_series("a", values)], OPTIONS)["series"]["a"]
    other = forecast_series([make_series("a", padded)], OPTIONS)["series"]["a"]
    for key in ("mean", "quantiles", "window_maximum", "candidates"):
        assert other[key] == plain[key]


def test_old_samples_are_left_out_but_seasons_are_not():
    kept, periods = recent_part(make_series("a", daily_demand(1, 9000)), OPTIONS)
    assert (kept.size, periods) == (LEAST_KEPT, (24, 168))
    fine, seasons = recent_part(make_series("a", daily_demand(1, 9000), step_seconds=600), OPTIONS)
    assert (fine.size, seasons) == (6048, (144, 1008))
    plain, without = recent_part(make_series("a", daily_demand(1, 9000), step_seconds=7000), OPTIONS)
    assert (plain.size, without) == (9000, ())


@pytest.mark.parametrize("gap", [0, 1, 7, 24])
def test_a_gap_at_the_end_is_forecast_over(gap):
    values = daily_demand(3, 504 + 12, noise=0.02)
    history = values[:504].copy()
    history[504 - gap :] = np.nan
    tasks, _short = make_tasks([make_series("a", history)], OPTIONS, {})
    assert tasks[0].options.skipped_steps == gap
    assert tasks[0].layout.horizon == 12 + gap
    assert tasks[0].values[0].size == 504 - gap
    fields = forecast_series([make_series("a", history)], OPTIONS)["series"]["a"]
    assert fields["history_end"] == format_moment(MONDAY + 503 * HOUR)
    assert fields["start"] == format_moment(MONDAY + 504 * HOUR)
    assert len(fields["mean"]) == len(fields["quantiles"]["0.95"]) == 12
    truth = values[504:]
    miss = np.abs(np.array(fields["mean"]) - truth).mean()
    assert miss < 0.06 * truth.mean()
    # an answer of the first steps of the gap would be that of another hour
    if gap == 7:
        assert miss < 0.3 * np.abs(np.roll(truth, gap) - truth).mean()


def test_a_gap_too_long_to_forecast_over_is_filled():
    history = daily_demand(3, 504)
    history[504 - 25 :] = np.nan
    tasks, _short = make_tasks([make_series("a", history)], OPTIONS, {})
    assert tasks[0].options.skipped_steps == 0
    assert tasks[0].values[0].size == 504


def test_too_few_samples_or_too_many_gaps_are_short():
    holes = daily_demand(4, 504)
    holes[np.random.default_rng(1).random(504) < 0.55] = np.nan
    series = [
        make_series("few", np.arange(1.0, 10.0)),
        make_series("holes", holes),
        make_series("fine", daily_demand(5, 504)),
        make_series("nothing", np.full(504, np.nan)),
    ]
    tasks, short = make_tasks(series, OPTIONS, {})
    assert [one.name for one in short] == ["few", "holes", "nothing"]
    assert [one.name for task in tasks for one in task.series] == ["fine"]


def test_chunks_keep_every_series_once_with_its_own_stretch(monkeypatch):
    series = [make_series(f"m{seed}", daily_demand(seed, 400 if seed % 3 else 504)) for seed in range(9)]
    stretches = {"m4": np.array([1.0, 1.0, 2.0, 3.0])}
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    tasks, _short = make_tasks(series, OPTIONS, stretches)
    assert sorted(one.name for task in tasks for one in task.series) == [one.name for one in series]
    assert all(len(task.series) == len(task.stretch) == 1 for task in tasks)
    for task in tasks:
        expected = stretches.get(task.series[0].name, np.ones(4))
        np.testing.assert_array_equal(task.stretch[0], expected)


@pytest.mark.parametrize(
    "wanted", [{"engine": "sarimax"}, {"engine": "arima"}, {"candidates": ["menu", "arima"]}], ids=str
)
def test_series_fitted_one_by_one_are_shared_out_in_small_pieces(wanted):
    """Twenty series at about a second each were one task, so a second worker had nothing to do."""
    series = [make_series(f"m{number:02d}", daily_demand(number)) for number in range(20)]
    assert len(make_tasks(series, OPTIONS, {})[0]) == 1
    tasks, _short = make_tasks(series, parse_options({"horizon_steps": 12, **wanted}), {})
    assert len(tasks) == 10
    assert [one.name for task in tasks for one in task.series] == [one.name for one in series]
