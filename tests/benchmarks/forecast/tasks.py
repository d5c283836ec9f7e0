# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is forecast: public series cut at one or several origins into a history and what came next.

A task is a list of cases; a case is one series at one origin. Rolling origins never
overlap in what is to be forecast, and lie a little more or less than a day apart where
that matters, so that every time of day is a beginning.

Traffic histories are of four weeks at most, as an operator would keep. Production traffic is
reported in two segments: ``sparse`` where more than half of the
history before the first origin is zero, ``live`` otherwise.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[3]
DAY_SECONDS = 86_400
MONTH_SECONDS = 30 * DAY_SECONDS
SPARSE_SHARE = 0.5
LONGEST_HISTORY_SECONDS = 28 * DAY_SECONDS


@dataclass(frozen=True, eq=False)
class Case:
    """One series at one origin.

    Attributes:
        series: name of the series.
        origin: samples of the series before the first forecast step.
        start: moment of the first sample, epoch seconds.
        step_seconds: seconds between samples; a month counts as 30 days.
        history: (n,), NaN is a gap.
        actual: (horizon,), NaN is a gap and not scored.
        segment: part of the task this case is reported in.
    """

    series: str
    origin: int
    start: float
    step_seconds: int
    history: Values
    actual: Values
    segment: str


@dataclass(frozen=True, eq=False)
class Task:
    """Cases with the same horizon and seasons; ``seasons`` in steps, ascending; the first one scales MASE."""

    name: str
    title: str
    horizon: int
    seasons: tuple[int, ...]
    cases: tuple[Case, ...]

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(sorted({case.segment for case in self.cases}))


@dataclass(frozen=True, eq=False)
class Raw:
    """One series on its grid: moment of the first value in epoch seconds, and the values."""

    start: float
    values: Values


def data_folder() -> Path:
    """The folder ``demand`` of the reference data; see MODELOPS_DATA.

    Raises:
        FileNotFoundError: it is not there.
    """
    given = Path(os.environ.get("MODELOPS_DATA", "../shared/data"))
    folder = (given if given.is_absolute() else ROOT / given) / "demand"
    if not (folder / "m4_hourly_even_train.csv.gz").is_file():
        raise FileNotFoundError(f"the reference data is not in {folder}; set MODELOPS_DATA to the folder that holds it")
    return folder


def load(name: str, step_seconds: int | None) -> dict[str, Raw]:
    """Series of one file, as means over ``step_seconds``; None keeps the samples as they come."""
    moments: dict[str, list[str]] = {}
    values: dict[str, list[float]] = {}
    with gzip.open(data_folder() / f"{name}.csv.gz", "rt", encoding="utf-8") as lines:
        rows = csv.reader(lines)
        next(rows)
        for series, moment, value in rows:
            moments.setdefault(series, []).append(moment.removesuffix("Z"))
            values.setdefault(series, []).append(float(value) if value else np.nan)
    result = {}
    for series in sorted(values):
        seconds = np.array(moments[series], dtype="datetime64[s]").astype(np.int64)
        numbers = np.array(values[series])
        result[series] = (
            Raw(float(seconds[0]), numbers) if step_seconds is None else _on_grid(seconds, numbers, step_seconds)
        )
    return result


