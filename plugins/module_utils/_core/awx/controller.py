# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a controller answered (AWX's API, version 2), as the data it would have been made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.normal import normal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.workflows import LINKS

Answers = Mapping[str, Any]
EVENTS = ("started", "success", "error", "approvals")
# What AWX calls the roles of a team on an object.
ROLES = {
    "Admin": "admin", "Execute": "execute", "Read": "read", "Use": "use", "Update": "update",
    "Ad Hoc": "adhoc", "Approve": "approval",
}  # fmt: skip
RESOURCES = {
    "job_template": "job_templates", "workflow_job_template": "workflows", "inventory": "inventories",
    "project": "projects", "credential": "credentials",
}  # fmt: skip
UPDATED = frozenset({"successful", "ok", "running", "pending", "waiting", "new"})


def data_of(answers: Answers) -> dict[str, Any]:
    """The data, each object in its normal form and each kind sorted by name.

    Args:
        answers: lists of objects by endpoint as the role ``awx_setup`` read them, and ``surveys`` (by kind and number),
            ``grants`` (by team), ``notified`` (names of notifications by event).
    """
    found = {
        "teams": [_plain(one) for one in _all(answers, "teams")],
        "credential_types": [_plain(one, "inputs", "injectors") for one in _all(answers, "credential_types")],
        "credentials": list(_credentials(answers)),
        "execution_environments": [_plain(one, "image", "pull") for one in _all(answers, "execution_environments")],
        "projects": [
            {**_plain(one, "scm_url", "scm_branch"), "credential": _name(one, "credential")}
            for one in _all(answers, "projects")
        ],
        "inventories": list(_inventories(answers)),
        "job_templates": list(_templates(answers)),
        "workflows": list(_workflows(answers)),
        "schedules": list(_schedules(answers)),
        "grants": list(_grants(answers)),
        "notifications": list(_notifications(answers)),
    }
    return {kind: sorted((normal(kind, one) for one in objects), key=_order) for kind, objects in found.items()}


def never_updated(answers: Answers) -> dict[str, str]:
    """Projects without a good last update, and how it ended: AWX refuses job templates on them."""
    return {
        one["name"]: str(one["status"]) for one in _all(answers, "projects") if one.get("status", "ok") not in UPDATED
    }


def stray_nodes(answers: Answers, declared: Mapping[str, set[str]]) -> list[dict[str, str]]:
    """Nodes of declared workflows that are not declared: each ``workflow`` and ``id``."""
    names = {one["id"]: one["name"] for one in _all(answers, "workflow_job_templates")}
    found = [(names.get(node["workflow_job_template"], ""), node["identifier"]) for node in _all(answers, "nodes")]
    return [
        {"workflow": name, "id": key} for name, key in sorted(found) if name in declared and key not in declared[name]
    ]


def _order(one: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(one.get(field, "")) for field in ("name", "team", "on", "role"))


def _all(answers: Answers, endpoint: str) -> Sequence[Mapping[str, Any]]:
    return answers.get(endpoint) or []


