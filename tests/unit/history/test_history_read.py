# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading history files: every way a file can be, and one clear message for each that cannot be used."""

from __future__ import annotations

import gzip
import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history import csv_source, parquet_source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import (
    read_history,
    write_history,
)

DATA = Path(os.environ.get("MODELOPS_DATA", Path(__file__).resolve().parents[3] / "../shared/data"))
NAN = float("nan")
HEAD = "series,timestamp,value\n"
THREE = "a,2026-01-05T00:00:00Z,1\na,2026-01-05T00:10:00Z,2\na,2026-01-05T00:20:00Z,3\n"
START = parse_moment("2026-01-05T00:00:00Z")

# quadratic residues of a prime: hardly two neighbours are equally far apart
IRREGULAR_SECONDS = sorted(number**2 % 14009 for number in range(3, 300, 11))
IRREGULAR = "".join(
    f"a,2026-01-05T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z,{second}\n"
    for second in IRREGULAR_SECONDS
)


def written(tmp_path: Path, text: str, name: str = "h.csv") -> str:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8"))
    return str(path)


def refusal(path: str, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_history(path, **options)  # type: ignore[arg-type]
    message = caught.value.message
    assert message.startswith(path)
    assert "\n" not in message
    return message


def test_three_points_are_a_series(tmp_path: Path) -> None:
    series, warnings = read_history(written(tmp_path, HEAD + THREE))
    assert warnings == []
    assert [(one.name, one.start, one.step_seconds, one.values.tolist()) for one in series] == [
        ("a", START, 600, [1, 2, 3])
    ]


def test_empty_and_absent_values_are_gaps(tmp_path: Path) -> None:
    text = (
        HEAD + "a,2026-01-05T00:00:00Z,1\na,2026-01-05T00:10:00Z,\na,2026-01-05T00:20:00Z, \na,2026-01-05T00:50:00Z,0\n"
    )
    series, _unused = read_history(written(tmp_path, text), step_seconds=600)
    np.testing.assert_array_equal(series[0].values, [1, NAN, NAN, NAN, NAN, 0])


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    text = "value, timestamp ,note,series\n1,2026-01-05T00:00:00Z,x,a\n2,2026-01-05T00:10:00Z,y,a\n"
    assert read_history(written(tmp_path, text))[0][0].values.tolist() == [1, 2]


def test_byte_order_mark_blank_lines_and_crlf(tmp_path: Path) -> None:
    text = "\ufeff" + (HEAD + THREE + "\n\n").replace("\n", "\r\n")
    assert read_history(written(tmp_path, text))[0][0].values.tolist() == [1, 2, 3]


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "named_plain.csv"
    path.write_bytes(gzip.compress((HEAD + THREE).encode()))
    assert len(read_history(str(path))[0][0]) == 3


def test_offsets_are_brought_to_utc(tmp_path: Path) -> None:
    text = HEAD + "a,2026-01-05T02:00:00+02:00,1\na,2026-01-04T19:10:00-05:00,2\na,2026-01-05T00:20:00Z,3\n"
    series, warnings = read_history(written(tmp_path, text))
    assert (series[0].start, series[0].values.tolist(), warnings) == (START, [1, 2, 3], [])


def test_naive_timestamps_among_others_are_said(tmp_path: Path) -> None:
    series, warnings = read_history(written(tmp_path, HEAD + THREE.replace("00:10:00Z", "00:10:00")))
    assert series[0].values.tolist() == [1, 2, 3]
    assert len(warnings) == 1
    assert "without an offset" in warnings[0]


def test_the_step_is_the_most_common_distance(tmp_path: Path) -> None:
    text = HEAD + "".join(f"a,2026-01-05T00:{minute:02d}:00Z,1\n" for minute in (0, 5, 10, 20, 25, 40))
    series, _unused = read_history(written(tmp_path, text))
    assert series[0].step_seconds == 300
    assert int(series[0].present.sum()) == 6
    assert len(series[0]) == 9


def test_a_sparse_series_does_not_lose_its_step(tmp_path: Path) -> None:
    text = HEAD + "".join(f"a,2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z,1\n" for m in (0, 20, 40, 50, 70, 100))
    assert read_history(written(tmp_path, text))[0][0].step_seconds == 600


def test_a_stray_sample_does_not_halve_the_step(tmp_path: Path) -> None:
    text = HEAD + "".join(f"a,2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z,1\n" for m in (*range(0, 200, 10), 55))
    series, warnings = read_history(written(tmp_path, text))
    assert (series[0].step_seconds, len(series[0])) == (600, 20)
    assert "beside the grid" in warnings[0]


def test_jitter_is_moved_to_the_grid_and_said(tmp_path: Path) -> None:
    text = HEAD + "".join(f"a,2026-01-05T00:0{m}:{s:02d}Z,{m}\n" for m, s in enumerate((0, 0, 2, 0, 1, 0, 0)))
    series, warnings = read_history(written(tmp_path, text))
    assert (series[0].start, series[0].values.tolist()) == (START, [0, 1, 2, 3, 4, 5, 6])
    assert warnings == ["a: samples beside the grid are moved to its nearest moment"]


@pytest.mark.parametrize(("step", "waver", "count"), [(600, 90, 2000), (600, 150, 300), (3600, 90, 60), (60, 12, 500)])
@pytest.mark.parametrize("offset", [0, 0.4])
def test_samples_that_waver_keep_the_step_of_the_clock(
    tmp_path: Path, step: int, waver: int, count: int, offset: float
) -> None:
    """A collector that wakes up to so many seconds early or late, and misses one turn in ten."""
    random = np.random.default_rng(count)
    turns = np.flatnonzero(random.random(count) > 0.1)
    late = np.round(random.uniform(-waver, waver, turns.size))
    moments = START + offset * step + turns * step + late
    text = HEAD + "".join(f"a,{format_moment(moment)},{turn}\n" for moment, turn in zip(moments, turns))
    series, _unused = read_history(written(tmp_path, text))
    assert series[0].step_seconds == step
    # a rounding to the grid's own phase may shift all of them alike by a fraction of a step
    assert abs(series[0].start - (START + offset * step + turns[0] * step)) <= waver / 2
    known = np.flatnonzero(series[0].present)
    np.testing.assert_array_equal(known, turns - turns[0])
    np.testing.assert_array_equal(series[0].values[known], turns)


def test_repeated_moments(tmp_path: Path) -> None:
    same = written(tmp_path, HEAD + THREE + THREE, "same.csv")
    series, warnings = read_history(same)
    assert series[0].values.tolist() == [1, 2, 3]
    assert warnings == ["a: moments given more than once, with the same value"]
    other = written(tmp_path, HEAD + THREE + "a,2026-01-05T00:10:00Z,4\na,2026-01-05T00:20:00Z,\n", "other.csv")
    series, warnings = read_history(other)
    assert series[0].values.tolist() == [1, 3, 3]
    assert "with different values; their mean is taken" in warnings[0]


def test_mixed_steps_are_brought_to_the_coarsest_and_said(tmp_path: Path) -> None:
    hourly = "".join(f"b,2026-01-05T{hour:02d}:00:00Z,{hour}\n" for hour in range(6))
    fine = "".join(f"a,2026-01-05T{m // 60:02d}:{m % 60:02d}:00Z,{m // 60}\n" for m in range(0, 360, 10))
    series, warnings = read_history(written(tmp_path, HEAD + fine + hourly))
    assert [(one.step_seconds, one.values.tolist()) for one in series] == [(3600, [0, 1, 2, 3, 4, 5])] * 2
    assert len(warnings) == 1
    assert "600 s, 3600 s" in warnings[0]


def test_a_month_is_a_step(tmp_path: Path) -> None:
    text = HEAD + "".join(f"a,{2024 + m // 12}-{m % 12 + 1:02d}-01T00:00:00Z,{m}\n" for m in range(30))
    series, warnings = read_history(written(tmp_path, text))
    assert series[0].values.tolist() == list(range(30))
    assert series[0].step_seconds == round(365.2425 * 86400 / 12)
    assert series[0].end == parse_moment("2026-06-01T00:00:00Z")
    assert "one sample a month" in warnings[0]


def test_names_rename_until(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + THREE + THREE.replace("a,", "b,") + "c,rubbish,rubbish\n")
    series, _unused = read_history(path, names=["b", "a"], rename={"a": "z"}, until=START + 600)
    assert [(one.name, one.values.tolist()) for one in series] == [("b", [1, 2]), ("z", [1, 2])]
    assert "two series would be named b" in refusal(path, names=["a", "b"], rename={"a": "b"})


def test_a_series_that_begins_after_until_is_left_out_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + THREE + "b,2026-01-06T00:00:00Z,1\n")
    series, warnings = read_history(path, until=START + 3600)
    assert [one.name for one in series] == ["a"]
    assert warnings == ["b: no sample at or before 2026-01-05T01:00:00Z; left out"]
    assert "no sample is at or before 2025" in refusal(path, until=parse_moment("2025-01-01"))


