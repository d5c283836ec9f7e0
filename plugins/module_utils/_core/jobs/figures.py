# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The record of jobs as metrics: one text in Prometheus' format, for node_exporter's textfile collector.

A job is called ``name`` in labels: ``job`` is Prometheus' own word for what it scrapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import State
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.words import counts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.planning_figures import (
    Sample,
    exposition,
)

HELP = {
    "modelops_jobs_turn_seconds": "When run_jobs last looked at its jobs.",
    "modelops_jobs": "Jobs by phase.",
    "modelops_job_late": "1 when the schedule does not have it done by its deadline; jobs that are over have none.",
    "modelops_job_deadline_seconds": "When it shall be done.",
    "modelops_job_stalled": "1 when it runs, and writes neither output nor progress.",
    "modelops_job_share": "Share of its work that is done and safe.",
    "modelops_owner_accelerator_hours": "What an owner's jobs used.",
    "modelops_owner_wasted_accelerator_hours": "What of that came to nothing.",
}


def jobs_text(state: State, orders: Mapping[str, Order], now: float) -> str:
    """The metrics of a turn at ``now`` (epoch seconds)."""
    return exposition(list(_samples(state, orders, now)), HELP)


def _samples(state: State, orders: Mapping[str, Order], now: float) -> Iterator[Sample]:
    yield "modelops_jobs_turn_seconds", {}, round(now, 3)
    for phase, count in counts(state).items():
        if phase not in ("late", "stalled"):
            yield "modelops_jobs", {"phase": phase}, float(count)
    for name, record in state.jobs.items():
        if record.over:
            continue
        labels = {"name": name, "owner": record.owner}
        order = orders.get(name)
        yield "modelops_job_late", labels, float(bool(record.late))
        yield "modelops_job_share", labels, record.share
        if order is not None and math.isfinite(order.job.deadline):
            yield "modelops_job_deadline_seconds", labels, order.job.deadline
        if record.current is not None:
            yield "modelops_job_stalled", {**labels, "host": record.current.host}, float(record.current.stalled)
    for owner, account in state.owners.items():
        for key, hours in account.items():
            yield f"modelops_owner_{key}", {"owner": owner}, hours
