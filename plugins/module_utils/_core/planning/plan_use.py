# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which signed plans were carried out, so that none is used twice and none after a younger one.

One small document on the host that keeps the fleet's lock. A plan is *begun* before the first change and *finished* after
the last. Begun and not finished it may be begun again: an apply that broke off is mended by the next run. Refused is

- ``reused``: a plan that is finished (its nonce is on record), and
- ``superseded``: a plan that was signed before one that has been begun since.

Entries whose plans have expired are dropped, but for the youngest: an expired plan is refused by its signature.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError

SCHEMA_VERSION = 1
KIND = "plan_uses"


@dataclass(frozen=True)
class Use:
    """Of one signed plan. Moments are ISO 8601; ``finished_at`` is empty until then."""

    nonce: str
    signed_at: str
    expires_at: str
    begun_at: str
    finished_at: str = ""


def begin(uses: list[Use], plan: Mapping[str, str], *, now: float) -> list[Use]:
    """The uses with this plan begun.

    Args:
        uses: as :func:`read_uses` gave them.
        plan: ``nonce``, ``signed_at`` and ``expires_at`` of its signature.
        now: epoch seconds.

    Raises:
        RefusedPlanError: it is finished, or a younger one has been begun.
    """
    signed_at = parse_moment(plan["signed_at"], what="moment of signing")
    for use in uses:
        if use.nonce == plan["nonce"] and use.finished_at:
            raise RefusedPlanError(
                f"it was carried out already, at {use.finished_at}", because="reused", where="plan", remedy="Plan again"
            )
        if use.nonce != plan["nonce"] and parse_moment(use.signed_at) > signed_at:
            raise RefusedPlanError(
                f"a plan signed later, at {use.signed_at}, has been begun since", because="superseded", where="plan",
                remedy="Apply the younger one, or plan again",
            )  # fmt: skip
    if any(use.nonce == plan["nonce"] for use in uses):
        return uses
    begun = Use(plan["nonce"], plan["signed_at"], plan["expires_at"], format_moment(now))
    return [*_still_needed(uses, now), begun]


def finish(uses: list[Use], plan: Mapping[str, str], *, now: float) -> list[Use]:
    """The uses with this plan finished; one that was never begun is left alone."""
    return [
        replace(use, finished_at=format_moment(now)) if use.nonce == plan["nonce"] and not use.finished_at else use
        for use in uses
    ]


def read_uses(path: str) -> list[Use]:
    """What is on record; nothing where there is no file.

    Raises:
        InputError: the file is not such a record. Nothing is applied then, since it may have been tampered with.
    """
    if not os.path.exists(path):
        return []
    document = documents.read_document(path, what="record of used plans")
    try:
        if document["kind"] != KIND or document["schema_version"] != SCHEMA_VERSION:
            raise ValueError("another kind of document")
        uses = [Use(**entry) for entry in document["uses"]]
        for moment in [one for use in uses for one in (use.signed_at, use.expires_at)]:
            parse_moment(moment)
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise InputError(
            "this is not the record of used plans", where=path,
            remedy="Find out what changed it; then move it away, and apply nothing but a plan made after that",
        ) from error  # fmt: skip
    return uses


def as_document(uses: list[Use]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "kind": KIND, "uses": [vars(use) for use in uses]}


def _still_needed(uses: list[Use], now: float) -> list[Use]:
    youngest = max((parse_moment(use.signed_at) for use in uses), default=0.0)
    return [use for use in uses if parse_moment(use.expires_at) > now or parse_moment(use.signed_at) == youngest]
