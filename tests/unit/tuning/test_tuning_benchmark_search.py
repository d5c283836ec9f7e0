# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of tuning, on an engine that is a formula: methods go in turn, and what was planted is counted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "tuning"))

from search import Planted, Search, crashes, idle, in_turn

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.step import Rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import Trial

PARAMETERS = {
    "slots": {"low": 1, "high": 16, "default": 4},
    "context": {"values": [512, 10**9], "default": 512},
    "colour": {"low": 1, "high": 9, "default": 5},
}
OBJECTIVE = {"metric": "rps", "limits": {"ttft": 1.0}}
PLANTED = Planted(crash=("context", 10**9), idle="colour")


class Engine:
    """Faster by its slots; one start in ``crash_seconds`` where the context is too large, else 1 s."""

    def __init__(self, crash_seconds: float = 0.25) -> None:
        self.now, self.crash_seconds = 0.0, crash_seconds
        self.spent: list[tuple[float, float]] = []
        self.searches: list[Search] = []

    def measure(self, params: Mapping[str, Any]) -> Mapping[str, float]:
        self.spent.append((self.searches[0].history.spent_seconds, self.searches[1].history.spent_seconds))
        if params["context"] > 512:
            self.now += self.crash_seconds
            raise ModelOpsError("out of memory")
        self.now += 1.0
        return {"rps": 10.0 * params["slots"] + self.now % 0.1, "ttft": 0.5}

    def run(self) -> list[Search]:
        self.searches = [
            Search(PARAMETERS, OBJECTIVE, Rules("random", budget_seconds=60, seed=seed)) for seed in (1, 2)
        ]
        in_turn(self.searches, self.measure, lambda: self.now)
        return self.searches


def test_both_stand_at_the_same_point_of_their_budget() -> None:
    engine = Engine()
    engine.run()
    # Over the last few seconds one of both may have ended already.
    assert all(abs(one - other) <= 1.0 for one, other in engine.spent if max(one, other) < 50)
    assert max(one for one, _other in engine.spent) > 40 < max(other for _one, other in engine.spent)


def test_the_verdict_says_what_was_spent_and_what_became_of_what_was_planted() -> None:
    for one in Engine().run():
        found = one.result(PLANTED)
        assert found["verdict"]["better"] and found["verdict"]["changed"]["slots"] > 8
        assert found["verdict"]["comparison"]["low"] > 0
        assert found["spent_seconds"] <= 62
        assert sum(found["searched"].values()) == found["crash"]["tried"]["of"]
        assert found["crash"]["all_failed"] and not found["crash"]["in_finalist"]
        assert found["crash"]["other_failures"] == 0 < found["searched"]["failed"]
        assert found["idle"]["as_in_use"]


@pytest.mark.parametrize(("contexts", "expected"), [((9, 9, 1, 1), (2, 0)), ((9, 1, 9), (1, 1)), ((), (0, 0))])
def test_crashes_are_counted_in_both_halves(contexts: tuple[int, ...], expected: tuple[int, int]) -> None:
    tried = [
        Trial(number, {"context": one}, "search", "failed" if one == 9 else "done")
        for number, one in enumerate(contexts)
    ]
    found = crashes(tried, ("context", 9), Trial(0, {"context": 1}, "default"))
    assert (found["tried"]["first_half"], found["tried"]["second_half"]) == expected
    assert found["all_failed"] and not found["in_finalist"] and found["other_failures"] == 0


def test_a_crash_that_was_not_planted_and_a_planted_one_that_ran_are_told() -> None:
    tried = [Trial(1, {"context": 1}, "search", "failed"), Trial(2, {"context": 9}, "search", "done")]
    found = crashes(tried, ("context", 9), tried[1])
    assert found["other_failures"] == 1 and found["in_finalist"] and not found["all_failed"]


def test_what_was_not_put_back_is_told() -> None:
    default, back = Trial(0, {"colour": 5}, "default"), Trial(1, {"colour": 5}, "simple", "pruned", put_back="colour")
    finalist = Trial(2, {"colour": 7}, "verify")
    assert idle([default, back, finalist], "colour", finalist) == {
        "parameter": "colour",
        "put_back": ["pruned"],
        "as_in_use": False,
    }
