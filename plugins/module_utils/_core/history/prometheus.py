# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Demand from a Prometheus server (or Thanos, Mimir, VictoriaMetrics: the same API).

A query is evaluated at whole multiples of the step, in pieces below the server's
limit of 11,000 points. What the server does not give, or gives as NaN, is a gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    SourceUnavailableError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.counters import rates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.samples import (
    LEFT_OUT,
    Notes,
    check_absent,
    check_invalid_values,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.web import Server, ask, one_line

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt

RANGE_PATH = "/api/v1/query_range"
POINTS_A_QUERY = 10_000
MOST_STEPS = 1_000_000
KINDS = ("gauge", "counter")
COMBINATIONS = ("none", "sum")
LABEL_SETS_IN_MESSAGE = 5

Labels = tuple[tuple[str, str], ...]  # sorted by name


@dataclass(frozen=True)
class Source:
    """How one model's demand is asked for.

    Args:
        query: PromQL.
        kind: ``gauge``: its value is the demand (also for ``rate(...)``); ``counter``: its
            rate per second is, taken here.
        combine: ``none``: the query must leave one series; ``sum``: the demand is the sum of
            those it leaves, each counter's rate taken before summing, so that the restart of
            one replica is not mistaken for that of all.
    """

    query: str
    kind: str = "gauge"
    combine: str = "none"


class NoSamplesError(SourceUnavailableError):
    """The server answered, and has no number for a query."""


def read_prometheus(
    server: Server,
    sources: Mapping[str, Source],
    *,
    start: float,
    end: float,
    step_seconds: int,
    invalid_values: str = "refuse",
    absent_series: str = "refuse",
) -> tuple[list[Series], list[str]]:
    """One series a model from ``start`` to ``end``, both moved inwards to multiples of the step.

    Returns:
        The series sorted by name, all of the same length, and warnings.

    Raises:
        InputError: the window is empty or too long, or an option cannot be used.
        SourceUnavailableError: the server gives no usable answer for a model.
    """
    first, last = math.ceil(start / step_seconds), math.floor(end / step_seconds)
    if last < first:
        raise InputError(
            f"the window from {format_moment(start)} to {format_moment(end)} holds no step of {step_seconds} s",
            remedy="Choose an earlier start, a later end or a finer step_seconds",
        )
    if last - first >= MOST_STEPS:
        raise InputError(
            f"the window holds {last - first + 1} steps of {step_seconds} s, more than {MOST_STEPS}",
            remedy="Choose a coarser step_seconds or a shorter window",
        )
    notes, skips = Notes(), check_absent(absent_series) == "skip"
    series: list[Series] = []
    nothing: list[NoSamplesError] = []
    for name in sorted(sources):
        one = _series_or_nothing(server, name, sources[name], first, last, step_seconds, invalid_values, notes)
        if isinstance(one, Series):
            series.append(one)
            continue
        notes.add(LEFT_OUT, name)
        nothing.append(one)
        if not skips:
            break
    if nothing and not (skips and series):
        raise SourceUnavailableError(nothing[0].what, where=nothing[0].where, remedy=nothing[0].remedy)
    return series, notes.lines()


def _series_or_nothing(
    server: Server,
    name: str,
    source: Source,
    first: int,
    last: int,
    step_seconds: int,
    invalid_values: str,
    notes: Notes,
) -> Series | NoSamplesError:
    try:
        return _one_series(server, name, source, first, last, step_seconds, invalid_values, notes)
    except NoSamplesError as error:
        return error


def _one_series(
    server: Server,
    name: str,
    source: Source,
    first: int,
    last: int,
    step_seconds: int,
    invalid_values: str,
    notes: Notes,
) -> Series:
    where = f"{server.url}, series {name}"
    # The rate at the first step needs the count one step earlier.
    earlier = 1 if source.kind == "counter" else 0
    rows = _label_sets(server, name, source.query, first - earlier, last, step_seconds, notes)
    if len(rows) > 1 and source.combine == "none":
        raise SourceUnavailableError(
            f"the query leaves {len(rows)} series, {_examples(list(rows))}: {one_line(source.query)}",
            where=where,
            remedy="Aggregate in the query, like sum(rate(requests_total[10m])), or set combine to sum",
        )
    samples = np.array([rows[labels] for labels in sorted(rows)])
    if source.kind == "counter":
        samples = np.array([rates(row, step_seconds) for row in samples])
    known = ~np.isnan(samples)
    if not known.any():
        raise NoSamplesError(
            f"the query gave no number from {format_moment(first * step_seconds)}"
            f" to {format_moment(last * step_seconds)}: {one_line(source.query)}",
            where=where,
            remedy="Try the query in the server's own expression browser: check the metric's name and labels,"
            " and that the server holds data of that time",
        )
    values = np.where(known.any(axis=0), np.nansum(samples, axis=0), np.nan)[earlier:]
    moments = np.arange(first, last + 1) * step_seconds
    return Series(name, float(moments[0]), step_seconds, _checked(values, moments, name, where, invalid_values, notes))


def _label_sets(
    server: Server, name: str, query: str, first: int, last: int, step_seconds: int, notes: Notes
) -> dict[Labels, npt.NDArray[np.float64]]:
    """Samples of each label set at the steps ``first`` to ``last``, NaN where there is none."""
    rows: dict[Labels, npt.NDArray[np.float64]] = {}
    for begin in range(first, last + 1, POINTS_A_QUERY):
        parameters = {
            "query": query,
            "start": str(begin * step_seconds),
            "end": str(min(begin + POINTS_A_QUERY - 1, last) * step_seconds),
            "step": str(step_seconds),
        }
        where = f"{server.url}, series {name}"
        try:
            answer = ask(server, RANGE_PATH, parameters)
        except SourceUnavailableError as error:
            raise SourceUnavailableError(error.what, where=where, remedy=error.remedy) from error
        try:
            if answer["status"] != "success" or answer["data"]["resultType"] != "matrix":
                raise ValueError(answer.get("error") or "not a range of samples")
            for warning in answer.get("warnings") or ():
                notes.add(f"the metrics server warns: {one_line(warning)}", name)
            for one in answer["data"]["result"]:
                labels = tuple(sorted((str(key), str(value)) for key, value in one["metric"].items()))
                row = rows.setdefault(labels, np.full(last - first + 1, np.nan))
                _place(one["values"], row, first, step_seconds)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise SourceUnavailableError(
                f"the answer is not that of a Prometheus range query ({type(error).__name__}: {one_line(error)})",
                where=where,
                remedy="Check that url is a Prometheus server, and what stands between it and this machine",
            ) from error
    return rows


def _place(pairs: list[Any], row: npt.NDArray[np.float64], first: int, step_seconds: int) -> None:
    """Put ``[moment, "number"]`` pairs at their steps."""
    if pairs:
        moments = np.array([float(pair[0]) for pair in pairs])
        steps = np.rint(moments / step_seconds).astype(np.int64) - first
        if steps.min() < 0 or steps.max() >= len(row):
            raise ValueError("a sample lies outside the window asked for")
        row[steps] = [float(pair[1]) for pair in pairs]


def _checked(
    values: npt.NDArray[np.float64],
    moments: npt.NDArray[np.int64],
    name: str,
    where: str,
    invalid_values: str,
    notes: Notes,
) -> npt.NDArray[np.float64]:
    """The values, with those no demand can have refused or taken as gaps."""
    wrong = np.isinf(values) | (values < 0)
    if not wrong.any():
        return values
    if not check_invalid_values(invalid_values):
        at = int(np.flatnonzero(wrong)[0])
        raise SourceUnavailableError(
            f"the query gave {values[at]:g} at {format_moment(float(moments[at]))}, which no demand can be",
            where=where,
            remedy="Correct the query, or set invalid_values to gap",
        )
    notes.add("values that are negative or infinite are taken as gaps", name)
    return np.where(wrong, np.nan, values)


def _examples(label_sets: list[Labels]) -> str:
    """The labels that tell the series apart, as PromQL writes them."""
    shared = set(label_sets[0]).intersection(*label_sets)
    differing = [
        "{" + ", ".join(f'{key}="{value}"' for key, value in labels if (key, value) not in shared) + "}"
        for labels in sorted(label_sets)
    ]
    shown = ", ".join(differing[:LABEL_SETS_IN_MESSAGE])
    return shown if len(differing) <= LABEL_SETS_IN_MESSAGE else f"{shown}, ..."
