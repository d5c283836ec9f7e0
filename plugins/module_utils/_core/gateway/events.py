# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The gateway's event log: JSON lines, one a request, written when it has ended.

So lines stand in the order of their ends (``at`` + ``total_ms``), within a second or two.
Requests accepted since a moment have ended since that moment, too: the log is entered by
bisection at the first line that ended then, and read from there.
"""

from __future__ import annotations

import gzip
import os
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import parse_json
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

COLUMNS = (
    "at",
    "id",
    "model",
    "server",
    "status",
    "term",
    "queue_ms",
    "connect_ms",
    "response_ms",
    "total_ms",
    "bytes",
    "request_bytes",
    "retries",
    "synthetic",
    "backend",
)
TEXTS = ("id", "model", "server", "term", "backend")
# How far lines may stand out of the order of their ends: many threads, one log daemon.
SLACK_SECONDS = 5.0
BLOCK = 64 * 1024
ROTATED = 100


@dataclass(frozen=True)
class Events:
    columns: Mapping[str, list[Any]]
    truncated: bool
    unreadable: int

    @property
    def count(self) -> int:
        return len(self.columns["at"])


def read_events(
    path: str,
    *,
    model: str = "",
    since: float = 0.0,
    until: float | None = None,
    servers: Collection[str] = (),
    limit: int = 100_000,
) -> Events:
    """Requests accepted in [``since``, ``until``), the latest ``limit`` of them, sorted by ``at``.

    Args:
        path: the log; its rotated forms ``PATH.1``, ``PATH.2.gz``, ... are read as far as ``since`` reaches.
        model: only this model; empty for all.
        since: epoch seconds.
        until: epoch seconds; None for no end.
        servers: only these; empty for all.
        limit: at least 1.

    Raises:
        InputError: no such log, or a limit below 1.
    """
    if limit < 1:
        raise InputError(f"limit must be at least 1, not {limit}")
    if not os.path.exists(path) and not os.path.exists(path + ".1"):
        raise InputError("there is no event log", where=path, remedy="Is this a gateway, and does rsyslog run there?")
    wanted = frozenset(servers)
    kept: deque[dict[str, Any]] = deque(maxlen=limit)
    matched = unreadable = 0
    for line in _lines(path, since - SLACK_SECONDS):
        event = parse_event(line)
        if event is None:
            unreadable += 1
        elif (
            event["at"] >= since
            and (until is None or event["at"] < until)
            and (not model or event["model"] == model)
            and (not wanted or event["server"] in wanted)
        ):
            matched += 1
            kept.append(event)
    ordered = sorted(kept, key=lambda event: (event["at"], event["id"]))
    return Events({name: [event[name] for event in ordered] for name in COLUMNS}, matched > limit, unreadable)


def parse_event(line: bytes) -> dict[str, Any] | None:
    """One line; None when it is no event. Numbers that HAProxy marks (``+1`` retries) become numbers."""
    try:
        found = parse_json(line)
        event: dict[str, Any] = {name: str(found[name]) for name in TEXTS if name != "backend"}
        event["backend"] = str(found.get("backend", ""))
        event["at"] = float(found["at"])
        for name in COLUMNS:
            if name not in event:
                event[name] = _whole(found[name])
    except (ValueError, KeyError, TypeError):
        return None
    return event


def _whole(value: Any) -> int:
    return 0 if value in ("", "-") else int(value)


def _lines(path: str, ended_since: float) -> Iterator[bytes]:
    """Lines of the log and, before them, of the rotated ones that reach into the time; oldest first."""
    older: list[str] = []
    current = path
    for number in range(1, ROTATED):
        if os.path.exists(current) and _begins_before(current, ended_since):
            break
        rotated = next((name for name in (f"{path}.{number}", f"{path}.{number}.gz") if os.path.exists(name)), None)
        if rotated is None:
            break
        older.append(rotated)
        current = rotated
    for name in [*reversed(older), path]:
        if not os.path.exists(name):
            continue
        with _open(name) as stream:
            if not name.endswith(".gz"):
                stream.seek(_first_offset(stream, os.fstat(stream.fileno()).st_size, ended_since))
            yield from (line for line in stream if line.endswith(b"\n") and line.strip())


def _open(path: str) -> IO[bytes]:
    try:
        return gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")  # type: ignore[return-value]
    except OSError as error:
        raise InputError(f"cannot read the event log ({error.strerror})", where=path) from error


def _begins_before(path: str, moment: float) -> bool:
    with _open(path) as stream:
        ended = _next_end(stream)
    return ended is not None and ended < moment


def _next_end(stream: IO[bytes]) -> float | None:
    """When the next readable line's request ended; None at the end of the log."""
    for line in stream:
        event = parse_event(line)
        if event is not None:
            return float(event["at"] + max(0, event["total_ms"]) / 1000.0)
    return None


def _first_offset(stream: IO[bytes], size: int, moment: float) -> int:
    """Offset of a line's beginning, before which all lines ended before ``moment``, to within a block."""
    low, high = 0, size
    while high - low > BLOCK:
        middle = (low + high) // 2
        stream.seek(middle)
        stream.readline()
        ended = _next_end(stream)
        if ended is not None and ended < moment:
            low = middle
        else:
            high = middle
    stream.seek(low)
    if low:
        stream.readline()
    return stream.tell()
