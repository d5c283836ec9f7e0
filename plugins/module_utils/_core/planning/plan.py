# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan as a file that may be applied, or may not.

A plan is applied only when all of this holds; the first that fails is the refusal:

============ ================================================================
schema       another kind of document, or another version of it
corrupt      the bytes are not the ones that were written
unknown_host a placement names a host that the inventory does not have
stale        the stock or the catalogue is not the one the plan was made for
age          older than the limit, or created in the future
unreachable  a host with work to do does not answer
============ ================================================================

Digest: SHA-256 over the compact canonical form of everything but ``created_at`` and
``digest``, so the same decision has the same digest whenever it was made. ``created_at``
is not covered by it: it is checked as a moment, against the clock.

Fingerprint: SHA-256 over what the plan was computed from and cannot change without
making it wrong: every field of the hosts and of the models that a plan depends on.
``state`` counts: a host that went into maintenance must not be started on. What runs,
and whether a host answers just now, does not count: those are looked at when the plan
is applied. Accelerator UUIDs do not count either: placements name indexes, and a UUID is
learned only once the host was asked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents, sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Model,
    Replica,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import changes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.stock import (
    stock_differences,
    stock_record,
)

SCHEMA_VERSION = 1
KIND = "plan"
NOT_DIGESTED = ("created_at", "digest")
CLOCK_SKEW_SECONDS = 60.0
MAX_DIFFERENCES = 8
PLAN_AGAIN = "Plan again for the fleet as it is now"

Catalogue = Union[Mapping[str, Any], Sequence[Model]]


def seal(plan: Mapping[str, Any]) -> dict[str, Any]:
    """``plan`` with its ``schema_version``, ``kind`` and ``digest``."""
    sealed = {**plan, "schema_version": SCHEMA_VERSION, "kind": KIND}
    return {**sealed, "digest": plan_digest(sealed)}


def plan_digest(plan: Mapping[str, Any]) -> str:
    """The digest of what a plan says, whenever it was created."""
    return documents.digest({key: value for key, value in plan.items() if key not in NOT_DIGESTED})


def fleet_fingerprint(hosts: Sequence[Host], models: Catalogue) -> str:
    """``sha256:<hex>`` over stock and catalogue; the order of records does not matter."""
    return documents.digest(
        {
            "hosts": {host.name: stock_record(host) for host in hosts},
            "models": {model.name: model.as_record() for model in _models(models)},
        }
    )


def write_plan(path: str, plan: Mapping[str, Any]) -> bool:
    """Seal ``plan`` and write it. Returns whether it says something else than the file said before.

    A plan that says the same is written again with its new ``created_at``, so that it does not
    grow old, and is no change.

    Raises:
        InputError: no valid ``created_at``, or the directory cannot be written to.
    """
    if not _is_moment(plan.get("created_at")):
        raise InputError("a plan needs created_at, a moment like 2026-11-23T18:00:00Z", where=path)
    sealed = seal(plan)
    try:
        before = read_plan(path)["digest"] if os.path.exists(os.path.expanduser(path)) else ""
    except (RefusedPlanError, InputError):
        before = ""  # what is not a plan is replaced, and that is a change
    documents.write_document(path, sealed)
    return bool(before != sealed["digest"])


def read_plan(path: str) -> dict[str, Any]:
    """The plan in a file, exactly as it was written.

    Raises:
        InputError: the file does not exist or cannot be read.
        RefusedPlanError: not a plan of this schema, or not the bytes that were written.
    """
    return parse_plan(plan_bytes(path), where=path)


def parse_plan(content: bytes, *, where: str) -> dict[str, Any]:
    """The plan in the bytes of a file.

    Raises:
        RefusedPlanError: not a plan of this schema, or not the bytes that were written.
    """
    again = "Plan again; a plan is changed by changing its inputs, never by hand"
    try:
        plan = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RefusedPlanError(
            f"the plan was changed since it was written: it is not valid JSON ({error})",
            because="corrupt",
            where=where,
            remedy=again,
        ) from error
    _check_schema(plan, where=where)
    if not _is_intact(plan, content):
        raise RefusedPlanError(
            "the plan was changed since it was written", because="corrupt", where=where, remedy=again
        )
    return dict(plan)


def validate_plan(
    plan: Mapping[str, Any],
    *,
    hosts: Sequence[Host],
    models: Catalogue,
    now: float,
    max_age_seconds: float,
    current: Sequence[Replica] | None = None,
) -> None:
    """Refuse a plan that may not be applied to this fleet now.

    Args:
        plan: as :func:`read_plan` gave it.
        hosts: the fleet now, with ``reachable`` as just found out.
        models: the catalogue now.
        now: epoch seconds.
        max_age_seconds: how old the plan may be; 0 for no limit.
        current: what runs now. With it, a host that does not answer matters only when work is
            left for it; without it, when the plan has a start or a stop there.

    Raises:
        RefusedPlanError: which check failed, and what to do.
    """
    _check_schema(plan)
    _check_known_hosts(plan, hosts)
    _check_fleet(plan, hosts, _models(models))
    _check_age(plan, now, max_age_seconds)
    _check_reachable(plan, hosts, current)


