# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Realised coverage fed back: by hand, by simulation of correlated errors, and against damaged documents."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.feedback import (
    Feedback,
    read_feedback,
    safe_band,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

LEVELS = (0.05, 0.5, 0.9, 0.95)
STEP = 600
DAY = 144
END = 1767571200.0  # 2026-01-05T00:00:00Z, the last sample the forecast knew
Z = {level: NormalDist().inv_cdf(level) for level in LEVELS}


def _entry(*, mean=100.0, quantiles=None, steps=DAY, **changed):
    paths = quantiles or {0.05: 80.0, 0.5: 100.0, 0.9: 115.0, 0.95: 120.0}
    return {
        "usable": True,
        "start": format_moment(END + STEP),
        "step_seconds": STEP,
        "history_end": format_moment(END),
        "mean": [mean] * steps,
        "quantiles": {str(level): [value] * steps for level, value in paths.items()},
        **changed,
    }


def _document(**entries):
    return {"kind": "forecast", "schema_version": 1, "series": entries}


def _after(values, *, name="a", before=10, start=END, step=STEP):
    """A history with ``before`` known samples up to ``start`` and ``values`` after it."""
    history = np.concatenate([np.full(before, 1e6), np.asarray(values, dtype=np.float64)])
    return Series(name, start - (before - 1) * step, step, history)


def _one(values, **changed):
    return read_feedback(_document(a=_entry(**changed)), [_after(values)], LEVELS).get("a")


def test_moves_and_shares_by_hand():
    found = _one([130.0, 118.0, np.nan, 100.0, 70.0])
    assert found.samples == 4  # the samples of 1e6 that the forecast knew, and the gap, do not count
    assert found.realised == {"0.05": 0.25, "0.5": 0.5, "0.9": 0.5, "0.95": 0.75}
    # q + 1.08 / 144 * tail * (4 q - covered)
    assert found.effective_levels["0.95"] == pytest.approx(0.95 + 0.0075 * 0.05 * (3.8 - 3))
    assert found.effective_levels["0.9"] == pytest.approx(0.9 + 0.0075 * 0.1 * (3.6 - 2))
    assert found.effective_levels["0.05"] == pytest.approx(0.05 + 0.0075 * 0.05 * (0.2 - 1))
    assert found.effective_levels["0.5"] == 0.5
    stretch = found.stretch((*LEVELS, 0.99))
    assert stretch[1] == stretch[4] == 1.0
    for index in (0, 2, 3):
        level = LEVELS[index]
        assert stretch[index] == pytest.approx(
            NormalDist().inv_cdf(found.effective_levels[str(level)]) / Z[level], rel=1e-12
        )
        assert stretch[index] > 1.0


def test_one_day_beyond_p95_moves_it_to_the_clip_and_one_hour_does_not():
    day = _one(np.full(DAY, 121.0))
    assert day.effective_levels["0.95"] == safe_band(0.95)[1] == pytest.approx(0.9975)
    hour = _one(np.full(6, 121.0))
    assert 0.95 < hour.effective_levels["0.95"] < 0.955
    below = _one(np.full(DAY, 79.0))
    assert below.effective_levels["0.05"] == safe_band(0.05)[0] == pytest.approx(0.0025)


def test_coarser_steps_move_no_further_in_a_day():
    entry = _entry(steps=24, step_seconds=3600, start=format_moment(END + 3600))
    hourly = read_feedback(_document(a=entry), [_after(np.full(3, 121.0), step=3600)], LEVELS)["a"]
    same_time = _one(np.full(18, 121.0))
    assert hourly.effective_levels["0.95"] == pytest.approx(same_time.effective_levels["0.95"])
    daily = _entry(steps=7, step_seconds=86_400, start=format_moment(END + 86_400))
    one_miss = read_feedback(_document(a=daily), [_after([121.0], step=86_400)], LEVELS)["a"]
    assert one_miss.effective_levels["0.95"] == pytest.approx(0.95 + 0.05 * 0.05 * 0.95)


