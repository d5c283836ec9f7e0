# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is told of running jobs that may not be interrupted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

sys.path.insert(0, str(Path(__file__).resolve().parent))

from job_world import World, _asked

from ansible_collections.modelops.datacenter.plugins.filter.reserved_by_jobs import reserved_by_jobs
from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.slurm import HOST


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    jobs = {"kept": {"accelerators": 2, "preemptible": False}, "moves": {"accelerators": 1}}
    one = World(tmp_path, jobs, hosts=1)
    monkeypatch.setattr(clock, "now", lambda: one.now)
    monkeypatch.setattr("os.fsync", lambda _handle: None)
    one.turn()
    return one


def reserved(world: World, **changes: Any) -> dict[str, Any]:
    jobs = {name: {**_asked(job), **changes} for name, job in world.jobs.items()}
    return reserved_by_jobs(world.record.read_text(), jobs, [one.as_record() for one in world.hosts()])


def test_only_what_a_job_holds_that_may_not_be_interrupted_is_reserved_until_it_ends(world: World) -> None:
    assert reserved(world) == {"h0": {"kept": world.held("h0")["kept"]}}
    world.pass_time(3600)
    world.turn()
    assert world.state().jobs["kept"].phase == "done"
    assert reserved(world) == {}


def test_a_job_that_is_canceled_or_asked_for_no_more_gives_way(world: World) -> None:
    assert reserved(world, canceled=True) == {}
    world.jobs.pop("kept")
    assert reserved(world) == {}


@pytest.mark.parametrize(
    ("field", "value"), [("host", HOST), ("host", "gone"), ("stopping", "canceled"), ("accelerators", [9])]
)
def test_what_runs_where_the_plan_places_nothing_is_left_out(world: World, field: str, value: Any) -> None:
    document = json.loads(world.record.read_text())
    document["jobs"]["kept"]["current"][field] = value
    world.record.write_text(json.dumps(document))
    assert reserved(world) == {}


def test_no_record_reserves_nothing_and_a_damaged_one_is_one_message() -> None:
    assert reserved_by_jobs("", {}, []) == {}
    for text, message in (("{", "jobs.json is not JSON"), ("{}", "this is no record of jobs of schema 1")):
        with pytest.raises(AnsibleFilterError, match=message):
            reserved_by_jobs(text, {}, [])
