#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``synthetic_requests``: ask a canary and its baseline what a verdict still lacks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: synthetic_requests
short_description: Send tagged requests through the gateway where too few come for a verdict
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a gateway. Sends what the figure C(missing) of M(modelops.datacenter.canary_verdict) says is missing, in turn to
    both arms, at the rate that it gives, which is a tenth of the headroom; no longer than O(seconds).
  - The requests carry C(X-ModelOps-Synthetic), so that the gateway's log tells them from clients'. Answers are thrown
    away; what they say of the servers is in the log.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is sent.
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  url:
    description: Where the gateway listens, such as C(http://127.0.0.1:8080). On loopback its certificate is not looked at.
    type: str
    required: true
  model:
    description: The served name of the model.
    type: str
    required: true
  missing:
    description: The figure C(missing) of a verdict.
    type: dict
    required: true
  canary:
    description: Server names of the canary, as C(HOST-SLOT).
    type: list
    elements: str
    required: true
  baseline:
    description: Server names of the baseline.
    type: list
    elements: str
    required: true
  seconds:
    description: How long to send at most.
    type: float
    default: 30
  prompts:
    description: What to ask, in turn.
    type: list
    elements: str
    default: [Once upon a time]
  max_tokens:
    description: How many tokens to ask for.
    type: int
    default: 16
  api_key_file:
    description: File with the API key to send, where the gateway asks for one.
    type: path
  timeout_seconds:
    description: Seconds to wait for an answer.
    type: float
    default: 60
seealso:
  - module: modelops.datacenter.canary_verdict
  - module: modelops.datacenter.gateway_events_info
"""

EXAMPLES = r"""
- name: Ask what is missing
  modelops.datacenter.synthetic_requests:
    url: http://127.0.0.1:8080
    model: chat-8b
    missing: "{{ judged.figures.missing }}"
    canary: [host1-0]
    baseline: [host2-0, host3-0]
"""

RETURN = r"""
sent:
  description: How many were sent.
  type: int
  returned: always
answered:
  description: How many were answered by the server that was meant.
  type: int
  returned: always
by_another:
  description: How many were answered by another server, since the one that was meant could not be used.
  type: int
  returned: always
failed:
  description: How many were not answered with 200.
  type: int
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import synthetic
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.credentials import read_key
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "model": {"type": "str", "required": True},
    "missing": {"type": "dict", "required": True},
    "canary": {"type": "list", "elements": "str", "required": True},
    "baseline": {"type": "list", "elements": "str", "required": True},
    "seconds": {"type": "float", "default": 30},
    "prompts": {"type": "list", "elements": "str", "default": ["Once upon a time"]},
    "max_tokens": {"type": "int", "default": 16, "no_log": False},
    "api_key_file": {"type": "path", "no_log": False},
    "timeout_seconds": {"type": "float", "default": 60},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Send what is missing; nothing in check mode."""
    if not params["prompts"]:
        raise InputError("there is nothing to ask", where="prompts", remedy="Give at least one prompt")
    servers, rate = synthetic.servers_in_turn(
        params["missing"], params["canary"], params["baseline"], params["seconds"]
    )
    asker = synthetic.Asker(
        url=params["url"],
        model=params["model"],
        prompts=params["prompts"],
        max_tokens=params["max_tokens"],
        api_key=read_key(params["api_key_file"]) if params["api_key_file"] else "",
        timeout_seconds=params["timeout_seconds"],
    )
    counts = synthetic.ask(asker, [] if check_mode else servers, rate)
    return {"changed": counts["sent"] > 0, **counts}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
