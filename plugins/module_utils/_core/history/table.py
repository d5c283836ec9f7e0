# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The history file, long table ``series,timestamp,value``, to regular series and back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import write_atomically
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history import csv_source, parquet_source
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.grid import regular_series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.samples import (
    Notes,
    Samples,
    check_absent,
    check_invalid_values,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import AGGREGATIONS, Series

PARQUET_SUFFIX = ".parquet"
GZIP_SUFFIX = ".gz"


def read_history(
    path: str,
    *,
    names: Sequence[str] | None = None,
    rename: Mapping[str, str] | None = None,
    step_seconds: int | None = None,
    until: float | None = None,
    aggregation: str = "mean",
    invalid_values: str = "refuse",
    absent_series: str = "refuse",
) -> tuple[list[Series], list[str]]:
    """Regular series from a history file, and what was noticed on the way.

    Args:
        path: CSV, CSV.gz or Parquet.
        names: the series wanted, as the file names them; None takes all.
        rename: name in the file to name in the result.
        step_seconds: step of the result; None takes the coarsest step in the file.
        until: only samples at or before this moment, epoch seconds.
        aggregation: ``mean``, ``sum``, ``max`` or ``last``, when samples are finer than the step.
        invalid_values: ``refuse`` negative, NaN and infinite values, or take each as a ``gap``.
        absent_series: ``refuse`` a name that is not in the file, or ``skip`` it where another is.

    Returns:
        The series sorted by name, all on one step (a series may start and end where it
        likes), and warnings, one line each.

    Raises:
        InputError: anything about the file, its rows or the options that cannot be used.
    """
    gaps_for_invalid = check_invalid_values(invalid_values)
    if aggregation not in AGGREGATIONS:
        raise InputError(f"the aggregation must be one of {', '.join(AGGREGATIONS)}, not {aggregation!r}")
    if step_seconds is not None and step_seconds < 1:
        raise InputError(f"step_seconds must be at least 1, not {step_seconds}")
    path = os.path.expanduser(path)
    notes = Notes()
    source = parquet_source if path.endswith(PARQUET_SUFFIX) else csv_source
    samples = source.parse(
        path,
        wanted=frozenset(names or ()),
        gaps_for_invalid=gaps_for_invalid,
        notes=notes,
        absent=check_absent(absent_series),
    )
    if not len(samples.moments):
        raise InputError("the history holds no sample", where=path, remedy="Check the step that writes it")
    if until is not None:
        samples = _until(samples, until, path, notes)
    series = regular_series(samples, step_seconds=step_seconds, aggregation=aggregation, where=path, notes=notes)
    return _renamed(series, rename or {}, path), notes.lines()


def write_history(path: str, series: Sequence[Series]) -> bool:
    """Write the series as CSV, as CSV.gz or as Parquet by the suffix of ``path``.

    Equal series give equal bytes. The file has mode 0640 and is replaced in one step.

    Returns:
        Whether the bytes on disk changed.

    Raises:
        InputError: the directory is missing or not writable; a name stands twice.
        MissingLibraryError: Parquet without pyarrow.
    """
    names = sorted(one.name for one in series)
    for first, second in zip(names, names[1:]):
        if first == second:
            raise InputError(f"the series {first} is given twice", where=path, remedy="Give each series its own name")
    if path.endswith(PARQUET_SUFFIX):
        return write_atomically(path, parquet_source.render(series))
    return write_atomically(path, csv_source.render(series, compress=path.endswith(GZIP_SUFFIX)))


def _until(samples: Samples, moment: float, path: str, notes: Notes) -> Samples:
    kept = samples.moments <= moment
    if not kept.any():
        raise InputError(
            f"no sample is at or before {format_moment(moment)}; the first is at {format_moment(samples.moments.min())}",
            where=path,
            remedy="Choose a later moment",
        )
    samples = replace(samples, codes=samples.codes[kept], moments=samples.moments[kept], values=samples.values[kept])
    left = set(samples.codes.tolist())
    for code, name in enumerate(samples.names):
        if code not in left:
            notes.add(f"no sample at or before {format_moment(moment)}; left out", name)
    return samples


def _renamed(series: list[Series], rename: Mapping[str, str], path: str) -> list[Series]:
    renamed = sorted((replace(one, name=rename.get(one.name, one.name)) for one in series), key=lambda one: one.name)
    for first, second in zip(renamed, renamed[1:]):
        if first.name == second.name:
            raise InputError(
                f"two series would be named {first.name}", where=path, remedy="Give each series its own name"
            )
    return renamed
