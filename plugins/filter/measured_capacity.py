# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``measured_capacity``: a catalogue with the capacities that hosts measured."""

from __future__ import annotations

DOCUMENTATION = r"""
name: measured_capacity
short_description: A catalogue with the capacities that hosts measured
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes a catalogue and returns it with the capacities that M(modelops.datacenter.capacity_profile) has left on the
    hosts, in place of those it states. A measurement counts for the release and the SLO it was made with.
  - Where several hosts of one accelerator type measured, the lowest rate and the longest service time count.
positional: _input, names, hostvars
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.names
options:
  _input:
    description: The catalogue (C(modelops_models)).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the plan goes by
  ansible.builtin.debug:
    msg: "{{ modelops_models | modelops.datacenter.measured_capacity(groups['all'], hostvars) }}"
"""

RETURN = r"""
_value:
  description: The catalogue.
  type: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import inventory
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling import facts


def measured_capacity(models: Any, names: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    try:
        return facts.with_measured_capacity(models, inventory.recorded_states(names, hostvars))
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"measured_capacity": measured_capacity}
