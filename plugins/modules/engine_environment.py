#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_environment
short_description: Keep versions of a serving engine side by side on a host
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Makes the Python environment C(ROOT/NAME-VERSION) from a lock file in which every package is pinned and has its
    hashes, and points the link C(ROOT/NAME) at it in one step.
  - An environment never turns into something else. Another lock file under the same version is refused, because
    replicas may run from what is there; give it another version.
  - A run that was killed half-way is made good by the next one, and a package that has gone is put back.
  - Needs Python 3 with C(venv) on the host.
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: The engine, for example V(llama_cpp) or V(vllm).
    type: str
    required: true
  version:
    description: Version of the engine; names the directory.
    type: str
    required: true
  requirements:
    description: Content of the lock file in pip's format, with hashes, as C(uv pip compile --generate-hashes) writes it.
    type: str
    required: true
  root:
    description: Directory of the environments.
    type: path
    default: /opt/modelops/engines
  python:
    description: The Python that makes the environment. Another version of Python needs another O(version).
    type: path
    default: /usr/bin/python3
  switch:
    description: Whether the link C(ROOT/NAME) shall point at this version. A link that points nowhere always does.
    type: bool
    default: true
  keep:
    description: How many other versions of the engine stay. One that a service names stays in any case.
    type: int
    default: 3
  used_by:
    description: Patterns of the files that name the environments in use.
    type: list
    elements: str
    default: [/etc/systemd/system/*.service, /etc/modelops/*.ini]
  index_url:
    description: Package index. It may hold a password, which stays out of arguments, results and messages.
    type: str
    default: ""
  find_links:
    description: Directories on the host, or addresses, that hold wheels.
    type: list
    elements: str
    default: []
  no_index:
    description: Take packages from O(find_links) alone, as sites without a way out do.
    type: bool
    default: false
  only_binary:
    description: Take wheels alone, so that nothing is compiled on the host.
    type: bool
    default: true
  timeout_seconds:
    description: Seconds that one call of pip may take.
    type: float
    default: 3600
"""

EXAMPLES = r"""
- name: llama.cpp out of a wheelhouse on the host
  modelops.datacenter.engine_environment:
    name: llama_cpp
    version: "2026.10.11549"
    requirements: "{{ lookup('ansible.builtin.file', 'llama_cpp-2026.10.11549.lock') }}"
    find_links: [/srv/wheels]
    no_index: true
"""

RETURN = r"""
path:
  description: Directory of the environment.
  returned: success
  type: str
  sample: /opt/modelops/engines/llama_cpp-2026.10.11549
python:
  description: Its interpreter.
  returned: success
  type: str
packages:
  description: Packages of the lock file that are installed, with their versions; in check mode those that would be.
  returned: success
  type: dict
actions:
  description: What was done, or in check mode would be, in words.
  returned: success
  type: list
  elements: str
removed:
  description: Directories of older versions that were removed.
  returned: success
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.environment import (
    Environment,
    install,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.lock import parse_lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.pip import Installer
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "requirements": {"type": "str", "required": True},
    "root": {"type": "path", "default": "/opt/modelops/engines"},
    "python": {"type": "path", "default": "/usr/bin/python3"},
    "switch": {"type": "bool", "default": True},
    "keep": {"type": "int", "default": 3},
    "used_by": {
        "type": "list",
        "elements": "str",
        "default": ["/etc/systemd/system/*.service", "/etc/modelops/*.ini"],
    },
    "index_url": {"type": "str", "default": "", "no_log": True},
    "find_links": {"type": "list", "elements": "str", "default": []},
    "no_index": {"type": "bool", "default": False},
    "only_binary": {"type": "bool", "default": True},
    "timeout_seconds": {"type": "float", "default": 3600},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Make the environment so, or say what would be done."""
    if params["keep"] < 0:
        raise InputError("keep is below 0", where="keep", remedy="Say how many older versions stay")
    where = f"lock file of {params['name']} {params['version']}"
    environment = Environment(
        name=params["name"],
        version=params["version"],
        lock=parse_lock(params["requirements"], where=where),
        root=params["root"],
        installer=Installer(
            python=params["python"],
            index_url=params["index_url"],
            find_links=params["find_links"],
            no_index=params["no_index"],
            only_binary=params["only_binary"],
            timeout_seconds=params["timeout_seconds"],
        ),
    )
    outcome = install(
        environment, switch=params["switch"], keep=params["keep"], users=params["used_by"], dry=check_mode
    )
    result: dict[str, Any] = {
        "changed": bool(outcome.actions),
        "path": environment.path,
        "python": environment.python,
        "packages": dict(outcome.packages),
        "actions": outcome.actions,
        "removed": outcome.removed,
    }
    if diff and outcome.actions:
        result["diff"] = {"prepared": "".join(f"+ {action}\n" for action in outcome.actions)}
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
