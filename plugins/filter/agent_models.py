# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``agent_models``: what the agent on a serving host must know of each model."""

from __future__ import annotations

DOCUMENTATION = r"""
name: agent_models
short_description: Say what the agent on a serving host must know of each model
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes the catalogue and returns, for each model, how one of its replicas is asked for a token. No key is in it.
positional: _input, bind_address
options:
  _input:
    description: The catalogue, C(modelops_models).
    type: dict
    required: true
  bind_address:
    description: Address replicas listen on where the catalogue does not say C(bind_address).
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Show how replicas are asked
  ansible.builtin.debug:
    msg: "{{ modelops_models | modelops.datacenter.agent_models }}"
"""

RETURN = r"""
_value:
  description: Models with C(engine), C(served_name), C(probe), C(health_path), C(address) and C(api_key_file).
  type: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import models


def agent_models(catalogue: Mapping[str, Any], bind_address: str = "") -> dict[str, dict[str, Any]]:
    """See ``DOCUMENTATION``."""
    try:
        return models.agent_models(catalogue, bind_address=bind_address)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"agent_models": agent_models}
