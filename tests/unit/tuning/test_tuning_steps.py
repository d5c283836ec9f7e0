# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tuning against a server that is a formula: finds, gives up, survives crashes, and does not believe noise."""

from __future__ import annotations

import json
import math
import random
from typing import Any, Callable

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import step as core
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.propose import propose
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.space import (
    engine_params,
    fingerprint_part,
    host_settings,
    read_space,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import (
    Trial,
    best,
    noise,
    read_goal,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.verdict import compared, t_point

PARAMETERS = {
    "threads": {"low": 1, "high": 16, "default": 4},
    "batch": {"low": 32, "high": 2048, "log": True, "default": 512},
    "slots": {"low": 1, "high": 32, "default": 4},
    "share": {"low": 0.5, "high": 0.98, "default": 0.9},
    "colour": {"values": ["red", "blue", "green"], "default": "red"},
}
# What the code before parameters of the host said of PARAMETERS and OBJECTIVE.
MADE_BEFORE = "sha256:88c0d8dcead32ebaa65f64c339f87ea69438edb637f58f28792f0c6c73352ad2"
HOST_PARAMETER = {
    "kind": "host",
    "setting": "governor",
    "values": ["powersave", "performance"],
    "default": "powersave",
}
OBJECTIVE = {"metric": "rps", "limits": {"ttft": 1.0}}
Server = Callable[[dict[str, Any]], "tuple[float, float] | str"]


def engine(params: dict[str, Any]) -> tuple[float, float] | str:
    """Best at 8 threads, batches of 256 and 12 slots; crashes where it may fill too much; the colour says nothing."""
    if params["share"] > 0.95:
        return "out of memory"
    octaves = math.log2(params["batch"] / 256)
    rate = 100 * math.exp(
        -(((params["threads"] - 8) / 6) ** 2) - (octaves / 3) ** 2 - ((params["slots"] - 12) / 10) ** 2
    )
    return rate, 0.3 + params["slots"] / 25 + params["batch"] / 4000


def tune(
    server: Server,
    *,
    method: str = "random",
    seed: int = 1,
    budget: float = 60.0,
    noisy: float = 0.03,
    crash_seconds: float = 1.0,
) -> Any:
    """Runs a tuning to its end; the history goes through JSON each time, as between two calls of the module."""
    space, goal = read_space(PARAMETERS), read_goal(OBJECTIVE)
    rules = core.Rules(method=method, budget_seconds=budget, seed=seed)
    source, history = random.Random(seed), core.History([])
    while True:
        step = core.next_step(history, space, goal, rules)
        document = json.loads(json.dumps(core.document_of(history, space, goal, step), allow_nan=False))
        history = core.read_history(document, space, goal, where="history")
        assert core.next_step(history, space, goal, rules) == step, "an unreported step is said again"
        if step["action"] == "finished":
            return step, history
        said = server(step["params"])
        outcome: dict[str, Any] = {"trial": step["trial"], "seconds": 1.0}
        if isinstance(said, str):
            outcome |= {"failed": said, "seconds": crash_seconds}
        else:
            rate, ttft = (one * source.gauss(1, noisy) for one in said)
            outcome["measurement"] = {"rps": rate, "ttft": ttft}
        core.take_in(history, outcome, space, goal, rules)


def test_it_finds_better_values_within_limits_and_budget() -> None:
    step, history = tune(engine)
    assert step["better"]
    assert step["comparison"]["low"] > 0
    rate, ttft = engine(step["params"])
    assert rate > 1.5 * engine({name: one["default"] for name, one in PARAMETERS.items()})[0]
    assert ttft < 1.05
    # A trial that was begun is measured to its end.
    assert history.spent_seconds <= 60 + 2


def test_a_search_that_found_nothing_yet_goes_on() -> None:
    """Of 27 measurements a comparison takes ten; with nothing to put back, all others are for the search."""

    def hard(params: dict[str, Any]) -> tuple[float, float] | str:
        return (50.0, 0.5) if params["threads"] == 4 else "out of memory"

    _step, history = tune(hard, budget=27)
    assert history.spent_seconds == 27 - 10


def test_putting_back_leaves_what_the_comparison_takes() -> None:
    for seed in range(10):
        _step, history = tune(lambda params: (10.0 * params["threads"], 0.5), seed=seed, budget=24)
        # A trial that was begun is measured to its end.
        assert history.spent_seconds <= 24 + 2


@pytest.mark.parametrize("crash_seconds", [0.05, 6.0])
def test_what_a_crash_takes_says_nothing_of_the_comparison(crash_seconds: float) -> None:
    """A server that ends at once, and one that is waited for: the search leaves what ten measurements take, no more."""

    def hard(params: dict[str, Any]) -> tuple[float, float] | str:
        return (50.0, 0.5) if params["threads"] == 4 else "out of memory"

    for seed in range(5):
        _step, history = tune(hard, budget=45, crash_seconds=crash_seconds, seed=seed, noisy=0.0)
        # A trial that was begun is measured to its end: three times, or until it crashes.
        assert 45 - 11 < history.spent_seconds <= 45 - 11 + max(3.0, crash_seconds) + 1e-9


def test_a_history_without_the_time_of_its_crashes_is_read() -> None:
    _step, history = tune(engine, seed=3)
    space, goal = read_space(PARAMETERS), read_goal(OBJECTIVE)
    document = core.document_of(history, space, goal, {})
    assert core.read_history(document, space, goal, where="history").crashed_seconds == history.crashed_seconds > 0
    del document["crashed_seconds"]
    # Each measurement of this server, crash or not, takes a second.
    read = core.read_history(document, space, goal, where="history")
    assert read.crashed_seconds == pytest.approx(history.crashed_seconds)
    assert read.seconds_of_one() == pytest.approx(1.0)


def test_crashes_are_results_and_do_not_end_it() -> None:
    step, history = tune(engine, seed=3)
    crashed = [one for one in history.trials if one.state == "failed"]
    assert crashed
    assert all(one.problem == "out of memory" and one.params["share"] > 0.95 for one in crashed)
    assert step["params"]["share"] <= 0.95


def test_where_nothing_matters_what_is_in_use_stays() -> None:
    """The interval holds 95 of 100 times; three of thirty would be one in four hundred above that."""
    claimed = sum(tune(lambda _params: (50.0, 0.5), seed=seed, noisy=0.05)[0]["better"] for seed in range(30))
    assert claimed <= 3


def test_values_that_break_a_limit_do_not_win() -> None:
    def greedy(params: dict[str, Any]) -> tuple[float, float]:
        return 10.0 * params["slots"], params["slots"] / 8.5

    step, _history = tune(greedy)
    assert 4 < step["params"]["slots"] <= 8


def test_values_that_do_not_matter_are_mostly_put_back() -> None:
    kept = 0
    for seed in range(10):
        step, _history = tune(lambda params: (10.0 * params["threads"], 0.5), seed=seed)
        kept += len(set(step["changed"]) - {"threads"})
        assert step["params"]["threads"] > 8
    # Of forty values of parameters that say nothing.
    assert kept <= 12


def test_values_in_use_that_do_not_run_end_it_with_the_reason() -> None:
    step, _history = tune(lambda _params: "no such model")
    assert not step["better"]
    assert step["reason"] == "the values in use do not run: no such model"


def test_a_winner_that_crashes_in_the_comparison_does_not_hold() -> None:
    calls = {"good": 0}

    def fragile(params: dict[str, Any]) -> tuple[float, float] | str:
        if params["threads"] <= 4:
            return 50.0, 0.5
        calls["good"] += 1
        return (100.0, 0.5) if calls["good"] < 60 else "segmentation fault"

    step, history = tune(fragile, budget=90)
    if calls["good"] >= 60:
        assert not step["better"]
        assert "failed: segmentation fault" in step["reason"]
    assert history.measurements > 40


def test_same_history_same_proposal() -> None:
    space, goal = read_space(PARAMETERS), read_goal(OBJECTIVE)
    trials = [
        Trial(
            0,
            {name: one["default"] for name, one in PARAMETERS.items()},
            "default",
            "done",
            [{"rps": 1.0, "ttft": 0.5}],
        )
    ]
    drawn = [propose(space, trials, goal, method="random", seed=1) for _time in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != propose(space, trials, goal, method="random", seed=2)


def test_tpe_beats_random_search_with_the_same_budget() -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    reached = {
        method: sum(engine(tune(engine, method=method, seed=seed)[0]["params"])[0] for seed in range(4)) / 4
        for method in ("tpe", "random")
    }
    assert reached["tpe"] > 1.1 * reached["random"]
    assert reached["tpe"] > 85


def test_noise_is_that_between_measurements_of_the_same_values() -> None:
    goal = read_goal(OBJECTIVE)
    trials = [
        Trial(n, {}, "search", "done", [{"rps": 10.0 * n + one, "ttft": 0.5} for one in (-1, 0, 1)]) for n in range(5)
    ]
    assert noise(trials, goal) == pytest.approx(1.0)
    leader = best(trials, goal)
    assert leader is not None
    assert leader.number == 4


def test_the_comparison_is_a_paired_student_test() -> None:
    """Differences 1, 2, 3: mean 2, deviation 1, so 2 ± 4.303/sqrt(3)."""
    found = compared([10.0, 10.0, 10.0], [11.0, 12.0, 13.0])
    half = 4.303 / math.sqrt(3)
    assert found["gain"] == pytest.approx(0.2)
    assert found["low"] == pytest.approx((2 - half) / 10)
    assert found["high"] == pytest.approx((2 + half) / 10)
    assert t_point(9) == 2.262
    assert t_point(30) == pytest.approx(2.042, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "there is nothing to tune"),
        ({"a": {"low": 1, "high": 2}}, "has no default"),
        ({"a": {"low": 2, "high": 1, "default": 1}}, "high must be at least 2"),
        ({"a": {"low": 1, "high": 2, "default": 3}}, "default must be between 1 and 2"),
        ({"a": {"values": ["x", "y"], "default": "z"}}, "the default among them"),
        ({"a": {"low": 0, "high": 2, "log": True, "default": 1}}, "log needs a range above 0"),
        ({"a": {"low": 1, "high": 2, "default": 1, "colour": 1}}, "colour is not known"),
        ({"a": {"kind": "host", "low": 1, "high": 2, "default": 1}}, "host with a setting"),
        ({"a": {"setting": "governor", "values": ["x", "y"], "default": "x"}}, "host with a setting"),
        ({"a": {"kind": "host", "setting": "shell", "values": ["x", "y"], "default": "x"}}, "'shell' is no setting"),
        ({name: {**HOST_PARAMETER} for name in "ab"}, "governor is tuned by two parameters"),
    ],
)
def test_a_space_that_cannot_be_is_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_space(parameters)


@pytest.mark.parametrize(
    "objective",
    [{}, {"metric": "x", "direction": "up"}, {"metric": "x", "colour": 1}, {"metric": "x", "limits": {"y": 0}}],
)
def test_an_objective_that_cannot_be_is_refused(objective: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="objective"):
        read_goal(objective)


def test_values_of_the_host_are_told_from_those_of_the_engine() -> None:
    space = read_space({**PARAMETERS, "clock": HOST_PARAMETER})
    assert host_settings(space, {"clock": "performance", "threads": 8}) == {"governor": "performance"}
    assert engine_params(space, {"clock": "performance", "threads": 8}) == {"threads": 8}
    assert fingerprint_part(space)[1]["setting"] == "governor"
    # A history that was begun before there were any goes on.
    assert core.made_for(read_space(PARAMETERS), read_goal(OBJECTIVE)) == MADE_BEFORE


def test_a_history_of_another_tuning_is_refused() -> None:
    space, goal = read_space(PARAMETERS), read_goal(OBJECTIVE)
    document = core.document_of(core.History([]), space, goal, {})
    other = read_space({"threads": {"low": 1, "high": 8, "default": 4}})
    with pytest.raises(InputError, match="of other parameters"):
        core.read_history(document, other, goal, where="x")
    with pytest.raises(InputError, match="no history of a tuning"):
        core.read_history({"kind": "plan"}, space, goal, where="x")
    with pytest.raises(InputError, match="no measurement of trial 7 is awaited"):
        core.take_in(core.History([]), {"trial": 7, "measurement": {}}, space, goal, core.Rules())
