# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``local_alerts``: what fires on a host, as alerts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: local_alerts
short_description: What alert_evaluation says fires on a host, as alerts for remediation
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Gives the built-in rules the names that ladders of remediation have. A server's instance must be named C(MODEL-SLOT).
positional: _input, host
options:
  _input:
    description: RV(modelops.datacenter.alert_evaluation#module:firing).
    type: list
    elements: dict
    required: true
  host:
    description: Inventory name of the host.
    type: str
    required: true
  names:
    description: Rule to alert name, for rules of one's own.
    type: dict
    default: {}
seealso:
  - module: modelops.datacenter.remediation_decision
"""

EXAMPLES = r"""
- name: Show the alerts
  ansible.builtin.debug:
    msg: "{{ alerts.firing | modelops.datacenter.local_alerts(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: Alerts as Alertmanager's webhook has them.
  type: list
  elements: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import local


def local_alerts(
    firing: Iterable[Mapping[str, Any]], host: str, names: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """See ``DOCUMENTATION``."""
    try:
        return local.local_alerts(firing, host, names or {})
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"local_alerts": local_alerts}