@pytest.mark.parametrize("text", ["NaN", "nan", "inf", "-Inf", "NA", "null"])
def test_written_out_nan_is_refused_or_a_gap(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, HEAD + THREE.replace(",2\n", f",{text}\n"))
    message = refusal(path)
    assert "row 3, series a" in message
    assert "Leave the value empty for a gap, or set invalid_values to gap" in message
    series, warnings = read_history(path, invalid_values="gap")
    np.testing.assert_array_equal(series[0].values, [1, NAN, 3])
    assert warnings == ["a: values that are negative or not a number are taken as gaps"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,2026-01-05T00:00:00Z,-3\n", ["row 2, series a", "'-3' is negative"]),
        ("a,2026-01-05T00:00:00Z,1\na,yesterday,2\n", ["row 3, series a", "'yesterday' is not an ISO 8601 moment"]),
        ("a,2026-01-05T00:00:00Z,12 rps\n", ["row 2, series a", "'12 rps' is not a number"]),
        ("a,2026-01-05T00:00:00Z\n", ["row 2", "2 columns"]),
        (",2026-01-05T00:00:00Z,1\n", ["row 2", "names no series"]),
        ("", ["holds no sample"]),
        ("a,2026-01-05T00:00:00Z,1\n", ["step cannot be told", "Set step_seconds"]),
        (THREE + "a,2206-01-05T00:00:00Z,1\n", ["series a", "2206-01-05", "stray timestamp"]),
        (IRREGULAR, ["series a", "follow no step: they are 10 to 1743 s apart", "Set step_seconds, for example to"]),
    ],
)
def test_rows_that_cannot_be_read(tmp_path: Path, rows: str, words: list[str]) -> None:
    message = refusal(written(tmp_path, HEAD + rows))
    for word in words:
        assert word in message


