# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The history as CSV text, plain or gzip.

A fleet's history has a few thousand different timestamps but hundreds of thousands
of rows, so each timestamp text is parsed once and whole columns are converted at a
time. Only when a column does not convert are its rows looked at one by one, to name
the row.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import math
import os
import zlib
from collections.abc import Collection, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import MAX_DOCUMENT_BYTES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.samples import (
    INVALID_REMEDY,
    Notes,
    Samples,
    check_columns,
    check_names,
    join,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

ROWS_AT_ONCE = 1000  # more at once make the garbage collector's work longer than the reading
NOT_A_NUMBER = frozenset(("nan", "na", "n/a", "null", "none", "inf", "infinity"))
GZIP_MAGIC = b"\x1f\x8b"
GZIP_LEVEL = 6


def parse(
    path: str, *, wanted: Collection[str], gaps_for_invalid: bool, notes: Notes, absent: str = "refuse"
) -> Samples:
    """The wanted rows of a CSV file (all when ``wanted`` is empty), in file order.

    Raises:
        InputError: unreadable, not CSV, a column missing, a row that cannot be read.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    table = _Table(path, frozenset(wanted), gaps_for_invalid, notes, absent)
    try:
        header = next(reader, None)
        if header is None:
            raise InputError(
                "the history file is empty", where=path, remedy="Write it again with the step that makes it"
            )
        table.columns = check_columns([name.strip() for name in header], where=path)
        for chunk in iter(lambda: list(itertools.islice(reader, ROWS_AT_ONCE)), []):
            table.take(chunk)
    except csv.Error as error:
        raise InputError(f"row {reader.line_num} is not CSV ({error})", where=path) from error
    return table.samples()


def render(series: Sequence[Series], *, compress: bool) -> bytes:
    """The one way a history is written as CSV: sorted by name and time, shortest exact numbers, gaps empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("series", "timestamp", "value"))
    for one in sorted(series, key=lambda one: one.name):
        stamps = np.datetime_as_string(np.round(one.moments).astype("datetime64[s]"), unit="s")
        writer.writerows(
            (one.name, stamp + "Z", _number(value)) for stamp, value in zip(stamps.tolist(), one.values.tolist())
        )
    content = text.getvalue().encode("utf-8")
    if not compress:
        return content
    packed = io.BytesIO()
    # No file name and no time in the header: equal content, equal bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=GZIP_LEVEL) as stream:
        stream.write(content)
    return packed.getvalue()


