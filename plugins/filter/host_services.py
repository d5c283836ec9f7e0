# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``host_services``: all services of one host with their definition files, in one go."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_services
short_description: Turn a host's part of the plan into its services and their definition files
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Does for all replicas of a host what P(modelops.datacenter.replica_service#filter) does for one, renders the
    files that define each service, and returns what O(modelops.datacenter.replica_services#module:services) takes.
  - One call a host. A loop of tasks over replicas and templates costs many times more over hundreds of hosts.
options:
  _input:
    description: Records of the plan's C(placements) for one host.
    type: list
    elements: dict
    required: true
  models:
    description: The catalogue, C(modelops_models).
    type: dict
    required: true
  files:
    description:
      - The files that define a service. Each has C(path), in which C({name}) is the service's name, C(template), the
        text of a Jinja template, C(mode), and if need be C(group) and C(secret), whether it is kept out of diffs.
    type: list
    elements: dict
    required: true
  variables:
    description: Variables of the templates, next to C(service), the result of the filter replica_service.
    type: dict
    default: {}
  artifacts:
    description: Results of M(modelops.datacenter.model_artifact) in a loop over models; C(item) is the model.
    type: list
    elements: dict
    default: []
  programs:
    description:
      - By engine, the words that start it where the catalogue entry has no C(executable) and O(engines) no environment.
    type: dict
    default: {}
  engines:
    description: The engine environments of the host, as P(modelops.datacenter.engine_executable#filter) takes them.
    type: list
    elements: dict
    default: []
  engines_dir:
    description: Where they are.
    type: str
    default: ''
  launcher:
    description: Path of the llama.cpp launcher on the host.
    type: str
    default: ''
  cache_dir:
    description: Where engines may keep compiled kernels between starts.
    type: str
    default: ''
  accelerator_type:
    description: The host's accelerator type.
    type: str
    default: cpu
  accelerator_vendor:
    description: Overrides the vendor that follows from O(accelerator_type).
    type: str
    default: ''
  accelerator_uuids:
    description: The UUIDs of the host's accelerators in the order of their indexes, when known.
    type: list
    elements: str
    default: []
  bind_address:
    description: Address to listen on when the catalogue entry does not say C(bind_address).
    type: str
    default: 127.0.0.1
seealso:
  - module: modelops.datacenter.replica_services
"""

EXAMPLES = r"""
- name: Make the services so
  modelops.datacenter.replica_services:
    manager: systemd
    services: >-
      {{ deploy_replicas | modelops.datacenter.host_services(
           models=modelops_models,
           files=[{'path': '/etc/systemd/system/{name}.service', 'mode': '0644',
                   'template': lookup('ansible.builtin.file', 'replica.service.j2')}]) }}
"""

RETURN = r"""
_value:
  description: The services, in the order of the replicas.
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from jinja2 import Environment, StrictUndefined, TemplateError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import host_services as core

Record = Mapping[str, Any]


def host_services(
    replicas: Sequence[Record],
    models: Mapping[str, Any],
    files: Sequence[Record],
    variables: Record | None = None,
    artifacts: Sequence[Record] = (),
    programs: Mapping[str, Sequence[str]] | None = None,
    **host: Any,
) -> list[dict[str, Any]]:
    """See ``DOCUMENTATION``; ``host`` goes on to the core as it is."""
    if not replicas:
        return []
    # As Ansible's own templates, which these were written as.
    jinja = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined, autoescape=False)
    try:
        described = core.describe(
            replicas,
            models,
            artifacts={str(one["item"]): one for one in reversed(list(artifacts)) if "item" in one},
            programs=programs or {},
            **host,
        )
        templates = [(file, jinja.from_string(str(file["template"]))) for file in files]
        return [
            {
                **entry,
                "files": [
                    _file(file, record["name"], template.render(**(variables or {}), service=record))
                    for file, template in templates
                ],
            }
            for record, entry in described
        ]
    except ModelOpsError as error:
        raise AnsibleFilterError(f"host_services: {error.message}") from error
    except TemplateError as error:
        raise AnsibleFilterError(f"host_services: a template of a definition file is wrong: {error}") from error


def _file(file: Record, name: str, text: str) -> dict[str, Any]:
    made = {"path": str(file["path"]).replace("{name}", name), "mode": file["mode"]}
    if "group" in file:
        made["group"] = file["group"]
    return {**made, "secret_content" if file.get("secret") else "content": text}


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"host_services": host_services}