def test_the_row_is_named_behind_many_good_ones(tmp_path: Path) -> None:
    rows = "".join(f"s{number},2026-01-05T00:00:00Z,1\n" for number in range(csv_source.ROWS_AT_ONCE + 5))
    message = refusal(written(tmp_path, HEAD + rows + "x,2026-01-05T00:00:00Z,-1\n"))
    assert f"row {csv_source.ROWS_AT_ONCE + 7}, series x" in message


def test_irregular_samples_can_be_gathered(tmp_path: Path) -> None:
    series, _unused = read_history(written(tmp_path, HEAD + IRREGULAR), step_seconds=7200, aggregation="max")
    expected = np.full(2, NAN)
    for second in IRREGULAR_SECONDS:
        expected[second // 7200] = np.fmax(expected[second // 7200], second)
    np.testing.assert_array_equal(series[0].values, expected)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "does not exist" in refusal(str(tmp_path / "absent.csv"))
    assert "is empty" in refusal(written(tmp_path, "", "empty.csv"))
    assert "the columns found are name, when, value" in refusal(written(tmp_path, "name,when,value\n", "columns.csv"))
    assert "found are series;timestamp;value" in refusal(written(tmp_path, "series;timestamp;value\n", "semicolon.csv"))
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress((HEAD + THREE).encode())[:-12])
    assert "gzip data is broken" in refusal(str(broken))
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEAD.encode() + "caf\u00e9,2026-01-05T00:00:00Z,1\n".encode("latin-1"))
    assert "not UTF-8" in refusal(str(latin))
    assert "cannot read" in refusal(str(tmp_path))


def test_the_size_limit_holds_for_what_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"0" * 2_000_000))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(csv_source, "MAX_DOCUMENT_BYTES", 1_000_000)
    assert "larger than" in refusal(str(path))
    monkeypatch.setattr(parquet_source, "MAX_DOCUMENT_BYTES", 10)
    write_history(str(tmp_path / "h.parquet"), [Series("a", START, 600, np.ones(3))])
    assert "larger than" in refusal(str(tmp_path / "h.parquet"))


def test_unknown_series_names_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + THREE.replace("a,", "chat-8b,") + THREE.replace("a,", "code-7b,"))
    assert "there is no series chat8b. The nearest are chat-8b" in refusal(path, names=["chat8b", "code-7b"])
    assert "The file holds chat-8b, code-7b" in refusal(path, names=["zzz"])


