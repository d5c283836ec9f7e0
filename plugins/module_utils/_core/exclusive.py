# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One process at a time on a host.

What a killed run had begun on a host goes on there until it ends, beside the run that follows. The
kernel's lock on a file (flock) keeps the second out until then; it goes with its process, so one that
is killed inside leaves nothing behind but the empty file.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError

POLL_SECONDS = 0.2


@contextmanager
def exclusive(
    path: str,
    *,
    doing: str,
    wait_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Nobody else on this host is in here for this file.

    Args:
        path: the file; its directory is made.
        doing: what is done inside, for whoever waited in vain.
        wait_seconds: how long to wait for another.

    Raises:
        InputError: the file cannot be written.
        ModelOpsError: another was inside all the time.
    """
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o755, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise InputError(
            f"cannot write here ({error.strerror})", where=path, remedy="Run this as a user that may"
        ) from error
    try:
        give_up = clock() + wait_seconds
        while not _entered(handle):
            if clock() >= give_up:
                holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
                raise ModelOpsError(
                    f"process {holder or 'unknown'} on this host is {doing}, and was all the {wait_seconds:.0f} s waited",
                    where=path,
                    remedy="It may be what an earlier run left: wait for it, or end it, and run again",
                )
            sleep(POLL_SECONDS)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(handle)


def _entered(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
