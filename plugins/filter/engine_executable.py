# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``engine_executable``: the words that start a model's engine out of its environment on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: engine_executable
short_description: The words that start a model's engine out of its environment on the host
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes a model's entry in the catalogue and picks the environment that the role P(modelops.datacenter.provision#role)
    made for its engine; C(engine_version) of the entry picks one of several, otherwise the first of O(engines) counts.
  - Knows llama.cpp, vLLM and SGLang. The list is empty for other engines, and where the host has no environment.
options:
  _input:
    description: The model's entry in C(modelops_models).
    type: dict
    required: true
  name:
    description: The model's name, for messages.
    type: str
    required: true
  engines:
    description: The engine environments of the host, each with C(name) and C(version); C(modelops_engines).
    type: list
    elements: dict
    required: true
  engines_dir:
    description: Where they are.
    type: str
    required: true
  launcher:
    description: Path of the llama.cpp launcher on the host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See what would start chat-8b
  ansible.builtin.debug:
    msg: >-
      {{ modelops_models['chat-8b'] | modelops.datacenter.engine_executable(
           name='chat-8b', engines=modelops_engines, engines_dir='/opt/modelops/engines',
           launcher='/opt/modelops/llama_server.py') }}
"""

RETURN = r"""
_value:
  description: The words, empty where the host has no environment for the engine.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import engine_programs


def engine_executable(
    model: Mapping[str, Any], name: str, engines: Sequence[Mapping[str, Any]], engines_dir: str, launcher: str
) -> list[str]:
    """See the documentation above."""
    try:
        return engine_programs.engine_executable(
            model, engines, engines_dir=engines_dir, launcher=launcher, where=f"model {name}"
        )
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"engine_executable": engine_executable}
