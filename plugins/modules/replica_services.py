#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``replica_services``: makes a host run the given replica services."""

from __future__ import annotations

DOCUMENTATION = r"""
module: replica_services
short_description: Make a host run exactly the given replicas, each with a first answer
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs on a serving host. Stops and removes the replicas in O(absent), then, one after the other, puts the
    definition files of each service in O(services) in place, starts it where it does not run, and waits until it
    has answered a first completion.
  - A replica whose process runs with the given settings and answers is left alone. Files that were changed or
    removed by hand are put back without a restart.
  - What the host runs and how long starts took is kept in O(state_file), which Ansible reads as a local fact.
    A replica is entered there before it starts and leaves it after it is gone, so a run that was broken off is
    finished by the next one.
  - Before a start the port must be free, the declared memory available, and the accelerators not in use.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - The difference of each definition file; C(secret_content) is never shown.
  idempotent:
    support: full
options:
  manager:
    description: What runs services on this host.
    type: str
    choices: [systemd, supervisord]
    required: true
  supervisord_configuration:
    description: Configuration file of the supervisord that runs the replicas. It is started when it does not answer.
    type: path
  supervisord_executable:
    description: The C(supervisord) program.
    type: str
    default: supervisord
  supervisorctl_executable:
    description: The C(supervisorctl) program.
    type: str
    default: supervisorctl
  log_dir:
    description: Where supervisord keeps the logs of the services, for the last words of one that fails.
    type: path
    default: /var/log/modelops
  state_file:
    description: The file in which the host says what it runs, read as C(ansible_local.modelops).
    type: path
    default: /etc/ansible/facts.d/modelops.fact
  directories:
    description: Directories to make before anything else.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory.
        type: path
        required: true
      mode:
        description: Octal mode.
        type: str
        default: "0755"
      owner:
        description: Owner's name; the user of the task when not given.
        type: str
      group:
        description: Group's name; the group of the task's user when not given.
        type: str
  files:
    description: Files that the services share, such as a launcher or the settings of supervisord.
    type: list
    elements: dict
    default: []
    suboptions: &file_suboptions
      path:
        description: Where the file belongs.
        type: path
        required: true
      content:
        description: Its content, shown in diffs.
        type: str
      secret_content:
        description: Its content when it may hold secrets; never shown or logged.
        type: str
      mode:
        description: Octal mode.
        type: str
        default: "0640"
      owner:
        description: Owner's name; the user of the task when not given.
        type: str
      group:
        description: Group's name; the group of the task's user when not given.
        type: str
  services:
    description: The replicas this host shall run, in the order in which they are started.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the unit or program, as the filter P(modelops.datacenter.replica_service#filter) gives it.
        type: str
        required: true
      record:
        description: What O(state_file) says of the replica - C(model), C(version), C(slot), C(port), C(accelerators).
        type: dict
        required: true
      files:
        description: The files that define the service.
        type: list
        elements: dict
        required: true
        suboptions: *file_suboptions
      engine:
        description: The serving engine, which decides what is asked.
        type: str
        default: command
      served_name:
        description: Name under which the model must answer.
        type: str
        default: ''
      url:
        description: Base URL to ask on the host.
        type: str
        required: true
      probe:
        description: What counts as an answer.
        type: str
        default: completion
      health_path:
        description: Path that answers when the server is healthy; the engine's own when empty.
        type: str
        default: ''
      address:
        description: Address the replica listens on.
        type: str
        default: 127.0.0.1
      api_key_file:
        description: File on the host with the key to ask with.
        type: path
      memory_gib:
        description: Memory in GiB that must be available before a start.
        type: float
        default: 0
      accelerator_memory_gib:
        description: Memory in GiB that must be free on each of its accelerators before a start.
        type: float
        default: 0
      shares_accelerators:
        description: Whether other processes may use its accelerators too.
        type: bool
        default: false
      ready_timeout_seconds:
        description: How long, in seconds, to wait for the first answer.
        type: float
        default: 900
      stop_timeout_seconds:
        description: How long, in seconds, a stop may take.
        type: float
        default: 60
  absent:
    description: Records of the replicas this host shall no longer run, each with C(model) and C(slot).
    type: list
    elements: dict
    default: []
  absent_files:
    description: Files to remove with an absent replica; C({name}) is the service's name.
    type: list
    elements: str
    default: []
  restart_changed:
    description:
      - Whether to restart a running replica whose settings changed. With V(false) it goes on with its old settings
        and is named in RV(pending_restarts).
    type: bool
    default: true
  restart:
    description: Names of services to restart although they run, such as one that hangs.
    type: list
    elements: str
    default: []
  check_memory:
    description: Whether a start needs the declared memory to be available.
    type: bool
    default: true
  check_accelerators:
    description:
      - Whether a start needs its accelerators to be free of other processes, with the declared memory free.
      - On a host where no vendor's tool finds accelerators there is nothing to check.
    type: bool
    default: true
  poll_seconds:
    description: Time in seconds between two looks at a starting replica.
    type: float
    default: 0.25
  request_timeout_seconds:
    description: How long, in seconds, one request may take.
    type: float
    default: 30
seealso:
  - module: modelops.datacenter.model_server_info
  - plugin: modelops.datacenter.replica_service
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Run one replica under systemd
  modelops.datacenter.replica_services:
    manager: systemd
    services:
      - name: modelops-chat-8b-0
        record: {host: gpu-a1, slot: 0, model: chat-8b, version: "2026.11.1", port: 8100, accelerators: [0]}
        engine: vllm
        served_name: chat-8b
        url: http://127.0.0.1:8100
        files:
          - path: /etc/systemd/system/modelops-chat-8b-0.service
            content: "{{ lookup('ansible.builtin.template', 'replica.service.j2') }}"
            mode: "0644"
"""

