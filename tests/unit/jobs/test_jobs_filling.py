# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accelerators that no job of the schedule needs now are used all the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from job_world import START, World, _moment, maker

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.filling import SPREADS, _is_safe, chance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.moves import Moves
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.orders import parse_orders
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.record import Attempt, Record, State
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.situation import Situation

ONE_TO_FOUR = {"min": 1, "max": 4}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return maker(tmp_path, monkeypatch)


def counts(world: World) -> dict[str, int]:
    return {name: len(held) for name, held in world.held("h0").items()}


def narrow(make: Any, **fields: Any) -> World:
    """A long job that began on one accelerator beside one that ends after 140 s; the schedule has four for it then."""
    world = make({"brief": {"accelerators": 3, "deadline": _moment(START + 140)}}, hosts=1)
    world.jobs["long"] = {"accelerators": ONE_TO_FOUR, "command": ["true"], "work_accelerator_hours": 1.0, **fields}
    world.turn()
    assert counts(world) == {"brief": 3, "long": 1}
    world.settle = 60.0
    world.pass_time(140)
    return world


def test_a_job_that_the_schedule_has_wait_starts_beside_one_that_has_not_what_it_was_given(make: Any) -> None:
    world = narrow(make, weight=3, deadline=_moment(START + 7200))
    world.jobs["waits"] = {"accelerators": {"min": 2, "max": 3}, "command": ["true"], "work_accelerator_hours": 1.0}
    turn = world.turn()
    assert counts(world) == {"waits": 3, "long": 1}
    assert "waits starts on h0, accelerators 0, 1, 2" in turn.decision.lines


def test_what_was_filled_in_gives_way_to_a_job_with_a_deadline(make: Any) -> None:
    world = narrow(make, weight=3, deadline=_moment(START + 7200))
    world.jobs["waits"] = {"accelerators": {"min": 2, "max": 3}, "command": ["true"], "work_accelerator_hours": 1.0}
    world.turn()
    world.pass_time(60)
    due = _moment(world.now + 360)
    world.jobs["due"] = {"accelerators": 3, "command": ["true"], "work_accelerator_hours": 0.25, "deadline": due}
    world.turn()
    assert counts(world)["due"] == 3
    assert world.state().jobs["waits"].ended[-1]["reason"] == "due needs its accelerators"


def test_those_that_can_still_be_on_time_are_filled_in_first_then_the_heaviest() -> None:
    job = {"accelerators": {"min": 1, "max": 2}, "work_accelerator_hours": 1.0, "command": ["true"]}
    orders = parse_orders(
        {
            "light": {**job, "weight": 1},
            "missed": {**job, "weight": 5, "deadline": _moment(START + 1790)},
            "heavy": {**job, "weight": 2},
            "soon": {**job, "weight": 2, "deadline": _moment(START + 1800)},
        }
    )
    hosts = [Host("h0", accelerator_type="l40s-48gb", accelerator_count=4)]
    state = State(jobs={name: Record(name, "x") for name in orders})
    turn = Moves(state, Situation(orders, hosts, [], [], {}, now=START))
    assert sorted(orders, key=lambda name: chance(turn, name)) == ["soon", "heavy", "light", "missed"]


def test_a_job_that_starts_takes_what_is_free_beside_it(make: Any) -> None:
    # 36 s of work on one accelerator: more than one would not end it in an earlier period of the schedule.
    world = make({"a": {"accelerators": ONE_TO_FOUR, "work_accelerator_hours": 0.01}}, hosts=1)
    turn = world.turn()
    assert world.held("h0") == {"a": [0, 1, 2, 3]}
    assert "a starts on h0, accelerators 0, 1, 2, 3" in turn.decision.lines


def test_a_job_that_would_end_much_sooner_on_idle_accelerators_goes_on_there_from_its_checkpoint(make: Any) -> None:
    world = narrow(make)
    world.turn()
    assert counts(world) == {"long": 4}
    ended = world.state().jobs["long"].ended[-1]
    assert ended["reason"] == f"{SPREADS} goes on with 4 accelerators of h0"
    assert ended["share"] == pytest.approx(140 / 3600, abs=1e-3)
    assert world.state().owners[world.state().jobs["long"].owner]["wasted_accelerator_hours"] == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"behaves": "says nothing"},  # it may have no checkpoint
        {"work_accelerator_hours": 0.08},  # it ends soon
        {"preemptible": False},
    ],
)
def test_nothing_is_interrupted_for_more_that_has_no_checkpoint_ends_soon_or_may_not_be(make: Any, fields: Any) -> None:
    world = narrow(make, **fields)
    world.turn()
    assert counts(world) == {"long": 1}


def test_nothing_is_interrupted_for_more_that_came_back_from_it_with_no_more() -> None:
    attempt = Attempt(2, "h0", [0, 1], "l40s-48gb", START, START, share_at_start=0.1)
    last = {"reason": f"{SPREADS} goes on with 4 accelerators of h0", "accelerators": [0, 1]}
    assert not _is_safe(Record("a", "x", share=0.2, ended=[last]), attempt)
    assert _is_safe(Record("a", "x", share=0.2, ended=[{**last, "accelerators": [0]}]), attempt)
    assert not _is_safe(Record("a", "x", share=0.1), attempt)


def test_nothing_fills_a_gap_before_its_release(make: Any) -> None:
    release = START + 600
    world = make({"later": {"release": _moment(release)}}, hosts=1)
    world.turn()
    assert world.running_now() == {}
    world.pass_time(600)
    world.turn()
    assert world.running_now() == {"later": ["h0"]}
