#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compute_share
short_description: Divide a capacity among tasks by response time, use, fairness or cost
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Divides a divisible capacity, such as accelerators or requests/s, among tasks with demands, weights, floors and
    ceilings. It only computes; it applies nothing.
  - Each share comes with what it is worth to change it, the marginal value of the floor or ceiling that binds it, and
    the result with the marginal value of one more unit of capacity.
  - Floors that are more than there is are never an error. They are cut so that tasks of equal weight keep the same
    fraction of theirs, twice the weight keeps twice the fraction, and every cut is listed in RV(shortages).
  - The order of the tasks does not matter, and the same problem gives the same bytes.
requirements:
  - numpy >= 1.26
  - scipy >= 1.11 (several resources)
  - ortools >= 9.12 (several resources)
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - The shares are computed and returned, but O(dest) is not written.
  diff_mode:
    support: none
    details:
      - A division is new in every number.
  idempotent:
    support: full
    details:
      - The same problem gives the same file.
options:
  capacity:
    description:
      - What there is to divide, in capacity units such as accelerators or requests/s.
      - A number, or a mapping of resource to amount, which is the same as O(resources).
      - A number together with O(resources) is one more resource named C(capacity), of which each unit of share takes 1.
    type: raw
  resources:
    description:
      - Several resources, as a mapping of name to the amount there is, or to C(amount) and C(cost) (currency per unit,
        for O(strategy=least_cost)); or the path of a JSON file that holds it.
      - Either this or O(capacity) is required.
    type: raw
  resource_use:
    description:
      - With V(all) a unit of share takes every resource that its task needs, as a replica takes accelerators and memory.
      - With V(any) the resources are pools and a unit of share comes from any pool that its task may use, as requests/s
        come from one accelerator type or another.
      - The default is V(any) for O(strategy=least_cost), which allows nothing else, and V(all) otherwise.
    type: str
    choices: [all, any]
  tasks:
    description:
      - A list of tasks, or the path of a JSON file that holds it. Each task is a mapping of the fields below.
      - C(name), unique.
      - C(demand). For O(strategy=least_response_time) the work in capacity-unit seconds, so that a share of C(c) answers
        after C(demand / c) seconds; required there. Otherwise capacity units that the task can use at most; without it
        the task takes what it gets.
      - C(weight), a positive number without unit, 1 by default.
      - C(floor) and C(ceiling), the least and greatest share in capacity units. The default is 0 and none. A floor above
        the demand is kept as a reserve.
      - C(needs), units of each resource that one unit of share takes, as a mapping. Without it 1 of each resource; with
        it none of those that are not named.
      - C(value), for O(strategy=max_utilization) what a unit of share is worth, 1 by default; for
        O(strategy=least_cost) the currency a unit is worth, so that it is served beyond the floor only where it costs
        less. Without a value all of the demand must be served.
      - C(cost), currency per unit of share beside the cost of the resources, for O(strategy=least_cost).
    type: raw
    required: true
  strategy:
    description:
      - V(least_response_time) minimises the sum of C(weight * demand / share), by Kleinrock's square-root rule.
      - V(max_utilization) maximises the sum of C(weight * value * share). Of tasks that are worth the same, with one
        resource, each gets a max-min fair share.
      - V(max_min_fairness) makes the smallest C(share / weight) as large as possible, then the next one. With several
        resources that are used together it levels the shares of each task's dominant resource.
      - V(least_cost) serves all demands from the cheapest pools.
    type: str
    choices: [least_response_time, max_utilization, max_min_fairness, least_cost]
    default: least_response_time
  dest:
    description:
      - Where to write the result (JSON, mode 0640). Without it, the result is only returned.
    type: path
seealso:
  - module: modelops.datacenter.capacity_plan
"""

EXAMPLES = r"""
- name: Divide 100 accelerators so that the mean response time is least
  modelops.datacenter.compute_share:
    capacity: 100
    tasks:
      - {name: chat-8b, demand: 40, weight: 3, floor: 10}
      - {name: code-7b, demand: 90, weight: 1, ceiling: 50}
      - {name: batch, demand: 200, weight: 0.2}
  register: share

- name: Say what was decided
  ansible.builtin.debug:
    msg: "{{ share.summary }}"

- name: Fair shares of accelerators and memory, which are used together
  modelops.datacenter.compute_share:
    strategy: max_min_fairness
    resources: {accelerators: 64, memory_gib: 8192}
    tasks:
      - {name: chat-8b, demand: 40, needs: {accelerators: 1, memory_gib: 32}}
      - {name: search, demand: 90, needs: {accelerators: 0.25, memory_gib: 128}}

