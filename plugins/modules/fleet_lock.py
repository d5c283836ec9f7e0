#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``fleet_lock``: one run at a time changes the fleet."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_lock
short_description: Let one run at a time change the fleet
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - A lease in a file on one host that every controller reaches. Whoever changes the fleet takes it first, renews it
    between steps, and releases it at the end.
  - A lease that ran out may be taken by anybody; that of a run on the same controller whose process is gone, at once.
    A damaged file counts as held for O(lease_seconds) from its last change.
  - Inside plays the role P(modelops.datacenter.fleet_lock#role) does this on the right host.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - The lock is never taken; the module fails where another run holds it.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A renewal reports no change.
options:
  path:
    description: The lock file. Its directory is made when it is absent.
    type: path
    default: /var/lib/modelops/fleet.lock
  state:
    description: V(held) takes or renews the lock, V(released) gives it up.
    type: str
    choices: [held, released]
    default: held
  owner:
    description: Who asks; C(user@controller:process) of this run of Ansible by default.
    type: str
  purpose:
    description: What for, in words, for whoever has to wait.
    type: str
    default: ''
  lease_seconds:
    description: How long the lock is held unless it is renewed. Longer than the longest step.
    type: float
    default: 1800
  wait_seconds:
    description: How long to wait for another run.
    type: float
    default: 0
  renew_only:
    description: Whether to fail at once when this run does not hold the lock any more.
    type: bool
    default: false
  force:
    description: Whether to release a lock that is another's. For a person who has looked.
    type: bool
    default: false
  run:
    description: What is known of the run that asks. Set by the action plugin.
    type: dict
    default: {}
  dead:
    description: Number of a lease whose run is known to have died. Set by the action plugin.
    type: int
    default: 0
notes:
  - The moments are those of the host that keeps the lock; controllers' clocks do not matter.
"""

EXAMPLES = r"""
- name: Change the fleet alone
  delegate_to: gw-1
  modelops.datacenter.fleet_lock:
    purpose: apply
    wait_seconds: 300

- name: Give it up
  delegate_to: gw-1
  modelops.datacenter.fleet_lock:
    state: released

# When the run that holds it is known to be gone:
#   ansible gw-1 -m modelops.datacenter.fleet_lock -a '{"state": "released", "force": true}'
"""

RETURN = r"""
owner:
  description: Who holds the lock after this, empty when nobody does.
  type: str
  returned: always
number:
  description: One higher each time the lock changes hands.
  type: int
  returned: when held
expires_at:
  description: When the lease runs out, ISO 8601 UTC.
  type: str
  returned: when held
holder:
  description: The lease that stands in the way.
  type: dict
  returned: when another run holds it
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.identity import identity_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.lease import Claim
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "default": "/var/lib/modelops/fleet.lock"},
    "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
    "owner": {"type": "str"},
    "purpose": {"type": "str", "default": ""},
    "lease_seconds": {"type": "float", "default": 1800},
    "wait_seconds": {"type": "float", "default": 0},
    "renew_only": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "run": {"type": "dict", "default": {}},
    "dead": {"type": "int", "default": 0},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Take, renew or release; in check mode only say."""
    path = params["path"]
    claim = Claim(
        owner=params["owner"] or identity_of(os.getppid()).owner,
        purpose=params["purpose"],
        lease_seconds=expect_number(params["lease_seconds"], what="lease_seconds", minimum=1),
        run=params["run"],
        dead=params["dead"],
    )
    if params["state"] == "released":
        changed = lock.release(path, claim, force=params["force"], dry=check_mode)
        left = lock.look(path, claim.lease_seconds)
        return {"changed": changed, "owner": left.owner if left is not None else ""}
    before = lock.look(path, claim.lease_seconds)
    if params["renew_only"] and not check_mode:
        lease = lock.renew(path, claim)
    else:
        wait_seconds = expect_number(params["wait_seconds"], what="wait_seconds", minimum=0)
        try:
            lease = lock.take(path, claim, wait_seconds=wait_seconds, dry=check_mode)
        except lock.LockHeldError as error:
            return {"failed": True, "changed": False, "msg": error.message, "holder": error.lease.as_document()}
    return {
        "changed": before is None or before.number != lease.number,
        "owner": lease.owner,
        "number": lease.number,
        "expires_at": format_moment(lease.expires_at),
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
