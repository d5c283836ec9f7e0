# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What became of an action, from what is seen afterwards. What cannot be seen did not help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import (
    CLEAR_DISK,
    MOVE,
    QUARANTINE,
    REPLAN,
    RESTART_EXPORTER,
    SCALE_OUT,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import RESTARTS


def effect_of(
    action: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    looked: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """An outcome for the record.

    Args:
        action: as it was given out.
        report: what carrying it out said: ``done``, ``gone`` (the fault was gone before), ``failed`` with words.
        before, after: what ran before and runs now.
        looked: server, or "gateway HOST", to the last look at it.
    """
    found = {"id": str(action["id"])}
    if report.get("gone"):
        return {
            **found,
            "effect": "gone",
            "evidence": str(report.get("words") or "the fault was gone before it was acted on"),
        }
    if report.get("failed"):
        return {**found, "effect": "failed", "evidence": str(report["failed"])}
    helped, words = _helped(action, report, before, after, looked)
    return {**found, "effect": "effective" if helped else "ineffective", "evidence": words}


def _helped(
    action: Mapping[str, Any],
    report: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    looked: Mapping[str, Mapping[str, Any]],
) -> tuple[bool, str]:
    step, model = action["step"], str(action.get("model") or "")
    server = f"{action.get('host')}-{action.get('slot')}" if action.get("slot") is not None else ""
    name = server or str(action.get("target"))
    answers = (looked.get(name) or {}).get("answers") is True
    if step in RESTARTS:
        return answers, f"{name} {'answers' if answers else 'gives no answer'}"
    if step == SCALE_OUT:
        old, new = _count(before, model), _count(after, model)
        return new > old, f"{new} replicas of {model}, {old} before"
    if step == MOVE and server:
        there = any(f"{one.get('host')}-{one.get('slot')}" == server for one in after)
        return not there or answers, f"{server} {'still runs there' if there else 'runs there no more'}"
    if step in (MOVE, QUARANTINE) and report.get("done"):
        left = sorted(f"{one.get('host')}-{one.get('slot')}" for one in after if one.get("host") == action.get("host"))
        return (
            not left,
            f"{', '.join(left)} still there: no room elsewhere" if left else f"nothing runs on {name} any more",
        )
    if step == CLEAR_DISK:
        freed = int(report.get("freed_bytes") or 0)
        return freed > 0, f"{freed} bytes were freed"
    if step == RESTART_EXPORTER:
        return bool(report.get("done")), "it shows metrics again" if report.get(
            "done"
        ) else "nobody knows whether it was done"
    if step == REPLAN or report.get("done"):
        return bool(report.get("done")), "a new plan was carried out" if report.get(
            "done"
        ) else "nobody knows whether it was done"
    return False, "nobody knows whether it was done"


def _count(replicas: Sequence[Mapping[str, Any]], model: str) -> int:
    return sum(one.get("model") == model for one in replicas)
