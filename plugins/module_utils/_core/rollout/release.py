# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Releases: which entry of the catalogue the fleet serves, on record and never inferred.

The *release* of a model is the serving part of its entry in the catalogue: everything a
replica is made of. What only the planner reads (capacity, limits, prices) is not part of it,
so changing that is no upgrade. A release is named by the digest of that part.

The record (``releases.json``) holds for each model the release that is known to be good, whole,
the one that is being tried, and the digests that a canary has refused. A model that has no good
release yet gets one by its first successful apply.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SCHEMA_VERSION = 1
HISTORY_KEPT = 50
# Keys of a catalogue entry that are for the planner and the judge alone: no replica is restarted for them.
PLANNING_KEYS = frozenset(
    (
        "capacity",
        "golden",
        "max_replicas",
        "max_replicas_per_host",
        "min_replicas",
        "shortage_cost",
        "slo",
        "spread",
        "startup_seconds",
        "weight",
    )
)


def serving_part(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a replica is made of: the entry without the planner's keys."""
    return {key: copy.deepcopy(value) for key, value in entry.items() if key not in PLANNING_KEYS}


def release_digest(entry: Mapping[str, Any]) -> str:
    """The name of the release that the entry describes."""
    return documents.digest(serving_part(entry))


def served_entry(entry: Mapping[str, Any], good: Mapping[str, Any]) -> dict[str, Any]:
    """The catalogue's planning keys with the serving part of the good release."""
    planning = {key: copy.deepcopy(value) for key, value in entry.items() if key in PLANNING_KEYS}
    return {**planning, **serving_part(good)}


def empty_record() -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "kind": "releases", "models": {}}


def parse_record(document: Any, *, where: str) -> dict[str, Any]:
    """The record out of its file.

    Raises:
        InputError: not such a record, or of another release of the collection.
    """
    record = documents.expect_mapping(document, what="record of releases", where=where)
    if record.get("kind") != "releases" or record.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            "this is not a record of releases of this version of the collection",
            where=where,
            remedy="Put the file back from a backup; only when nothing serves yet may it be removed",
        )
    models = documents.expect_mapping(record.get("models"), what="models of the record", where=where)
    for name, one in models.items():
        good = documents.expect_mapping(one, what=f"record of {name}", where=where).get("good")
        if good is not None and release_digest(good["entry"]) != good["digest"]:
            raise InputError(
                f"the good release of {name} was changed since it was recorded",
                where=where,
                remedy="Put the file back from a backup",
            )
    return {key: copy.deepcopy(value) for key, value in record.items()}


@dataclass(frozen=True)
class Served:
    """``models``: the catalogue that plan and apply go by. ``held``: models whose catalogue entry waits for an upgrade."""

    models: dict[str, Any]
    lines: list[str]
    held: list[str]


def served_catalogue(
    record: Mapping[str, Any],
    catalogue: Mapping[str, Any],
    running: Sequence[Mapping[str, Any]],
    *,
    by_upgrade: bool,
) -> Served:
    """What shall be served of each model.

    Args:
        record: of releases.
        catalogue: as the operator wrote it.
        running: replicas, as the hosts say.
        by_upgrade: whether only an upgrade changes what is served; otherwise the catalogue is served at once.

    Raises:
        InputError: a model runs in a version that nothing on this controller describes.
    """
    if not by_upgrade:
        return Served({name: copy.deepcopy(entry) for name, entry in catalogue.items()}, [], [])
    models, lines, held = {}, [], []
    for name, entry in sorted(catalogue.items()):
        good = (record["models"].get(name) or {}).get("good")
        versions = sorted({str(one["version"]) for one in running if one["model"] == name})
        wanted = str(entry.get("version", ""))
        if good is None:
            if versions and wanted not in versions:
                raise InputError(
                    f"the hosts run {name} {', '.join(versions)}, the catalogue has {wanted}, and no record on this "
                    "controller says what the running version is made of",
                    where="releases.json",
                    remedy=f"Put the file back from a backup, or set {name} in the catalogue back to {versions[0]} and "
                    "apply once, or let the catalogue win by waves with modelops_version_changes=roll",
                )
            models[name] = copy.deepcopy(dict(entry))
            continue
        models[name] = served_entry(entry, good["entry"])
        if release_digest(entry) != good["digest"]:
            held.append(name)
            lines.append(_held_in_words(name, wanted, str(good["version"])))
    return Served(models, lines, held)


