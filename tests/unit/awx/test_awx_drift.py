# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller answers against what is declared. Shapes are those of the API as awx.awx 24.6.1 reads it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.drift import drift_of
from ansible_collections.modelops.datacenter.plugins.modules.awx_drift_info import execute

QUESTION = {"question_name": "Which?", "type": "multiplechoice", "variable": "which", "required": True}
DATA: dict[str, Any] = {
    "organization": "org",
    "teams": [{"name": "operators"}],
    "credentials": [{"name": "ssh", "credential_type": "Machine", "inputs_from": "somewhere"}],
    "projects": [{"name": "fleet", "scm_url": "https://git.example/fleet.git", "scm_branch": "main"}],
    "inventories": [{"name": "hosts", "project": "fleet", "source_path": "hosts.yml"}],
    "job_templates": [
        {
            **{"name": "plan", "project": "fleet", "inventory": "hosts", "playbook": "plan.yml"},
            **{"execution_environment": "ee", "credentials": ["vault", "ssh"], "extra_vars": {"a": 1}},
            "survey": [{**QUESTION, "choices": ["x", "y"]}],
        }
    ],
    "workflows": [
        {
            "name": "loop",
            "nodes": [
                {"id": "plan", "job_template": "plan", "success": ["ok"]},
                {"id": "ok", "approval": {"name": "Go", "timeout_seconds": 600}},
            ],
        }
    ],
    "schedules": [{"name": "hourly", "workflow": "loop", "rrule": "DTSTART:20270101T000000Z\nRRULE:FREQ=HOURLY;INTERVAL=1"}],
    "grants": [{"team": "operators", "role": "approval", "on": "workflows", "name": "loop"}],
    "notifications": [{"name": "channel", "type": "slack", "events": ["error", "approval"]}],
}  # fmt: skip


def named(**names: str) -> dict[str, Any]:
    return {field: {"name": name} for field, name in names.items()}


ANSWERS: dict[str, Any] = {
    "teams": [{"id": 1, "name": "operators", "description": ""}],
    "credentials": [{"id": 2, "name": "ssh", "description": "", "summary_fields": named(credential_type="Machine")}],
    "projects": [
        {"id": 3, "name": "fleet", "scm_url": "https://git.example/fleet.git", "scm_branch": "main", "status": "successful"}
    ],
    "inventories": [{"id": 4, "name": "hosts", "description": ""}],
    "inventory_sources": [{"source_path": "hosts.yml", "summary_fields": named(source_project="fleet", inventory="hosts")}],
    "job_templates": [
        {
            **{"id": 5, "name": "plan", "playbook": "plan.yml", "job_type": "run", "limit": "", "timeout": 0},
            **{"job_slice_count": 1, "ask_limit_on_launch": False, "extra_vars": '{"a": 1}', "survey_enabled": True},
            "summary_fields": {
                **named(project="fleet", inventory="hosts", execution_environment="ee"),
                "credentials": [{"name": "ssh"}, {"name": "vault"}],
            },
        }
    ],
    # AWX hands choices back as lines, and bounds that mean nothing for choices.
    "surveys": {"job_templates": {"5": {"spec": [{**QUESTION, "choices": "x\ny", "min": None, "max": None, "default": ""}]}}},
    "workflow_job_templates": [{"id": 6, "name": "loop", "description": "", "survey_enabled": False}],
    "nodes": [
        {
            **{"id": 7, "identifier": "plan", "workflow_job_template": 6, "success_nodes": [8]},
            "summary_fields": {"unified_job_template": {"id": 5, "name": "plan", "unified_job_type": "job"}},
        },
        {
            **{"id": 8, "identifier": "ok", "workflow_job_template": 6, "success_nodes": []},
            "summary_fields": {"unified_job_template": {"id": 9, "name": "Go", "unified_job_type": "workflow_approval"}},
        },
    ],
    "workflow_approval_templates": [{"id": 9, "name": "Go", "description": "", "timeout": 600}],
    "schedules": [
        {
            **{"name": "hourly", "rrule": "DTSTART:20270101T000000Z RRULE:FREQ=HOURLY;INTERVAL=1", "extra_data": {}},
            "summary_fields": {"unified_job_template": {"name": "loop", "unified_job_type": "workflow_job"}},
        }
    ],
    "grants": {
        "operators": [
            {"name": "Approve", "summary_fields": {"resource_type": "workflow_job_template", "resource_name": "loop"}},
            {"name": "Member", "summary_fields": {"resource_type": "team", "resource_name": "operators"}},
        ]
    },
    "notification_templates": [{"name": "channel", "description": "", "notification_type": "slack"}],
    "notified": {"error": ["channel"], "approvals": ["channel"], "success": []},
}  # fmt: skip


