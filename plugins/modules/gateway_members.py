#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``gateway_members``: makes the servers behind a gateway exactly what the hosts run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_members
short_description: Make the servers behind an HAProxy gateway exactly what the hosts run
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a gateway host. Writes the configuration of HAProxy from settings, catalogue and running replicas,
    lets HAProxy check it before it replaces anything, keeps the one before, and makes the running process so.
  - Replicas come and go through HAProxy's runtime API. Where that cannot do it (another setting, another model,
    another address, HAProxy older than 2.6) HAProxy is reloaded with the states of its servers saved, so drained
    servers stay drained and no stream is cut. The result says which.
  - A server that a person took out by hand in HAProxy stays out and is named in RV(out_by_hand).
  - Every model has a backend of its name, and a second one, C(MODEL:panic), used while too few servers are usable.
  - A host that does not answer says nothing of what it runs; name it in O(unknown_hosts), and its servers stay.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  config_dir:
    description: Where the gateway's configuration is kept.
    type: path
    default: /etc/modelops/gateway
  settings:
    description:
      - Settings of the gateway, as the role P(modelops.datacenter.gateway#role) makes them from its variables.
      - Those of the last run when not given.
    type: dict
  models:
    description: The catalogue, C(modelops_models). That of the last run when not given.
    type: dict
  replicas:
    description:
      - What runs, each with C(model), C(host), C(slot), C(address) and C(port), as the filter
        P(modelops.datacenter.gateway_replicas#filter) gives it. The members of the last run when not given.
    type: list
    elements: dict
  keep_out:
    description: Replicas that shall get no requests, each with C(model), C(host) and C(slot).
    type: list
    elements: dict
    default: []
  weights:
    description: Replicas with another weight, each with C(model), C(host), C(slot) and C(share), above 0 and up to 1.
    type: list
    elements: dict
    default: []
  unknown_hosts:
    description: Hosts that did not answer.
    type: list
    elements: str
    default: []
  haproxy:
    description: The HAProxy program.
    type: str
    default: haproxy
seealso:
  - module: modelops.datacenter.gateway_drain
"""

EXAMPLES = r"""
- name: Serve what the hosts run, without one replica
  modelops.datacenter.gateway_members:
    replicas: "{{ groups['all'] | modelops.datacenter.gateway_replicas(hostvars) }}"
    keep_out:
      - {model: chat-8b, host: gpu-a1, slot: 0}
"""

RETURN = r"""
done:
  description: What was changed through the runtime API, in words.
  type: list
  elements: str
  returned: always
  sample: ["chat-8b/gpu-a1-0 added"]
reloaded:
  description: Whether HAProxy was reloaded.
  type: bool
  returned: always
reload_reasons:
  description: Why the runtime API could not do it.
  type: list
  elements: str
  returned: always
written:
  description: Files that were written.
  type: list
  elements: str
  returned: always
running:
  description: Whether HAProxy runs; when not, the files take effect at its start.
  type: bool
  returned: always
out_by_hand:
  description: Members that a person took out in HAProxy.
  type: list
  elements: str
  returned: always
members:
  description: The members, each with C(model), C(host), C(slot), C(address), C(port), C(weight) and C(out).
  type: list
  elements: dict
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.actions import make_members
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "config_dir": {"type": "path", "default": "/etc/modelops/gateway"},
    "settings": {"type": "dict"},
    "models": {"type": "dict"},
    "replicas": {"type": "list", "elements": "dict"},
    "keep_out": {"type": "list", "elements": "dict", "default": []},
    "weights": {"type": "list", "elements": "dict", "default": []},
    "unknown_hosts": {"type": "list", "elements": "str", "default": []},
    "haproxy": {"type": "str", "default": "haproxy"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Make the members so; in check mode say what would be done."""
    result, differences = make_members(
        params["config_dir"],
        settings=params["settings"],
        models=params["models"],
        replicas=params["replicas"],
        keep_out=params["keep_out"],
        weights=params["weights"],
        unknown_hosts=params["unknown_hosts"],
        executable=params["haproxy"],
        dry_run=check_mode,
    )
    return {**result, "diff": differences} if diff else result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
