# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whether an audit trail is what was written: each line, their order, and its end where heads are kept elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.chain import (
    Head,
    head_of,
    parse_line,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.ledger import segments
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

MAX_FAULTS = 20
MAX_LINE_BYTES = 1 << 20


@dataclass
class Review:
    """What was found. ``faults`` holds the first twenty, ``fault_count`` all."""

    head: Head = field(default_factory=Head)
    lines: int = 0
    files: list[str] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    fault_count: int = 0
    cut_bytes: int = 0
    unfinished_runs: list[str] = field(default_factory=list)

    def blame(self, file: str, line: int, what: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append({"file": file, "line": line, "what": what})


def review_trail(path: str, *, heads: Iterable[Head] = (), first_sequence: int = 1) -> Review:
    """Read the whole trail.

    Args:
        path: the file of the newest lines; the older ones beside it are read too.
        heads: of this trail, kept elsewhere.
        first_sequence: number of the oldest line that must be there; above 1 where older files were archived.

    Raises:
        InputError: a file cannot be read, or there is none.
    """
    review, expected = Review(), {head.sequence: head.hash for head in heads}
    open_runs: dict[str, None] = {}
    last: Head | None = None
    for file, number, line in _lines(path, review):
        record, fault = parse_line(line)
        if fault:
            review.blame(file, number, f"the line {fault}")
        if record is None:
            last = None
            continue
        review.lines += 1
        here = Head(int(record["sequence"]), str(record.get("hash")))
        _check_place(review, file, number, record, last, first_sequence)
        wanted = expected.pop(here.sequence, None)
        if wanted not in (None, here.hash):
            review.blame(
                file, number, f"line {here.sequence} of the trail is another than the head kept elsewhere says"
            )
        last = review.head = head_of(record) if not fault else here
        _follow_run(open_runs, record)
    for sequence in sorted(expected):
        if sequence >= first_sequence:
            review.blame(review.files[-1], 0, f"line {sequence} is gone: a head kept elsewhere says it was there")
    review.unfinished_runs = list(open_runs)
    return review


def _check_place(
    review: Review, file: str, number: int, record: dict[str, Any], last: Head | None, first_sequence: int
) -> None:
    sequence = record["sequence"]
    if last is None:
        # After a line that cannot be read, the chain goes on from what is there: that line is blamed already.
        if review.lines == 1 and not review.faults and sequence != first_sequence:
            review.blame(file, number, f"the trail begins with line {sequence}, not {first_sequence}")
        if sequence == 1 and record.get("previous") != Head().hash:
            review.blame(file, number, "the first line says that another was before it")
        return
    if sequence != last.sequence + 1:
        review.blame(file, number, f"line {sequence} follows line {last.sequence}: lines were removed, added or moved")
    elif record.get("previous") != last.hash:
        review.blame(file, number, f"line {last.sequence} is another than line {sequence} was written behind")


def _follow_run(open_runs: dict[str, None], record: dict[str, Any]) -> None:
    run = str(record.get("run", ""))
    if record.get("event") == "run_began":
        open_runs[run] = None
    elif record.get("event") == "run_ended":
        open_runs.pop(run, None)


def _lines(path: str, review: Review) -> Iterator[tuple[str, int, bytes]]:
    files = segments(path)
    review.files = [file for file in files if os.path.exists(file)]
    if not review.files:
        raise InputError("there is no audit trail here", where=path, remedy="Check the path the callback writes to")
    file = path
    try:
        for file in review.files:
            with open(file, "rb") as stream:
                for number, line in enumerate(iter(partial(stream.readline, MAX_LINE_BYTES), b""), start=1):
                    if line.endswith(b"\n"):
                        yield file, number, line[:-1]
                    elif file == files[-1] and len(line) < MAX_LINE_BYTES:
                        review.cut_bytes = len(line)  # a write that was cut off; the next line mends it
                    else:
                        review.blame(file, number, "the line has no end")
    except OSError as error:
        raise InputError(f"cannot read the audit trail ({error.strerror})", where=file) from error
