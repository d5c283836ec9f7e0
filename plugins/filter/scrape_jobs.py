# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``scrape_jobs``: what Prometheus shall scrape."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scrape_jobs
short_description: List what Prometheus shall scrape, from the inventory and from what runs
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes inventory names and returns target groups by job, for P(modelops.datacenter.scrape_targets#module).
  - Hosts that serve, gateways and monitoring hosts have a node_exporter; a host with
    C(modelops_accelerator_exporter_port) has an exporter of its accelerators; each running replica is a target.
  - A host whose C(modelops_state) is V(maintenance) is left out.
positional: _input, hostvars, models, ports
extends_documentation_fragment:
  - modelops.datacenter.fleet
  - modelops.datacenter.fleet.hosts
options:
  models:
    description: The catalogue, C(modelops_models), for each model's engine.
    type: dict
    required: true
  ports:
    description: Ports by job where they are not 9100, 8405, 9090 and 9093.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what would be scraped
  ansible.builtin.debug:
    msg: "{{ groups['all'] | modelops.datacenter.scrape_jobs(hostvars, modelops_models) }}"
"""

RETURN = r"""
_value:
  description: Lists of target groups, each with C(targets) and C(labels), by job.
  type: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring import targets


def scrape_jobs(
    names: Iterable[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Any],
    ports: Mapping[str, Any] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """See ``DOCUMENTATION``."""
    try:
        return targets.scrape_jobs(names, hostvars, models, ports)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"scrape_jobs": scrape_jobs}
