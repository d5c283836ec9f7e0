# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a large fleet on the workers of a Dask scheduler: the same plan as here."""

from __future__ import annotations

import pytest
from allocation_instances import instance

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import parts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Settings, allocate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

distributed = pytest.importorskip("distributed")


def test_parts_are_solved_by_the_workers_as_they_are_here(monkeypatch):
    some = instance(700, 12)
    demands = some.demands()
    monkeypatch.setattr(parts, "WHOLE_INTEGERS", 25)
    here = allocate(some.hosts, some.models, demands, [])
    assert here.counts.method.startswith("2 parts")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        there = allocate(some.hosts, some.models, demands, [], Settings(dask_address=cluster.scheduler_address))
    assert there.counts.path.tolist() == here.counts.path.tolist()
    assert there.assignment.replicas == here.assignment.replicas


def test_a_scheduler_that_does_not_answer_is_one_clear_message(monkeypatch):
    some = instance(700, 12)
    monkeypatch.setattr(parts, "WHOLE_INTEGERS", 25)
    with pytest.raises(InputError, match="no Dask scheduler answers within 10 s"):
        allocate(some.hosts, some.models, some.demands(), [], Settings(dask_address="tcp://127.0.0.1:9"))
