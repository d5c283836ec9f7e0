#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_validation
short_description: Say whether a plan file may be applied to this fleet now, and what is left to do
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Refuses a plan file that was edited since it was written, that has another schema, that was made for another
    fleet or catalogue, that is too old or comes from the future, or that has work for a host that is unknown or
    does not answer.
  - Compares an accepted plan with what runs now and returns what is left to do, so an apply that broke off
    continues where it stopped.
  - Reads the plan file where it runs, which is usually the controller. It contacts no host and changes nothing.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
    details:
      - This module only looks.
  diff_mode:
    support: full
    details:
      - Shows the replicas that run now against those of the plan.
  idempotent:
    support: partial
    details:
      - It changes nothing itself. It reports a change as long as applying the plan would change something.
options:
  plan:
    description: Path of the plan file that M(modelops.datacenter.capacity_plan) wrote.
    type: path
    required: true
  hosts:
    description:
      - The fleet now, a list of host records or the path of a JSON file with one. The filter
        P(modelops.datacenter.fleet_records#filter) makes it from the inventory.
      - A host with C(reachable) false may be part of the fleet, but not have work left.
    type: raw
    required: true
  models:
    description: The catalogue of models now (C(modelops_models)), or the path of a JSON file with it.
    type: raw
    required: true
  current:
    description:
      - What runs now, a list of replica records or the path of a JSON file with one. The filter
        P(modelops.datacenter.running_replicas#filter) makes it from facts.
      - Without it, everything the plan starts and stops counts as left to do.
    type: raw
  max_age_seconds:
    description: A plan older than this many seconds is refused. V(0) means no limit.
    type: float
    default: 3600
  trusted_keys:
    description:
      - Public keys in PEM. With them, the plan must be signed by one of them (M(modelops.datacenter.plan_signature)), unchanged
        since, and not expired. Several let a key be replaced without a gap.
      - Without them, a signature is not looked at.
    type: list
    elements: str
    default: []
  signature:
    description: Path of the signature; O(plan) with V(.sig) behind it by default.
    type: path
seealso:
  - module: modelops.datacenter.plan_signature
  - module: modelops.datacenter.plan_use
  - plugin: modelops.datacenter.replicas_for_wave
    plugin_type: filter
"""

EXAMPLES = r"""
- name: May the plan be applied?
  modelops.datacenter.plan_validation:
    plan: plan.json
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    models: "{{ modelops_models }}"
    current: "{{ groups['all'] | modelops.datacenter.running_replicas(hostvars) }}"
  register: checked

- name: Say what would be done
  ansible.builtin.debug:
    msg: "{{ checked.summary.splitlines() }}"
"""

RETURN = r"""
changed:
  description: Whether anything is left to do.
  returned: always
  type: bool
digest:
  description: The plan's digest, V(sha256:...) over everything it says but when it was created.
  returned: success
  type: str
created_at:
  description: When the plan was created, ISO 8601 in UTC.
  returned: success
  type: str
age_seconds:
  description: How many seconds ago that was.
  returned: success
  type: int
placements:
  description: The plan's placements.
  returned: success
  type: list
  elements: dict
actions:
  description: The plan's actions.
  returned: success
  type: list
  elements: dict
waves:
  description: The plan's waves.
  returned: success
  type: list
  elements: dict
wave_count:
  description: How many waves the plan has; the number of the last one.
  returned: success
  type: int
passes:
  description:
    - The numbers of the waves to go through, in order. What an earlier apply has finished is left out. V(0) is
      the pass that only mends what should run already.
  returned: success
  type: list
  elements: int
pending:
  description:
    - What is left to do. C(starts) and C(stops) are replica records, C(lines) says the same in words, V(+) for a
      start and V(-) for a stop.
  returned: success
  type: dict
  sample: {"lines": ["+ chat-8b 2026.11.1 on gpu-a1 slot 0"], "starts": [], "stops": []}
signature:
  description: What the signature says, C(nonce), C(key) (name of the public key), C(signed_at) and C(expires_at); empty without O(trusted_keys).
  returned: success
  type: dict
summary:
  description: The same for a person, a few lines of text.
  returned: success
  type: str
refused_because:
  description:
    - Which check failed. V(schema) is not a plan, or one of another release; V(corrupt) is changed since it was
      written; V(unsigned) is not signed by a trusted key; V(altered) is not what was signed; V(expired) is signed for
      another time; V(unknown_host) has work for a host the inventory lacks; V(stale) is made for another stock or
      catalogue; V(age) is too old or from the future; V(unreachable) has work for a host that does not answer.
  returned: when the plan is refused
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents, signing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import PlanRefusedError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import signature
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import (
    parse_plan,
    plan_bytes,
    validate_plan,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout import review
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "plan": {"type": "path", "required": True},
    "hosts": {"type": "raw", "required": True},
    "models": {"type": "raw", "required": True},
    "current": {"type": "raw"},
    "max_age_seconds": {"type": "float", "default": 3600},
    "trusted_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "signature": {"type": "path"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Check the plan and compare it with what runs; the same in check mode, since nothing is changed."""
    limit = documents.expect_number(params["max_age_seconds"], what="max_age_seconds", minimum=0)
    hosts = parse_hosts(documents.load(params["hosts"], what="list of hosts"))
    models = parse_models(documents.load(params["models"], what="catalogue of models"))
    current = None
    if params["current"] is not None:
        current = parse_replicas(documents.load(params["current"], what="list of running replicas"))
    now = clock.now()
    try:
        content = plan_bytes(params["plan"])
        plan = parse_plan(content, where=params["plan"])
        signed = _signed(params, content, plan, now)
        validate_plan(plan, hosts=hosts, models=models, now=now, max_age_seconds=limit, current=current)
    except RefusedPlanError as error:
        return {
            "failed": True,
            "msg": PlanRefusedError(error.what, where=params["plan"], remedy=error.remedy).message,
            "error_kind": "PlanRefusedError",
            "refused_because": error.because,
        }
    result = {**review(plan, current, now=now), "signature": signed}
    return result if diff else {key: value for key, value in result.items() if key != "diff"}


def _signed(params: Mapping[str, Any], content: bytes, plan: Mapping[str, Any], now: float) -> dict[str, str]:
    """What the plan's signature says; nothing where none is asked for."""
    if not params["trusted_keys"]:
        return {}
    keys = [
        signing.load_public(pem.encode("utf-8"), purpose=signature.PURPOSE, where=f"trusted_keys, number {number}")
        for number, pem in enumerate(params["trusted_keys"], start=1)
    ]
    found = signature.read_signature(params["signature"] or params["plan"] + signature.SUFFIX)
    return signature.verify(found, content, plan, keys, now=now).as_record()


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("plan",))


if __name__ == "__main__":
    main()