def _plain(one: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {field: one.get(field) for field in ("name", "description", *fields)}


def _name(one: Mapping[str, Any], related: str) -> str:
    return str(((one.get("summary_fields") or {}).get(related) or {}).get("name") or "")


def _mapping(value: Any) -> Any:
    """Variables, which AWX keeps as text."""
    if not isinstance(value, str):
        return value or {}
    try:
        return json.loads(value) if value.strip() not in ("", "---") else {}
    except ValueError:
        return value  # written by hand, as YAML: not what was sent, so it differs


def _credentials(answers: Answers) -> Iterator[dict[str, Any]]:
    sources: dict[str, dict[str, Any]] = {}
    for source in _all(answers, "credential_input_sources"):
        sources.setdefault(_name(source, "target_credential"), {})[source["input_field_name"]] = {
            "credential": _name(source, "source_credential"),
            "metadata": source.get("metadata") or {},
        }
    for one in _all(answers, "credentials"):
        yield {
            **_plain(one),
            "credential_type": _name(one, "credential_type"),
            "from_lookup": sources.get(one["name"], {}),
        }


def _inventories(answers: Answers) -> Iterator[dict[str, Any]]:
    sources = {_name(source, "inventory"): source for source in _all(answers, "inventory_sources")}
    for one in _all(answers, "inventories"):
        source = sources.get(one["name"]) or {}
        yield {
            **_plain(one),
            "source_path": source.get("source_path"),
            "project": _name(source, "source_project") or None,
        }


def _templates(answers: Answers) -> Iterator[dict[str, Any]]:
    for one in _all(answers, "job_templates"):
        yield {
            **_plain(one, "playbook", "job_type", "limit", "job_slice_count"),
            **{related: _name(one, related) for related in ("project", "inventory", "execution_environment")},
            "credentials": [each["name"] for each in (one.get("summary_fields") or {}).get("credentials") or []],
            "timeout_seconds": one.get("timeout"),
            "ask_limit": one.get("ask_limit_on_launch"),
            "ask_check_mode": one.get("ask_job_type_on_launch"),
            "ask_variables": one.get("ask_variables_on_launch"),
            "extra_vars": _mapping(one.get("extra_vars")),
            "survey": _survey(answers, "job_templates", one),
        }


def _survey(answers: Answers, kind: str, one: Mapping[str, Any]) -> list[Any]:
    if not one.get("survey_enabled"):
        return []
    survey = ((answers.get("surveys") or {}).get(kind) or {}).get(str(one["id"])) or {}
    return list(survey.get("spec") or [])


def _workflows(answers: Answers) -> Iterator[dict[str, Any]]:
    approvals = {one["id"]: one for one in _all(answers, "workflow_approval_templates")}
    for one in _all(answers, "workflow_job_templates"):
        nodes = [node for node in _all(answers, "nodes") if node["workflow_job_template"] == one["id"]]
        names = {node["id"]: node["identifier"] for node in nodes}
        yield {
            **_plain(one),
            "survey": _survey(answers, "workflow_job_templates", one),
            "nodes": [_node(node, names, approvals) for node in nodes],
        }


def _node(node: Mapping[str, Any], names: Mapping[Any, str], approvals: Mapping[Any, Any]) -> dict[str, Any]:
    runs = (node.get("summary_fields") or {}).get("unified_job_template") or {}
    found: dict[str, Any] = {"id": node["identifier"]}
    kind = runs.get("unified_job_type")
    if kind == "workflow_approval":
        approval = approvals.get(runs.get("id")) or runs
        found["approval"] = {
            **_plain(approval),
            "timeout_seconds": approval.get("timeout"),
        }
    elif runs:
        found["workflow" if kind == "workflow_job" else "job_template"] = runs.get("name")
    for link in LINKS:
        found[link] = [names.get(to, str(to)) for to in node.get(f"{link}_nodes") or []]
    return found


def _schedules(answers: Answers) -> Iterator[dict[str, Any]]:
    for one in _all(answers, "schedules"):
        runs = (one.get("summary_fields") or {}).get("unified_job_template") or {}
        kind = "workflow" if runs.get("unified_job_type") == "workflow_job" else "job_template"
        yield {**_plain(one, "rrule"), kind: runs.get("name"), "extra_data": _mapping(one.get("extra_data"))}


def _grants(answers: Answers) -> Iterator[dict[str, Any]]:
    for team, roles in (answers.get("grants") or {}).items():
        for role in roles:
            on = role.get("summary_fields") or {}
            if on.get("resource_type") in RESOURCES and role.get("name") in ROLES:
                kind = RESOURCES[on["resource_type"]]
                yield {"team": team, "role": ROLES[role["name"]], "on": kind, "name": on.get("resource_name")}


def _notifications(answers: Answers) -> Iterator[dict[str, Any]]:
    notified = answers.get("notified") or {}
    for one in _all(answers, "notification_templates"):
        events = [event for event in EVENTS if one["name"] in (notified.get(event) or [])]
        yield {**_plain(one), "type": one.get("notification_type"), "events": [word_of(event) for event in events]}


def word_of(event: str) -> str:
    """How the data calls an event of AWX."""
    return "approval" if event == "approvals" else event
