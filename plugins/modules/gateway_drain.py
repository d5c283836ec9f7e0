#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``gateway_drain``: takes replicas out of a gateway and waits until nothing is in flight for them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_drain
short_description: Take replicas out of an HAProxy gateway and wait until nothing is in flight for them
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a gateway host. The replicas get no new requests, those in flight go on. The wait is over when no worker
    of HAProxy, those that a reload replaced included, has a request for them or can still get one; then they are in
    maintenance.
  - They stay out over reloads and restarts until P(modelops.datacenter.gateway_members#module) takes them in.
  - When HAProxy goes away while waiting, what was taken out is taken in again and the module fails.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  config_dir:
    description: Where the gateway's configuration is kept.
    type: path
    default: /etc/modelops/gateway
  replicas:
    description: The replicas to drain, each with C(model), C(host) and C(slot).
    type: list
    elements: dict
    required: true
  timeout_seconds:
    description: How long, in seconds, to wait for all of them together.
    type: float
    default: 900
  on_timeout:
    description: What becomes of those that still have requests - V(leave) them without new ones, or V(wake) them.
    type: str
    choices: [leave, wake]
    default: leave
  haproxy:
    description: The HAProxy program.
    type: str
    default: haproxy
seealso:
  - module: modelops.datacenter.gateway_members
"""

EXAMPLES = r"""
- name: Drain one replica before it is stopped
  modelops.datacenter.gateway_drain:
    replicas:
      - {model: chat-8b, host: gpu-a1, slot: 0}
    timeout_seconds: 900
"""

RETURN = r"""
drained:
  description:
    - One record a replica with C(model), C(host), C(slot), C(left_in_flight) (requests when the wait ended, 0 when it
      drained) and C(seconds).
  type: list
  elements: dict
  returned: always
all_drained:
  description: Whether all of them drained within the time.
  type: bool
  returned: always
woken:
  description: Replicas that were taken in again.
  type: list
  elements: str
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.actions import drain_members
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "config_dir": {"type": "path", "default": "/etc/modelops/gateway"},
    "replicas": {"type": "list", "elements": "dict", "required": True},
    "timeout_seconds": {"type": "float", "default": 900},
    "on_timeout": {"type": "str", "choices": ["leave", "wake"], "default": "leave"},
    "haproxy": {"type": "str", "default": "haproxy"},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Drain; in check mode say whether anything would be taken out."""
    return drain_members(
        params["config_dir"],
        params["replicas"],
        limit_seconds=params["timeout_seconds"],
        on_timeout=params["on_timeout"],
        executable=params["haproxy"],
        dry_run=check_mode,
    )


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