def _held_in_words(name: str, wanted: str, served: str) -> str:
    ask = f"until modelops.datacenter.upgrade -e upgrade_model={name}"
    if wanted == served:
        return f"{name}: the catalogue has other settings for {wanted}, the fleet serves the recorded ones {ask}"
    return f"{name}: the catalogue has {wanted}, the fleet serves {served} {ask}"


def note_applied(
    record: Mapping[str, Any], models: Mapping[str, Any], *, now: float, names: Iterable[str], replace: bool = False
) -> dict[str, Any]:
    """The record after an apply: models without a good release have one now; all, when ``replace``."""
    after = copy.deepcopy(dict(record))
    for name in sorted(names):
        one = after["models"].setdefault(name, _blank())
        digest = release_digest(models[name])
        if one["good"] is None or (replace and one["good"]["digest"] != digest):
            one["good"] = _release(models[name], now)
            _remember(one, "applied", one["good"], now)
    return after


def note_tried(record: Mapping[str, Any], name: str, entry: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    """The record once an upgrade to ``entry`` has begun."""
    after = copy.deepcopy(dict(record))
    one = after["models"].setdefault(name, _blank())
    if (one["candidate"] or {}).get("digest") != release_digest(entry):
        one["candidate"] = _release(entry, now)
        _remember(one, "tried", one["candidate"], now)
    return after


def note_good(record: Mapping[str, Any], name: str, *, now: float) -> dict[str, Any]:
    """The record once the candidate serves everywhere: it is the good release, and no longer bad."""
    after = copy.deepcopy(dict(record))
    one = after["models"][name]
    if one["candidate"] is not None:
        one["good"], one["candidate"] = one["candidate"], None
        one["bad"] = [bad for bad in one["bad"] if bad["digest"] != one["good"]["digest"]]
        _remember(one, "good", one["good"], now)
    return after


def note_bad(
    record: Mapping[str, Any], name: str, digest: str, reasons: Sequence[str], *, now: float
) -> dict[str, Any]:
    """The record once the candidate was refused; it stays refused until it is forced."""
    after = copy.deepcopy(dict(record))
    one = after["models"][name]
    if digest not in bad_digests(after, name):
        tried = one["candidate"] or {}
        bad = {"digest": digest, "version": tried.get("version", ""), "at": format_moment(now), "reasons": [*reasons]}
        one["bad"].append(bad)
        _remember(one, "bad", bad, now)
    one["candidate"] = None
    return after


def note_dropped(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The record once an upgrade was taken back without blame, as after an abort."""
    after = copy.deepcopy(dict(record))
    after["models"][name]["candidate"] = None
    return after


def bad_digests(record: Mapping[str, Any], name: str) -> dict[str, str]:
    """Digest to the reasons, of the releases of a model that were refused."""
    return {one["digest"]: "; ".join(one["reasons"]) for one in (record["models"].get(name) or _blank())["bad"]}


def _blank() -> dict[str, Any]:
    return {"good": None, "candidate": None, "bad": [], "history": []}


def _release(entry: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {
        "digest": release_digest(entry),
        "version": str(entry.get("version", "")),
        "entry": serving_part(entry),
        "at": format_moment(now),
    }


def _remember(one: dict[str, Any], what: str, release: Mapping[str, Any], now: float) -> None:
    line = {"at": format_moment(now), "what": what, "digest": release["digest"], "version": release["version"]}
    one["history"] = [*one["history"], line][-HISTORY_KEPT:]
