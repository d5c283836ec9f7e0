#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``load_measurement``: how fast one model server is under a given load."""

from __future__ import annotations

DOCUMENTATION = r"""
module: load_measurement
short_description: Measure how fast one model server is under a given load
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Sends completions to one server, either at a rate or from clients that each wait for their answer, and returns what
    M(modelops.datacenter.tuning_step) compares. The first fifth of the time is not counted.
  - Fails where more than a hundredth of the requests is not answered.
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
  seconds:
    description: How long to send.
    type: float
    default: 30
  rate:
    description: Requests a second. 0 is O(at_once) clients that each send the next request when the last is answered.
    type: float
    default: 0
  at_once:
    description: Clients, or the most requests at once.
    type: int
    default: 16
  quantile:
    description: Which quantile of times to return.
    type: float
    default: 0.95
seealso:
  - module: modelops.datacenter.tuning_step
"""

EXAMPLES = r"""
- name: How fast is it with sixteen clients?
  modelops.datacenter.load_measurement:
    url: http://127.0.0.1:8100
    model: chat-8b
    at_once: 16
  register: measured
"""

RETURN = r"""
measurement:
  description:
    - C(requests_per_second), C(output_tokens_per_second), and the quantile of C(ttft_seconds), C(latency_seconds) and
      C(inter_token_seconds). Empty in check mode.
  type: dict
  returned: success
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import target_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.measure_load import Load, measure_load
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.options import LOAD_LIMITS, LOAD_OPTIONS

ARGUMENT_SPEC: dict[str, Any] = {
    **LOAD_OPTIONS,
    "seconds": {"type": "float", "default": 30},
    "rate": {"type": "float", "default": 0},
    "at_once": {"type": "int", "default": 16},
    "quantile": {"type": "float", "default": 0.95},
}
LIMITS = {
    **LOAD_LIMITS,
    **{"seconds": (0.5, 7200), "rate": (0, 1e5), "at_once": (1, 4096), "quantile": (0.5, 0.9999)},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Send, wait, count."""
    for name, (low, high) in LIMITS.items():
        expect_number(params[name], what=name, minimum=low, maximum=high)
    if check_mode:
        return {"changed": False, "measurement": {}}
    load = Load(params["seconds"], params["at_once"], params["rate"], params["seed"], params["quantile"])
    return {"changed": False, "measurement": measure_load(target_of(params), load)}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
