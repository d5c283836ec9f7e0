# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The lock of the fleet as a file: read, decided and replaced as one step.

Two processes on the host cannot be inside that step at once, because the kernel's lock on a second file lets in one
(flock; it goes with the process, so that one killed inside leaves nothing behind). The lease itself is replaced by
renaming, so a reader finds the old one or the new one.

A file that is not a lease was damaged by something else. It counts as held by an unknown run for one lease from the
file's last change: if its owner lives, it finds out when it renews, and stops; then whoever asks may have it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.lease import (
    Claim,
    Lease,
    parse_lease,
)

UNKNOWN_OWNER = "an unknown run (the lock file is damaged)"
POLL_SECONDS = 0.5
REMEDY = (
    "Wait for it, or look whether it still runs; if it does not, release the lock with "
    "state: released and force: true of modelops.datacenter.fleet_lock"
)


class LockHeldError(ModelOpsError):
    """Somebody else holds the lock. ``lease`` is theirs."""

    def __init__(self, lease: Lease, path: str) -> None:
        self.lease = lease
        super().__init__(lease.described(), where=path, remedy=REMEDY)


class LockLostError(ModelOpsError):
    """The lock that was to be renewed is no longer the run's own."""


@dataclass(frozen=True)
class Clock:
    """Time, so that tests can have their own."""

    now: Callable[[], float] = clock.now
    sleep: Callable[[float], None] = time.sleep


def take(path: str, claim: Claim, *, wait_seconds: float = 0.0, dry: bool = False, clocked: Clock = Clock()) -> Lease:
    """Take the lock or renew it, waiting for it that long.

    Args:
        path: the lock file; its directory is made.
        claim: who asks for it.
        wait_seconds: how long to try.
        dry: only look; the lease returned is the one that would be.

    Raises:
        LockHeldError: somebody else holds it, and did to the end of the wait.
        InputError: the file cannot be read or written.
    """
    give_up = clocked.now() + wait_seconds
    while True:
        found = _try(path, claim, dry, clocked)
        if not isinstance(found, LockHeldError):
            return found
        if dry or clocked.now() >= give_up:
            raise found
        clocked.sleep(min(POLL_SECONDS, max(0.0, give_up - clocked.now())))


def renew(path: str, claim: Claim, *, clocked: Clock = Clock()) -> Lease:
    """Hold the lock for another lease; it must still be the run's own.

    Raises:
        LockLostError: it was released, or is another's.
    """
    with alone(path):
        old = look(path, claim.lease_seconds)
        if old is None or old.owner != claim.owner or old.run != claim.run:
            held_now = old is not None and bool(old.owner)
            raise LockLostError(
                f"{claim.owner} no longer holds the lock of the fleet"
                + (f": {old.described()}" if old is not None and held_now else "; nobody does"),
                where=path,
                remedy="Stop here and run again; another run may have changed the fleet in between",
            )
        lease = claim.granted(old, clocked.now())
        documents.write_document(path, lease.as_document())
        return lease


def release(path: str, claim: Claim, *, force: bool = False, dry: bool = False, clocked: Clock = Clock()) -> bool:
    """Give the lock up. One that is free, or another's, is left as it is, unless ``force``. Returns whether it changed.

    Raises:
        InputError: the file cannot be read or written.
    """
    if not os.path.exists(path):
        return False
    with alone(path):
        old = look(path, claim.lease_seconds)
        if old is None or not old.owner or not (force or (old.owner == claim.owner and old.run == claim.run)):
            return False
        if not dry:
            freed = replace(old, owner="", purpose="", run={}, expires_at=min(old.expires_at, clocked.now()))
            documents.write_document(path, freed.as_document())
        return True


def look(path: str, lease_seconds: float) -> Lease | None:
    """Whose the lock is; None when there is no file.

    Raises:
        InputError: the file is there and cannot be read.
    """
    try:
        changed = os.stat(path).st_mtime
        with open(path, "rb"):
            pass
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read the lock of the fleet ({error.strerror})", where=path) from error
    try:
        return parse_lease(documents.read_document(path, what="lock of the fleet"), where=path)
    except InputError:
        return Lease(UNKNOWN_OWNER, taken_at=changed, expires_at=changed + lease_seconds)


def _try(path: str, claim: Claim, dry: bool, clocked: Clock) -> Lease | LockHeldError:
    if dry:
        old, now = look(path, claim.lease_seconds), clocked.now()
        return claim.granted(old, now) if claim.may_take(old, now) else _held(old, path)
    with alone(path):
        old, now = look(path, claim.lease_seconds), clocked.now()
        if not claim.may_take(old, now):
            return _held(old, path)
        lease = claim.granted(old, now)
        documents.write_document(path, lease.as_document())
        return lease


def _held(lease: Lease | None, path: str) -> LockHeldError:
    return LockHeldError(lease if lease is not None else Lease(UNKNOWN_OWNER), path)


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Nobody else on this host is in here for this file."""
    guard = path + ".guard"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        handle = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise InputError(
            f"cannot write here ({error.strerror})",
            where=guard,
            remedy="Run this as a user that may, or set another path",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