@pytest.mark.parametrize("name", ["h.csv", "h.parquet"])
def test_an_unknown_series_may_be_skipped_as_long_as_another_is_there(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, HEAD + THREE.replace("a,", "chat-8b,"))
    if name.endswith(".parquet"):
        series, _unused = read_history(path)
        path = str(tmp_path / name)
        write_history(path, series)
    series, warnings = read_history(path, names=["chat-8b", "novel"], absent_series="skip")
    assert [one.name for one in series] == ["chat-8b"]
    assert warnings == ["novel: the history has no series of that name, or no number in it; left out"]
    assert "there is no series novel" in refusal(path, names=["novel"], absent_series="skip")
    with pytest.raises(InputError, match="absent_series must be one of refuse, skip, not 'maybe'"):
        read_history(path, names=["novel"], absent_series="maybe")


def test_a_finer_step_than_the_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="series a: its samples are 600 s apart, so a step of 60 s cannot be made"):
        read_history(written(tmp_path, HEAD + THREE + "a,2026-01-05T00:30:00Z,3\n"), step_seconds=60)


def test_parquet_of_other_writers(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    stamps = pandas.to_datetime(["2026-01-05T00:00:00", "2026-01-05T00:10:00", "2026-01-05T00:20:00"])
    frame = pandas.DataFrame({"series": "a", "timestamp": stamps, "value": [1.0, None, 3.0]})
    path = str(tmp_path / "p.parquet")
    for timestamps in (
        stamps,
        stamps.tz_localize("UTC"),
        stamps.tz_localize("UTC").tz_convert("Asia/Tokyo"),
        stamps.astype(str),
    ):
        frame.assign(timestamp=timestamps).to_parquet(path)
        series, _unused = read_history(path)
        assert series[0].start == START
        np.testing.assert_array_equal(series[0].values, [1, NAN, 3])
    frame.assign(value=[1, -2, 3]).to_parquet(path)
    assert "row 2, series a" in refusal(path)
    frame.assign(value=["1", "x", "3"]).to_parquet(path)
    assert "holds" in refusal(path)
    frame.drop(columns="value").to_parquet(path)
    assert "there is no column value; the columns found are series, timestamp" in refusal(path)
    Path(path).write_bytes(b"PAR1 not really")
    assert "cannot read it as Parquet" in refusal(path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_equal_series_equal_bytes(tmp_path: Path, suffix: str) -> None:
    series = [Series("b", START, 600, np.array([1.0, NAN, 0.1])), Series("a", START, 600, np.array([2.0, 3.0]))]
    path = tmp_path / f"h{suffix}"
    assert write_history(str(path), series) is True
    first = path.read_bytes()
    assert write_history(str(path), series[::-1]) is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.unlink()
    time.sleep(1.1)  # a time stamp in the bytes would now differ
    write_history(str(path), series)
    assert path.read_bytes() == first


def test_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    write_history(str(path), [Series("a,b", START, 600, np.array([1.0, NAN, 0.1, 1e-7]))])
    assert path.read_text() == (
        'series,timestamp,value\n"a,b",2026-01-05T00:00:00Z,1\n"a,b",2026-01-05T00:10:00Z,\n'
        '"a,b",2026-01-05T00:20:00Z,0.1\n"a,b",2026-01-05T00:30:00Z,1e-07\n'
    )
    with pytest.raises(InputError, match="given twice"):
        write_history(str(path), [Series("a", START, 600, np.ones(1))] * 2)
    with pytest.raises(InputError, match="Create the directory"):
        write_history(str(tmp_path / "no" / "h.csv"), [Series("a", START, 600, np.ones(1))])


@pytest.mark.parametrize("name", ["servegen_mid_10min", "m4_hourly_even_train", "nab_tweets_5min", "m3_monthly_even"])
def test_real_histories_agree_with_pandas(name: str) -> None:
    pandas = pytest.importorskip("pandas")
    path = DATA / "demand" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"no reference data at {path}; set MODELOPS_DATA")
    began = time.process_time()
    series, _unused = read_history(str(path))
    # 0.43 s for 222,000 rows on a slow core; the bound only catches a lost order of magnitude
    assert time.process_time() - began < 3
    frame = pandas.read_csv(path, dtype={"series": str})
    groups = dict(iter(frame.groupby("series")))
    assert [one.name for one in series] == sorted(groups)
    for one in series:
        np.testing.assert_array_equal(one.values[one.present], groups[one.name].value.dropna())