def _on_grid(seconds: npt.NDArray[np.int64], values: Values, step_seconds: int) -> Raw:
    """Means over whole steps; a step without a sample is a gap."""
    slots = seconds // step_seconds
    first = int(slots[0])
    known = np.isfinite(values)
    size = int(slots[-1]) - first + 1
    counts = np.bincount(slots[known] - first, minlength=size)
    sums = np.bincount(slots[known] - first, weights=values[known], minlength=size)
    return Raw(float(first * step_seconds), np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def rolling(raw: dict[str, Raw], *, step_seconds: int, horizon: int, origins: int, apart: int) -> Iterator[Case]:
    """Cases at ``origins`` origins ``apart`` steps from each other, the last one ``horizon`` before the end."""
    most = LONGEST_HISTORY_SECONDS // step_seconds
    for name, one in raw.items():
        first = one.values.size - horizon - (origins - 1) * apart
        for cut in range(first, first + origins * apart, apart):
            begin = max(0, cut - most)
            start = one.start + begin * step_seconds
            yield Case(name, cut, start, step_seconds, one.values[begin:cut], one.values[cut : cut + horizon], "")


def by_zeros(cases: Iterator[Case]) -> Iterator[Case]:
    """The segment of each series by its share of zeros before its first origin."""
    segment: dict[str, str] = {}
    for case in cases:
        share = float(np.mean(case.history == 0.0))
        segment.setdefault(case.series, "sparse" if share > SPARSE_SHARE else "live")
        yield replace(case, segment=segment[case.series])


def m4_hourly() -> Task:
    train, test = load("m4_hourly_even_train", None), load("m4_hourly_even_test", None)
    cases = tuple(
        Case(name, one.values.size, one.start, 3600, one.values, test[name].values, "") for name, one in train.items()
    )
    return Task("m4", "M4 hourly, even ids, h=48", 48, (24, 168), cases)


def m3_monthly() -> Task:
    cases = []
    for name, one in load("m3_monthly_even", None).items():
        history, actual = one.values[:-18], one.values[-18:]
        cases.append(Case(name, history.size, one.start, MONTH_SECONDS, history, actual, ""))
    return Task("m3", "M3 monthly, even ids, h=18", 18, (12,), tuple(cases))


def servegen(name: str, title: str, **rounds: int) -> Task:
    step_seconds = rounds["step_seconds"]
    raw = {**load("servegen_mid_10min", step_seconds), **load("servegen_small_10min", step_seconds)}
    return _daily(name, title, by_zeros(rolling(raw, **rounds)), **rounds)


def traffic(name: str, title: str, *files: str, **rounds: int) -> Task:
    raw: dict[str, Raw] = {}
    for file in files:
        raw.update(load(file, rounds["step_seconds"]))
    return _daily(name, title, rolling(raw, **rounds), **rounds)


def _daily(name: str, title: str, cases: Iterator[Case], *, step_seconds: int, horizon: int, **_rest: int) -> Task:
    day = DAY_SECONDS // step_seconds
    return Task(name, title, horizon, (day, 7 * day), tuple(cases))


TASKS: dict[str, Callable[[], Task]] = {
    "m4": m4_hourly,
    "m3": m3_monthly,
    # Eleven windows of eight hours, begun every nine: the last four days.
    "servegen_10min": lambda: servegen(
        "servegen_10min", "ServeGen LLM traffic, 10 min, h=48", step_seconds=600, horizon=48, origins=11, apart=54
    ),
    # Five days, each begun an hour later in the day than the last.
    "servegen_hourly": lambda: servegen(
        "servegen_hourly", "ServeGen LLM traffic, hourly, h=24", step_seconds=3600, horizon=24, origins=5, apart=25
    ),
    "tweets": lambda: traffic(
        "tweets", "NAB tweets, 30 min, h=48", "nab_tweets_5min", step_seconds=1800, horizon=48, origins=8, apart=55
    ),
    "web": lambda: traffic(
        "web",
        "Web requests, 10 min, h=36",
        "elb_requests_5min",
        "nasa_http_1min",
        **{"step_seconds": 600, "horizon": 36, "origins": 24, "apart": 38},
    ),
    "taxi": lambda: traffic(
        "taxi", "NYC taxi rides, 30 min, h=48", "nyc_taxi_30min", step_seconds=1800, horizon=48, origins=24, apart=55
    ),
    "taylor": lambda: traffic(
        "taylor",
        "Taylor electricity, 30 min, h=48",
        "taylor_30min",
        step_seconds=1800,
        horizon=48,
        origins=24,
        apart=55,
    ),
}


def chosen(names: str) -> list[str]:
    """Task names behind a comma-separated list; ``servegen`` stands for all that begin so.

    Raises:
        ValueError: a name that is no task.
    """
    picked: list[str] = []
    for part in names.split(","):
        found = [name for name in TASKS if name == part or name.startswith(f"{part}_")]
        if not found:
            raise ValueError(f"{part!r} is no task; there are {', '.join(TASKS)}")
        picked += [name for name in found if name not in picked]
    return picked
