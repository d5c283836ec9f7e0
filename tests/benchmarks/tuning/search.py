# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TPE and random search on a real engine, with the same budget each, in turn in one run.

The one that has spent less goes next: both stand at the same point of their budget at any time, so what
drifts on the machine meets both alike. Two parameters are planted: one of its values crashes the engine (``crash``),
another says nothing under the load that is sent (``idle``). What became of both is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning import step as core
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.propose import METHODS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.space import read_space
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import FAILED, Trial, read_goal

# Values of parameters to what was measured; raises ModelOpsError where the engine does not start or breaks.
Measure = Callable[[Mapping[str, Any]], Mapping[str, float]]


@dataclass(frozen=True)
class Planted:
    """``crash`` is a parameter and its value that no server survives, ``idle`` a parameter without effect."""

    crash: tuple[str, Any]
    idle: str


class Search:
    """One method's way through its budget."""

    def __init__(self, parameters: Mapping[str, Any], objective: Mapping[str, Any], rules: core.Rules) -> None:
        self.space, self.goal, self.rules = read_space(parameters), read_goal(objective), rules
        self.history = core.History([])
        self.step = self._next()

    def _next(self) -> dict[str, Any]:
        return core.next_step(self.history, self.space, self.goal, self.rules)

    @property
    def finished(self) -> bool:
        return bool(self.step["action"] == "finished")

    def advance(self, measure: Measure, clock: Callable[[], float]) -> None:
        """One measurement; a server that does not come up or breaks is a result like any other."""
        outcome: dict[str, Any] = {"trial": self.step["trial"]}
        began = clock()
        try:
            outcome["measurement"] = measure(self.step["params"])
        except ModelOpsError as error:
            outcome["failed"] = error.message
        outcome["seconds"] = clock() - began
        said = outcome.get("failed") or outcome["measurement"][self.goal.metric]
        print(f"{self.rules.method:6} {self.history.spent_seconds:5.0f} s", self.step["role"], self.step["params"], said,
              flush=True)  # fmt: skip
        core.take_in(self.history, outcome, self.space, self.goal, self.rules)
        self.step = self._next()

    def result(self, planted: Planted) -> dict[str, Any]:
        """The verdict, what was spent on the way to it, and what became of what was planted."""
        found = core.document_of(self.history, self.space, self.goal, self.step)
        searched = [one for one in self.history.trials if one.role == "search"]
        # What met the values in use at the end, whether or not it then held.
        finalist = next((one for one in self.history.trials[::-1] if one.role == "verify"), self.history.trials[0])
        return {
            **{name: found[name] for name in ("spent_seconds", "measurements", "noise", "trials")},
            "verdict": {key: value for key, value in self.step.items() if key != "action"},
            "searched": {state: sum(one.state == state for one in searched) for state in sorted({one.state for one in searched})},
            "crash": crashes(searched, planted.crash, finalist),
            "idle": idle(self.history.trials, planted.idle, finalist),
        }  # fmt: skip


def crashes(searched: Sequence[Trial], crash: tuple[str, Any], finalist: Trial) -> dict[str, Any]:
    """How often the value that crashes was tried, in the first half of the search and in the second."""
    name, value = crash
    tried = [one.params[name] == value for one in searched]
    half = (len(tried) + 1) // 2
    return {
        "parameter": name,
        "value": value,
        "tried": {"first_half": sum(tried[:half]), "second_half": sum(tried[half:]), "of": len(tried)},
        "all_failed": all(one.state == FAILED for one, hit in zip(searched, tried) if hit),
        "other_failures": sum(one.state == FAILED for one, hit in zip(searched, tried) if not hit),
        "in_finalist": finalist.params[name] == value,
    }


def idle(trials: Sequence[Trial], name: str, finalist: Trial) -> dict[str, Any]:
    """Whether the parameter without effect ended as it is in use, and whether it had to be put back for that."""
    put_back = [one for one in trials if one.put_back == name]
    return {
        "parameter": name,
        "put_back": [one.state for one in put_back],
        "as_in_use": finalist.params[name] == trials[0].params[name],
    }


def limits_near(
    measure: Measure, params: Mapping[str, Any], names: Sequence[str], room: float = 1.25, times: int = 3
) -> dict[str, float]:
    """Limits that what is in use keeps with some room: this machine's, whatever its speed. From the worst of several
    measurements, as one alone may have met the machine at its fastest."""
    found = [measure(params) for _time in range(times)]
    return {name: round(room * max(one[name] for one in found), 3) for name in names}


def in_turn(searches: Sequence[Search], measure: Measure, clock: Callable[[], float] = time.monotonic) -> None:
    """All searches to their ends; the one that has spent less goes next."""
    while going := [one for one in searches if not one.finished]:
        min(going, key=lambda one: one.history.spent_seconds).advance(measure, clock)


def parser_for(described: str, **defaults: float) -> argparse.ArgumentParser:
    """The options that every engine's benchmark has; ``budget`` is of each method."""
    parser = argparse.ArgumentParser(description=described.splitlines()[0])
    parser.add_argument("--budget", type=float, default=defaults["budget"], help="seconds of measuring for each method")
    parser.add_argument("--seconds", type=float, default=defaults["seconds"], help="of load in one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=5, help="of measurements in the comparison at the end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path, help="write another file than the one beside the benchmark")
    return parser


def run(
    options: argparse.Namespace,
    parameters: Mapping[str, Any],
    objective: Mapping[str, Any],
    planted: Planted,
    measure: Measure,
) -> dict[str, Any]:
    """Both methods on one engine."""
    searches = {
        method: Search(
            parameters,
            objective,
            core.Rules(method, options.repeats, options.budget, pairs=options.pairs, seed=options.seed),
        )
        for method in METHODS
    }
    in_turn(list(searches.values()), measure)
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
        "settings": {name: getattr(options, name) for name in ("budget", "seconds", "repeats", "pairs", "seed")},
        "parameters": dict(parameters),
        "objective": dict(objective),
        "methods": {method: search.result(planted) for method, search in searches.items()},
    }


def write(path: Path, result: Mapping[str, Any]) -> None:
    """Into the file, and in short on the screen."""
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for method, found in result["methods"].items():
        gain = found["verdict"]["comparison"]
        print(
            f"\n{method}: {found['verdict']['reason']}; {found['measurements']} measurements in {found['spent_seconds']:.0f} s"
        )
        print("  tried", found["searched"], "changed", found["verdict"]["changed"])
        if gain:
            print(f"  gain {gain['gain']:+.1%} (95 %: {gain['low']:+.1%} to {gain['high']:+.1%})")
        print("  crash", found["crash"], "\n  idle", found["idle"])