- name: Serve the demand (requests/s) from the cheapest accelerators (accelerators per request/s)
  modelops.datacenter.compute_share:
    strategy: least_cost
    resources:
      h100-80gb: {amount: 16, cost: 6.0}
      l40s-48gb: {amount: 64, cost: 1.8}
    tasks:
      - {name: chat-8b, demand: 60, needs: {h100-80gb: 0.154, l40s-48gb: 0.476}}
      - {name: chat-70b, demand: 8, needs: {h100-80gb: 1.6}}
    dest: share.json
"""

RETURN = r"""
dest:
  description: The file that holds the result.
  returned: when O(dest) is given
  type: str
  sample: /var/lib/modelops/share.json
summary:
  description: What was divided, how well, and what is short, in one line.
  returned: success
  type: str
  sample: >-
    3 tasks share 100 of 100 units; weighted response time 7.1641 s; one more unit would save 0.07164 weighted seconds;
    nothing is short
objective:
  description:
    - The value of what the strategy optimises; weighted seconds, weighted capacity units, level (share per weight, or
      share of the dominant resource per weight, of the lowest task below its ceiling), or currency.
    - Null when a task never answers, or when every task is at its ceiling and no level is left to raise.
  returned: success
  type: float
capacity_price:
  description:
    - What the objective gains by one more unit of the only resource; null with several resources, see RV(resources), where
      there is none of it yet, and where a task never answers.
  returned: success
  type: float
resources:
  description: Each resource by name.
  returned: success
  type: dict
  contains:
    amount:
      description: Units there are.
      type: float
    used:
      description: Units that the shares take.
      type: float
    price:
      description: What the objective gains by one more unit.
      type: float
    cost:
      description: Currency per unit, as given.
      type: float
shares:
  description: The tasks by name.
  returned: when there are at most 1000 tasks, or without O(dest)
  type: list
  elements: dict
  contains:
    name:
      description: The task.
      type: str
    share:
      description: Its share in capacity units.
      type: float
    served_fraction:
      description: Its share over its demand, at most 1; null without a demand and for V(least_response_time).
      type: float
    response_time_seconds:
      description: Its demand over its share; null when it never answers and for the other strategies.
      type: float
    binding:
      description: The bound that holds the share, C(floor), C(ceiling) or C(none). A floor of 0 counts.
      type: str
    marginal_value:
      description:
        - What the objective gains if the binding bound gives way by one unit, a lower floor or a higher ceiling; 0
          without one. Negative for a ceiling under V(max_min_fairness), as a higher one takes from the others.
      type: float
    pools:
      description: Pool to the part of the share that comes from it, with O(resource_use=any).
      type: dict
shortages:
  description:
    - What could not be given, as C(task), C(kind) (C(floor), C(demand) or C(no_share)), C(wanted), C(granted) and
      C(missing) in capacity units, and C(reason) in words.
  returned: success
  type: list
  elements: dict
solver:
  description:
    - The C(method), and as C(residual) how far from proven optimal the result is, relative; a Karush-Kuhn-Tucker residual
      or a duality gap.
  returned: success
  type: dict
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

INLINE_TASKS = 1000
ARGUMENT_SPEC: dict[str, Any] = {
    "capacity": {"type": "raw"},
    "resources": {"type": "raw"},
    "resource_use": {"type": "str", "choices": ["all", "any"]},
    "tasks": {"type": "raw", "required": True},
    "strategy": {
        "type": "str",
        "choices": ["least_response_time", "max_utilization", "max_min_fairness", "least_cost"],
        "default": "least_response_time",
    },
    "dest": {"type": "path"},
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the problem, divide, write the document."""
    # One thread: the same input then gives the same bytes everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    require("numpy", purpose="Sharing a capacity")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.document import (
        as_document,
        summarise,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.share import divide
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.tasks import parse_instance
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content

    document = as_document(divide(parse_instance(params)))
    result: dict[str, Any] = {
        key: document[key] for key in ("objective", "capacity_price", "resources", "shortages", "solver")
    }
    result |= {"changed": False, "summary": summarise(document)}
    if not params.get("dest") or len(document["shares"]) <= INLINE_TASKS:
        result["shares"] = document["shares"]
    if params.get("dest"):
        result["dest"] = params["dest"]
        result["changed"] = store_content(params["dest"], canonical_bytes(document), dry=check_mode)
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
