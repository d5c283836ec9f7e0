#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``planning_figures``: plan and forecast as metrics."""

from __future__ import annotations

DOCUMENTATION = r"""
module: planning_figures
short_description: Give plan and forecast as metrics for Prometheus
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Runs where the plan lies. Reads C(plan.json) and C(forecast.json) and returns their figures in Prometheus' text
    format - age of the plan, demand planned for, capacity per model and replica, shortages, realised coverage and
    skill of the forecast.
  - Put the text where a node_exporter's textfile collector reads it; the role
    P(modelops.datacenter.monitoring#role) does so.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  plan:
    description: The plan, as a path.
    type: path
    required: true
  forecast:
    description: The forecast, as a path. A file that is not there is as if none was given.
    type: path
  dest:
    description: File to write the text to as well, in one step. Its name must end in C(.prom) for node_exporter.
    type: path
"""

EXAMPLES = r"""
- name: Show the plan to Prometheus
  modelops.datacenter.planning_figures:
    plan: modelops-output/plan.json
    forecast: modelops-output/forecast.json
    dest: /var/lib/prometheus/node-exporter/modelops_planning.prom
"""

RETURN = r"""
text:
  description: The metrics.
  type: str
  returned: always
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.planning_figures import planning_text
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "plan": {"type": "path", "required": True},
    "forecast": {"type": "path"},
    "dest": {"type": "path"},
    **ENCRYPTION,
}
FILE_MODE = 0o644


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Read both, give the text, write it where that was asked for."""
    forecast = params["forecast"] if params["forecast"] and os.path.exists(params["forecast"]) else None
    text = planning_text(params["plan"], forecast)
    changed = False
    if params["dest"]:
        try:
            with open(params["dest"], encoding="utf-8") as stream:
                changed = stream.read() != text
        except FileNotFoundError:
            changed = True
        if changed and not check_mode:
            documents.write_atomically(params["dest"], text.encode("utf-8"), mode=FILE_MODE)
    return {"changed": changed, "text": text}


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("plan", "forecast"))


if __name__ == "__main__":
    main()
