# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Everything that AWX shall hold, as data: looked at whole before anything is sent, because AWX fails half-way."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.recurrence import faults_of_rule
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.surveys import faults_of_survey
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.workflows import faults_of_nodes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

# kind: (fields an object must have, fields it may have)
FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    kind: (frozenset(must.split()), frozenset(may.split()))
    for kind, must, may in (
        ("teams", "name", "description"),
        ("credential_types", "name inputs injectors", "description"),
        ("credentials", "name credential_type", "description inputs_from from_lookup"),
        ("execution_environments", "name image", "description pull"),
        ("projects", "name scm_url scm_branch", "description credential"),
        ("inventories", "name source_path project", "description"),
        (
            "job_templates",
            "name project inventory playbook execution_environment",
            "description credentials survey timeout_seconds job_slice_count ask_limit ask_check_mode limit "
            "ask_variables extra_vars job_type",
        ),
        ("workflows", "name nodes", "description survey"),
        ("schedules", "name rrule", "description job_template workflow extra_data"),
        ("grants", "team role on name", ""),
        ("notifications", "name type", "description events settings_from"),
    )
}
REFERENCES = (
    ("projects", "credential", "credentials"),
    ("inventories", "project", "projects"),
    ("job_templates", "project", "projects"),
    ("job_templates", "inventory", "inventories"),
    ("job_templates", "execution_environment", "execution_environments"),
    ("schedules", "job_template", "job_templates"),
    ("schedules", "workflow", "workflows"),
    ("grants", "team", "teams"),
)
BUILT_IN_CREDENTIAL_TYPES = frozenset(
    {
        *("Machine", "Source Control", "Vault", "Container Registry", "Ansible Galaxy/Automation Hub API Token"),
        # stores that other credentials are looked up in
        *("HashiCorp Vault Secret Lookup", "HashiCorp Vault Signed SSH", "AWS Secrets Manager lookup"),
        *("CyberArk Central Credential Provider Lookup", "CyberArk Conjur Secrets Manager Lookup"),
        "Microsoft Azure Key Vault",
    }
)
GRANTABLE: Mapping[str, frozenset[str]] = {
    "job_templates": frozenset({"read", "execute", "admin"}),
    "workflows": frozenset({"read", "execute", "approval", "admin"}),
    "inventories": frozenset({"read", "use", "adhoc", "update", "admin"}),
    "projects": frozenset({"read", "use", "update", "admin"}),
    "credentials": frozenset({"read", "use", "admin"}),
}
NOTIFICATIONS = frozenset(
    {"email", "slack", "webhook", "pagerduty", "grafana", "mattermost", "rocketchat", "irc", "twilio"}
)
# These decide over all hosts together; a slice would take its part for the fleet.
WHOLE_FLEET = frozenset(
    [
        "answer_alerts",
        "apply",
        "certificates",
        "gateway",
        "monitoring",
        "plan",
        "profile",
        "remediate",
        "run_jobs",
        "site",
        "tune",
        "upgrade",
        "watch",
    ],
)
EVENTS = ("started", "success", "error", "approval")
MAX_NAME = 512
MAX_OBJECTS = 10_000
_SECRET = re.compile(r"(password|secret|token|private_key|api_key)$", re.IGNORECASE)


def faults_of(data: object, *, playbooks: Collection[str]) -> list[str]:
    """All that AWX would refuse, or that would be unsafe, one sentence each that names the object.

    Args:
        data: what shall be; see ``docs/schemas/awx.schema.json``.
        playbooks: names that the project has, without ``.yml``.

    Raises:
        InputError: ``data`` is not a mapping at all, or too large.
    """
    if not isinstance(data, Mapping):
        raise InputError("the AWX data must be a mapping of kinds to lists of objects")
    known = {kind: [one for one in data.get(kind) or [] if isinstance(one, Mapping)] for kind in FIELDS}
    if sum(map(len, known.values())) > MAX_OBJECTS:
        raise InputError(f"the AWX data has more than {MAX_OBJECTS} objects", remedy="Split it")
    names = {kind: {str(one.get("name")) for one in objects} for kind, objects in known.items()}
    found = list(_faults_of_shape(data))
    found += _faults_of_references(known, names)
    found += _faults_of_shared_names(names)
    for template in known["job_templates"]:
        found += [f"job_templates {template.get('name')!r}: {fault}" for fault in _template(template, names, playbooks)]
    for workflow in known["workflows"]:
        label = f"workflows {workflow.get('name')!r}"
        faults = faults_of_nodes(workflow, names["job_templates"], names["workflows"] - {str(workflow.get("name"))})
        found += [f"{label}: {fault}" for fault in faults]
        if "survey" in workflow:
            found += [f"{label}: {fault}" for fault in faults_of_survey(workflow["survey"])]
    for schedule in known["schedules"]:
        label = f"schedules {schedule.get('name')!r}"
        found += [f"{label}: {fault}" for fault in faults_of_rule(schedule.get("rrule"))]
        if ("job_template" in schedule) == ("workflow" in schedule):
            found.append(f"{label}: must run either a job_template or a workflow")
    found += _faults_of_access(known, names)
    return found


