# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a host says of itself: the document behind ``modelops.fact``.

The document names every replica that *may* run on the host. A replica is entered
before its service starts and leaves after its service has gone, so a crash in
between never leaves a service that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SCHEMA_VERSION = 1
KEPT_STARTUPS = 10


def updated_state(
    state: Mapping[str, Any] | None,
    *,
    enter: Iterable[Mapping[str, Any]] = (),
    leave: Iterable[Mapping[str, Any]] = (),
    startup_seconds: Mapping[str, float] | None = None,
    capacity: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The host's document after replicas entered and left.

    Args:
        state: the document so far; None or empty for a new host.
        enter: replica records to add; one in the same slot is replaced, but keeps what was
            measured for the same service.
        leave: replica records to drop, matched by slot and model.
        startup_seconds: a newly measured start-up per model; the last ten are kept.
        capacity: a newly measured capacity per model; the last is kept.

    Raises:
        InputError: the document is not one of ours, or a replica has no slot or model.
    """
    document = expect_mapping(state or {}, what="host state (modelops.fact)")
    if document and document.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"the host state has schema {document.get('schema_version')!r}, this release writes {SCHEMA_VERSION}",
            where="modelops.fact",
            remedy="Upgrade the collection on the controller, or remove the file to adopt the host anew",
        )
    replicas = {_slot(record): dict(record) for record in document.get("replicas") or []}
    for record in leave:
        held = replicas.get(_slot(record))
        if held is not None and held.get("model") == record.get("model"):
            del replicas[_slot(record)]
    for record in enter:
        held = replicas.get(_slot(record), {})
        kept = held if held.get("service") == record.get("service") else {}
        replicas[_slot(record)] = {**kept, **record}
    measured = {str(model): list(seconds) for model, seconds in (document.get("startup_seconds") or {}).items()}
    for model, seconds in sorted((startup_seconds or {}).items()):
        measured[model] = [*measured.get(model, []), round(float(seconds), 3)][-KEPT_STARTUPS:]
    capacities = {**(document.get("capacity") or {}), **(capacity or {})}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "host",
        "replicas": [replicas[slot] for slot in sorted(replicas)],
        "startup_seconds": measured,
        **({"capacity": {str(model): dict(capacities[model]) for model in sorted(capacities)}} if capacities else {}),
    }


def measured_startup_seconds(states: Iterable[Mapping[str, Any] | None]) -> dict[str, float]:
    """Start-up time per model over a fleet: the median of each host, then the slowest host.

    The slowest, because a plan must have its replicas up wherever it puts them; the
    median, because one start out of a cold cache says little about the next.

    Args:
        states: the hosts' documents; hosts that say nothing are left out.

    Returns:
        Seconds by model, for the models that were measured anywhere.
    """
    slowest: dict[str, float] = {}
    for state in states:
        for model, seconds in ((state or {}).get("startup_seconds") or {}).items():
            if seconds:
                slowest[str(model)] = max(slowest.get(str(model), 0.0), float(median(seconds)))
    return {model: round(slowest[model], 3) for model in sorted(slowest)}


def _slot(record: Mapping[str, Any]) -> int:
    try:
        return int(record["slot"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"a replica record has no slot: {dict(record)!r}", where="modelops.fact") from error
