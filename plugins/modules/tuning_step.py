#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``tuning_step``: which values to try next, and whether the best ones are really better."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tuning_step
short_description: Say which parameters to try next, from what was measured
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Keeps the history of a tuning in a file. Each call takes in what became of the step before and says what to measure
    next, until the budget is spent and the winner has met the values in use in a comparison of its own.
  - The values in use are measured first. What breaks a limit or falls behind by more than noise is given up after one
    measurement, the rest is measured again. A crash is a result. Values that make no difference are put back, while the
    budget holds that. Where nothing better was found, what the comparison would have taken is left of the budget.
  - The winner holds if the 95 % interval of its gain, over interleaved pairs, lies above 0.
  - A step that was handed out and never reported is handed out again.
requirements:
  - optuna >= 4.0, with O(method=tpe)
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Says the next step, writes nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Without O(outcome), the step that is open is said again.
options:
  history:
    description: File of the history.
    type: path
    required: true
  parameters:
    description:
      - Parameter to C(low), C(high), C(step), C(log) (tried evenly by their ratio), or to C(values), and to C(default),
        what is in use now.
      - With C(kind=host) and C(setting) it is one of the host's own, as M(modelops.datacenter.host_tuning) knows them;
        others are of the engine.
    type: dict
    required: true
  objective:
    description:
      - C(metric) of the measurements, C(direction) (V(maximise) or V(minimise)) and C(limits), metrics that must not
        be exceeded.
    type: dict
    required: true
  method:
    description: How values are proposed; V(random) needs no library.
    type: str
    choices: [tpe, random]
    default: tpe
  repeats:
    description: Measurements of values that are worth it.
    type: int
    default: 3
  pairs:
    description: Pairs of measurements in the comparison at the end.
    type: int
    default: 5
  budget_seconds:
    description: Seconds that measurements may take in all, the comparison included.
    type: float
    default: 3600
  max_trials:
    description: Most sets of values to try; 0 is as many as the budget holds.
    type: int
    default: 0
  seed:
    description: Of proposals.
    type: int
    default: 1
  outcome:
    description:
      - What became of the step before, with C(trial), C(seconds), and C(measurement) (metric to value) or C(failed) (why).
    type: dict
seealso:
  - module: modelops.datacenter.load_measurement
  - module: modelops.datacenter.host_tuning
"""

EXAMPLES = r"""
- name: What next?
  modelops.datacenter.tuning_step:
    history: modelops-output/tuning-chat-8b.json
    parameters:
      max-num-seqs: {low: 32, high: 1024, log: true, default: 256}
      max-num-batched-tokens: {low: 1024, high: 16384, log: true, default: 2048}
      enable-chunked-prefill: {values: [true, false], default: true}
      huge: {kind: host, setting: transparent_hugepage, values: [always, madvise, never], default: madvise}
    objective: {metric: output_tokens_per_second, limits: {ttft_seconds: 1.5, inter_token_seconds: 0.05}}
    outcome: "{{ outcome | default(omit) }}"
  register: step
"""

RETURN = r"""
action:
  description: V(measure) or V(finished).
  type: str
  returned: success
trial:
  description: Number to report with the outcome.
  type: int
  returned: when something is to be measured
params:
  description: The values of the engine to measure, or the ones to use from now on.
  type: dict
  returned: success
host_settings:
  description: The same of the host, by setting; without pins.
  type: dict
  returned: success
service_properties:
  description: The same of pins, as properties of the replica's unit.
  type: dict
  returned: success
better:
  description: Whether other values than those in use won.
  type: bool
  returned: when finished
changed_params:
  description: What of the engine differs from the values in use.
  type: dict
  returned: when finished
inventory:
  description: What of the host does, as variables of the roles C(provision) and C(deploy) that make it last.
  type: dict
  returned: when finished
  sample: {"provision_sysfs": {"/sys/kernel/mm/transparent_hugepage/enabled": "always"}}
comparison:
  description: C(pairs), C(gain) as a share and its interval from C(low) to C(high), null where none was needed.
  type: dict
  returned: when finished
reason:
  description: Why, in words.
  type: str
  returned: when finished
figures:
  description: Numbers of C(trials), C(measurements), C(failed) and C(pruned), and C(spent_seconds).
  type: dict
  returned: success
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import host_settings as hosts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import step as core
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.space import (
    engine_params,
    host_settings,
    read_space,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import read_goal
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "history": {"type": "path", "required": True},
    "parameters": {"type": "dict", "required": True},
    "objective": {"type": "dict", "required": True},
    "method": {"type": "str", "choices": ["tpe", "random"], "default": "tpe"},
    "repeats": {"type": "int", "default": 3},
    "pairs": {"type": "int", "default": 5},
    "budget_seconds": {"type": "float", "default": 3600},
    "max_trials": {"type": "int", "default": 0},
    "seed": {"type": "int", "default": 1},
    "outcome": {"type": "dict"},
}
LIMITS = {"repeats": (2, 20), "pairs": (2, 50), "budget_seconds": (1, 1e7), "max_trials": (0, 1e5), "seed": (0, 1e9)}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read the history, take the outcome in, say what is next, write."""
    for name, (low, high) in LIMITS.items():
        documents.expect_number(params[name], what=name, minimum=low, maximum=high)
    path = params["history"]
    space, goal = read_space(params["parameters"]), read_goal(params["objective"])
    rules = core.Rules(
        params["method"],
        params["repeats"],
        params["budget_seconds"],
        params["max_trials"],
        params["pairs"],
        params["seed"],
    )
    document = documents.read_document(path, what="history of the tuning") if os.path.exists(path) else None
    history = core.read_history(document, space, goal, where=path)
    if params["outcome"] is not None:
        core.take_in(history, params["outcome"], space, goal, rules)
    step = core.next_step(history, space, goal, rules)
    content = documents.canonical_bytes(core.document_of(history, space, goal, step))
    changed = store_content(path, content, dry=check_mode)
    states = [one.state for one in history.trials]
    figures = {
        "trials": len(states),
        "measurements": history.measurements,
        "failed": states.count("failed"),
        "pruned": states.count("pruned"),
        "spent_seconds": round(history.spent_seconds, 1),
    }
    values = host_settings(space, step["params"])
    result = {
        **step,
        "params": engine_params(space, step["params"]),
        "host_settings": {name: value for name, value in values.items() if name not in hosts.PINS},
        "service_properties": hosts.service_properties(values),
    }
    if step["action"] == "finished":
        result["changed_params"] = engine_params(space, step["changed"])
        result["inventory"] = hosts.inventory_of(values, host_settings(space, step["changed"]))
    return {**result, "changed": changed, "figures": figures}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
