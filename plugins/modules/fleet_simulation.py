#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_simulation
short_description: Replay a demand history against scaling policies and compare what each serves and takes
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Replays the last O(days) of a demand history in simulated time under each of O(policies) and tells what each served
    in time and how many accelerator-hours it took, starting and draining included.
  - V(modelops) runs the real forecast and planning of this collection. The others are a fixed fleet, a person who
    watches by day, the autoscalers of Kubernetes (HPA, KEDA) and Knative, a planner in the manner of NVIDIA Dynamo, and
    perfect foresight as the limit.
  - Says in plain words when a fixed fleet is the better choice.
  - Contacts no host and changes nothing on any.
requirements:
  - numpy >= 1.26
  - pyarrow >= 16 (Parquet in O(src))
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
    details:
      - The simulation runs but O(page_dest) is not written.
  diff_mode:
    support: none
    details:
      - The page is for reading in a browser.
  idempotent:
    support: full
    details:
      - The same history and options give the same bytes.
options:
  src:
    description:
      - The demand history with the columns C(series), C(timestamp) (ISO 8601, UTC) and C(value) (requests/s), as CSV,
        gzipped CSV or Parquet. A series is named as its model.
    type: path
    required: true
  models:
    description:
      - The catalogue of models (C(modelops_models)), or the path of a JSON file with it. A model without a series is left
        out, and said to be.
    type: raw
    required: true
  accelerator_type:
    description: What every replica runs on. Each model needs a capacity on it.
    type: str
    required: true
  until:
    description: The moment at which the history ends, ISO 8601 UTC; without it, its last sample.
    type: str
  step_seconds:
    description: Gather the history to steps of this many seconds first.
    type: int
  days:
    description: How many days at the end of the history are replayed. What lies before is what a policy knows.
    type: float
    default: 2
  policies:
    description: Which policies to compare.
    type: list
    elements: str
    choices: [modelops, static_peak, static_mean, person, hpa, keda, kpa, planner, foresight]
    default: [modelops, static_peak, static_mean, person, hpa, keda, kpa, planner, foresight]
  fidelity:
    description:
      - V(requests) simulates every request. V(fluid) simulates mean numbers of them, for weeks and large demand; it knows
        no percentiles.
      - V(auto) takes V(requests) up to two million requests over all runs.
    type: str
    choices: [auto, requests, fluid]
    default: auto
  seeds:
    description: How many times arrivals are drawn anew. Intervals come from the spread over them.
    type: int
    default: 5
  deadline_seconds:
    description: A request is in time when it is answered by then; by default seven times the longest service
        time, within which an idle replica answers 999 of 1000.
    type: float
  demand_factor:
    description: What if demand were this many times what it was.
    type: float
    default: 1
  startup_factor:
    description: What if a replica took this many times as long to start.
    type: float
    default: 1
  lost_share:
    description: What if this share of the replicas that are ready died at the busiest moment, as when a zone is lost.
    type: float
    default: 0
  accelerators:
    description: How many accelerators there are, so also what if a zone were lost or hosts were added. Without it, twice what a
        fixed fleet for the peak takes.
    type: float
  title:
    description: The title of the page.
    type: str
    default: Policies compared
  page_dest:
    description: Where to write the page (HTML, without scripts). The directory must exist. The file gets mode 0640.
    type: path
seealso:
  - module: modelops.datacenter.demand_history_info
  - module: modelops.datacenter.capacity_plan
"""

EXAMPLES = r"""
- name: See what this collection would have done on the last three days
  modelops.datacenter.fleet_simulation:
    src: /var/lib/modelops/history.csv.gz
    models: "{{ modelops_models }}"
    accelerator_type: h100
    days: 3
    page_dest: /var/lib/modelops/simulation.html
  register: simulated

- name: Say what was found
  ansible.builtin.debug:
    msg: "{{ simulated.verdict }}"

- name: What if demand doubled and starts took twice as long
  modelops.datacenter.fleet_simulation:
    src: history.csv.gz
    models: models.json
    accelerator_type: h100
    demand_factor: 2
    startup_factor: 2
    policies: [modelops, static_peak, foresight]
"""

RETURN = r"""
page_dest:
  description: The page.
  returned: when O(page_dest) is given
  type: str
  sample: /var/lib/modelops/simulation.html
verdict:
  description: What was found, a few sentences.
  returned: success
  type: list
  elements: str
policies:
  description:
    - Policy to its figures, each with C(mean) over seeds and C(half_width) of its 95 % confidence interval.
    - Among them C(accelerator_hours), C(deadline_share), C(mean_response_seconds), C(p99_response_seconds), C(lost),
      C(starts), C(stops), C(worst_shortfall_per_second) and C(longest_shortfall_seconds).
  returned: success
  type: dict
fidelity:
  description: V(requests) or V(fluid), which of them ran.
  returned: success
  type: str
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_models
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

POLICIES = ["modelops", "static_peak", "static_mean", "person", "hpa", "keda", "kpa", "planner", "foresight"]
ARGUMENT_SPEC: dict[str, Any] = {
    "src": {"type": "path", "required": True},
    "models": {"type": "raw", "required": True},
    "accelerator_type": {"type": "str", "required": True},
    "until": {"type": "str"},
    "step_seconds": {"type": "int"},
    "days": {"type": "float", "default": 2},
    "policies": {"type": "list", "elements": "str", "choices": POLICIES, "default": POLICIES},
    "fidelity": {"type": "str", "choices": ["auto", "requests", "fluid"], "default": "auto"},
    "seeds": {"type": "int", "default": 5},
    "deadline_seconds": {"type": "float"},
    "demand_factor": {"type": "float", "default": 1},
    "startup_factor": {"type": "float", "default": 1},
    "lost_share": {"type": "float", "default": 0},
    "accelerators": {"type": "float"},
    "title": {"type": "str", "default": "Policies compared"},
    "page_dest": {"type": "path"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the history, simulate, write the page unless in check mode."""
    # One thread: the matrices are small, and the same input then gives the same bytes everywhere.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    require("numpy", purpose="Simulation")
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.source import read_source
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.simulation_page import render
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.comparison import (
        compare,
        prepare,
    )
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.question import question_of
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.verdict import verdict

    question = question_of(params)
    series, noticed, _digest = read_source(params)
    models = parse_models(documents.load(params["models"], what="catalogue of models"))
    document = compare(prepare(series, models, question), question)
    said = verdict(document)
    result: dict[str, Any] = {
        "changed": False,
        "verdict": said,
        "policies": document["policies"],
        "fidelity": document["fidelity"],
        "warnings": [*noticed, *document["warnings"]],
    }
    if params.get("page_dest"):
        page = render(document, said, title=params["title"]).encode("utf-8")
        result["page_dest"] = params["page_dest"]
        result["changed"] = store_content(params["page_dest"], page, dry=check_mode)
    return result


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("page_dest",))


if __name__ == "__main__":
    main()
