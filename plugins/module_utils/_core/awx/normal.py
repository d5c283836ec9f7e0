# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One way to write an object of AWX, so that what is declared and what a controller has compare field by field.

What a field left out means is written by leaving it out; order that AWX does not keep is sorted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.workflows import LINKS

# What AWX takes where a field is not given.
DEFAULTS: Mapping[str, Any] = {
    "description": "",
    "pull": "missing",
    "limit": "",
    "timeout_seconds": 0,
    "job_slice_count": 1,
    "ask_limit": False,
    "ask_check_mode": False,
    "ask_variables": False,
    "extra_vars": {},
    "extra_data": {},
    "job_type": "run",
    "survey": [],
    "credentials": [],
    "from_lookup": {},
    "events": [],
    "credential": "",
}
# Secrets: AWX takes them and never shows them.
WRITE_ONLY = frozenset({"inputs_from", "settings_from"})


def normal(kind: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """An object as data, without what is left to defaults and without what cannot be compared."""
    found = {key: value for key, value in one.items() if key not in WRITE_ONLY}
    for field in ("credentials", "events"):
        if field in found:
            found[field] = sorted(found[field] or [])
    if "survey" in found:
        found["survey"] = [_question(question) for question in found["survey"] or []]
    if kind == "workflows":
        found["nodes"] = sorted((_node(node) for node in found.get("nodes") or []), key=lambda node: str(node["id"]))
    if kind == "schedules":
        found["rrule"] = " ".join(str(found.get("rrule", "")).split())
    return {key: found[key] for key in sorted(found) if not is_default(key, found[key])}


def is_default(field: str, value: Any) -> bool:
    return value is None or (field in DEFAULTS and value == DEFAULTS[field])


def _question(question: Mapping[str, Any]) -> dict[str, Any]:
    """AWX keeps choices, and the default of several, as lines of text or as a list."""
    found = dict(question)
    for field in ("choices", "default") if question.get("type") == "multiselect" else ("choices",):
        if isinstance(found.get(field), str):
            found[field] = [line for line in found[field].split("\n") if line]
    if question.get("type") not in ("multiplechoice", "multiselect"):
        found.pop("choices", None)
    else:
        found.pop("min", None)
        found.pop("max", None)
    known = (
        "question_name",
        "question_description",
        "variable",
        "type",
        "required",
        "choices",
        "min",
        "max",
        "default",
    )
    return {field: found[field] for field in known if found.get(field) not in (None, "", [])}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: node[key] for key in ("id", "job_template", "workflow") if node.get(key)}
    if node.get("approval"):
        found["approval"] = {key: value for key, value in node["approval"].items() if not is_default(key, value)}
    found.update({link: sorted(node[link]) for link in LINKS if node.get(link)})
    return found