def _faults_of_shape(data: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(data.get("organization"), str) or not data["organization"]:
        yield "organization: the name of the organization is missing"
    for kind in sorted(map(str, data.keys() - FIELDS.keys() - {"organization"})):
        yield f"{kind}: is not a kind of object; known are {', '.join(FIELDS)}"
    for kind, (must, may) in FIELDS.items():
        objects = data.get(kind) or []
        if not isinstance(objects, list):
            yield f"{kind}: must be a list"
            continue
        seen: set[str] = set()
        for position, one in enumerate(objects, start=1):
            if not isinstance(one, Mapping):
                yield f"{kind} number {position}: must be a mapping"
                continue
            name = str(one.get("name") or f"number {position}")
            for field in sorted(must - one.keys()):
                yield f"{kind} {name!r}: has no {field}"
            for field in sorted(map(str, one.keys() - must - may)):
                yield f"{kind} {name!r}: has the unknown field {field!r}"
            if name in seen and kind != "grants":
                yield f"{kind} {name!r}: is declared twice"
            if name != name.strip() or len(name) > MAX_NAME:
                yield f"{kind} {name!r}: its name begins or ends with a space, or is longer than {MAX_NAME}"
            seen.add(name)


def _faults_of_references(known: Mapping[str, list[Mapping[str, Any]]], names: Mapping[str, set[str]]) -> Iterator[str]:
    for kind, field, target in REFERENCES:
        for one in known[kind]:
            if field in one and one[field] not in names[target]:
                yield f"{kind} {one.get('name')!r}: its {field} {one[field]!r} is not declared among {target}"


def _faults_of_shared_names(names: Mapping[str, set[str]]) -> Iterator[str]:
    """Nodes and schedules find what they run by name, where AWX keeps all that runs in one table."""
    for kind, others in (
        ("job_templates", ("workflows", "projects", "inventories")),
        ("workflows", ("projects", "inventories")),
    ):
        for other in others:
            for name in sorted(names[kind] & names[other]):
                yield f"{kind} {name!r}: has the name of one of {other} too, so that schedules and nodes may run that one"


def _template(template: Mapping[str, Any], names: Mapping[str, set[str]], playbooks: Collection[str]) -> Iterator[str]:
    playbook = str(template.get("playbook", ""))
    if playbook.removesuffix(".yml") not in playbooks or not playbook.endswith(".yml"):
        yield f"its playbook {playbook!r} does not exist; there are {', '.join(f'{one}.yml' for one in sorted(playbooks))}"
    if template.get("ask_variables"):
        yield "asks for free variables (ask_variables): whoever may run it could set any; ask by a survey"
    for credential in template.get("credentials") or []:
        if credential not in names["credentials"]:
            yield f"its credential {credential!r} is not declared among credentials"
    slices = template.get("job_slice_count", 1)
    if not isinstance(slices, int) or isinstance(slices, bool) or slices < 1:
        yield f"its job_slice_count must be a whole number of 1 or more, not {slices!r}"
    elif slices > 1 and playbook.removesuffix(".yml") in WHOLE_FLEET:
        yield f"its job_slice_count must be 1: {playbook} decides over the whole fleet, and each slice would see a part of it"
    timeout = template.get("timeout_seconds", 0)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0:
        yield f"its timeout_seconds must be a whole number of 0 or more, not {timeout!r}"
    if template.get("job_type", "run") not in ("run", "check"):
        yield f"its job_type must be run or check, not {template['job_type']!r}"
    if "survey" in template:
        yield from faults_of_survey(template["survey"])
    for name in template.get("extra_vars") or {}:
        if _SECRET.search(str(name)):
            yield f"its extra variable {name} looks like a secret: use a credential"


def _faults_of_access(known: Mapping[str, list[Mapping[str, Any]]], names: Mapping[str, set[str]]) -> Iterator[str]:
    types = names["credential_types"] | BUILT_IN_CREDENTIAL_TYPES
    for credential in known["credentials"]:
        if credential.get("credential_type") not in types:
            kind = credential.get("credential_type")
            yield f"credentials {credential.get('name')!r}: its credential_type {kind!r} is neither declared nor built in"
        yield from _faults_of_lookups(credential, names["credentials"])
    for grant in known["grants"]:
        label, kind, role = (
            f"grants {grant.get('team')!r} on {grant.get('name')!r}",
            str(grant.get("on")),
            grant.get("role"),
        )
        if kind not in GRANTABLE:
            yield f"{label}: rights are given on {', '.join(GRANTABLE)}, not on {kind!r}"
            continue
        if role not in GRANTABLE[kind]:
            yield f"{label}: the role {role!r} does not exist on {kind}; there are {', '.join(sorted(GRANTABLE[kind]))}"
        if grant.get("name") not in names[kind]:
            yield f"{label}: is not declared among {kind}"
    for notification in known["notifications"]:
        label = f"notifications {notification.get('name')!r}"
        if notification.get("type") not in NOTIFICATIONS:
            yield f"{label}: the type {notification.get('type')!r} does not exist"
        for event in notification.get("events") or []:
            if event not in EVENTS:
                yield f"{label}: the event {event!r} does not exist; there are {', '.join(EVENTS)}"


def _faults_of_lookups(credential: Mapping[str, Any], names: set[str]) -> Iterator[str]:
    """Fields of a credential that AWX looks up in another one whenever a job starts."""
    label, lookups = f"credentials {credential.get('name')!r}", credential.get("from_lookup") or {}
    if not isinstance(lookups, Mapping):
        yield f"{label}: its from_lookup must be a mapping of fields to where they are looked up"
        return
    for field, where in lookups.items():
        if not isinstance(where, Mapping) or set(where) != {"credential", "metadata"}:
            yield f"{label}: its field {field} needs the credential to look in, and metadata"
        elif where["credential"] not in names or where["credential"] == credential.get("name"):
            yield f"{label}: its field {field} is looked up in {where['credential']!r}, which is not another credential declared"
