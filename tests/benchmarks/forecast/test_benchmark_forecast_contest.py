# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases cut where they should be, and a contest that is fair, limited and remembered."""

from __future__ import annotations

from pathlib import Path

import arena
import contest
import disturbances
import numpy as np
import peers
import pytest
import scores
import tasks


def _raw(length: int, name: str = "a", start: float = 0.0) -> dict[str, tasks.Raw]:
    return {name: tasks.Raw(start, np.arange(length, dtype=np.float64))}


def _task(count: int = 6, length: int = 240) -> tasks.Task:
    rng = np.random.default_rng(5)
    cases = []
    for index in range(count):
        values = 20.0 + 5.0 * np.sin(np.arange(length + 12) * np.pi / 12.0) + rng.random(length + 12)
        segment = "live" if index % 2 else "sparse"
        cases.append(tasks.Case(f"s{index}", length, 0.0, 3600, values[:length], values[length:], segment))
    return tasks.Task("made", "made", 12, (24, 168), tuple(cases))


def test_rolling_cases_join_their_actuals_and_never_overlap() -> None:
    cases = list(tasks.rolling(_raw(2000), step_seconds=1800, horizon=48, origins=3, apart=55))
    assert [case.origin for case in cases] == [1842, 1897, 1952]
    for case in cases:
        assert case.history[-1] + 1 == case.actual[0] == case.origin
        assert case.history.size == tasks.LONGEST_HISTORY_SECONDS // 1800
        assert case.start == case.history[0] * 1800
    assert cases[-1].actual[-1] == 1999
    assert all(first.actual[-1] < second.actual[0] for first, second in zip(cases, cases[1:]))


def test_a_series_stays_in_the_segment_of_its_first_origin() -> None:
    values = np.r_[np.zeros(60), np.ones(40), np.ones(100)]
    cut = tasks.rolling({"a": tasks.Raw(0.0, values)}, step_seconds=3600, horizon=10, origins=9, apart=11)
    assert {case.segment for case in tasks.by_zeros(cut)} == {"sparse"}


def test_aggregation_is_a_mean_and_an_empty_step_a_gap() -> None:
    seconds = np.array([10, 70, 80, 250])
    raw = tasks._on_grid(seconds, np.array([1.0, 2.0, 4.0, 8.0]), 60)
    assert raw.start == 0.0
    assert raw.values == pytest.approx([1.0, 3.0, np.nan, np.nan, 8.0], nan_ok=True)


def test_every_task_says_which_names_it_answers_to() -> None:
    assert tasks.chosen("m4,servegen") == ["m4", "servegen_10min", "servegen_hourly"]
    with pytest.raises(ValueError, match="'m5' is no task"):
        tasks.chosen("m5")


def test_the_reference_tasks_hold_what_they_promise() -> None:
    try:
        m4, m3, hourly = tasks.m4_hourly(), tasks.m3_monthly(), tasks.TASKS["servegen_hourly"]()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert (len(m4.cases), len(m3.cases)) == (207, 714)
    assert {case.actual.size for case in m4.cases} == {48}
    assert hourly.segments == ("live", "sparse")
    assert len(hourly.cases) == 154 * 5


def test_a_smaller_sample_is_part_of_a_larger_one_and_takes_from_each_segment() -> None:
    task = _task(40)
    small, large = contest.sample_rows(task, 3), contest.sample_rows(task, 10)
    assert set(small) < set(large)
    assert sorted(task.cases[row].segment for row in small) == ["live"] * 3 + ["sparse"] * 3


def test_gaps_are_bridged_for_packages_that_take_none() -> None:
    gap = np.nan
    assert contest.filled(np.array([gap, 2.0, gap, 4.0, gap])).tolist() == [2.0, 2.0, 3.0, 4.0, 4.0]
    assert contest.filled(np.array([gap, gap])).tolist() == [0.0, 0.0]
    assert contest.fitting((24, 168), 335) == (24,)
    assert contest.fitting((24, 168), 47) == (1,)


def test_a_peer_competes_is_remembered_and_pays_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "CACHE", tmp_path)
    task, peer = _task(), peers.PEERS["recent_quantiles"]
    with arena.Arena(30.0) as place:
        first = contest.compete(place, task, peer, [0, 3], reuse=True)
        again = contest.compete(place, task, peer, [3, 4], reuse=True)
        anew = contest.compete(place, task, peer, [3], reuse=False)
    assert np.flatnonzero(first.made).tolist() == [0, 3]
    assert (first.cpu_seconds[[0, 3]] > 0.0).all()
    assert first.quantiles[0, scores.LEVELS.index(0.5), 0] == pytest.approx(np.median(task.cases[0].history[-48:]))
    assert np.flatnonzero(again.made).tolist() == [3, 4]
    assert again.cpu_seconds[3] == first.cpu_seconds[3]
    assert anew.cpu_seconds[3] != first.cpu_seconds[3]


def test_a_peer_that_breaks_the_limit_is_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsmodels")
    monkeypatch.setattr(contest, "CACHE", tmp_path)
    monkeypatch.setattr(arena, "LOOK_EVERY_SECONDS", 0.02)
    task = _task(3, 400)
    with arena.Arena(0.1) as place:
        made = contest.compete(place, task, peers.PEERS["sarimax"], [0, 1, 2], reuse=False)
        assert not made.made.any()
        assert made.failures == {0: "more than 0.1 CPU s"}
        other = contest.compete(place, task, peers.PEERS["zero"], [0], reuse=False)
        assert other.made[0]
    with arena.Arena(60.0) as longer:
        retried = contest.compete(longer, task, peers.PEERS["sarimax"], [0], reuse=True)
        assert retried.made[0]


def test_disturbances_do_what_they_say_the_same_each_time() -> None:
    case = _task(1, 700).cases[0]
    spiked = disturbances.spikes(case).history / case.history
    assert sorted(spiked)[-8:] == pytest.approx([1.0] + [5.0] * 7)
    holed = disturbances.block_gaps(case)
    assert 0.10 <= np.isnan(holed.history).mean() < 0.16
    assert np.isfinite(holed.history[[0, -1]]).all()
    assert np.array_equal(holed.history, disturbances.block_gaps(case).history, equal_nan=True)
    short = disturbances.short(case, 24)
    assert short.start == 676 * 3600
    assert short.history.tolist() == case.history[-24:].tolist()
    drifted = disturbances.drift(case)
    factor = np.r_[drifted.history / case.history, drifted.actual / case.actual]
    assert factor[:532] == pytest.approx(1.0)
    assert factor[699] == pytest.approx(1.5)
    assert np.diff(factor[532:]) == pytest.approx(0.5 / 168)