RETURN = r"""
started:
  description: Services that did not run and were started.
  type: list
  elements: str
  returned: always
restarted:
  description: Services that were restarted, with new settings or because of O(restart).
  type: list
  elements: str
  returned: always
removed:
  description: Services that were stopped and removed.
  type: list
  elements: str
  returned: always
mended:
  description: Services whose files were put right without a restart.
  type: list
  elements: str
  returned: always
prepared:
  description: Directories and shared files that were made or put right.
  type: list
  elements: str
  returned: always
pending_restarts:
  description: Services that go on with old settings, because O(restart_changed=false).
  type: list
  elements: str
  returned: always
startup_seconds:
  description: Seconds from the start of the process to the first answer, for each service that was started.
  type: dict
  returned: always
  sample: {modelops-chat-8b-0: 41.2}
done:
  description: What was done, in words.
  type: list
  elements: str
  returned: always
  sample: ["started modelops-chat-8b-0 (first answer after 41.2 s)"]
state:
  description: The content of O(state_file) after the run.
  type: dict
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting import records
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.first_answer import FirstAnswer
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.lifecycle import converge
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.managers import (
    ServiceManager,
    SupervisordManager,
    SystemdManager,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.state import HostState
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

# How long to wait, at least, for what an earlier run left at work on the host.
LEAST_PATIENCE_SECONDS = 60.0
DIRECTORY_SPEC = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0755"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}
FILE_SPEC = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str"},
    "secret_content": {"type": "str", "no_log": True},
    "mode": {"type": "str", "default": "0640"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}
SERVICE_SPEC = {
    "name": {"type": "str", "required": True},
    "record": {"type": "dict", "required": True},
    "files": {"type": "list", "elements": "dict", "required": True, "options": FILE_SPEC},
    "engine": {"type": "str", "default": "command"},
    "served_name": {"type": "str", "default": ""},
    "url": {"type": "str", "required": True},
    "probe": {"type": "str", "default": "completion"},
    "health_path": {"type": "str", "default": ""},
    "address": {"type": "str", "default": "127.0.0.1"},
    "api_key_file": {"type": "path", "no_log": False},
    "memory_gib": {"type": "float", "default": 0},
    "accelerator_memory_gib": {"type": "float", "default": 0},
    "shares_accelerators": {"type": "bool", "default": False},
    "ready_timeout_seconds": {"type": "float", "default": 900},
    "stop_timeout_seconds": {"type": "float", "default": 60},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "manager": {"type": "str", "choices": ["systemd", "supervisord"], "required": True},
    "supervisord_configuration": {"type": "path"},
    "supervisord_executable": {"type": "str", "default": "supervisord"},
    "supervisorctl_executable": {"type": "str", "default": "supervisorctl"},
    "log_dir": {"type": "path", "default": "/var/log/modelops"},
    "state_file": {"type": "path", "default": "/etc/ansible/facts.d/modelops.fact"},
    "directories": {"type": "list", "elements": "dict", "default": [], "options": DIRECTORY_SPEC},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE_SPEC},
    "services": {"type": "list", "elements": "dict", "default": [], "options": SERVICE_SPEC},
    "absent": {"type": "list", "elements": "dict", "default": []},
    "absent_files": {"type": "list", "elements": "str", "default": []},
    "restart": {"type": "list", "elements": "str", "default": []},
    "restart_changed": {"type": "bool", "default": True},
    "check_memory": {"type": "bool", "default": True},
    "check_accelerators": {"type": "bool", "default": True},
    "poll_seconds": {"type": "float", "default": 0.25},
    "request_timeout_seconds": {"type": "float", "default": 30},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Converge the host, alone; in check mode say what would be done."""
    if check_mode:
        return _converge(params, check_mode, diff)
    times = [float(one[key]) for one in params["services"] for key in ("ready_timeout_seconds", "stop_timeout_seconds")]
    patience = max([LEAST_PATIENCE_SECONDS, *times])
    with exclusive(params["state_file"] + ".lock", doing="changing replicas", wait_seconds=patience):
        return _converge(params, check_mode, diff)


def _converge(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    manager = _manager(params)
    state = HostState(params["state_file"], dry_run=check_mode)
    outcome = converge(
        [records.replica_service(entry) for entry in params["services"]],
        [records.absent_service(record, params["absent_files"]) for record in params["absent"]],
        manager=manager,
        state=state,
        ask=FirstAnswer(manager, params["poll_seconds"], params["request_timeout_seconds"]),
        directories=[records.directory(entry) for entry in params["directories"]],
        files=[records.definition_file(entry) for entry in params["files"]],
        restart=params["restart"],
        restart_changed=params["restart_changed"],
        check_memory=params["check_memory"],
        check_accelerators=params["check_accelerators"],
        dry_run=check_mode,
    )
    result: dict[str, Any] = {
        "changed": outcome.changed,
        "prepared": outcome.prepared,
        "started": outcome.started,
        "restarted": outcome.restarted,
        "removed": outcome.removed,
        "mended": outcome.mended,
        "pending_restarts": outcome.pending_restarts,
        "startup_seconds": outcome.startup_seconds,
        "done": outcome.in_words(),
        "state": state.document,
    }
    if diff:
        result["diff"] = outcome.differences
    return result


def _manager(params: Mapping[str, Any]) -> ServiceManager:
    if params["manager"] == "systemd":
        return SystemdManager()
    if not params["supervisord_configuration"]:
        raise InputError("supervisord needs supervisord_configuration", remedy="Name its configuration file")
    return SupervisordManager(
        configuration=params["supervisord_configuration"],
        supervisord=params["supervisord_executable"],
        supervisorctl=params["supervisorctl_executable"],
        log_dir=params["log_dir"],
    )


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
