# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``unsealed``: what a document says that may be encrypted at rest."""

from __future__ import annotations

DOCUMENTATION = r"""
name: unsealed
short_description: Open a document that may be encrypted at rest
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes the content of a file as M(ansible.builtin.slurp) gives it, and gives what is sealed in it, in Base64 too. Where no
    password is given and the file is plain, it stays as it is.
positional: _input, path, passwords, password_files
options:
  _input:
    description: The content, in Base64.
    type: str
    required: true
  path:
    description: Where it lies, for the message.
    type: str
    required: true
  passwords:
    description: Passwords, any of which may open it. Where one is given, a plain file is refused.
    type: list
    elements: str
    default: []
  password_files:
    description: Files on the controller with a password each, that nobody but their owner may read.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Read the plan
  ansible.builtin.slurp:
    src: modelops-output/plan.json
  register: read

- name: What is planned?
  ansible.builtin.debug:
    msg: "{{ (read.content | modelops.datacenter.unsealed('plan.json', passwords=[vault_at_rest]) | b64decode | from_json).placements }}"
"""

RETURN = r"""
_value:
  description: What the file says, in Base64.
  type: str
"""

import base64
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError


def unsealed(content: str, path: str, passwords: Sequence[str] = (), password_files: Sequence[str] = ()) -> str:
    """See ``DOCUMENTATION``."""
    try:
        opened = sealing.opened_base64(content, passwords, password_files, where=path)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error
    return base64.b64encode(opened).decode("ascii")


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"unsealed": unsealed}
