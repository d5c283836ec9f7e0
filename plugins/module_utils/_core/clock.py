# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Moments as epoch seconds inside, as ISO 8601 UTC outside."""

from __future__ import annotations

from datetime import datetime, timezone

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


def parse_moment(text: str, *, what: str = "time", where: str = "") -> float:
    """Epoch seconds of an ISO 8601 moment; without an offset it is taken as UTC.

    Raises:
        InputError: not a moment.
    """
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"the {what} {text!r} is not an ISO 8601 moment",
            where=where,
            remedy="Write it like 2026-11-23T18:00:00Z",
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def format_moment(epoch_seconds: float) -> str:
    """``2026-11-23T18:00:00Z``, to the second."""
    return datetime.fromtimestamp(round(epoch_seconds), tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> float:
    """Epoch seconds, the only place the core reads the wall clock."""
    return datetime.now(tz=timezone.utc).timestamp()
