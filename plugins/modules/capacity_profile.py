#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``capacity_profile``: what one replica sustains inside its SLO."""

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity_profile
short_description: Measure what one replica sustains inside its SLO
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Sends completions to one model server at rising rates, each at its moment whatever became of those before it, until
    the SLO fails, closes in, and then goes over the edge again and again until O(seconds) are spent.
  - The capacity is the rate at which the share of good answers is the SLO's quantile, from a logistic curve over all
    levels; its 95 % interval comes from drawing whole levels anew.
  - The server must be one that no user reaches meanwhile; the role P(modelops.datacenter.profile#role) sees to that.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.load
attributes:
  check_mode:
    support: full
    details:
      - Nothing is sent.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run measures anew.
options:
  slo:
    description:
      - C(ttft_seconds), C(latency_seconds) and C(inter_token_seconds), at least one of them, and C(quantile).
    type: dict
    required: true
  seconds:
    description: Seconds the sweep may take.
    type: float
    default: 180
  level_seconds:
    description: Seconds of one level of load. A level should see a hundred requests or more.
    type: float
    default: 10
  most_rate:
    description: Requests a second that are never exceeded.
    type: float
    default: 500
  most_at_once:
    description: Requests at once that are never exceeded.
    type: int
    default: 256
  state_file:
    description: The file in which the host says what it runs and has measured. Left out, nothing is kept.
    type: path
  about:
    description: What was measured, to be kept with it; C(model), C(version), C(digest) and C(accelerator_type).
    type: dict
    default: {}
seealso:
  - module: modelops.datacenter.capacity_plan
"""

EXAMPLES = r"""
- name: What does the new model sustain here?
  modelops.datacenter.capacity_profile:
    url: http://127.0.0.1:8100
    model: chat-8b
    slo: {ttft_seconds: 1.5, latency_seconds: 8.0, quantile: 0.95}
    output_tokens: 200
    seconds: 300
    level_seconds: 20
  register: profile
"""

RETURN = r"""
capacity:
  description:
    - C(requests_per_second) with the interval from C(low) to C(high), and C(service_time_seconds), what one request
      takes alone. Null where the sweep did not enclose it.
  type: dict
  returned: success
  sample: {"requests_per_second": 6.4, "low": 6.1, "high": 6.6, "service_time_seconds": 1.2}
note:
  description: Why there is no capacity, empty where there is one.
  type: str
  returned: success
levels:
  description: What was tried, in order, with the SLO's quantile of each time.
  type: list
  elements: dict
  returned: success
state:
  description: The host's document, with what was measured.
  type: dict
  returned: with O(state_file)
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.state import HostState
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.facts import capacity_record
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import target_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import read_slo
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.sweep import Bounds, sweep
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.options import LOAD_LIMITS, LOAD_OPTIONS

ARGUMENT_SPEC: dict[str, Any] = {
    **LOAD_OPTIONS,
    "slo": {"type": "dict", "required": True},
    "seconds": {"type": "float", "default": 180},
    "level_seconds": {"type": "float", "default": 10},
    "most_rate": {"type": "float", "default": 500},
    "most_at_once": {"type": "int", "default": 256},
    "state_file": {"type": "path"},
    "about": {"type": "dict", "default": {}},
}
LIMITS = {
    **LOAD_LIMITS,
    **{"seconds": (5, 7200), "level_seconds": (1, 600), "most_rate": (0.001, 1e5), "most_at_once": (1, 4096)},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Sweep, and keep what was found."""
    slo = read_slo(params["slo"])
    for name, (low, high) in LIMITS.items():
        expect_number(params[name], what=name, minimum=low, maximum=high)
    if check_mode:
        return {
            "changed": bool(params["state_file"]),
            "capacity": None,
            "note": "check mode: nothing was sent",
            "levels": [],
        }
    found = sweep(
        target_of(params),
        slo,
        Bounds(params["seconds"], params["level_seconds"], params["most_rate"], params["most_at_once"], params["seed"]),
    )
    result: dict[str, Any] = {"changed": False, "capacity": None, "note": found.note, "levels": found.levels}
    if found.capacity is None:
        return {**result, "warnings": [f"no capacity was found: {found.note}"]}
    about = params["about"]
    record = capacity_record(found.capacity, slo, service_seconds=found.lone_seconds, about=about, at=clock.now())
    result["capacity"] = record
    if params["state_file"]:
        with exclusive(params["state_file"] + ".lock", doing="changing replicas", wait_seconds=60):
            state = HostState(params["state_file"], dry_run=False)
            state.update(capacity={str(about.get("model") or params["model"]): record})
        result.update(changed=state.changed, state=state.document)
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
