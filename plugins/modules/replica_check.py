#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``replica_check``: is a replica of a new release what it should be? One sample is enough to say no."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replica_check
short_description: Check that replicas run, were not restarted, and answer as their release should
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a serving host. Looks at each replica's service (running, not restarted by the service manager since it was
    started), asks for one token under the served name, and compares the answers to golden prompts.
  - It never fails for what it finds; RV(failures) says it.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.attributes.info_module
options:
  replicas:
    description:
      - The host's records of the replicas (C(service), C(slot), C(port), C(release)), each with C(host).
    type: list
    elements: dict
    required: true
  release:
    description: Digest of the release they should be; not looked at when empty.
    type: str
    default: ''
  engine:
    description: The serving engine.
    type: str
    default: command
  served_name:
    description: Name under which the model must answer.
    type: str
    default: ''
  probe:
    description: What counts as an answer, as in the catalogue.
    type: str
    default: completion
  health_path:
    description: Path of the server's health; the engine's own when empty.
    type: str
    default: ''
  address:
    description: Address the replicas listen on.
    type: str
    default: 127.0.0.1
  api_key_file:
    description: File on the host with the key to ask with.
    type: path
  golden:
    description:
      - Prompts with known answers, each with C(prompt), C(expect), the text that a greedy answer must begin with, and
        C(max_tokens) (16).
    type: list
    elements: dict
    default: []
  systemd:
    description: Whether systemd runs the services; their restarts are not known elsewhere.
    type: bool
    default: true
  request_timeout_seconds:
    description: How long, in seconds, one request may take.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Are the new replicas what they should be?
  modelops.datacenter.replica_check:
    replicas: "{{ modelops_host_state.replicas | selectattr('model', 'eq', 'chat-8b') }}"
    engine: vllm
    served_name: chat-8b
    golden:
      - {prompt: "2 + 2 =", expect: " 4"}
  register: looked
"""

RETURN = r"""
failures:
  description: What is wrong, in words, the server (C(HOST-SLOT)) first.
  type: list
  elements: str
  returned: always
silent:
  description: Servers that gave no answer.
  type: list
  elements: str
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.checks import (
    Expected,
    check_replica,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.credentials import read_key
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "replicas": {"type": "list", "elements": "dict", "required": True},
    "release": {"type": "str", "default": ""},
    "engine": {"type": "str", "default": "command"},
    "served_name": {"type": "str", "default": ""},
    "probe": {"type": "str", "default": "completion"},
    "health_path": {"type": "str", "default": ""},
    "address": {"type": "str", "default": "127.0.0.1"},
    "api_key_file": {"type": "path", "no_log": False},
    "golden": {"type": "list", "elements": "dict", "default": []},
    "systemd": {"type": "bool", "default": True},
    "request_timeout_seconds": {"type": "float", "default": 30},
}


def execute(params: Mapping[str, Any], _check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Look at each replica."""
    expected = Expected(
        release=params["release"],
        engine=params["engine"],
        served_name=params["served_name"],
        probe=params["probe"],
        health_path=params["health_path"],
        address="127.0.0.1" if params["address"] in ("0.0.0.0", "::", "") else params["address"],
        api_key=read_key(params["api_key_file"]) if params["api_key_file"] else "",
        golden=params["golden"],
        systemd=params["systemd"],
        request_timeout_seconds=params["request_timeout_seconds"],
    )
    failures, silent = [], []
    for record in params["replicas"]:
        found = check_replica(record, expected)
        failures += [f"{found.server}: {text}" for text in found.failures]
        silent += [found.server] if found.silent else []
    return {"changed": False, "failures": failures, "silent": silent}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
