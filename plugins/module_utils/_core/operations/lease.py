# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The lease of the fleet: who may change it, until when.

One document says it. A lease that has run out may be taken by anybody; so may, at once, that of a run that is known
to have died. Whoever renews must still hold it: a run that slept past its lease and finds another in its place stops.
Each lease carries a number one above the last, so that it is seen whether it changed hands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SCHEMA_VERSION = 1
KIND = "fleet_lock"


@dataclass(frozen=True)
class Lease:
    """``owner`` is empty once it was released; the number lives on. Moments are epoch seconds of the lock's host."""

    owner: str
    purpose: str = ""
    number: int = 0
    taken_at: float = 0.0
    expires_at: float = 0.0
    run: Mapping[str, Any] = field(default_factory=dict)

    def held_at(self, now: float) -> bool:
        return bool(self.owner) and now < self.expires_at

    def as_document(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, "kind": KIND, **vars(self), "run": dict(self.run)}

    def described(self) -> str:
        """For whom it stands in the way of."""
        what = f" for {self.purpose}" if self.purpose else ""
        return (
            f"{self.owner} has held the lock of the fleet{what} since {format_moment(self.taken_at)}, "
            f"until {format_moment(self.expires_at)} unless it renews"
        )


@dataclass(frozen=True)
class Claim:
    """What is asked for. ``dead``: number of a lease whose run is known to have died, 0 when none is known."""

    owner: str
    purpose: str
    lease_seconds: float
    run: Mapping[str, Any] = field(default_factory=dict)
    dead: int = 0

    def granted(self, old: Lease | None, now: float) -> Lease:
        """The lease that answers the claim: the holder's own goes on, else a new one begins."""
        if old is not None and old.owner == self.owner and old.run == self.run:
            return Lease(self.owner, self.purpose, old.number, old.taken_at, now + self.lease_seconds, self.run)
        number = 1 + (old.number if old is not None else 0)
        return Lease(self.owner, self.purpose, number, now, now + self.lease_seconds, self.run)

    def may_take(self, old: Lease | None, now: float) -> bool:
        if old is None or not old.held_at(now):
            return True
        return (old.owner == self.owner and old.run == self.run) or (self.dead > 0 and old.number == self.dead)


def parse_lease(document: Any, *, where: str) -> Lease:
    """The lease out of its file.

    Raises:
        InputError: not what :meth:`Lease.as_document` writes.
    """
    fields = expect_mapping(document, what="lock of the fleet", where=where)
    if fields.get("kind") != KIND or fields.get("schema_version") != SCHEMA_VERSION:
        raise InputError("this is not a lock of the fleet", where=where)
    if not isinstance(fields.get("owner"), str) or not isinstance(fields.get("purpose"), str):
        raise InputError("the lock of the fleet names no owner", where=where)
    return Lease(
        owner=fields["owner"],
        purpose=fields["purpose"],
        number=int(expect_number(fields.get("number"), what="number", where=where, minimum=0)),
        taken_at=expect_number(fields.get("taken_at"), what="taken_at", where=where),
        expires_at=expect_number(fields.get("expires_at"), what="expires_at", where=where),
        run=expect_mapping(fields.get("run"), what="run", where=where),
    )
