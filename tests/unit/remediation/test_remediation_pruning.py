# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record that is shortened: the same is decided after as before, and no moment is without a whole record."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "remediation"))

from world import World

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import pruning
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import (
    append,
    parse_history,
    read_history,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.incidents import incidents_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders import LADDERS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import Policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.turn import take_turn

DAY = 86400.0
NOW = 1_700_000_000.0
PATIENCE = max(one.patience_seconds for one in LADDERS.values())


class Forgetful(World):
    """The same story, by a record that is shortened before each decision; ``gone``: lines that were dropped."""

    gone = 0

    def turn(self, asked: Any, outcomes: list[dict[str, Any]], reviews: Sequence[Any] = ()) -> Any:
        keep = pruning.longest_memory(self.policy, PATIENCE)
        before = len(self.events)
        self.events = [dict(one) for one in pruning.kept(
            self.events, self.policy, now=self.now, keep_seconds=keep, incidents=self.incidents)]  # fmt: skip
        self.gone += before - len(self.events)
        return super().turn(asked, outcomes, reviews)

    incidents = 0


def long_story(kind: type[World], seed: int) -> World:
    """Some weeks in which little happens, so that most of the record is old."""
    world = kind(seed, locked=seed % 2 == 0)
    for number in range(160):
        world.spread = 40_000 if number % 16 == 0 else 60
        world.step()
    return world


@pytest.mark.parametrize("incidents", [0, 3])
def test_the_same_is_decided_by_a_record_that_is_shortened_at_every_turn(incidents: int) -> None:
    gone = decisions = acted = 0
    for seed in range(60):
        whole = long_story(World, seed)
        kind = type("Forgetful", (Forgetful,), {"incidents": incidents})
        short = long_story(kind, seed)
        assert [one["events"] for one in short.asked] == [one["events"] for one in whole.asked], f"seed {seed}"
        gone += short.gone
        decisions += len(whole.asked)
        acted += sum(event["event"] == "intent" for event in whole.events)
    print(f"{decisions} decisions, {acted} actions, {gone} lines gone")
    assert gone > 100 and acted > 300


def test_what_a_shortened_record_says_is_what_it_said() -> None:
    """Set aside, open breakers, what is under way, the latest incidents: the same; twice shortened is as once."""
    shorter = 0
    for seed in range(60):
        world = long_story(World, seed)
        policy, now = world.policy, world.now
        keep = pruning.longest_memory(policy, PATIENCE)
        once = pruning.kept(world.events, policy, now=now, keep_seconds=keep, incidents=4)
        shorter += len(once) < len(world.events)
        assert pruning.kept(once, policy, now=now, keep_seconds=keep, incidents=4) == once
        before, after = (parse_history(events, where="") for events in (world.events, once))
        assert after.lines == before.lines
        assert after.breakers == before.breakers and after.closed == before.closed
        assert after.set_aside(now, policy.move_seconds) == before.set_aside(now, policy.move_seconds)
        assert after.under_way() == before.under_way()
        assert _shown(incidents_of(once)[-4:]) == _shown(incidents_of(world.events)[-4:])
        later = pruning.kept(world.events, policy, now=now + 400 * DAY, keep_seconds=keep, incidents=0)
        assert len(later) <= 1 + 3 * (len(after.under_way()) + 50), "old age alone keeps little"
    assert shorter > 30


def _shown(incidents: Sequence[Any]) -> list[dict[str, Any]]:
    return [{**vars(one), "positions": None} for one in incidents]


def restart(name: str, at: float, effect: str, *, model: str, host: str) -> list[dict[str, Any]]:
    """A restart and what became of it."""
    intent = {
        "event": "intent", "id": name, "at": at, "step": "restart", "alert": "ModelServerDown", "scope": "replica",
        "target": f"replica {host}-0", "host": host, "slot": 0, "model": model, "zone": "", "servers": [f"{host}-0"],
        "owner": "one", "reason": "x" * 400, "since": at - 20,
    }  # fmt: skip
    return [intent, {"event": "result", "id": name, "at": at + 30, "effect": effect, "evidence": "y" * 400}]


def test_months_between_actions_that_did_not_help_are_in_a_row_all_the_same() -> None:
    """Nothing in between opened or closed a breaker, so that the third opens it, however much was forgotten before."""
    world = World(1, locked=True)
    world.now = NOW
    events = [one for number in range(40) for one in restart(f"m{number}", NOW - (200 - number) * DAY, "effective",
                                                             model="m2", host=f"h{number}")]  # fmt: skip
    for number, days in enumerate((90, 60, 30)):
        events += restart(f"i{number}", NOW - days * DAY, "ineffective", model="m1", host=f"h{number}")
    keep = pruning.longest_memory(world.policy, PATIENCE)
    short = pruning.kept(events, world.policy, now=NOW, keep_seconds=keep, incidents=0)
    assert len(short) < len(events) - 40
    asked, opened = world.question(world.controllers[0]), []
    for known in (events, short):
        world.events = [dict(one) for one in known]
        opened.append(world.turn(asked, []).events)
    assert opened[0] == opened[1]
    assert [one["scope"] for one in opened[0] if one["event"] == "breaker"] == ["model m1"]


def record(path: Path, count: int, *, now: float) -> None:
    """A restart that helped every hour up to ``now``."""
    events: list[dict[str, Any]] = []
    for number in range(count):
        at = now - (count - number) * 3600.0
        events += restart(f"a{number}", at, "effective", model="m1", host=f"h{number % 40}")
    append(str(path), events)


SMALL = replace(Policy(), record_mib=1.0)


def test_a_record_that_is_too_large_is_shortened_with_its_rights_and_the_one_before_stays_beside_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "remediation.jsonl"
    record(path, 2000, now=NOW)
    os.chmod(path, 0o644)
    if os.geteuid() == 0:
        os.chown(path, 0, 12)  # as a reader was let in: chgrp
    whole = path.read_bytes()
    assert not pruning.prune(str(path), replace(SMALL, record_mib=0), now=NOW)
    assert not pruning.prune(str(path), Policy(), now=NOW), "it is not too large"
    assert path.read_bytes() == whole
    assert pruning.prune(str(path), SMALL, now=NOW)
    assert path.stat().st_size < 1 << 20
    assert (tmp_path / "remediation.jsonl.1").read_bytes() == whole
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.geteuid() != 0 or (path.stat().st_uid, path.stat().st_gid) == (0, 12)
    events = read_history(str(path))
    assert parse_history(events, where="").lines == 4000
    assert min(float(one["at"]) for one in events[1:]) >= NOW - 31 * DAY
    assert sorted(one.name for one in tmp_path.iterdir()) == ["remediation.jsonl", "remediation.jsonl.1"]
    append(str(path), [{"event": "release", "host": "h1", "by": "ann", "at": NOW}])
    assert not pruning.prune(str(path), SMALL, now=NOW)


def test_a_limit_that_is_smaller_than_thirty_days_need_goes_down_to_what_limits_need(tmp_path: Path) -> None:
    path = tmp_path / "remediation.jsonl"
    record(path, 2000, now=NOW)
    tiny = replace(SMALL, record_mib=0.2)
    assert pruning.prune(str(path), tiny, now=NOW)
    kept = [one for one in read_history(str(path)) if one["event"] == "intent"]
    assert 48 <= len(kept) <= 60, "two days and a little"
    size = path.stat().st_size
    assert not pruning.prune(str(path), replace(SMALL, record_mib=0.001), now=NOW), "all of it is needed"
    assert path.stat().st_size == size


def _refuse(*_arguments: Any, **_more: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["link", "replace", "fsync"])
def test_a_failure_on_the_way_leaves_the_record_whole_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The disk is full, or the run is killed, at each of the steps: what is read is the record before, or the one after."""
    path = tmp_path / "remediation.jsonl"
    record(path, 2000, now=NOW)
    whole = path.read_bytes()

    with monkeypatch.context() as patched:
        patched.setattr(os, broken, _refuse)
        with pytest.raises(OSError, match="No space"):
            pruning.prune(str(path), SMALL, now=NOW)
    assert path.read_bytes() == whole
    assert [one.name for one in tmp_path.iterdir()] == ["remediation.jsonl"]
    assert pruning.prune(str(path), SMALL, now=NOW)


def test_a_turn_shortens_it_after_its_decision_is_on_record_and_says_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "remediation.jsonl"
    record(path, 2000, now=NOW)
    world = World(1, locked=True)
    world.now = NOW
    world.alert("PlanStale")
    asked = world.question(world.controllers[0])

    def turn() -> Any:
        return take_turn(str(path), lambda history: world.situation(asked, history), SMALL)

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", _refuse)
        found = turn()
    assert found.warnings and "could not be shortened" in found.warnings[0]
    lines = len(path.read_bytes().splitlines())
    assert lines == 4000 + len(found.events)
    found = turn()
    assert found.warnings == [] and path.stat().st_size < 1 << 20
    assert parse_history(read_history(str(path)), where="").lines == lines + len(found.events)


def test_a_damaged_record_is_not_shortened(tmp_path: Path) -> None:
    path = tmp_path / "remediation.jsonl"
    record(path, 2000, now=NOW)
    content = path.read_bytes().replace(b'"event": "result"', b'"event": "resolt"', 1)
    path.write_bytes(content)
    with pytest.raises(InputError, match="unknown event"):
        pruning.prune(str(path), SMALL, now=NOW)
    assert path.read_bytes() == content
