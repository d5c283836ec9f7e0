# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several workers of pytest-xdist at once: each has labs of its own, and takes whole files, the longest first. Ports: ports.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# About a minute and more each; begun last, one of them would keep all others waiting.
LONG = (
    "test_loop",
    "test_lab_deploy_systemd",
    "test_secrets",
    "test_certificates",
    "test_lab_run_jobs",
    "test_remediate",
    "test_plan_protection",
    "test_playbook_profile",
    "test_playbook_tune",
    "test_runner",
    "test_module_demand_forecast",
    "test_worked_fleets",
    "test_awx_setup",
    "test_playbook_plan",
    "test_gateway",
    "test_module_capacity_plan",
    "test_monitoring_watch",
    "test_gateway_tls",
)

os.environ.setdefault("ANSIBLE_CONFIG", str(Path(__file__).with_name("ansible.cfg")))
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
# Without the variable each file has a lab of its own name.
if WORKER and os.environ.get("MODELOPS_LAB"):
    os.environ["MODELOPS_LAB"] += WORKER


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that with ``--no-loadscope-reorder`` xdist hands them out first."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(Path(item.path).stem, len(place)))
