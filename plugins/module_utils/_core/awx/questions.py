# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a controller (AWX's API, version 2) is asked to know all that an organization has. By GET alone: nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.controller import EVENTS

Found = dict[str, Any]
# An endpoint and its query to the objects of all its pages, or to the one object that it is.
Ask = Callable[[str, Mapping[str, str]], list[Found]]

# The lists of an organization, and by which field each is of it.
OF_ORGANIZATION = {
    "teams": "organization",
    "credentials": "organization",
    "credential_input_sources": "target_credential__organization",
    "execution_environments": "organization",
    "projects": "organization",
    "inventories": "organization",
    "inventory_sources": "inventory__organization",
    "job_templates": "organization",
    "workflow_job_templates": "organization",
    "notification_templates": "organization",
}
TEMPLATES = ("job_templates", "workflow_job_templates")


def answers_of(organization: str, ask: Ask) -> Found:
    """What :mod:`.controller` makes data of; empty where there is no such organization.

    Args:
        organization: its name.
        ask: see :data:`Ask`.
    """
    found = ask("organizations", {"name": organization})
    if not found:
        return {}
    number = str(found[0]["id"])
    lists = {endpoint: ask(endpoint, {field: number}) for endpoint, field in OF_ORGANIZATION.items()}
    nodes = _nodes(lists["workflow_job_templates"], ask)
    return {
        **lists,
        # Those are of no organization; AWX's own are no concern of the data.
        "credential_types": ask("credential_types", {"managed": "false"}),
        "nodes": nodes,
        "workflow_approval_templates": _approvals(nodes, ask),
        "surveys": {kind: _surveys(kind, lists[kind], ask) for kind in TEMPLATES},
        "schedules": [
            schedule
            for kind in TEMPLATES
            for one in lists[kind]
            for schedule in ask("schedules", {"unified_job_template": str(one["id"])})
        ],
        "grants": {team["name"]: ask(f"teams/{team['id']}/roles/", {}) for team in lists["teams"]},
        "notified": {event: _notified(number, event, ask) for event in EVENTS},
    }


def _nodes(workflows: list[Found], ask: Ask) -> list[Found]:
    return [
        node
        for workflow in workflows
        for node in ask("workflow_job_template_nodes", {"workflow_job_template": str(workflow["id"])})
    ]


def _approvals(nodes: list[Found], ask: Ask) -> list[Found]:
    """The approvals among the nodes, each whole: a node shows no more than the name of its own."""
    runs = [(node.get("summary_fields") or {}).get("unified_job_template") or {} for node in nodes]
    return [
        ask(f"workflow_approval_templates/{one['id']}/", {})[0]
        for one in runs
        if one.get("unified_job_type") == "workflow_approval"
    ]


def _surveys(kind: str, templates: list[Found], ask: Ask) -> dict[str, Found]:
    asked = [str(one["id"]) for one in templates if one.get("survey_enabled")]
    return {number: ask(f"{kind}/{number}/survey_spec/", {})[0] for number in asked}


def _notified(organization: str, event: str, ask: Ask) -> list[str]:
    return [one["name"] for one in ask(f"organizations/{organization}/notification_templates_{event}/", {})]
