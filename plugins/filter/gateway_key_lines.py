# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``gateway_key_lines``: what a gateway host keeps of the keys of clients."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gateway_key_lines
short_description: What a gateway host keeps of the API keys of clients
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Makes the map file that HAProxy looks keys up in, a line C(SHA-256 CLIENT) for each key. The keys themselves are not in it.
options:
  _input:
    description:
      - Names of clients to their key, or to a list of keys while one replaces another. A key may be V(sha256:HEX) of it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the keys
  ansible.builtin.copy:
    content: "{{ gateway_api_keys | modelops.datacenter.gateway_key_lines }}"
    dest: /etc/modelops/gateway/api_keys.map
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_value:
  description: The content of the map file.
  type: str
"""

from collections.abc import Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.clients import key_lines


def gateway_key_lines(api_keys: Mapping[str, Any]) -> str:
    """See ``DOCUMENTATION``."""
    try:
        return key_lines(api_keys)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gateway_key_lines": gateway_key_lines}
