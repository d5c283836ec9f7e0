# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying a plan out: passes that may break off anywhere and are then simply run again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from planning_builders import RUNNING, random_fleet, random_placement, sealed_plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica, parse_replicas
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout import (
    last_wave,
    pending_work,
    replicas_for_wave,
    review,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import order_waves

Records = list[dict[str, Any]]
CHAT_OLD, CODE = RUNNING
CHAT_NEW = {"host": "gpu-b1", "slot": 0, "model": "chat", "version": "2026.11.1", "port": 8100, "accelerators": [0]}
STRANGER = {"host": "gpu-b1", "slot": 5, "model": "old", "version": "1", "port": 8105, "accelerators": [1]}


def part(host: str, wave: int, present: Records, last: int = 2) -> tuple[list[str], list[str]]:
    plan = sealed_plan()
    found = replicas_for_wave(plan["placements"], plan["actions"], host, wave, present, last)
    return [one["model"] for one in found["ensure"]], [one["model"] for one in found["remove"]]


@pytest.mark.parametrize(
    ("host", "wave", "present", "ensure", "remove"),
    [
        ("gpu-a1", 0, RUNNING, ["code"], []),
        ("gpu-a1", 1, RUNNING, ["code"], []),
        ("gpu-a1", 2, RUNNING, ["code"], ["chat"]),
        ("gpu-a1", 2, [CODE], ["code"], []),  # again, after it was done
        ("gpu-a1", 0, [], ["code"], []),  # what should run and is gone is mended
        ("gpu-b1", 0, [], [], []),
        ("gpu-b1", 1, [], ["chat"], []),
        ("gpu-b1", 0, [CHAT_NEW], [], []),  # a later wave has started it already
        ("gpu-b1", 1, [CHAT_NEW, STRANGER], ["chat"], []),
        ("gpu-b1", 2, [CHAT_NEW, STRANGER], ["chat"], ["old"]),
        ("gpu-b1", 0, [{**STRANGER, "slot": 0}], [], []),
        ("gpu-b1", 1, [{**STRANGER, "slot": 0}], ["chat"], ["old"]),  # in the way of what is to start
        ("gpu-c1", 2, [], [], []),
        ("gpu-a1", 2, [{key: value for key, value in CHAT_OLD.items() if key != "host"}], ["code"], ["chat"]),
        ("gpu-a1", 2, [CHAT_NEW], ["code"], []),  # a record of another host is not this host's business
    ],
)
def test_one_hosts_part(host: str, wave: int, present: Records, ensure: list[str], remove: list[str]) -> None:
    assert part(host, wave, present) == (ensure, remove)


def test_what_is_handed_on_is_what_was_given() -> None:
    plan = sealed_plan()
    present = [{**CHAT_OLD, "service": "modelops-chat-0", "checksum": "sha256:1"}]
    found = replicas_for_wave(plan["placements"], plan["actions"], "gpu-a1", 2, present, 2)
    assert found == {"ensure": [plan["placements"][0]], "remove": present, "due": True}


@pytest.mark.parametrize(
    ("host", "wave", "present", "passes", "due"),
    [
        ("gpu-a1", 0, [CODE], [0, 1, 2], True),  # the first pass makes sure of what should run
        ("gpu-a1", 1, [CODE], [0, 1, 2], False),  # nothing new, nothing to remove
        ("gpu-a1", 1, [CODE], [], True),  # not known where the passes end: better once too often
        ("gpu-a1", 2, [CODE], [0, 1, 2], True),  # so does the last
        ("gpu-a1", 1, [], [0, 1, 2], True),  # what has to run and does not is new
        ("gpu-b1", 0, [], [0, 1, 2], False),  # nothing to run yet
        ("gpu-b1", 1, [], [0, 1, 2], True),
        ("gpu-b1", 1, [CHAT_NEW], [0, 1, 2], False),
        ("gpu-b1", 1, [{**STRANGER, "slot": 0}], [0, 1, 2], True),  # something has to go
        ("gpu-c1", 2, [], [0, 1, 2], False),
    ],
)
def test_a_host_takes_part_in_a_pass_when_it_has_something_to_do(
    host: str, wave: int, present: Records, passes: list[int], due: bool
) -> None:
    plan = sealed_plan()
    found = replicas_for_wave(plan["placements"], plan["actions"], host, wave, present, 2, passes)
    assert found["due"] is due


def test_the_mending_pass_is_left_out_where_nothing_is_taken_away() -> None:
    """The last pass makes sure of everything anyway; before a stop, what should run is mended first."""
    plan = sealed_plan()
    grown = {**plan, "actions": [one for one in plan["actions"] if one["action"] != "stop"]}
    assert pending_work(grown, parse_replicas([CODE])).passes == (1,)
    assert pending_work(grown, None).passes == (1,)
    assert pending_work(plan, parse_replicas([*RUNNING])).passes == (0, 1, 2)


@pytest.mark.parametrize("present", ["text", {"slot": 0}, [{"model": "chat"}], ["chat"]])
def test_what_is_not_a_list_of_replicas_is_said(present: Any) -> None:
    with pytest.raises(InputError):
        part("gpu-a1", 0, present)


def random_plan(seed: int) -> tuple[Records, Records, dict[tuple[str, int], Replica], list[Replica], int]:
    """Placements, actions, what runs (with strangers the plan does not know), the target, and the last wave."""
    rng = random.Random(seed)
    hosts, models = random_fleet(rng)
    current = random_placement(rng, hosts, models, [], ("1",))
    kept = [one for one in current if rng.random() < 0.4]
    target = random_placement(rng, hosts, models, kept, ("1", "2"))
    found = order_waves(current, target, hosts, models, floor_requests_per_second={one.name: 1.0 for one in models})
    waves = {(one["host"], one["slot"]): one["wave"] for one in found.actions if one["action"] != "stop"}
    placements = [{**one.as_record(), "wave": waves[(one.host, one.slot)]} for one in target]
    running = {(one.host, one.slot): one for one in current}
    for one in hosts:
        if rng.random() < 0.3:
            slot = rng.randint(0, 5)
            running[(one.name, slot)] = Replica(one.name, slot, "stranger", "9", 8100 + slot)
    return placements, found.actions, running, target, last_wave(found.actions)


def carry_out(placements: Records, actions: Records, running: dict[tuple[str, int], Replica], wave: int, last: int,
              only: set[str] | None = None) -> None:  # fmt: skip
    """What the roles do in one pass, on all hosts or on some."""
    for host in sorted({one["host"] for one in placements} | {where for where, _unused in running}):
        if only is not None and host not in only:
            continue
        present = [one.as_record() for one in running.values() if one.host == host]
        found = replicas_for_wave(placements, actions, host, wave, present, last)
        for one in found["remove"]:
            del running[(host, one["slot"])]
        for replica in parse_replicas(found["ensure"]):
            before = running.get((host, replica.slot))
            assert before is None or before == replica, f"{replica} would start where {before} runs"
            running[(host, replica.slot)] = replica


@pytest.mark.parametrize("block", range(4))
def test_a_rollout_that_broke_off_anywhere_converges(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed + 10_000)
        placements, actions, running, target, last = random_plan(seed)
        hosts = {one["host"] for one in placements}
        stop_at = rng.randint(0, last)
        for wave in range(stop_at + 1):
            some = {host for host in hosts if rng.random() < 0.5} if wave == stop_at else None
            carry_out(placements, actions, running, wave, last, some)
        again = pending_work({"placements": placements, "actions": actions}, list(running.values()))
        for wave in again.passes:
            carry_out(placements, actions, running, wave, last)
        assert sorted(running.values()) == sorted(target)
        settled = dict(running)
        for wave in range(last + 1):  # and once more from the beginning changes nothing
            carry_out(placements, actions, running, wave, last)
            assert running == settled


def test_what_is_left_is_counted_from_what_runs() -> None:
    plan = sealed_plan()
    fresh = pending_work(plan, parse_replicas(RUNNING))
    assert ([one.host for one in fresh.starts], [one.host for one in fresh.stops]) == (["gpu-b1"], ["gpu-a1"])
    assert fresh.passes == (0, 1, 2)
    # The start is written down: wave 1 is made so once more before wave 2 takes the old one away.
    halfway = pending_work(plan, parse_replicas([*RUNNING, CHAT_NEW]))
    assert (halfway.starts, halfway.passes) == ((), (1, 2))
    done = pending_work(plan, parse_replicas([CODE, CHAT_NEW]))
    assert (done.starts, done.stops, done.passes) == ((), (), (2,))
    drifted = pending_work(plan, parse_replicas([CODE, CHAT_NEW, STRANGER]))
    assert ([one.model for one in drifted.stops], drifted.passes) == (["old"], (1, 2))
    unknown = pending_work(plan, None)
    assert (len(unknown.starts), len(unknown.stops), unknown.passes) == (1, 1, (0, 1, 2))


def test_the_review_says_what_would_change() -> None:
    plan = sealed_plan()
    found = review(plan, parse_replicas(RUNNING), now=1795456860.0)
    assert found["changed"] is True
    assert found["wave_count"] == 2
    assert found["pending"]["lines"] == [
        "- chat 2026.10.1 on gpu-a1 slot 0",
        "+ chat 2026.11.1 on gpu-b1 slot 0",
    ]
    assert found["diff"]["before"] == "gpu-a1 slot 0: chat 2026.10.1\ngpu-a1 slot 1: code 7\n"
    assert found["diff"]["after"] == "gpu-a1 slot 1: code 7\ngpu-b1 slot 0: chat 2026.11.1\n"
    assert found["summary"].splitlines() == [
        "Plan of 2026-11-23T18:00:00Z: fits this fleet",
        "To do: 1 start and 1 stop (1 move) in 2 waves",
        "  - chat 2026.10.1 on gpu-a1 slot 0",
        "  + chat 2026.11.1 on gpu-b1 slot 0",
    ]
    done = review(plan, parse_replicas([CODE, CHAT_NEW]), now=1795456860.0)
    assert done["changed"] is False
    assert done["diff"]["before"] == done["diff"]["after"]
    assert "To do: nothing" in done["summary"]
    assert review(plan, None, now=1795456860.0)["diff"] == found["diff"]
