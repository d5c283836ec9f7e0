# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What jobs hold that may not be interrupted: serving has to be placed around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import Order
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import State


def held_for_good(state: State, orders: Mapping[str, Order], hosts: Sequence[Host]) -> dict[str, dict[str, list[int]]]:
    """Accelerators by host and job, of jobs that run until they end by themselves.

    Not those of a job that is stopping or canceled or asked for no more, which give way; nor those of a
    host that is not in the stock or no longer has them, and of Slurm, which places jobs by itself.
    """
    count = {host.name: host.accelerator_count for host in hosts}
    held: dict[str, dict[str, list[int]]] = {}
    for name, record in sorted(state.jobs.items()):
        attempt, order = record.current, orders.get(name)
        if attempt is None or attempt.stopping or order is None or order.canceled or order.job.preemptible:
            continue
        if all(index < count.get(attempt.host, 0) for index in attempt.accelerators):
            held.setdefault(attempt.host, {})[name] = sorted(attempt.accelerators)
    return held