class _Table:
    """Columns under construction, fed chunk by chunk."""

    def __init__(self, path: str, wanted: frozenset[str], gaps_for_invalid: bool, notes: Notes, absent: str) -> None:
        self.path = path
        self.absent = absent
        self.wanted = wanted
        self.gaps_for_invalid = gaps_for_invalid
        self.notes = notes
        self.columns: list[int] = []
        self.rows_before = 1  # the header
        self.code_of: dict[str, int] = {}
        self.moment_of: dict[str, float] = {}
        self.present: set[str] = set()
        self.parts: list[Samples] = []

    def take(self, rows: list[list[str]]) -> None:
        """Convert a chunk of rows by whole columns, or row by row when that fails."""
        name_at, moment_at, value_at = self.columns
        try:
            kept = [row for row in rows if row]
            self.present.update([row[name_at] for row in kept])
            if self.wanted:
                kept = [row for row in kept if row[name_at] in self.wanted]
            names = [row[name_at] for row in kept]
            stamps = [row[moment_at] for row in kept]
            texts = [row[value_at] for row in kept]
            gaps = texts.count("")
            values = [float(text) if text else math.nan for text in texts] if gaps else list(map(float, texts))
            for stamp in set(stamps).difference(self.moment_of):
                self.moment_of[stamp] = parse_moment(stamp)
            array = np.array(values, dtype=np.float64)
            sound = int(np.isnan(array).sum()) == gaps and not np.any((array < 0) | np.isinf(array))
            if not sound or "" in self.present:
                raise ValueError
        except (ValueError, IndexError, InputError):
            names, stamps, values = self._row_by_row(rows)
        for name in sorted(set(names).difference(self.code_of)):
            self.code_of[name] = len(self.code_of)
        self.parts.append(
            Samples(
                names=[],
                codes=np.array(list(map(self.code_of.__getitem__, names)), dtype=np.int64),
                moments=np.array(list(map(self.moment_of.__getitem__, stamps)), dtype=np.float64),
                values=np.array(values, dtype=np.float64),
            )
        )
        self.rows_before += len(rows)

    def _row_by_row(self, rows: list[list[str]]) -> tuple[list[str], list[str], list[float]]:
        """The same as :meth:`take`, slowly; raises for the first row that cannot be read."""
        names, stamps, values = [], [], []
        for number, row in enumerate(rows, start=self.rows_before + 1):
            if not row:
                continue
            where = f"{self.path}, row {number}"
            if len(row) <= max(self.columns):
                raise InputError(
                    f"the row has {len(row)} columns, its header has {max(self.columns) + 1} or more",
                    where=where,
                    remedy="Complete the row or remove it",
                )
            name, stamp, text = (row[column] for column in self.columns)
            self.present.add(name)
            if self.wanted and name not in self.wanted:
                continue
            if not name:
                raise InputError("the row names no series", where=where)
            where = f"{where}, series {name}"
            if stamp not in self.moment_of:
                self.moment_of[stamp] = parse_moment(stamp, what="timestamp", where=where)
            names.append(name)
            stamps.append(stamp)
            values.append(self._value(text.strip(), name, where))
        return names, stamps, values

    def _value(self, text: str, name: str, where: str) -> float:
        if not text:
            return math.nan
        try:
            value = math.nan if text.lower() in NOT_A_NUMBER else float(text)
        except ValueError as error:
            raise InputError(
                f"the value {text!r} is not a number",
                where=where,
                remedy="Write it with a point and no unit, like 12.5",
            ) from error
        if math.isfinite(value) and value >= 0:
            return value
        if not self.gaps_for_invalid:
            fault = "negative, and demand is not" if value < 0 and math.isfinite(value) else "not a finite number"
            raise InputError(f"the value {text!r} is {fault}", where=where, remedy=INVALID_REMEDY)
        self.notes.add("values that are negative or not a number are taken as gaps", name)
        return math.nan

    def samples(self) -> Samples:
        check_names(self.wanted, self.present, where=self.path, absent=self.absent, notes=self.notes)
        with_offset = [stamp.rstrip()[-1:] in "Zz" or "+" in stamp or "-" in stamp[10:] for stamp in self.moment_of]
        if any(with_offset) and not all(with_offset):
            self.notes.add("timestamps without an offset stand among others with one; they are taken as UTC", self.path)
        return join(sorted(self.code_of, key=self.code_of.__getitem__), self.parts)


def _text(path: str) -> str:
    try:
        if os.path.getsize(path) > MAX_DOCUMENT_BYTES:
            raise _too_large(path)
        with open(path, "rb") as stream:
            content = sealing.opened(stream.read(), where=path)
        if content[:2] == GZIP_MAGIC:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(MAX_DOCUMENT_BYTES + 1)
            if len(content) > MAX_DOCUMENT_BYTES:
                raise _too_large(path)
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(
            "the history file does not exist", where=path, remedy="Check the path, or run the step that writes it"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"the gzip data is broken ({error})", where=path, remedy="Write it again with the step that makes it"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read the history ({error.strerror})", where=path) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"the history is not UTF-8 text (byte {error.start})", where=path, remedy="Save it as CSV in UTF-8"
        ) from error


def _too_large(path: str) -> InputError:
    return InputError(
        f"the history is larger than {MAX_DOCUMENT_BYTES >> 20} MiB unpacked",
        where=path,
        remedy="Give a coarser step or fewer series",
    )


def _number(value: float) -> str:
    """Shortest text that reads back as the same number; empty for a gap."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
