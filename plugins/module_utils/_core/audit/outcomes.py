# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What of a task's result goes on record: how it ended, digests before and after, and what was decided."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.redaction import redacted
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import digest, file_digest

# What these modules return is the decision itself; each of the fields is a figure, a digest or a reason in words.
DECISIONS: Mapping[str, tuple[str, ...]] = {
    "demand_history_info": ("dest", "warnings"),
    "demand_forecast": ("dest", "warnings"),
    "capacity_plan": ("dest", "digest", "starts", "stops", "keeps", "moves", "cost_per_hour", "reasons", "shortages"),
    "plan_validation": ("digest", "refused_because", "msg"),
    "canary_verdict": ("verdict", "reasons"),
    "upgrade_step": ("stage", "reason", "release"),
    "remediation_decision": ("lines", "actions", "would", "held", "escalations"),
    "alert_evaluation": ("dest", "firing"),
    "job_schedule": ("dest", "summary"),
    "compute_share": ("dest", "summary"),
    "fleet_lock": ("owner", "number"),
}
# Options of those modules that name what was decided from; paths only, never whole documents.
SOURCES = (
    "src",
    "demand",
    "hosts",
    "models",
    "current",
    "observed",
    "plan",
    "previous",
    "events",
    "history",
    "journal",
)
DIGESTS = (("before", ("checksum_src_before", "before_checksum")), ("after", ("checksum", "sha256", "digest")))
MAX_ENTRIES = 20
MAX_DIFFS = 50


def outcome(result: Mapping[str, Any]) -> str:
    """``failed``, ``changed``, ``skipped`` or ``ok``."""
    for name in ("failed", "changed", "skipped"):
        if result.get(name):
            return name
    return "ok"


def facts_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Digests before and after, and the message of a failure; nothing of a result that ``no_log`` hides."""
    if "censored" in result:
        return {"hidden": True}
    found: dict[str, Any] = {}
    for name, fields in DIGESTS:
        value = next((result[field] for field in fields if isinstance(result.get(field), str)), "")
        if value:
            found[name] = redacted(value)
    found.update(_diff_digests(result.get("diff")))
    for name in ("dest", "path"):
        if isinstance(result.get(name), str):
            found["file"] = redacted(result[name])
            break
    if result.get("failed") and result.get("msg"):
        found["message"] = redacted(result["msg"])
    if isinstance(result.get("results"), list):
        items = [one for one in result["results"] if isinstance(one, Mapping)]
        found["items"] = len(items)
        found["items_changed"] = sum(bool(one.get("changed")) for one in items)
    return found


def decision_of(action: str, options: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """What was decided and from what; empty for a module that decides nothing.

    Args:
        action: the module as the task names it.
        options: the task's options; only paths among the sources are looked at.
        result: what it returned.
    """
    names = DECISIONS.get(action.rpartition(".")[2]) if _is_ours(action) else None
    if names is None or "censored" in result:
        return {}
    found: dict[str, Any] = {name: _short(result[name]) for name in names if result.get(name) not in (None, "", [])}
    sources = {}
    for name in SOURCES:
        path = options.get(name)
        if isinstance(path, str) and path:
            sources[name] = {"path": redacted(path), **_content(path)}
    if sources:
        found["from"] = sources
    path = options.get("dest") or result.get("dest")
    if isinstance(path, str) and path:
        found["wrote"] = {"path": redacted(path), **_content(path)}
    return {"decision": found}


def _is_ours(action: str) -> bool:
    return "." not in action or action.startswith("modelops.datacenter.")


def _content(path: str) -> dict[str, str]:
    """The digest of a file of this machine; nothing for one that is elsewhere."""
    try:
        return {"digest": file_digest(path)}
    except OSError:
        return {}


def _short(value: Any, depth: int = 0) -> Any:
    """The value with texts redacted, at most twenty entries each, three deep."""
    if isinstance(value, (bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON knows neither NaN nor infinity
    if isinstance(value, Mapping) and depth < 3:
        return {redacted(key): _short(item, depth + 1) for key, item in list(value.items())[:MAX_ENTRIES]}
    if isinstance(value, (list, tuple)) and depth < 3:
        return [_short(item, depth + 1) for item in value[:MAX_ENTRIES]]
    return redacted(value)


def _diff_digests(diff: Any) -> dict[str, Any]:
    """One digest over all that was before and one over all that is after."""
    parts = [one for one in (diff if isinstance(diff, list) else [diff]) if isinstance(one, Mapping)][:MAX_DIFFS]
    parts = [one for one in parts if "before" in one or "after" in one]
    if not parts:
        return {}
    return {side: _digest([one.get(side) for one in parts]) for side in ("before", "after")}


def _digest(value: Any) -> str:
    try:
        return digest(value)
    except (TypeError, ValueError):
        return "sha256:" + hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()