def _check_schema(plan: Any, *, where: str = "plan") -> None:
    if not isinstance(plan, Mapping) or plan.get("kind") != KIND:
        kind = plan.get("kind") if isinstance(plan, Mapping) else None
        what = f"this is not a plan but {'a document of kind ' + repr(kind) if kind else 'something else'}"
        raise RefusedPlanError(what, because="schema", where=where, remedy="Give the file that capacity_plan wrote")
    version = plan.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise RefusedPlanError(
            f"the plan has schema_version {version!r}, this release reads {SCHEMA_VERSION}",
            because="schema",
            where=where,
            remedy="Plan again with the release that applies it",
        )


def _check_known_hosts(plan: Mapping[str, Any], hosts: Sequence[Host]) -> None:
    known = {host.name for host in hosts}
    unknown = sorted({str(record["host"]) for record in _work(plan)} - known)
    if unknown:
        raise RefusedPlanError(
            f"it has work for {_host_list(unknown)}, which the inventory does not have",
            because="unknown_host",
            where="plan",
            remedy="Apply it with the inventory it was made for, or plan again",
        )


def _check_fleet(plan: Mapping[str, Any], hosts: Sequence[Host], models: Sequence[Model]) -> None:
    if plan.get("fleet_fingerprint") == fleet_fingerprint(hosts, models):
        return
    differences = stock_differences(plan.get("hosts") or [], plan.get("models") or {}, hosts, models)
    shown = differences[:MAX_DIFFERENCES]
    if len(differences) > len(shown):
        shown.append(f"and {len(differences) - len(shown)} more")
    what = "; ".join(shown) or "its fingerprint is another"
    raise RefusedPlanError(
        f"it is stale, the fleet is not the one it was made for: {what}",
        because="stale",
        where="plan",
        remedy=PLAN_AGAIN,
    )


def _check_age(plan: Mapping[str, Any], now: float, max_age_seconds: float) -> None:
    age = now - parse_moment(str(plan.get("created_at")), what="created_at", where="plan")
    if age < -CLOCK_SKEW_SECONDS:
        raise RefusedPlanError(
            f"it was created in the future, at {plan['created_at']}, {duration_text(-age)} from now",
            because="age",
            where="plan",
            remedy="Set the clock of the machine that plans and of this one, then plan again",
        )
    if max_age_seconds and age > max_age_seconds:
        raise RefusedPlanError(
            f"it is {duration_text(age)} old, the limit is {duration_text(max_age_seconds)}",
            because="age",
            where="plan",
            remedy=f"{PLAN_AGAIN}, or raise max_age_seconds",
        )


def _check_reachable(plan: Mapping[str, Any], hosts: Sequence[Host], current: Sequence[Replica] | None) -> None:
    if current is None:
        busy = {str(action["host"]) for action in plan.get("actions") or [] if action.get("action") != "keep"}
    else:
        work = changes(current, planned_replicas(plan))
        busy = {replica.host for replica in (*work.starts, *work.stops)}
    silent = sorted(host.name for host in hosts if host.name in busy and not host.reachable)
    if silent:
        raise RefusedPlanError(
            f"it has work for {_host_list(silent)}, which {'does' if len(silent) == 1 else 'do'} not answer",
            because="unreachable",
            where="plan",
            remedy="Bring it back, or plan again without it",
        )


def planned_replicas(plan: Mapping[str, Any]) -> list[Replica]:
    """The placements of a plan."""
    return parse_replicas(plan.get("placements") or [], what="placements")


def duration_text(seconds: float) -> str:
    """``2 h 5 min``, ``3 min``, ``40 s``: enough to compare two of them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _work(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(plan.get("placements") or []), *(plan.get("actions") or [])]


def _host_list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_DIFFERENCES])
    more = f" and {len(names) - MAX_DIFFERENCES} more" if len(names) > MAX_DIFFERENCES else ""
    return f"host{'' if len(names) == 1 else 's'} {shown}{more}"


def _models(models: Catalogue) -> Sequence[Model]:
    return parse_models(models) if isinstance(models, Mapping) else models


def _is_moment(text: Any) -> bool:
    """Whether this is a moment exactly as :func:`format_moment` writes it."""
    try:
        return isinstance(text, str) and format_moment(parse_moment(text)) == text
    except (InputError, ValueError, OverflowError, OSError):
        return False


def _is_intact(plan: Mapping[str, Any], content: bytes) -> bool:
    try:
        same_bytes = documents.canonical_bytes(plan) == content
        same_digest = plan.get("digest") == plan_digest(plan)
    except (InputError, ValueError):  # NaN and lone surrogates: Python reads them, canonical JSON has neither
        return False
    return same_bytes and same_digest and _is_moment(plan.get("created_at"))


def plan_bytes(path: str) -> bytes:
    """What a plan file holds.

    Raises:
        InputError: it does not exist or cannot be read.
    """
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            return sealing.opened(stream.read(documents.MAX_DOCUMENT_BYTES), where=path)
    except FileNotFoundError as error:
        raise InputError("the plan file does not exist", where=path, remedy="Check the path, or plan first") from error
    except OSError as error:
        raise InputError(f"cannot read the plan ({error.strerror})", where=path) from error
