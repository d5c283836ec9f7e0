# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``replicas_for_wave``: one host's part of a plan up to a wave."""

from __future__ import annotations

DOCUMENTATION = r"""
name: replicas_for_wave
short_description: Pick what one host has to run and to remove, up to a wave of the plan
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Takes a plan's placements and returns the part of one host in the waves up to O(wave).
  - A later wave never undoes an earlier one, and doing a wave twice is doing it once. An apply that broke off in
    any wave is therefore simply run again.
  - A replica that runs and that the plan does not know is removed in the last wave, or as soon as a placement
    needs its slot.
positional: _input, actions, host, wave, present, last_wave, passes
options:
  _input:
    description: The plan's C(placements).
    type: list
    elements: dict
    required: true
  actions:
    description: The plan's C(actions).
    type: list
    elements: dict
    required: true
  host:
    description: The inventory name of the host.
    type: str
    required: true
  wave:
    description: Number of the wave. V(0) is what ran already when the plan was made.
    type: int
    required: true
  present:
    description: Records of the replicas that the host says it runs.
    type: list
    elements: dict
    required: true
  last_wave:
    description: Number of the plan's last wave.
    type: int
    required: true
  passes:
    description:
      - The numbers of all waves that are gone through, as M(modelops.datacenter.plan_validation) returns them. Without
        them every wave counts as the first.
    type: list
    elements: int
seealso:
  - module: modelops.datacenter.plan_validation
"""

EXAMPLES = r"""
- name: See what this host does in wave 2
  ansible.builtin.debug:
    msg: >-
      {{ checked.placements | modelops.datacenter.replicas_for_wave(
           checked.actions, inventory_hostname, 2,
           ansible_local.modelops.replicas | default([]), checked.wave_count, checked.passes) }}
"""

RETURN = r"""
_value:
  description:
    - C(ensure), the placements this host has to have running by the end of the wave, and C(remove), the records of
      O(present) that have to be gone by then. Both are sorted by slot.
    - C(due), whether the host has anything to do in this wave. In the first and the last of O(passes) that is
      everything it has to run; between them only what is new or has to go.
  type: dict
  sample: {"ensure": [{"host": "gpu-a1", "slot": 0, "model": "chat-8b"}], "remove": [], "due": true}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import rollout

Records = Sequence[Mapping[str, Any]]


def replicas_for_wave(
    placements: Records,
    actions: Records,
    host: str,
    wave: int,
    present: Records,
    last_wave: int,
    passes: Sequence[int] = (),
) -> dict[str, Any]:
    """See ``DOCUMENTATION``."""
    numbers = [int(number) for number in passes]
    try:
        return rollout.replicas_for_wave(placements, actions, str(host), int(wave), present, int(last_wave), numbers)
    except ModelOpsError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        return {"replicas_for_wave": replicas_for_wave}
