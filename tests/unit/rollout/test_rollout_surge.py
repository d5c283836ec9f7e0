# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas that are added for the time of an upgrade: where, when, and that they go again."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Replica,
    parse_hosts,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import Running
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import BACK, Journal
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.steps import (
    Allowance,
    Wishes,
    next_step,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.surge import free_places

GOOD, NEW = "sha256:good", "sha256:new"
NOW = 1_790_000_000.0
MANY_STEPS = 500


def hosts(count: int, accelerators: int = 4) -> list[Host]:
    return parse_hosts(
        [
            {
                "name": f"h{number}",
                "zone": f"z{number % 2}",
                "accelerator_type": "l40s-48gb",
                "accelerator_count": accelerators,
                "accelerator_memory_gib": 48,
                "cpu_cores": 48,
                "memory_gib": 256,
            }
            for number in range(count)
        ]
    )


def catalogue(**resources: float) -> dict[str, object]:
    needs = {"accelerators": 1, "accelerator_memory_gib": 20, "cpu_cores": 1, "memory_gib": 1, **resources}
    entry = {
        "engine": "command",
        "version": "2",
        "resources": needs,
        "capacity": {"l40s-48gb": {"requests_per_second": 10, "service_time_seconds": 1}},
    }
    return {"chat": entry, "other": entry}


def placed(model: str, host: str, slot: int, *accelerators: int) -> Replica:
    return Replica(host, slot, model, "1", 8100 + slot, accelerators)


def test_added_replicas_take_what_nothing_holds_and_spread() -> None:
    models = parse_models(catalogue())
    running = [
        placed("chat", "h0", 0, 0),
        placed("chat", "h1", 0, 0),
        placed("other", "h0", 1, 1),
        placed("other", "h0", 2, 2),
        placed("other", "h0", 3, 3),
    ]
    places = free_places(models[0], models, hosts(2), running, 10)
    assert [(one.host, one.slot, one.accelerators, one.port) for one in places] == [
        ("h1", 1, (1,), 8101),
        ("h1", 2, (2,), 8102),
        ("h1", 3, (3,), 8103),
    ]


def test_shares_of_an_accelerator_fit_beside_each_other() -> None:
    models = parse_models(catalogue(accelerators=0.5))
    places = free_places(models[0], models, hosts(1, accelerators=1), [placed("chat", "h0", 0, 0)], 5)
    assert [(one.slot, one.accelerators) for one in places] == [(1, (0,))]


@pytest.mark.parametrize("state", [{"state": "draining"}, {"reachable": False}, {"accelerator_type": "a100-80gb"}])
def test_hosts_that_take_nothing_new_get_none(state: dict[str, object]) -> None:
    models = parse_models(catalogue())
    closed = [replace(host, **state) for host in hosts(2)]  # type: ignore[arg-type]
    assert free_places(models[0], models, closed, [], 3) == []


def fleet(count: int) -> list[Running]:
    return [Running(f"h{number}", 0, GOOD, f"z{number % 2}") for number in range(count)]


def fresh() -> Journal:
    return Journal("chat", NEW, GOOD, "2", "1")


def room(count: int) -> tuple[Running, ...]:
    return tuple(Running(f"free{number}", 9, NEW, "z0") for number in range(count))


def test_without_spare_capacity_surge_wait_and_refuse_differ() -> None:
    running = fleet(2)
    full = Allowance(0, "no spare", "surge", None, room(1))
    later = Allowance(0, "no spare", "wait", NOW + 3600)
    never = Allowance(0, "no spare", "refuse")
    step = next_step(running, fresh(), full, Wishes(when_full="surge"))
    assert (step.kind, [one.server for one in step.add], step.judge) == ("surge", ["free0-9"], step.add)
    waits = next_step(running, fresh(), later, Wishes(when_full="wait"))
    assert (waits.kind, waits.opens_at) == ("wait", NOW + 3600)
    assert next_step(running, fresh(), later, Wishes(when_full="surge")).kind == "wait"
    assert "no host has room" in next_step(running, fresh(), never, Wishes(when_full="surge")).reason
    assert next_step(running, fresh(), never, Wishes(when_full="wait")).kind == "refused"
    refused = next_step(running, fresh(), later, Wishes(when_full="refuse"))
    assert (refused.kind, refused.opens_at) == ("refused", None)


def test_a_model_of_one_replica_is_upgraded_by_a_surge_and_ends_where_it_was() -> None:
    running, journal = {"h0-0": Running("h0", 0, GOOD, "z0")}, fresh()
    kinds = run_to_the_end(running, journal, Wishes(when_full="surge"), spare=lambda serving: serving - 1, places=1)
    assert kinds == ["surge", "batch", "retire", "done"]
    assert {one.server: one.release for one in running.values()} == {"h0-0": NEW}


def test_blue_green_starts_all_beside_the_old_ones_then_changes_these_at_once() -> None:
    running, journal = {one.server: one for one in fleet(3)}, fresh()
    kinds = run_to_the_end(running, journal, Wishes(strategy="blue_green"), spare=lambda serving: serving - 3, places=3)
    assert kinds == ["surge", "surge", "batch", "retire", "done"]
    assert sorted(running) == ["h0-0", "h1-0", "h2-0"]


def test_blue_green_without_room_for_all_changes_them_in_turn() -> None:
    running, journal = {one.server: one for one in fleet(3)}, fresh()
    kinds = run_to_the_end(running, journal, Wishes(strategy="blue_green"), spare=lambda _serving: 1, places=2)
    assert kinds[0] == "canary"
    assert "surge" not in kinds


def test_the_baseline_is_started_again_beside_the_canary_and_compared_with_it() -> None:
    running, journal, wishes = fleet(3), fresh(), Wishes(fresh_baseline=True)
    step = next_step(running, journal, Allowance(1), wishes)
    assert (step.kind, step.judge) == ("baseline", [])
    journal.restarted = step.change[0].server
    canary = next_step(running, journal, Allowance(1), wishes)
    assert canary.kind == "canary"
    assert [one.server for one in canary.baseline] == [journal.restarted] != [canary.change[0].server]


def test_hosts_that_ran_the_model_and_are_silent_leave_it_incomplete() -> None:
    journal = fresh()
    journal.judged = ["h0-0"]
    new = [Running("h0", 0, NEW, "z0")]
    assert next_step(new, journal, Allowance(1), Wishes(absent=("h1",))).kind == "incomplete"
    journal.turn_back(["it crashed"], blamed=True, now=NOW)
    back = [Running("h0", 0, GOOD, "z0")]
    assert next_step(back, journal, Allowance(1), Wishes(absent=("h1",))).kind == "incomplete"


def run_to_the_end(running, journal, wishes, *, spare, places) -> list[str]:  # type: ignore[no-untyped-def]
    """Carry out every step as it should go; the kinds of the steps."""
    kinds = []
    for _step in range(MANY_STEPS):
        free = tuple(one for one in room(places) if one.server not in running)
        away = max(0, spare(len(running)))
        allowance = Allowance(away, "", "now" if away else "surge", None, free)
        step = next_step(sorted(running.values()), journal, allowance, wishes)
        kinds.append(step.kind)
        if step.is_last:
            return kinds
        carry_out(step, running, journal)
        if step.judge and journal.direction != BACK:
            journal.take_verdict("pass", [], [one.server for one in step.judge], now=NOW)
    raise AssertionError("it did not end")


def carry_out(step, running, journal, only=None) -> None:  # type: ignore[no-untyped-def]
    """The step on the hosts, as far as ``only`` many replicas of it."""
    if step.kind == "surge":
        journal.added = sorted({*journal.added, *(one.server for one in step.add)})
    if step.kind == "baseline":
        journal.restarted = step.change[0].server
        return
    goal = GOOD if journal.direction == BACK else NEW
    for one in [*step.change, *step.add, *step.remove][:only]:
        if one in step.remove:
            del running[one.server]
        else:
            running[one.server] = replace(one, release=goal)


@settings(max_examples=300, deadline=None)
@given(
    members=st.integers(1, 6),
    places=st.integers(0, 7),
    needed=st.integers(1, 7),
    seed=st.integers(0, 10**9),
    strategy=st.sampled_from(["rolling", "blue_green"]),
    bad=st.booleans(),
    baseline=st.booleans(),
)
def test_any_way_ends_where_it_began_with_all_new_or_all_good(
    members: int, places: int, needed: int, seed: int, strategy: str, bad: bool, baseline: bool
) -> None:
    """``needed`` replicas carry the demand. Steps are killed part of the way, verdicts are any; forward, never fewer than
    needed serve; in the end the places are those of the beginning."""
    chance = random.Random(seed)
    running, journal = {one.server: one for one in fleet(members)}, fresh()
    wishes = Wishes(when_full="surge", strategy=strategy, fresh_baseline=baseline, undecided_limit=10**6)
    kind = ""
    for _step in range(MANY_STEPS):
        free = tuple(one for one in room(places) if one.server not in running)
        away = max(0, len(running) - needed)
        answer = "now" if away else ("surge" if free else "refuse")
        step = next_step(
            sorted(running.values()),
            journal,
            Allowance(away, "", answer, None, free, max(1, needed + 1 - len(running))),
            wishes,
        )
        kind = step.kind
        if step.is_last:
            break
        if journal.direction != BACK and step.kind != "retire":
            assert not step.change or len(running) - len(step.change) >= min(needed, len(running) - 1)
            assert len(step.change) <= away
        killed = chance.random() < 0.2
        carry_out(step, running, journal, chance.randrange(4) if killed else None)
        if killed:
            continue
        if step.judge and journal.direction != BACK:
            verdict = chance.choice(["pass", "pass", "inconclusive"] + (["fail"] if bad else []))
            journal.take_verdict(verdict, [], [one.server for one in step.judge], now=NOW)
    assert kind in ("done", "rolled_back", "refused")
    if kind == "refused":
        assert needed >= members
        return
    assert sorted(running) == sorted(one.server for one in fleet(members))
    assert {one.release for one in running.values()} == ({NEW} if kind == "done" else {GOOD})
