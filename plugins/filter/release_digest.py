# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the digest of the release that a catalogue entry describes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: release_digest
short_description: Name the release that a catalogue entry describes
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - The digest of the serving part of the entry - everything but what only the planner reads, such as C(capacity),
    C(min_replicas) or C(weight). Two entries with the same digest make the same replicas.
options:
  _input:
    description: An entry of C(modelops_models).
    type: dict
    required: true
seealso:
  - module: modelops.datacenter.model_releases
"""

EXAMPLES = r"""
- name: Show the release
  ansible.builtin.debug:
    msg: "{{ modelops_models['chat-8b'] | modelops.datacenter.release_digest }}"
"""

RETURN = r"""
_value:
  description: C(sha256:) and 64 hexadecimal digits.
  type: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import release


def release_digest(entry: Mapping[str, Any]) -> str:
    """See ``DOCUMENTATION``."""
    return release.release_digest(entry)


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"release_digest": release_digest}
