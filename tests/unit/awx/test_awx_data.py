# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data for AWX: what is shipped can be sent, and each planted fault is named with its object."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.objects import FIELDS, faults_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.recurrence import faults_of_rule
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.modules.awx_data_info import execute

ROOT = Path(__file__).resolve().parents[3]
DATA: dict[str, Any] = yaml.safe_load((ROOT / "extensions" / "awx" / "objects.yml").read_text())
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "awx.schema.json").read_text())
# AWX does not set itself up.
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "awx_setup")
QUESTION = {"question_name": "N", "type": "integer", "variable": "n", "required": True, "min": 1, "max": 9}


def named(data: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in data[kind] if one["name"] == name)
    return found


def on(kind: str, name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    """Sets fields of an object; None takes one away."""

    def change(data: dict[str, Any]) -> None:
        one = named(data, kind, name)
        one.update(fields)
        for field in [field for field, value in fields.items() if value is None]:
            del one[field]

    return change


def asks(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return on("job_templates", "plan", survey=[{k: v for k, v in {**QUESTION, **fields}.items() if v is not None}])


def nodes(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: named(data, "workflows", "fleet loop")["nodes"][1].update(fields)


def grant(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["grants"][0].update(fields)


def rule(text: str) -> Callable[[dict[str, Any]], None]:
    return on("schedules", "fleet loop each hour", rrule=text)


START = "DTSTART:20270101T000000Z"
PLANTED: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda data: data.pop("organization"), "organization: the name of the organization is missing"),
    (lambda data: data.update(tems=[]), "tems: is not a kind of object"),
    (on("projects", "fleet", scm_branch=None), "projects 'fleet': has no scm_branch"),
    (on("teams", "viewers", colour="red"), "teams 'viewers': has the unknown field 'colour'"),
    (lambda data: data["teams"].append({"name": "viewers"}), "teams 'viewers': is declared twice"),
    (
        on("job_templates", "plan", playbook="plann.yml"),
        "job_templates 'plan': its playbook 'plann.yml' does not exist",
    ),
    (on("job_templates", "plan", playbook="plan"), "job_templates 'plan': its playbook 'plan' does not exist"),
    (on("job_templates", "plan", project="flet"), "job_templates 'plan': its project 'flet' is not declared"),
    (on("job_templates", "plan", inventory="x"), "job_templates 'plan': its inventory 'x' is not declared"),
    (on("job_templates", "plan", credentials=["x"]), "job_templates 'plan': its credential 'x' is not declared"),
    (on("job_templates", "plan", ask_variables=True), "job_templates 'plan': asks for free variables"),
    (on("job_templates", "plan", job_slice_count=0), "job_templates 'plan': its job_slice_count must be"),
    (
        on("job_templates", "apply", job_slice_count=2),
        "job_templates 'apply': its job_slice_count must be 1: apply.yml",
    ),
    (on("job_templates", "plan", extra_vars={"db_password": "x"}), "'plan': its extra variable db_password looks like"),
    (on("credentials", "fleet ssh", credential_type="Machin"), "credentials 'fleet ssh': its credential_type 'Machin'"),
    (
        on("credentials", "fleet ssh", from_lookup={"password": {"credential": "stor", "metadata": {}}}),
        "credentials 'fleet ssh': its field password is looked up in 'stor', which is not another credential",
    ),
    (
        on("credentials", "fleet ssh", from_lookup={"password": "x"}),
        "its field password needs the credential to look in",
    ),
    (
        lambda data: named(data, "job_templates", "watch").update(name="fleet"),
        "job_templates 'fleet': has the name of one of projects too",
    ),
    (on("notifications", "fleet channel", events=["eror"]), "notifications 'fleet channel': the event 'eror' does not"),
    (asks(type="int"), "job_templates 'plan': the survey's question n has the type 'int', not one of text"),
    (asks(variable="two words"), "the survey's question two words needs a variable of letters"),
    (asks(variable="ansible_user"), "the survey's question ansible_user sets a variable of Ansible"),
    (asks(min=9, max=1), "the survey's question n has min 9 above max 1"),
    (asks(max=None), "the survey's question n needs max"),
    (asks(default=50), "the survey's question n has a default outside min 1 and max 9"),
    (asks(default=1.5), "the survey's question n has the default 1.5, which is not of its type integer"),
    (asks(type="password", default="x"), "the survey's question n has a password in the data"),
    (asks(type="multiplechoice"), "the survey's question n needs choices"),
    (asks(type="multiplechoice", choices=["a"], default="b"), "has the default 'b', which is not among its choices"),
    (asks(required="yes"), "the survey's question n must say whether it is required"),
    (on("job_templates", "plan", survey=[QUESTION, QUESTION]), "job_templates 'plan': the survey asks for n twice"),
    (rule("RRULE:FREQ=DAILY;INTERVAL=1"), "schedules 'fleet loop each hour': its rrule must have one DTSTART"),
    (rule(START), "schedules 'fleet loop each hour': its rrule has no RRULE"),
    (rule(f"{START} RRULE:FREQ=DAILY"), "its RRULE must have an INTERVAL"),
    (rule(f"{START} RRULE:FREQ=SECONDLY;INTERVAL=1"), "its FREQ must be one of MINUTELY"),
    (rule(f"{START} RRULE:FREQ=DAILY;INTERVAL=1;COUNT=1000"), "its COUNT must be between 1 and 999"),
    (rule(f"{START} RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=1MO"), "its BYDAY has '1MO'"),
    (rule("DTSTART:20270101T000000 RRULE:FREQ=DAILY;INTERVAL=1"), "its DTSTART must have either a Z or a TZID"),
    (rule("DTSTART:20270231T000000Z RRULE:FREQ=DAILY;INTERVAL=1"), "20270231T000000 is no moment of the calendar"),
    (on("schedules", "fleet loop each hour", workflow="loop"), "its workflow 'loop' is not declared among workflows"),
    (on("schedules", "fleet loop each hour", workflow=None), "must run either a job_template or a workflow"),
    (nodes(approval={"name": "ok"}), "workflows 'fleet loop': the node 'approve' needs a timeout_seconds"),
    (nodes(success=["aply"]), "workflows 'fleet loop': the node 'approve' goes on to 'aply' on success"),
    (nodes(success=["plan"]), "workflows 'fleet loop': runs in a circle through approve, plan"),
    (nodes(id="plan"), "workflows 'fleet loop': has the node 'plan' twice"),
    (nodes(job_template="plan"), "the node 'approve' must be one of job_template, workflow and approval"),
    (grant(team="nobody"), "its team 'nobody' is not declared among teams"),
    (grant(role="approve"), "grants 'viewers' on 'fleet loop': the role 'approve' does not exist on workflows"),
    (grant(name="loop"), "grants 'viewers' on 'loop': is not declared among workflows"),
    (on("notifications", "fleet channel", type="teams"), "notifications 'fleet channel': the type 'teams'"),
]


def test_what_is_shipped_can_be_sent_and_every_playbook_has_a_template() -> None:
    assert faults_of(DATA, playbooks=PLAYBOOKS) == []
    jsonschema.Draft202012Validator(SCHEMA).validate(DATA)
    assert {one["playbook"] for one in DATA["job_templates"]} == {f"{name}.yml" for name in PLAYBOOKS}
    role = yaml.safe_load((ROOT / "roles/awx_setup/defaults/main.yml").read_text())
    assert role["awx_setup_playbooks"] == PLAYBOOKS


def test_the_schema_knows_the_same_fields() -> None:
    described = {kind: set(one["items"]["properties"]) for kind, one in SCHEMA["properties"].items() if kind in FIELDS}
    assert described == {kind: set(must | may) for kind, (must, may) in FIELDS.items()}


@pytest.mark.parametrize(("plant", "expected"), PLANTED, ids=[text[:50] for _plant, text in PLANTED])
def test_a_planted_fault_is_named_with_its_object(plant: Callable[[dict[str, Any]], Any], expected: str) -> None:
    data = copy.deepcopy(DATA)
    plant(data)
    faults = faults_of(data, playbooks=PLAYBOOKS)
    assert any(expected in fault for fault in faults), faults
    result = execute({"data": data, "playbooks": PLAYBOOKS}, False, False)
    assert result["failed"] and faults[0] in result["msg"]


@pytest.mark.parametrize(
    "text",
    [
        f"{START} RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;BYHOUR=6;BYMINUTE=30",
        "DTSTART;TZID=Europe/Berlin:20270101T060000 RRULE:FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=-1;COUNT=999",
        f"{START} RRULE:FREQ=DAILY;INTERVAL=1;UNTIL=20280101T000000Z EXRULE:FREQ=DAILY;INTERVAL=1;BYDAY=SU",
    ],
)
def test_rules_that_awx_takes_pass(text: str) -> None:
    assert list(faults_of_rule(text)) == []


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(InputError, match="must be a mapping"):
        faults_of([], playbooks=PLAYBOOKS)
    for wrong in (
        {"teams": "x"},
        {"workflows": [{"name": "w", "nodes": [1]}]},
        {"schedules": [{"rrule": 3}]},
        {"job_templates": [None]},
    ):
        assert faults_of(wrong, playbooks=PLAYBOOKS)
