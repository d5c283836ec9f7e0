# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The file of an audit trail: added to under a lock, on disk before the caller goes on, turned over when it is large.

Several runs may write to one file; the kernel's lock on ``PATH.lock`` orders them. What a crash leaves is mended by the
next line: a last line without its end is cut off (nothing was done by it yet) and said so in the trail; a file that was
turned over but not begun anew goes on from the last one turned over.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.chain import (
    AuditError,
    Head,
    head_of,
    line_after,
    parse_line,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive

FILE_MODE = 0o640
BLOCK_BYTES = 65536
LOCK_SECONDS = 10.0


class Ledger:
    """An audit trail that lines are added to.

    Args:
        path: the file of the newest lines; older ones stand beside it as ``PATH.NUMBER``, the number of their last line.
        rotate_bytes: a file of this size is turned over before the next line; 0 for never.
    """

    def __init__(self, path: str, *, rotate_bytes: int = 0) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        self.rotate_bytes = rotate_bytes
        self.head = Head()
        self._known: tuple[int, int] = (-1, -1)  # inode and size as this process left them

    def append(self, events: Sequence[Mapping[str, Any]], *, sync: bool = True) -> list[bytes]:
        """Add the events, one line each; with ``sync`` they are on disk when this returns. Returns the lines.

        Raises:
            AuditError: they could not be written, or the last line of the trail is damaged.
        """
        try:
            with exclusive(self.path + ".lock", doing="writing the audit trail", wait_seconds=LOCK_SECONDS):
                return self._add(list(events), sync=sync)
        except OSError as error:
            self._known = (-1, -1)
            raise AuditError(
                f"the audit trail cannot be written ({error.strerror})",
                where=self.path,
                remedy="Mend the disk or the rights there, then run again",
            ) from error
        except AuditError:
            raise
        except ModelOpsError as error:
            raise AuditError(error.what, where=self.path, remedy=error.remedy) from error

    def _add(self, events: list[Mapping[str, Any]], *, sync: bool) -> list[bytes]:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            found = os.fstat(handle)
            if (found.st_ino, found.st_size) != self._known:
                self.head, dropped = self._last(handle)
                if dropped:
                    events.insert(0, {"event": "mended", "at": round(time.time(), 3), "bytes_dropped": dropped})
            if self.rotate_bytes and os.fstat(handle).st_size >= self.rotate_bytes:
                os.fsync(handle)
                os.rename(self.path, f"{self.path}.{self.head.sequence:012d}")
                os.close(handle)
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            lines, head = [], self.head
            for event in events:
                line, head = line_after(head, event)
                lines.append(line)
            os.lseek(handle, 0, os.SEEK_END)
            left = memoryview(b"".join(lines))
            while left:
                left = left[os.write(handle, left) :]
            if sync:
                os.fsync(handle)
            found = os.fstat(handle)
            self.head, self._known = head, (found.st_ino, found.st_size)
            return lines
        finally:
            os.close(handle)

    def _last(self, handle: int) -> tuple[Head, int]:
        """The head of what is on disk, and how many bytes of a cut line were dropped."""
        whole, line = _last_line(handle)
        dropped = os.fstat(handle).st_size - whole
        if dropped:
            os.ftruncate(handle, whole)
        if line is None:
            older = segments(self.path)[:-1]
            if not older:
                return Head(), dropped
            where = older[-1]
            before = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _whole, line = _last_line(before)
            finally:
                os.close(before)
        else:
            where = self.path
        record, fault = parse_line(line or b"")
        if record is None or fault:
            raise AuditError(
                f"the last line of the audit trail {fault}",
                where=where,
                remedy="Look at it with audit_verify, keep it as evidence, and move it away to begin a new trail",
            )
        return head_of(record), dropped


def segments(path: str) -> list[str]:
    """The files of a trail, oldest first, the one that is written to last (whether it exists or not)."""
    path = os.path.abspath(os.path.expanduser(path))
    folder, file = os.path.split(path)
    name = re.compile(re.escape(file) + r"\.\d{12,}")
    try:
        beside = [entry for entry in os.listdir(folder) if name.fullmatch(entry)]
    except FileNotFoundError:
        beside = []
    older = sorted(beside, key=lambda entry: int(entry.rpartition(".")[2]))
    return [os.path.join(folder, entry) for entry in older] + [path]


def _last_line(handle: int) -> tuple[int, bytes | None]:
    """How many bytes the whole lines take, and the last of them without its end; None when there is none."""
    end, tail = os.fstat(handle).st_size, b""
    position = end
    while position > 0 and tail.count(b"\n") < 2:
        start = max(0, position - BLOCK_BYTES)
        tail = os.pread(handle, position - start, start) + tail
        position = start
    if b"\n" not in tail:
        return 0, None
    body = tail[: tail.rindex(b"\n")]
    return position + len(body) + 1, body.rpartition(b"\n")[2]
