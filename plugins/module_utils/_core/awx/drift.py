# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is declared for AWX against what a controller has, object by object and field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.controller import (
    Answers,
    data_of,
    never_updated,
    stray_nodes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.normal import normal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.objects import FIELDS

LONGEST_VALUE = 120


@dataclass
class Drift:
    """``due``: what is to be sent, by kind. ``extra``: what is there and not declared; it is shown and left alone."""

    due: dict[str, list[Any]] = field(default_factory=lambda: {kind: [] for kind in FIELDS})
    lines: list[str] = field(default_factory=list)
    extra: dict[str, list[str]] = field(default_factory=dict)
    nodes: list[dict[str, str]] = field(default_factory=list)


def drift_of(data: Mapping[str, Any], answers: Answers) -> Drift:
    """Compare; ``answers`` is empty where the organization does not exist."""
    found, there = Drift(), data_of(answers)
    if not answers:
        found.lines.append(f"+ organization {data['organization']}")
    for kind in FIELDS:
        declared = {_key(kind, one): one for one in data.get(kind) or []}
        present = {_key(kind, one): one for one in there[kind]}
        for key, one in declared.items():
            _compare(found, kind, key, one, present.get(key))
        extra = sorted(set(present) - set(declared))
        if extra and kind != "credential_types":  # those are the whole controller's
            found.extra[kind] = extra
    for name, status in sorted(never_updated(answers).items()):
        known = next((one for one in data.get("projects") or [] if one["name"] == name), None)
        if known is not None and known not in found.due["projects"]:
            found.due["projects"].append(known)
            found.lines.append(f"~ projects {name}: its last update is {status!r}")
    nodes = {one["name"]: {node["id"] for node in one["nodes"]} for one in data.get("workflows") or []}
    found.nodes = stray_nodes(answers, nodes)
    return found


def _compare(found: Drift, kind: str, key: str, one: Mapping[str, Any], there: Mapping[str, Any] | None) -> None:
    should = normal(kind, one)
    if there == should:
        return
    found.due[kind].append(one)
    if there is None:
        found.lines.append(f"+ {kind} {key}")
        return
    fields = [name for name in sorted(set(should) | set(there)) if should.get(name) != there.get(name)]
    changes = "; ".join(f"{name} {_short(there.get(name))} -> {_short(should.get(name))}" for name in fields)
    found.lines.append(f"~ {kind} {key}: {changes}")


def _key(kind: str, one: Mapping[str, Any]) -> str:
    if kind == "grants":
        return f"{one['team']}: {one['role']} on {one['on']} {one['name']}"
    return str(one["name"])


def _short(value: Any) -> str:
    text = "(default)" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."
