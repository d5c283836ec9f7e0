# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The demand history an operator asked for, from a file or a metrics server."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.prometheus import (
    COMBINATIONS,
    KINDS,
    Source,
    read_prometheus,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.samples import Notes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import read_history
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.web import Server

PROMETHEUS_STEP_SECONDS = 600
PROMETHEUS_LOOKBACK_SECONDS = 14 * 86_400
STALE_STEPS = 3


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        src: a history file, or None.
        server: a metrics server, or None.
        sources: model to its source: the name of a series in the file, or a query.
        step_seconds: step of the result; None is the file's own, or 600 for a server.
        start: first moment, epoch seconds.
        until: last moment, epoch seconds.
        lookback_seconds: how far back from the last moment, when ``start`` is None.
        aggregation: see :func:`.table.read_history`.
        invalid_values: see :func:`.table.read_history`.
        absent_series: see :func:`.table.read_history`.
    """

    src: str | None = None
    server: Server | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)
    step_seconds: int | None = None
    start: float | None = None
    until: float | None = None
    lookback_seconds: int | None = None
    aggregation: str = "mean"
    invalid_values: str = "refuse"
    absent_series: str = "refuse"


def request_of(params: Mapping[str, Any]) -> Request:
    """The request in a module's options.

    Raises:
        InputError: a moment is not one, or a number is out of range.
    """
    for option in ("step_seconds", "lookback_seconds"):
        if params[option] is not None and params[option] < 1:
            raise InputError(f"{option} must be at least 1, not {params[option]}")
    server = Server(**params["prometheus"]) if params["prometheus"] else None
    if server and (server.retries < 0 or not server.timeout_seconds > 0):
        raise InputError("retries must be at least 0 and timeout_seconds above 0", where="prometheus")
    return Request(
        src=params["src"],
        server=server,
        sources={str(model): source for model, source in (params["series"] or {}).items()},
        step_seconds=params["step_seconds"],
        start=None if params["start"] is None else parse_moment(params["start"], what="start"),
        until=None if params["until"] is None else parse_moment(params["until"], what="until"),
        lookback_seconds=params["lookback_seconds"],
        aggregation=params["aggregation"],
        invalid_values=params["invalid_values"],
        absent_series=params["absent_series"],
    )


def collect(request: Request, *, now: float) -> tuple[list[Series], list[str]]:
    """The series asked for, sorted by name, all on one step, and warnings.

    Raises:
        InputError: an option or the file cannot be used.
        SourceUnavailableError: the metrics server gives no usable answer.
    """
    if request.start is not None and request.until is not None and request.start > request.until:
        raise InputError(f"start {format_moment(request.start)} is after until {format_moment(request.until)}")
    series, warnings = _from_server(request, now) if request.server else _from_file(request)
    notes = Notes()
    newest = max(one.end for one in series)
    for one in series:
        age = newest - _newest_value(one)
        if age > STALE_STEPS * one.step_seconds:
            notes.add(
                "no value lately: the newest is more than three steps older than the end of the history", one.name
            )
    return series, warnings + notes.lines()


def _from_file(request: Request) -> tuple[list[Series], list[str]]:
    path = str(request.src)
    wanted = {model: _series_name(model, source) for model, source in request.sources.items()}
    series, warnings = read_history(
        path,
        names=sorted(set(wanted.values())) or None,
        step_seconds=request.step_seconds,
        until=request.until,
        aggregation=request.aggregation,
        invalid_values=request.invalid_values,
        absent_series=request.absent_series,
    )
    by_name = {one.name: one for one in series}
    models = wanted or {name: name for name in by_name}
    series = [replace(by_name[models[model]], name=model) for model in sorted(models) if models[model] in by_name]
    start = request.start
    if start is None and request.lookback_seconds:
        start = max(one.end for one in series) - request.lookback_seconds + series[0].step_seconds
    if start is None:
        return series, warnings
    notes = Notes()
    kept = [one.since(start) for one in series]
    for one in kept:
        if not len(one):
            notes.add(f"no sample at or after {format_moment(start)}; left out", one.name)
    if not any(len(one) for one in kept):
        raise InputError(
            f"no sample is at or after {format_moment(start)}; the last is at"
            f" {format_moment(max(one.end for one in series))}",
            where=path,
            remedy="Choose an earlier start",
        )
    return [one for one in kept if len(one)], warnings + notes.lines()


def _from_server(request: Request, now: float) -> tuple[list[Series], list[str]]:
    if not request.server or not request.sources:
        raise InputError(
            "prometheus needs series",
            remedy="Say how each model's demand is asked for, for example series: {chat-8b: {query: ...}}",
        )
    step = request.step_seconds or PROMETHEUS_STEP_SECONDS
    end = math.floor((now if request.until is None else request.until) / step) * step
    lookback = request.lookback_seconds or PROMETHEUS_LOOKBACK_SECONDS
    return read_prometheus(
        request.server,
        {model: _source(model, source) for model, source in request.sources.items()},
        start=end - lookback + step if request.start is None else request.start,
        end=end,
        step_seconds=step,
        invalid_values=request.invalid_values,
        absent_series=request.absent_series,
    )


def _series_name(model: str, source: Any) -> str:
    if not isinstance(source, (str, int, float)) or isinstance(source, bool) or not str(source):
        raise InputError(
            f"with src, the source of a model is the name of a series in the file, not {source!r}",
            where=f"series {model}",
        )
    return str(source)


def _source(model: str, source: Any) -> Source:
    where = f"series {model}"
    if isinstance(source, str):
        source = {"query": source}
    fields = expect_mapping(source, what="source of a model's demand", where=where)
    unknown = sorted(set(map(str, fields)) - {"query", "kind", "combine"})
    if unknown:
        raise InputError(
            f"a source has no field {', '.join(unknown)}", where=where, remedy="Its fields are query, kind and combine"
        )
    query = str(fields.get("query") or "").strip()
    if not query:
        raise InputError("the source has no query", where=where, remedy="Give PromQL that leaves one series")
    kind, combine = str(fields.get("kind") or "gauge"), str(fields.get("combine") or "none")
    for choice, choices, what in ((kind, KINDS, "kind"), (combine, COMBINATIONS, "combine")):
        if choice not in choices:
            raise InputError(f"{what} must be one of {', '.join(choices)}, not {choice!r}", where=where)
    return Source(query, kind, combine)


def _newest_value(series: Series) -> float:
    """Moment of the newest value that is not a gap; minus infinity when all are gaps."""
    known = series.present.nonzero()[0]
    return float(series.moments[known[-1]]) if len(known) else -math.inf


def check_destination(dest: str) -> None:
    """``dest`` has a suffix that says its format, and its directory exists.

    Raises:
        InputError: neither CSV nor Parquet, or nowhere to write.
    """
    if not dest.endswith((".csv", ".csv.gz", ".parquet")):
        raise InputError("the suffix says no format", where=dest, remedy="End dest in .csv, .csv.gz or .parquet")
    directory = os.path.dirname(os.path.abspath(os.path.expanduser(dest)))
    if not os.path.isdir(directory):
        raise InputError("the directory to write to does not exist", where=dest, remedy=f"Create {directory}")
