# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The history as Parquet, through pyarrow.

``timestamp`` may be a timestamp (without a zone it is UTC) or ISO 8601 text; a null
``value`` is a gap.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import MAX_DOCUMENT_BYTES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.samples import (
    COLUMNS,
    INVALID_REMEDY,
    Notes,
    Samples,
    check_columns,
    check_names,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt

PURPOSE = "a history in Parquet"


def parse(
    path: str, *, wanted: Collection[str], gaps_for_invalid: bool, notes: Notes, absent: str = "refuse"
) -> Samples:
    """The wanted rows of a Parquet file (all when ``wanted`` is empty), in file order.

    Raises:
        InputError: unreadable, not Parquet, a column missing or of the wrong type, a value out of range.
        MissingLibraryError: pyarrow is absent.
    """
    table = _read(path)
    names = table.column("series").cast("string").combine_chunks().dictionary_encode()
    present = names.dictionary.to_pylist()
    _refuse_null(names.null_count, "series", path)
    check_names(wanted, present, where=path, absent=absent, notes=notes)
    codes = names.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    kept = np.isin(codes, [code for code, name in enumerate(present) if name in wanted]) if wanted else slice(None)
    moments = _moments(table.column("timestamp").combine_chunks(), path)
    values, gaps = _values(table.column("value").combine_chunks(), path)
    codes, moments, values, gaps = codes[kept], moments[kept], values[kept], gaps[kept]
    for row in np.flatnonzero(~gaps & ~(np.isfinite(values) & (values >= 0))):
        name = present[codes[row]]
        if not gaps_for_invalid:
            where = f"{path}, series {name}" if wanted else f"{path}, row {row + 1}, series {name}"
            raise InputError(
                f"the value {values[row]:g} is negative or not a finite number", where=where, remedy=INVALID_REMEDY
            )
        notes.add("values that are negative or not a number are taken as gaps", name)
        values[row] = np.nan
    return Samples(names=present, codes=codes, moments=moments, values=values)


def render(series: Sequence[Series]) -> bytes:
    """The one way a history is written as Parquet: sorted by name and time, UTC milliseconds, gaps null."""
    pyarrow = require("pyarrow", purpose=PURPOSE)
    parquet = require("pyarrow.parquet", purpose=PURPOSE)
    ordered = sorted(series, key=lambda one: one.name)
    values = np.concatenate([np.empty(0), *(one.values for one in ordered)])
    moments = np.concatenate([np.empty(0), *(one.moments for one in ordered)])
    table = pyarrow.table(
        {
            "series": pyarrow.array([one.name for one in ordered for _unused in range(len(one))], pyarrow.string()),
            "timestamp": pyarrow.array(np.round(moments * 1000).astype(np.int64), pyarrow.timestamp("ms", tz="UTC")),
            "value": pyarrow.array(values, mask=np.isnan(values)),
        }
    )
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


def _read(path: str) -> Any:
    pyarrow = require("pyarrow", purpose=PURPOSE)
    parquet = require("pyarrow.parquet", purpose=PURPOSE)
    try:
        if os.path.getsize(path) > MAX_DOCUMENT_BYTES:
            raise InputError(
                f"the history is larger than {MAX_DOCUMENT_BYTES >> 20} MiB",
                where=path,
                remedy="Give a coarser step or fewer series",
            )
        source = parquet.ParquetFile(_opened(path))
        check_columns(source.schema_arrow.names, where=path)
        return source.read(columns=list(COLUMNS))
    except FileNotFoundError as error:
        raise InputError(
            "the history file does not exist", where=path, remedy="Check the path, or run the step that writes it"
        ) from error
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            f"cannot read it as Parquet ({error})", where=path, remedy="Write it again with the step that makes it"
        ) from error


def _opened(path: str) -> Any:
    """The file, or where it is sealed, what it says in memory."""
    with open(path, "rb") as stream:
        first = stream.read(len(sealing.MAGIC))
        if sealing.is_sealed(first):
            return io.BytesIO(sealing.opened(first + stream.read(), where=path))
    sealing.opened(first, where=path)  # which refuses what should be sealed
    return path


def _moments(column: Any, path: str) -> npt.NDArray[np.float64]:
    """Epoch seconds of a timestamp or text column."""
    pyarrow = require("pyarrow", purpose=PURPOSE)
    _refuse_null(column.null_count, "timestamp", path)
    if pyarrow.types.is_timestamp(column.type):
        microseconds = column.cast(pyarrow.timestamp("us", tz=column.type.tz), safe=False).cast("int64")
        return np.asarray(microseconds.to_numpy(zero_copy_only=False) / 1e6, dtype=np.float64)
    if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
        raise InputError(
            f"the column timestamp holds {column.type}, not timestamps",
            where=path,
            remedy="Write timestamps, or ISO 8601 text",
        )
    texts = column.dictionary_encode()
    moments = np.array([parse_moment(text, what="timestamp", where=path) for text in texts.dictionary.to_pylist()])
    return np.asarray(moments[texts.indices.to_numpy(zero_copy_only=False)], dtype=np.float64)


def _values(column: Any, path: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The numbers with NaN for null, and where the nulls are."""
    pyarrow = require("pyarrow", purpose=PURPOSE)
    try:
        numbers = column.cast("float64", safe=False)
    except pyarrow.ArrowException as error:
        raise InputError(
            f"the column value holds {column.type}, not numbers ({error})", where=path, remedy="Write it as numbers"
        ) from error
    gaps = np.asarray(column.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    return np.array(numbers.to_numpy(zero_copy_only=False), dtype=np.float64), gaps


def _refuse_null(count: int, column: str, path: str) -> None:
    if count:
        raise InputError(
            f"the column {column} is empty in {count} rows", where=path, remedy="Fill it or remove the rows"
        )
