# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: a placement of the plan to the service a host runs for it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: replica_service
author:
  - The modelops.datacenter founders (@modelops)
version_added: 0.1.0
short_description: Turn a placement of the plan into the service a host runs
description:
  - Takes one record of the plan's C(placements) and the model's entry in the catalogue and returns all that a
    systemd unit or a supervisord program needs to run that replica - command line, environment, ports, health
    address, stop time, shared memory - for the serving engines vLLM, SGLang, TGI, Triton, the llama.cpp server
    and any other command.
  - Nothing secret is in the result. With C(api_key_file) in the catalogue the key is read on the host each time
    the service starts.
  - "Keys of a catalogue entry that are honoured: C(engine), C(version), C(executable) (a command line or a list of
    words), C(engine_args) (a mapping of flags, where V(true) is a flag without a value and V(false) takes one of
    the collection's own flags away, or a list of arguments; they win over the collection's own), C(environment)
    (a mapping; V(null) takes a variable away), C(resources), C(served_model_name) (the model's name),
    C(bind_address), C(api_key_file) (a path on the host), C(secret_environment) (a variable to the path on the host of the
    file with its value, which is read at each start), C(drain_seconds) (30), C(ready_timeout_seconds) (900),
    C(health_path), C(probe), and C(pin_by) (V(uuid) or V(index))."
  - "In C(executable), C(engine_args) and C(environment) the words C({port}), C({host}), C({slot}), C({alias}),
    C({name}), C({api_key_file}) and each key of O(paths) as C({key}) are replaced; other braces are left alone."
positional: _input
options:
  _input:
    description: A record of the plan's placements, with C(model), C(slot), C(port), C(version), C(accelerators).
    type: dict
    required: true
  model:
    description: The model's entry in C(modelops_models).
    type: dict
    required: true
  paths:
    description:
      - Names to paths on the host. C(model_path) is the file or directory the engine loads; C(cache_dir) is where
        engines may keep compiled kernels between starts. More names may be added for use as placeholders.
    type: dict
    default: {}
  accelerator_type:
    description: The host's accelerator type, for example V(h100-80gb) or V(cpu). The vendor follows from it.
    type: str
    default: cpu
  accelerator_vendor:
    description: Overrides the vendor that follows from O(accelerator_type).
    type: str
    choices: [none, nvidia, amd, intel, ascend]
  accelerator_uuids:
    description: The UUIDs of the host's accelerators in the order of their indexes, when known.
    type: list
    elements: str
    default: []
  bind_address:
    description: Address to listen on when the catalogue entry does not say C(bind_address).
    type: str
    default: 127.0.0.1
"""

EXAMPLES = r"""
- name: See what a host would run for one placement
  ansible.builtin.debug:
    msg: >-
      {{ placement | modelops.datacenter.replica_service(
           model=modelops_models[placement.model],
           paths={'model_path': '/var/lib/modelops/models/chat-8b/current'},
           accelerator_type=modelops_accelerator_type,
           accelerator_uuids=modelops_accelerator_uuids | default([])) }}
  vars:
    placement: {model: chat-8b, version: "2026.11.1", slot: 0, port: 8100, accelerators: [0]}
"""

RETURN = r"""
_value:
  description:
    - The service. C(name) is V(modelops-<model>-<slot>). C(exec_start) is the value for C(ExecStart=),
      C(environment_file) the text of the file for C(EnvironmentFile=), C(success_exit_status) the value for
      C(SuccessExitStatus=). C(supervisor_command) and C(supervisor_environment) are the values for C(command=) and
      C(environment=) of a supervisord program.
    - Also C(model), C(version), C(slot), C(engine), C(alias), C(argv), C(environment), C(secret_environment)
      (variable to the file its value is read from), C(host), C(port), C(url), C(health_path), C(health_url),
      C(ready_path), C(ready_url), C(metrics_url), C(probe), C(api_key_file), C(accelerators), C(drain_seconds),
      C(stop_timeout_seconds), C(ready_timeout_seconds), C(kill_mode), C(restart), C(success_exit_statuses),
      C(shared_memory_gib), C(notes) and C(digest), the SHA-256 over all of it.
  type: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import service


def replica_service(
    placement: Mapping[str, Any],
    model: Mapping[str, Any],
    paths: Mapping[str, Any] | None = None,
    accelerator_type: str = "cpu",
    accelerator_vendor: str | None = None,
    accelerator_uuids: Sequence[str] | None = None,
    bind_address: str = "127.0.0.1",
) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    try:
        return service.as_record(
            service.build_service(
                documents.expect_mapping(placement, what="placement"),
                documents.expect_mapping(model, what="catalogue entry (model=)"),
                paths=documents.expect_mapping(paths or {}, what="paths"),
                accelerator_type=accelerator_type or "cpu",
                accelerator_vendor=accelerator_vendor or "",
                accelerator_uuids=accelerator_uuids or (),
                bind_address=bind_address,
            )
        )
    except ModelOpsError as error:
        raise AnsibleFilterError(f"replica_service: {error.message}") from error


class FilterModule:
    """The collection's filter ``modelops.datacenter.replica_service``."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"replica_service": replica_service}