def test_what_is_there_as_declared_is_no_drift() -> None:
    found = drift_of(DATA, ANSWERS)
    assert (found.lines, found.extra, found.nodes) == ([], {}, [])
    assert not any(found.due.values())


def test_without_the_organization_everything_is_due() -> None:
    found = drift_of(DATA, {})
    assert found.lines[0] == "+ organization org"
    assert all(found.due[kind] == objects for kind, objects in DATA.items() if isinstance(objects, list))
    assert len(found.lines) == 1 + sum(len(objects) for objects in DATA.values() if isinstance(objects, list))


CHANGES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda a: a["job_templates"][0].update(timeout=60), "~ job_templates plan: timeout_seconds 60 -> (default)"),
    (lambda a: a["job_templates"][0].update(ask_variables_on_launch=True), "ask_variables true -> (default)"),
    (lambda a: a["job_templates"][0].update(extra_vars="a: 1"), '~ job_templates plan: extra_vars "a: 1" -> {"a": 1}'),
    (lambda a: a["job_templates"][0].update(survey_enabled=False), "~ job_templates plan: survey (default) -> ["),
    (lambda a: a["workflow_approval_templates"][0].update(timeout=0), "~ workflows loop: nodes"),
    (lambda a: a["nodes"][0].update(success_nodes=[]), "~ workflows loop: nodes"),
    (lambda a: a["projects"][0].update(status="failed"), "~ projects fleet: its last update is 'failed'"),
    (lambda a: a["inventory_sources"].clear(), "~ inventories hosts: project"),
    (lambda a: a["grants"].clear(), "+ grants operators: approval on workflows loop"),
    (lambda a: a["notified"].update(error=[]), '~ notifications channel: events ["approval"] -> ["approval", "error"]'),
    (lambda a: a["schedules"].clear(), "+ schedules hourly"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "line"), CHANGES, ids=[line for _change, line in CHANGES])
def test_each_change_on_the_controller_is_one_line(change: Callable[[dict[str, Any]], Any], line: str) -> None:
    answers = copy.deepcopy(ANSWERS)
    change(answers)
    found = drift_of(DATA, answers)
    assert len(found.lines) == 1 and line in found.lines[0], found.lines
    assert sum(map(len, found.due.values())) == 1


def test_what_is_not_declared_is_named_and_left_alone_but_for_nodes() -> None:
    answers = copy.deepcopy(ANSWERS)
    answers["teams"].append({"id": 20, "name": "others"})
    answers["nodes"].append({"id": 21, "identifier": "stray", "workflow_job_template": 6, "summary_fields": {}})
    found = drift_of(DATA, answers)
    assert found.extra == {"teams": ["others"]}
    assert found.nodes == [{"workflow": "loop", "id": "stray"}]
    assert found.due["teams"] == []


def test_the_export_is_data_that_does_not_differ() -> None:
    result = execute({"data": DATA, "controller": ANSWERS}, False, False)
    again = execute({"data": result["exported"], "controller": ANSWERS}, False, False)
    assert again["lines"] == [] and again["exported"] == result["exported"]
