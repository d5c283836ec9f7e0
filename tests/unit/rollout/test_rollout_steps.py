# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of an upgrade: any fleet, any verdicts, killed anywhere, ends all new or all good."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import Running, stage_caps
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import (
    BACK,
    Journal,
    journal_for,
    parse_journal,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.steps import (
    Allowance,
    Wishes,
    next_step,
)

GOOD, NEW = "sha256:good", "sha256:new"
NOW = 1_790_000_000.0
MANY_STEPS = 2000


def fleet(hosts: int, per_host: int) -> list[Running]:
    return [Running(f"h{host}", slot, GOOD, f"zone-{host % 2}") for host in range(hosts) for slot in range(per_host)]


def fresh() -> Journal:
    return Journal("chat", NEW, GOOD, "2", "1")


def test_stages_are_one_replica_its_host_and_shares() -> None:
    assert stage_caps(6, 2) == [1, 2, 3, 6]
    assert stage_caps(100, 8) == [1, 8, 10, 25, 50, 100]
    assert stage_caps(1, 1) == [1]
    assert stage_caps(2, 1) == [1, 2]


def test_the_canary_is_one_replica_with_the_others_beside_it() -> None:
    step = next_step(fleet(3, 2), fresh(), Allowance(4), Wishes())
    assert step.kind == "canary"
    assert [one.server for one in step.change] == ["h0-0"]
    assert len(step.baseline) == 5


def test_what_came_in_is_judged_before_more_follow() -> None:
    running = [replace(one, release=NEW) if one.server == "h0-0" else one for one in fleet(3, 2)]
    journal = fresh()
    assert next_step(running, journal, Allowance(4), Wishes()).kind == "judge"
    journal.take_verdict("pass", [], ["h0-0"], now=NOW)
    step = next_step(running, journal, Allowance(4), Wishes())
    assert (step.kind, [one.server for one in step.change]) == ("batch", ["h0-1"])


def test_nothing_is_promoted_on_a_timeout() -> None:
    running = [replace(one, release=NEW) if one.server == "h0-0" else one for one in fleet(3, 2)]
    journal = fresh()
    for _step in range(6):
        journal.take_verdict("inconclusive", ["too few requests"], ["h0-0"], now=NOW)
    assert next_step(running, journal, Allowance(4), Wishes()).kind == "held"


def test_without_spare_capacity_nothing_that_serves_is_taken_away() -> None:
    running = fleet(3, 2)
    assert next_step(running, fresh(), Allowance(0, "no spare", "wait", NOW + 60), Wishes()).kind == "wait"
    dead = [replace(one, serves=one.server != "h1-0") for one in running]
    step = next_step(dead, fresh(), Allowance(0, "no spare", "wait", NOW + 60), Wishes())
    assert [one.server for one in step.change] == ["h1-0"]


def test_pause_refusal_and_abort() -> None:
    running = fleet(2, 1)
    assert next_step(running, fresh(), Allowance(1), Wishes(pause=True)).kind == "paused"
    assert next_step(running, fresh(), Allowance(1), Wishes(refused="it crashed")).kind == "refused"
    journal = fresh()
    journal.turn_back(["the operator aborted it"], blamed=False, now=NOW)
    mixed = [replace(running[0], release=NEW), running[1]]
    assert next_step(mixed, journal, Allowance(1), Wishes(pause=True)).kind == "rollback"
    assert next_step(running, journal, Allowance(1), Wishes()).kind == "rolled_back"


def test_a_host_that_does_not_answer_leaves_the_upgrade_incomplete() -> None:
    running = [Running("h0", 0, NEW, "a"), Running("h1", 0, GOOD, "b", reachable=False)]
    journal = fresh()
    journal.judged = ["h0-0"]
    assert next_step(running, journal, Allowance(1), Wishes()).kind == "incomplete"


def test_batches_spread_over_the_zones() -> None:
    journal, running = fresh(), fleet(4, 4)
    done = {"h0-0", "h0-1", "h0-2", "h0-3"}
    running = [replace(one, release=NEW) if one.server in done else one for one in running]
    journal.judged = sorted(done)
    step = next_step(running, journal, Allowance(4), Wishes())
    assert {one.zone for one in step.change} >= {"zone-1"}
    assert sorted(one.host for one in step.change).count("h0") == 0


def persisted(journal: Journal) -> Journal:
    """The journal as the next run reads it from its file."""
    return parse_journal(json.loads(json.dumps(journal.as_document())), where="journal")


@settings(max_examples=300, deadline=None)
@given(
    hosts=st.integers(1, 6),
    per_host=st.integers(1, 4),
    seed=st.integers(0, 10**9),
    bad=st.booleans(),
    spare=st.integers(1, 8),
)
def test_any_sequence_of_verdicts_and_crashes_ends_all_new_or_all_good(
    hosts: int, per_host: int, seed: int, bad: bool, spare: int
) -> None:
    """``spare`` replicas may be away. After each step the run may be killed part of the way through its replicas."""
    chance = random.Random(seed)
    running = {one.server: one for one in fleet(hosts, per_host)}
    journal = journal_for(
        None, model="chat", target={"digest": NEW, "version": "2"}, origin={"digest": GOOD, "version": "1"}, now=NOW
    )
    for _step in range(MANY_STEPS):
        step = next_step(sorted(running.values()), journal, Allowance(spare), Wishes(undecided_limit=10**6))
        if step.is_last:
            break
        before_back = journal.direction == BACK
        serving_changes = [one for one in step.change if one.serves]
        assert len(serving_changes) <= spare, "more away than may be"
        assert not (step.change and not before_back and step.kind not in ("canary", "batch"))
        goal = GOOD if before_back else NEW
        killed_after = chance.randrange(len(step.change) + 1) if chance.random() < 0.3 else None
        for one in step.change[:killed_after]:
            answers = goal == GOOD or not (bad and chance.random() < 0.3)
            running[one.server] = replace(running[one.server], release=goal, serves=answers)
        if killed_after is not None:
            journal = journal_for(
                persisted(journal),
                model="chat",
                target={"digest": NEW, "version": "2"},
                origin={"digest": GOOD, "version": "1"},
                now=NOW,
            )
            continue
        if step.judge and not before_back:
            judged = [one.server for one in step.judge]
            dead = [name for name in judged if not running[name].serves]
            verdicts = ["pass", "inconclusive", "provider_error"] + (["fail"] if bad else [])
            verdict = "fail" if dead else chance.choice(verdicts)
            journal.take_verdict(verdict, [], judged, now=NOW)
    else:
        pytest.fail("it did not end")
    releases = {one.release for one in running.values()}
    assert releases == ({NEW} if step.kind == "done" else {GOOD})
    assert step.kind == ("done" if journal.direction != BACK else "rolled_back")
    assert step.kind == "done" or bad


@settings(max_examples=200, deadline=None)
@given(hosts=st.integers(1, 6), per_host=st.integers(1, 4), seed=st.integers(0, 10**9), spare=st.integers(1, 4))
def test_a_rerun_from_any_mixture_reaches_the_goal(hosts: int, per_host: int, seed: int, spare: int) -> None:
    """Whatever the hosts run, also a third release that nobody knows."""
    chance = random.Random(seed)
    running = {
        one.server: replace(one, release=chance.choice([GOOD, NEW, "sha256:other", ""]))
        for one in fleet(hosts, per_host)
    }
    journal = fresh()
    for _step in range(MANY_STEPS):
        step = next_step(sorted(running.values()), journal, Allowance(spare), Wishes())
        if step.is_last:
            break
        for one in step.change:
            running[one.server] = replace(one, release=NEW)
        journal.take_verdict("pass", [], [one.server for one in step.judge], now=NOW)
    assert step.kind == "done"
    assert {one.release for one in running.values()} == {NEW}
