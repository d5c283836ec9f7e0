# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory ``plan``: hosts in groups by what the plan puts on them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: plan
short_description: Group hosts by what the plan puts on them
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Give it beside the ordinary inventory, after it. Hosts that the ordinary inventory does not have are left out, with a
    warning; the plan says nothing of how to reach them.
  - Groups are C(model_NAME) for hosts with a replica of the model, C(zone_NAME), C(region_NAME) and C(accelerator_TYPE) for
    what a host is, C(plan_starts) and C(plan_stops) for hosts on which something starts or stops, and C(plan_idle) for
    hosts without a replica. What is neither letter, digit nor underscore becomes an underscore.
  - Each host gets C(modelops_planned), a list of C(model), C(version), C(slot) and C(port).
  - A plan file that was changed since it was written is refused.
options:
  plugin:
    description: Says that the file is for this plugin. Its name ends with C(modelops_plan.yml) or C(modelops_plan.yaml).
    type: str
    required: true
    choices: [modelops.datacenter.plan]
  plan:
    description: The plan file, relative to this one.
    type: str
    default: modelops-output/plan.json
"""

EXAMPLES = r"""
# fleet.modelops_plan.yml; then:
#   ansible -i hosts.yml -i fleet.modelops_plan.yml model_chat_8b -m ansible.builtin.ping
plugin: modelops.datacenter.plan
plan: modelops-output/plan.json
"""

import os
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.host_groups import (
    groups_of,
    planned_on,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import read_plan


class InventoryModule(BaseInventoryPlugin):
    """See ``DOCUMENTATION``."""

    NAME = "modelops.datacenter.plan"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("modelops_plan.yml", "modelops_plan.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        where = os.path.join(os.path.dirname(os.path.abspath(path)), str(self.get_option("plan")))
        try:
            # What is encrypted at rest is a vault: Ansible's own vault passwords open it.
            plan = read_plan(loader.get_real_file(where) if os.path.exists(where) else where)
        except ModelOpsError as error:
            raise AnsibleParserError(error.message) from error
        known = set(inventory.hosts)
        unknown = sorted({host["name"] for host in plan["hosts"]} - known)
        if unknown:
            self.display.warning(f"{path}: no other inventory has {', '.join(unknown)}: left out of the plan's groups")
        for group, hosts in groups_of(plan).items():
            inventory.add_group(group)
            for host in hosts:
                if host in known:
                    inventory.add_host(host, group=group)
        for host, replicas in planned_on(plan).items():
            if host in known:
                inventory.set_variable(host, "modelops_planned", replicas)
