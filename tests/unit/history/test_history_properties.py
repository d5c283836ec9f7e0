# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every history, whatever is in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import (
    read_history,
    write_history,
)

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.one_of(st.none(), st.floats(0, 1e12, allow_subnormal=False), st.integers(0, 10**6).map(float))
NAMES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="\x85"), min_size=1, max_size=12)


@st.composite
def histories(draw: st.DrawFn) -> list[Series]:
    """Some series of one step, each beginning and ending with a value or not, as long as the step shows."""
    step = draw(st.sampled_from([1, 7, 60, 600, 3600, 86400]))
    found = []
    for name in draw(st.sets(NAMES, min_size=1, max_size=3)):
        start = draw(st.integers(0, 4_000_000_000))
        drawn = draw(st.lists(VALUES, min_size=4, max_size=30))
        values = np.array([np.nan if value is None else value for value in drawn])
        found.append(Series(name, float(start), step, values))
    return sorted(found, key=lambda one: one.name)


def same(left: list[Series], right: list[Series]) -> bool:
    return len(left) == len(right) and all(
        (a.name, a.start, a.step_seconds) == (b.name, b.start, b.step_seconds)
        and np.array_equal(a.values, b.values, equal_nan=True)
        for a, b in zip(left, right)
    )


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@SETTINGS
@given(history=histories())
def test_write_then_read_gives_the_same(tmp_path: Path, suffix: str, history: list[Series]) -> None:
    path = str(tmp_path / f"h{suffix}")
    write_history(path, history)
    assert same(read_history(path)[0], history)


@SETTINGS
@given(
    history=histories(), seed=st.integers(0, 2**32), repeated=st.integers(0, 20), step=st.sampled_from([None, 172800])
)
def test_the_order_of_the_rows_does_not_matter(
    tmp_path: Path, history: list[Series], seed: int, repeated: int, step: int | None
) -> None:
    """Also when moments are given several times with different values."""
    path = tmp_path / "h.csv"
    write_history(str(path), history)
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    shuffler = random.Random(seed)
    rows += [",".join([*row.split(",")[:-1], f"{shuffler.random():.3f}"]) for row in shuffler.choices(rows, k=repeated)]
    answers = []
    for _unused in range(3):
        shuffler.shuffle(rows)
        path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
        answers.append(read_history(str(path), step_seconds=step))
    assert all(same(answers[0][0], other) and sorted(warnings) == sorted(answers[0][1]) for other, warnings in answers)


@SETTINGS
@given(history=histories(), data=st.data())
def test_a_lost_row_is_a_gap_and_nothing_else_changes(
    tmp_path: Path, history: list[Series], data: st.DataObject
) -> None:
    one = history[0]
    lost = data.draw(st.integers(1, len(one) - 2))
    path = tmp_path / "h.csv"
    write_history(str(path), [one])
    rows = path.read_text(encoding="utf-8").splitlines()
    assert format_moment(one.moments[lost]) in rows[lost + 1]
    del rows[lost + 1]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    values = one.values.copy()
    values[lost] = np.nan
    assert same(
        read_history(str(path), step_seconds=one.step_seconds)[0],
        [Series(one.name, one.start, one.step_seconds, values)],
    )


@SETTINGS
@given(history=histories(), factor=st.integers(2, 5))
def test_aggregates_lie_between_their_samples(history: list[Series], factor: int) -> None:
    one = history[0]
    coarse = {how: one.aggregate(one.step_seconds * factor, how) for how in ("mean", "sum", "max", "last")}
    present = coarse["mean"].present
    for other in coarse.values():
        np.testing.assert_array_equal(other.present, present)
    slack = 1e-9 * (1 + np.nan_to_num(coarse["max"].values[present]))
    assert (coarse["mean"].values[present] <= coarse["max"].values[present] + slack).all()
    assert (coarse["last"].values[present] <= coarse["max"].values[present]).all()
    assert (coarse["max"].values[present] <= coarse["sum"].values[present] + slack).all()
