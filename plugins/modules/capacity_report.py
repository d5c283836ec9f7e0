#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: capacity_report
short_description: Show a capacity plan, its forecast and its placement as one HTML page
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Writes one self-contained HTML page. It needs no network, neither to be written nor to be read, and it runs only its
    own scripts.
  - The page says in words what was decided and what it costs, shows for each model the history, the forecast with its
    interval and the capacity, draws which replica is on which accelerator of which host, and lists the actions by wave,
    the shortages with their price, the limits that could not be kept and the digests of the files behind it. Where the
    plan looks ahead it shows what is expected by period, and with O(schedule) when each job runs.
  - The page shows what the files say and computes nothing anew. A plan file that was changed by hand is refused.
requirements:
  - plotly >= 6.0
  - numpy >= 1.26 (O(history))
  - pyarrow >= 16 (Parquet in O(history))
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
    details:
      - The page is made but O(dest) is not written.
  diff_mode:
    support: none
    details:
      - The page is for reading in a browser; the changes of a plan are shown by the plan's own diff.
  idempotent:
    support: full
    details:
      - The same files and options give the same bytes.
options:
  plan:
    description: The plan (JSON) as M(modelops.datacenter.capacity_plan) writes it.
    type: path
    required: true
  forecast:
    description:
      - The forecast (JSON) as M(modelops.datacenter.demand_forecast) writes it, the one the plan was made from.
      - Without it the page has no forecast lines and no accuracy.
    type: path
  schedule:
    description:
      - The schedule of jobs (JSON) as M(modelops.datacenter.job_schedule) writes it, made on this plan.
      - Without it the page has no section on jobs.
    type: path
  incidents:
    description:
      - The record of remediation (C(remediation.jsonl)), for a section on what happened, what was done and what it cost.
      - A file that is not there is a record of nothing. Without the option the page has no such section.
    type: path
  history:
    description:
      - The demand history with the columns C(series), C(timestamp) (ISO 8601, UTC) and C(value) (requests/s), as CSV,
        gzipped CSV or Parquet.
      - Negative and infinite values are shown as gaps.
    type: path
  history_days:
    description:
      - How many days of history before the moment of the plan to draw.
      - A long history is thinned to what a screen shows, keeping every peak.
    type: float
    default: 7
  title:
    description: The title of the page.
    type: str
    default: Capacity plan
  dest:
    description: Where to write the page. The directory must exist. The file gets mode 0640.
    type: path
    default: report.html
seealso:
  - module: modelops.datacenter.capacity_plan
  - module: modelops.datacenter.demand_forecast
  - module: modelops.datacenter.demand_history_info
  - module: modelops.datacenter.job_schedule
"""

EXAMPLES = r"""
- name: Write the report of the plan
  modelops.datacenter.capacity_report:
    plan: /var/lib/modelops/plan.json
    forecast: /var/lib/modelops/forecast.json
    history: /var/lib/modelops/history.csv.gz
    dest: /var/lib/modelops/report.html
  register: report

- name: Say what was decided
  ansible.builtin.debug:
    msg: "{{ report.summary }}"

- name: A page with a month of history and a title of its own
  modelops.datacenter.capacity_report:
    plan: plan.json
    forecast: forecast.json
    history: history.parquet
    history_days: 30
    title: Site north
    dest: north.html
"""

RETURN = r"""
dest:
  description: The page.
  returned: success
  type: str
  sample: /var/lib/modelops/report.html
bytes:
  description: Size of the page in bytes. About 4.8 million of them are plotly.js.
  returned: success
  type: int
  sample: 4902711
summary:
  description: What was decided, what changes, what is short and where the demand came from, in the words of the page.
  returned: success
  type: str
  sample: >-
    19 replicas of 5 models on 5 of 9 hosts, at 102.40 per hour. To get there: 4 starts and 2 stops (1 move), in 3 waves.
    Nothing is short. The demand planned for is the forecast for 5 models.
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.page import (
    content_digest,
    has_digest,
    render,
    summary,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.source import (
    plotly_js,
    read_inputs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content, stored_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "plan": {"type": "path", "required": True},
    "forecast": {"type": "path"},
    "schedule": {"type": "path"},
    "incidents": {"type": "path"},
    "history": {"type": "path"},
    "history_days": {"type": "float", "default": 7},
    "title": {"type": "str", "default": "Capacity plan"},
    "dest": {"type": "path", "default": "report.html"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    """Read the files, make the page, write it."""
    inputs = read_inputs(params)
    script = plotly_js()
    digest = content_digest(inputs, plotly_js=script)
    content = render(inputs, plotly_js=script, says=digest).encode("utf-8")
    # Written anew for the moments in it too, which are no change.
    changed = not has_digest(stored_bytes(params["dest"]), digest)
    store_content(params["dest"], content, dry=check_mode)
    return {
        "changed": changed,
        "dest": params["dest"],
        "bytes": len(content),
        "summary": summary(inputs),
        "warnings": list(inputs.warnings),
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("plan", "forecast", "history", "schedule", "dest"))


if __name__ == "__main__":
    main()