def test_many_samples_at_once_weigh_no_more_than_a_week():
    levels = [
        _one(np.tile([121.0] + [100.0] * 9, days * DAY // 10), steps=days * DAY).effective_levels["0.95"]
        for days in (5, 10, 60)
    ]
    assert levels[0] - 0.95 == pytest.approx(1.08 * 5 * 0.05 * 0.05, rel=1e-9)
    assert levels[1] == pytest.approx(levels[2], abs=1e-5)
    assert levels[1] - 0.95 == pytest.approx(1.08 * 7 * 0.05 * 0.05, rel=1e-9)


@pytest.mark.parametrize("level", [0.001, 0.05, 0.3, 0.51, 0.6, 0.75, 0.9, 0.99])
def test_safe_band_keeps_its_side_and_is_mirrored(level):
    low, high = safe_band(level)
    assert low < level < high
    assert (low < 0.5) == (high < 0.5) == (level < 0.5)
    mirrored = safe_band(1.0 - level)
    assert (1.0 - mirrored[1], 1.0 - mirrored[0]) == pytest.approx((low, high))
    assert safe_band(0.95) == pytest.approx((0.9, 0.9975))


def _loop(width, phi, *, days=120, burn_in=40, series=30, batch=DAY, seed=5):
    """Share covered after ``burn_in`` days of forecasts ``width`` times as wide as they should be, and the last state."""
    random = np.random.default_rng(seed)
    shocks = random.standard_normal((series, days * DAY)) * np.sqrt(1 - phi * phi)
    noise = np.empty_like(shocks)
    state = random.standard_normal(series)
    for step in range(shocks.shape[1]):
        state = phi * state + shocks[:, step]
        noise[:, step] = state
    known: dict[str, Feedback] = {}
    covered, count, spread = np.zeros(len(LEVELS)), 0, []
    for begin in range(0, days * DAY, batch):
        names = [f"s{row}" for row in range(series)]
        entries, histories = {}, []
        for row, name in enumerate(names):
            stretch = known[name].stretch(LEVELS) if name in known else np.ones(len(LEVELS))
            paths = {q: 100.0 + 10.0 * width * Z[q] * by for q, by in zip(LEVELS, stretch)}
            state_fields = {"feedback": known[name].as_fields()} if name in known else {}
            entries[name] = _entry(quantiles=paths, steps=batch, **state_fields)
            actual = 100.0 + 10.0 * noise[row, begin : begin + batch]
            histories.append(_after(actual, name=name))
            if begin >= burn_in * DAY:
                covered += (actual[:, None] <= np.array(list(paths.values()))).sum(axis=0)
                count += batch
                spread.append(stretch)
        known = read_feedback(_document(**entries), histories, LEVELS)
    return covered / count, np.array(spread), known


@pytest.mark.parametrize(("width", "phi"), [(0.7, 0.9), (1.0, 0.9), (1.3, 0.9), (0.7, 0.0)])
def test_coverage_becomes_nominal_under_correlated_errors(width, phi):
    share, spread, known = _loop(width, phi)
    assert np.abs(share[[0, 2, 3]] - np.array(LEVELS)[[0, 2, 3]]).max() < 0.01
    # without the feedback the P95 of the narrow forecaster would cover 0.875, that of the wide one 0.984
    assert np.median(spread[:, 3]) == pytest.approx(1 / width, rel=0.05)
    # ordinary noise does not throw the level about
    assert spread[:, 3].std() < 0.12 / width
    # the share shown is that of the last four weeks
    shown = np.mean([one.realised["0.95"] for one in known.values()])
    assert shown == pytest.approx(0.95, abs=0.02)
    assert all(one.samples == 120 * DAY for one in known.values())


def test_hourly_updates_arrive_where_daily_ones_do():
    share, spread, _known = _loop(0.7, 0.9, days=60, series=3, batch=6)
    assert abs(share[3] - 0.95) < 0.015  # 0.875 without
    assert np.median(spread[:, 3]) == pytest.approx(1 / 0.7, rel=0.1)


def test_the_share_shown_forgets_what_is_older_than_four_weeks():
    known = Feedback(1_000_000, {"0.95": 1.0}, {"0.95": 0.95})
    found = _one(np.full(DAY, 121.0), feedback=known.as_fields())
    assert found.samples == 1_000_000 + DAY
    assert found.realised["0.95"] == pytest.approx(28 / 29)


def test_a_quantile_that_stretching_cannot_move_teaches_nothing():
    silent = _one(np.zeros(DAY), mean=0.0, quantiles={0.05: 0.0, 0.95: 0.0})
    constant = _one(np.full(DAY, 5.0), mean=5.0, quantiles={0.05: 5.0, 0.95: 5.0})
    at_zero = _one(np.zeros(DAY), mean=1.0, quantiles={0.05: 0.0, 0.95: 3.0})
    assert silent.effective_levels == constant.effective_levels == {"0.05": 0.05, "0.95": 0.95}
    assert at_zero.effective_levels["0.05"] == 0.05
    assert at_zero.effective_levels["0.95"] < 0.95
    assert silent.realised == {}


def test_no_new_samples_keep_the_state():
    known = Feedback(7, {"0.95": 0.857143}, {"0.95": 0.96}).as_fields()
    entry = _entry(feedback=known)
    shorter = _after([], start=END - 3 * STEP)
    off_grid = Series("a", END + 60.0, STEP, np.full(30, 121.0))
    much_later = Series("a", END + 1000 * STEP, STEP, np.full(30, 121.0))
    for history in (_after([]), shorter, off_grid, much_later, _after([np.nan, np.nan])):
        assert read_feedback(_document(a=entry), [history], LEVELS)["a"].as_fields() == known
    unusable = read_feedback(_document(a={**entry, "usable": False}), [_after([121.0])], LEVELS)
    assert unusable["a"].as_fields() == known
    assert read_feedback(_document(a=_entry()), [_after([])], LEVELS) == {}


def test_a_grid_that_starts_between_seconds_is_met_to_the_second():
    between = Series("a", END + STEP + 0.4, STEP, np.full(5, 121.0))
    assert read_feedback(_document(a=_entry()), [between], LEVELS)["a"].samples == 5


def test_a_history_that_begins_within_the_forecast_counts_from_there():
    late = Series("a", END + 141 * STEP, STEP, np.full(20, 121.0))
    found = read_feedback(_document(a=_entry()), [late], LEVELS)["a"]
    assert found.samples == 4  # steps 141 to 144 of 144


def test_other_levels_are_unknown_and_series_stay_apart():
    document = _document(a=_entry(), b=_entry())
    found = read_feedback(document, [_after([121.0]), _after([100.0], name="b")], (0.9, 0.99))
    assert set(found["a"].effective_levels) == {"0.9"}
    assert found["a"].effective_levels["0.9"] > 0.9 > found["b"].effective_levels["0.9"]


@pytest.mark.parametrize(
    "changed",
    [
        {"step_seconds": 300},
        {"step_seconds": None},
        {"start": "soon"},
        {"start": 5},
        {"history_end": None},
        {"mean": None},
        {"mean": ["many"]},
        {"mean": [[1.0], [2.0, 3.0]]},
        {"quantiles": None},
        {"quantiles": {}},
        {"quantiles": {"0.95": "high", "0.9": [1.0]}},
        {"quantiles": {"0.95": [None] * 3}},
    ],
)
def test_malformed_entries_say_nothing(changed):
    entry = {**_entry(), **changed}
    healthy = _entry()
    found = read_feedback(_document(a=entry, b=healthy), [_after([121.0] * 5), _after([1.0], name="b")], LEVELS)
    assert set(found) == {"b"}


@pytest.mark.parametrize(
    "state",
    [
        5,
        {},
        {"samples": -1, "realised": {"0.95": 0.1}, "effective_levels": {"0.95": 0.99}},
        {"samples": 5, "realised": [], "effective_levels": {"0.95": "x"}},
        {"samples": 5, "realised": {"0.95": 7.0}, "effective_levels": {"0.95": float("nan")}},
    ],
)
def test_a_malformed_state_is_a_fresh_start(state):
    fresh = _one([121.0, 100.0])
    found = _one([121.0, 100.0], feedback=state)
    assert found.effective_levels == fresh.effective_levels
    assert found.realised == fresh.realised


def test_a_state_out_of_the_band_is_brought_back():
    found = _one([121.0], feedback={"samples": 5, "effective_levels": {"0.95": 1.0, "0.9": 0.0, "0.5": 0.7}})
    assert found.effective_levels["0.95"] == pytest.approx(0.9975)
    assert found.effective_levels["0.9"] >= 0.8
    assert found.effective_levels["0.5"] == 0.5
    assert np.isfinite(found.stretch(LEVELS)).all()


def test_documents_that_say_nothing_and_documents_that_are_none():
    history = [_after([121.0])]
    assert read_feedback(None, history, LEVELS) == {}
    assert read_feedback({**_document(a=_entry()), "schema_version": 2}, history, LEVELS) == {}
    assert read_feedback(_document(b=_entry()), history, LEVELS) == {}
    assert read_feedback(_document(a="broken"), history, LEVELS) == {}
    for wrong in ([], {}, {"kind": "plan", "series": {}}, {"kind": "forecast", "series": []}):
        with pytest.raises(InputError, match=r"previous forecast: the document is not a forecast\. Give the file"):
            read_feedback(wrong, history, LEVELS)
