# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Series: cutting, coarser steps, counters. The expected numbers are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.counters import rates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

NAN = float("nan")


def series(values: list[float], start: float = 0.0, step: int = 600) -> Series:
    return Series("chat-8b", start, step, np.array(values, dtype=float))


def test_end_is_the_moment_of_the_last_sample() -> None:
    assert series([1, 2, 3], start=1200).end == 1200 + 2 * 600


def test_until_keeps_the_sample_at_the_moment_and_nothing_after() -> None:
    one = series([1, 2, 3, 4], start=600)
    assert one.until(1800).values.tolist() == [1, 2, 3]
    assert one.until(1799).values.tolist() == [1, 2]
    assert one.until(599).values.tolist() == []
    assert one.until(1e9).values.tolist() == [1, 2, 3, 4]


def test_since_keeps_the_sample_at_the_moment_and_moves_the_start() -> None:
    later = series([1, 2, 3, 4], start=600).since(1201)
    assert (later.start, later.values.tolist()) == (1800, [3, 4])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [2.0, 5.0, NAN, 7.0]),
        ("sum", [6.0, 15.0, NAN, 21.0]),
        ("max", [3.0, 6.0, NAN, 8.0]),
        ("last", [3.0, 6.0, NAN, 8.0]),
    ],
)
def test_aggregate_leaves_gaps_out_and_scales_sums(how: str, expected: list[float]) -> None:
    # hours of three samples: whole, one lost, two lost (a gap), one lost
    one = series([1, 2, 3, 4, NAN, 6, NAN, NAN, 9, 6, 8, NAN], step=1200)
    hourly = one.aggregate(3600, how)
    np.testing.assert_array_equal(hourly.values, expected)
    assert (hourly.start, hourly.step_seconds) == (0.0, 3600)


def test_aggregate_begins_at_a_whole_multiple_of_the_step() -> None:
    hourly = series([1, 1, 1, 2, 2, 2, 2, 2, 2], start=1800).aggregate(3600)
    assert hourly.start == 0
    assert hourly.values.tolist() == [1.0, 2.0]


def test_a_finer_step_is_refused() -> None:
    with pytest.raises(InputError, match="600 s apart, so a step of 60 s cannot"):
        series([1, 2]).aggregate(60)


def test_record_has_null_for_gaps() -> None:
    assert series([1.5, NAN], start=1_000_000_200).as_record() == {
        "start": "2001-09-09T01:50:00Z",
        "step_seconds": 600,
        "values": [1.5, None],
    }


def test_counter_closed_form() -> None:
    # 10/s, a restart between the 3rd and 4th sample after which 120 came, a lost sample, then 900 in two steps
    counts = np.array([1000, 1600, 2200, 120, NAN, 1020, 1020], dtype=float)
    np.testing.assert_allclose(rates(counts, 60), [NAN, 10, 10, 2, NAN, 900 / 120, 0])


def test_counter_without_two_samples_has_no_rate() -> None:
    assert np.isnan(rates(np.array([NAN, 5.0, NAN]), 60)).all()


@given(
    increments=st.lists(st.integers(0, 1000), min_size=1, max_size=40),
    restarts=st.sets(st.integers(1, 40)),
    lost=st.sets(st.integers(0, 40)),
)
def test_counter_accounts_for_all_it_can_know(increments: list[int], restarts: set[int], lost: set[int]) -> None:
    """Rates times elapsed time add up to what was counted, when a restart loses nothing unseen."""
    counts, total = [0.0], 0
    for index, increment in enumerate(increments, start=1):
        # A restart right after a sample: the counter then shows only what came since.
        total = increment if index in restarts and index - 1 not in lost and increment < total else total + increment
        counts.append(float(total))
    values = np.array([NAN if index in lost else count for index, count in enumerate(counts)])
    result = rates(values, 60)
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < 2:
        assert np.isnan(result).all()
        return
    assert np.isnan(result[: known[0] + 1]).all()
    assert (result[known[1:]] >= 0).all()
    assert np.isnan(result[np.isnan(values)]).all()
    seen = sum(result[known[1:]] * np.diff(known) * 60)
    expected = sum(increments[known[0] : known[-1]])
    hidden = any(restart in range(known[0] + 1, known[-1] + 1) and restart in lost for restart in restarts)
    if not hidden:
        assert seen == pytest.approx(expected)
    else:
        assert seen <= expected + 1e-6
