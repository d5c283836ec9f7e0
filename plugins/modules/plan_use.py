#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan_use
short_description: See to it that a signed plan is carried out once, and not after a younger one
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Keeps on record, on the host that keeps the lock of the fleet, which signed plans were begun and finished. Refuses a plan
    that is finished, and one signed before another that has been begun since.
  - A plan that was begun and not finished may be begun again, so an apply that broke off can be run again.
  - Takes what M(modelops.datacenter.plan_validation) said of the signature, and believes it.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Refuses what it would refuse, and puts nothing on record.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description: The record.
    type: path
    default: /var/lib/modelops/plans.json
  signature:
    description: RV(modelops.datacenter.plan_validation#module:signature) of the plan.
    type: dict
    required: true
  state:
    description: V(begun) before the first change, V(finished) after the last.
    type: str
    choices: [begun, finished]
    default: begun
seealso:
  - module: modelops.datacenter.plan_validation
"""

EXAMPLES = r"""
- name: Use the plan once
  modelops.datacenter.plan_use:
    signature: "{{ checked.signature }}"
  delegate_to: "{{ groups['all'] | modelops.datacenter.state_host(hostvars) }}"
"""

RETURN = r"""
refused_because:
  description: V(reused) for a plan that was finished, V(superseded) where a younger one has been begun.
  returned: when the plan is refused
  type: str
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, PlanRefusedError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import plan_use
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

WAIT_SECONDS = 30.0
ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "default": "/var/lib/modelops/plans.json"},
    "signature": {"type": "dict", "required": True},
    "state": {"type": "str", "choices": ["begun", "finished"], "default": "begun"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Put the use of a plan on record, or refuse it; in check mode only the latter."""
    said = {name: str(params["signature"].get(name) or "") for name in ("nonce", "signed_at", "expires_at")}
    if not all(said.values()):
        raise InputError("signature needs nonce, signed_at and expires_at, as plan_validation returns them")
    if check_mode:
        return _use(params, said, dry=True)
    with exclusive(params["path"] + ".lock", doing="putting the use of a plan on record", wait_seconds=WAIT_SECONDS):
        return _use(params, said, dry=False)


def _use(params: Mapping[str, Any], said: Mapping[str, str], *, dry: bool) -> dict[str, Any]:
    path = params["path"]
    uses = plan_use.read_uses(path)
    step = plan_use.begin if params["state"] == "begun" else plan_use.finish
    try:
        after = step(uses, said, now=clock.now())
    except RefusedPlanError as error:
        return {
            "failed": True,
            "msg": PlanRefusedError(error.what, where=error.where, remedy=error.remedy).message,
            "error_kind": "PlanRefusedError",
            "refused_because": error.because,
        }
    if after == uses:
        return {"changed": False}
    if not dry:
        os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o755, exist_ok=True)
        documents.write_document(path, plan_use.as_document(after))
    return {"changed": True}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
