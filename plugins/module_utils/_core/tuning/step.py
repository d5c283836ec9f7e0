# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One step of a tuning: take in what was measured, say what to measure next.

The values in use are measured first, ``repeats`` times; then values are searched until the budget is
spent, less what the end takes; one after the other, values without effect are put back to what is in use,
while the budget holds that; and the winner meets the values in use in turn (ABBA) for a verdict. A step that was handed out and
never reported, since the run was killed, is handed out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import digest, expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.propose import propose
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.space import (
    Parameter,
    check_values,
    defaults,
    fingerprint_part,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.trials import (
    DONE,
    FAILED,
    OPEN,
    Goal,
    Trial,
    best,
    noise,
    read_measurement,
    settle,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tuning.verdict import compared

SCHEMA_VERSION = 1
# Standard errors within which a value put back counts as doing as well.
WITHIN = 2.0


@dataclass(frozen=True)
class Rules:
    """``budget_seconds`` of measuring in all; 0 trials: as many as the budget holds."""

    method: str = "tpe"
    repeats: int = 3
    budget_seconds: float = 3600.0
    most_trials: int = 0
    pairs: int = 5
    seed: int = 1


@dataclass
class History:
    """What ``tuning.json`` holds. ``crashed_seconds``: the part of ``spent_seconds`` that failed trials' last runs took."""

    trials: list[Trial]
    spent_seconds: float = 0.0
    measurements: int = 0
    crashed_seconds: float = 0.0

    def seconds_of_one(self) -> float:
        """What a measurement takes that does not crash: one that does may be over at once, or be waited for long."""
        crashed = sum(one.state == FAILED for one in self.trials)
        return (self.spent_seconds - self.crashed_seconds) / max(1, self.measurements - crashed)


def read_history(document: Any, space: Sequence[Parameter], goal: Goal, *, where: str) -> History:
    """The history so far; an empty one where there is none.

    Raises:
        InputError: the file is of another tuning, or no history.
    """
    if not document:
        return History([])
    fields = expect_mapping(document, what="history of the tuning", where=where)
    if fields.get("kind") != "tuning" or fields.get("schema_version") != SCHEMA_VERSION:
        raise InputError("this is no history of a tuning", where=where, remedy="Name another file")
    if fields.get("made_for") != made_for(space, goal):
        raise InputError(
            "the history is of other parameters, another objective or other values in use",
            where=where,
            remedy="Name another file, or move this one away",
        )
    trials = [Trial(**{key: one[key] for key in Trial.__dataclass_fields__}) for one in fields["trials"]]
    crashed_seconds = fields.get("crashed_seconds")
    history = History(trials, float(fields["spent_seconds"]), int(fields["measurements"]))
    if crashed_seconds is None:
        # Written before crashes were timed apart: a crash counts as taking what any measurement does.
        crashed = sum(one.state == FAILED for one in trials)
        crashed_seconds = history.spent_seconds * crashed / max(1, history.measurements)
    history.crashed_seconds = float(crashed_seconds)
    return history


def made_for(space: Sequence[Parameter], goal: Goal) -> str:
    """A digest of the space and the goal."""
    return digest({"space": fingerprint_part(list(space)), "goal": {**vars(goal), "limits": dict(goal.limits)}})


def take_in(history: History, outcome: Mapping[str, Any], space: Sequence[Parameter], goal: Goal, rules: Rules) -> None:
    """Enter what became of the step that was handed out.

    Raises:
        InputError: no step was handed out, or the outcome does not say what the objective needs.
    """
    trial = next((one for one in history.trials if one.number == outcome.get("trial")), None)
    if trial is None or trial.state != OPEN:
        raise InputError(f"no measurement of trial {outcome.get('trial')} is awaited", where="outcome")
    check_values(list(space), trial.params, f"trial {trial.number}")
    seconds = float(outcome.get("seconds") or 0.0)
    history.spent_seconds += seconds
    history.measurements += 1
    if outcome.get("failed"):
        history.crashed_seconds += seconds
        trial.state, trial.problem = FAILED, str(outcome["failed"])[:500]
        return
    trial.measurements.append(read_measurement(outcome.get("measurement"), goal))
    if trial.role == "verify":
        trial.state = DONE if len(trial.measurements) >= rules.pairs else OPEN
    else:
        settle(trial, history.trials, goal, rules.repeats)


def next_step(history: History, space: Sequence[Parameter], goal: Goal, rules: Rules) -> dict[str, Any]:
    """What to measure next, or the verdict. Adds the trial to the history where a new one begins."""
    trials = history.trials
    default = next((one for one in trials if one.role == "default"), None)
    if default is None:
        return _measure(_begin(trials, defaults(list(space)), "default"))
    if default.state == OPEN:
        return _measure(default)
    if default.state == FAILED:
        return _finished(default, default, None, f"the values in use do not run: {default.problem}")
    opened = next((one for one in trials if one.state == OPEN and one.role in ("search", "simple")), None)
    if opened is not None:
        return _measure(opened)
    verifying = [one for one in trials if one.role == "verify"]
    winner = _winner(trials, goal)
    if not verifying and _goes_on(history, winner or default, rules):
        return _measure(_begin(trials, propose(space, trials, goal, method=rules.method, seed=rules.seed), "search"))
    if winner is None or winner.params == default.params:
        said = "nothing that was tried is better" if winner else "no values keep the limits, those in use neither"
        return _finished(default, default, None, said)
    if not verifying:
        simpler = _simpler(winner, default, trials)
        if simpler is not None and _holds(history, rules):
            return _measure(_begin(trials, simpler[1], "simple", simpler[0]))
        verifying = [_begin(trials, default.params, "verify"), _begin(trials, winner.params, "verify")]
    return _verify(verifying, default, goal, rules)


def document_of(history: History, space: Sequence[Parameter], goal: Goal, step: Mapping[str, Any]) -> dict[str, Any]:
    """What is written."""
    leader = best(history.trials, goal)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "tuning",
        "made_for": made_for(space, goal),
        "spent_seconds": round(history.spent_seconds, 3),
        "crashed_seconds": round(history.crashed_seconds, 3),
        "measurements": history.measurements,
        "noise": noise(history.trials, goal),
        "best_trial": None if leader is None else leader.number,
        "trials": [vars(one) for one in history.trials],
        "step": dict(step),
    }


def _goes_on(history: History, winner: Trial, rules: Rules) -> bool:
    """Whether the budget holds another trial and the end that the best so far would take.

    While that is what is in use there is nothing to put back, and a search that stopped would leave the time unused.
    """
    searched = sum(one.role == "search" for one in history.trials)
    if rules.most_trials and searched >= rules.most_trials:
        return False
    in_use = history.trials[0].params
    changed = sum(value != in_use[name] for name, value in winner.params.items())
    # Putting back a value that matters takes one measurement, of one that does not a few.
    return _holds(history, rules, 2 * changed)


def _holds(history: History, rules: Rules, more: int = 0) -> bool:
    """Whether one measurement, so many ``more`` and the comparison still fit into the budget."""
    needed = history.seconds_of_one() * (1 + more + 2 * rules.pairs)
    return history.spent_seconds + needed <= rules.budget_seconds


def _simpler(winner: Trial, default: Trial, trials: Sequence[Trial]) -> tuple[str, dict[str, Any]] | None:
    """A parameter of the winner that was not put back to what is in use yet, and the values with it put back."""
    tested = [one.put_back for one in trials if one.role == "simple"]
    for name in sorted(winner.params):
        if winner.params[name] != default.params[name] and name not in tested:
            return name, {**winner.params, name: default.params[name]}
    return None


def _winner(trials: Sequence[Trial], goal: Goal) -> Trial | None:
    """The best of the search, with everything put back that makes no difference beyond noise."""
    leader = best([one for one in trials if one.role != "simple"], goal)
    for simple in trials:
        if leader is None or simple.role != "simple" or simple.state != DONE or not simple.keeps_limits(goal):
            continue
        error = noise(trials, goal) * (1 / len(simple.measurements) + 1 / len(leader.measurements)) ** 0.5
        if simple.score(goal) >= leader.score(goal) - WITHIN * error:
            leader = simple
    return leader


def _begin(trials: list[Trial], params: Mapping[str, Any], role: str, put_back: str = "") -> Trial:
    trials.append(Trial(len(trials), dict(params), role, put_back=put_back))
    return trials[-1]


def _measure(trial: Trial) -> dict[str, Any]:
    return {
        "action": "measure",
        "trial": trial.number,
        "role": trial.role,
        "params": dict(trial.params),
        "repeat": len(trial.measurements),
    }


def _verify(verifying: Sequence[Trial], default: Trial, goal: Goal, rules: Rules) -> dict[str, Any]:
    before, after = verifying
    for one in (before, after):
        if one.state == FAILED:
            return _finished(default, default, None, f"a run of the comparison failed: {one.problem}")
    done = len(before.measurements) + len(after.measurements)
    if done < 2 * rules.pairs:
        # ABBA: each pair in the other order than the one before.
        turn = (before, after) if (done // 2) % 2 == 0 else (after, before)
        behind = [one for one in turn if len(one.measurements) <= done // 2 and one.state == OPEN]
        return _measure(behind[0])
    found = compared([goal.score(one) for one in before.measurements], [goal.score(one) for one in after.measurements])
    if found["low"] > 0 and after.keeps_limits(goal):
        return _finished(default, after, found, "the winner holds")
    why = "breaks a limit" if not after.keeps_limits(goal) else "is not surely better"
    return _finished(default, default, found, f"the winner {why} in the comparison: what is in use stays")


def _finished(default: Trial, chosen: Trial, comparison: Mapping[str, Any] | None, reason: str) -> dict[str, Any]:
    return {
        "action": "finished",
        "better": chosen is not default,
        "params": dict(chosen.params),
        "changed": {name: value for name, value in chosen.params.items() if default.params[name] != value},
        "comparison": dict(comparison) if comparison else None,
        "reason": reason,
        "metrics": {name: mean(one[name] for one in chosen.measurements) for name in chosen.measurements[0]}
        if chosen.measurements
        else {},
    }
