# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The history of a tuning: what was tried, measured, given up or crashed.

A trial is measured once; one that breaks a limit or falls behind the best by more than noise explains is
given up (``pruned``), the others are measured again, ``repeats`` times in all. The noise is that between
measurements of the same trial, pooled over all trials. A trial that crashed is a result like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

OPEN, DONE, PRUNED, FAILED = "open", "done", "pruned", "failed"
# Standard errors by which a trial must fall behind before it is given up.
BEHIND = 2.0
# The noise before anything was measured twice, as a share of the value.
_FIRST_NOISE = 0.05


@dataclass(frozen=True)
class Goal:
    """The metric to make large, or small; ``limits`` are metrics that must not be exceeded."""

    metric: str
    maximise: bool = True
    limits: Mapping[str, float] = field(default_factory=dict)

    def score(self, measurement: Mapping[str, float]) -> float:
        """The larger the better."""
        return measurement[self.metric] if self.maximise else -measurement[self.metric]

    def excess(self, measurement: Mapping[str, float]) -> float:
        """By how much of the limit the worst one is exceeded; 0 or less where all are kept."""
        shares = [measurement.get(name, math.inf) / limit - 1 for name, limit in sorted(self.limits.items())]
        return max(shares, default=-1.0)


@dataclass
class Trial:
    """One set of values. ``role`` is default, search, simple (the winner with the value of the parameter
    ``put_back`` as it is in use now) or verify."""

    number: int
    params: dict[str, Any]
    role: str
    state: str = OPEN
    measurements: list[dict[str, float]] = field(default_factory=list)
    problem: str = ""
    put_back: str = ""

    def score(self, goal: Goal) -> float:
        return mean(goal.score(one) for one in self.measurements)

    def excess(self, goal: Goal) -> float:
        means = {name: mean(one.get(name, math.inf) for one in self.measurements) for name in goal.limits}
        return goal.excess(means)

    def keeps_limits(self, goal: Goal) -> bool:
        return bool(self.measurements) and self.excess(goal) <= 0


def read_goal(record: Any) -> Goal:
    """The objective from an option.

    Raises:
        InputError: no metric, or a limit that is not above 0.
    """
    fields = expect_mapping(record or {}, what="objective", where="objective")
    unknown = sorted(set(fields) - {"metric", "direction", "limits"})
    direction = fields.get("direction", "maximise")
    if unknown or not fields.get("metric") or direction not in ("maximise", "minimise"):
        raise InputError(
            "must have a metric, and may have a direction (maximise or minimise) and limits",
            where="objective",
            remedy="Like {metric: requests_per_second, limits: {ttft_seconds: 0.5}}",
        )
    limits = expect_mapping(fields.get("limits") or {}, what="limits", where="objective")
    numbers = {
        str(name): expect_number(value, what=str(name), where="objective.limits", minimum=1e-9)
        for name, value in limits.items()
    }
    return Goal(str(fields["metric"]), direction == "maximise", numbers)


def read_measurement(record: Any, goal: Goal) -> dict[str, float]:
    """Metrics that were measured.

    Raises:
        InputError: the metric of the objective or one of a limit is missing.
    """
    fields = expect_mapping(record, what="measurement", where="outcome")
    missing = [name for name in (goal.metric, *goal.limits) if fields.get(name) is None]
    if missing:
        raise InputError(
            f"the measurement has no {', '.join(missing)}", where="outcome", remedy="Measure what the objective names"
        )
    return {
        str(name): float(value)
        for name, value in fields.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def noise(trials: Sequence[Trial], goal: Goal) -> float:
    """Standard deviation of one measurement: pooled over trials that were measured more than once."""
    squares, freedom = 0.0, 0
    for trial in trials:
        scores = [goal.score(one) for one in trial.measurements]
        if len(scores) > 1:
            centre = mean(scores)
            squares += sum((one - centre) ** 2 for one in scores)
            freedom += len(scores) - 1
    if freedom:
        return math.sqrt(squares / freedom)
    scores = [abs(goal.score(one)) for trial in trials for one in trial.measurements]
    return _FIRST_NOISE * (max(scores) if scores else 0.0)


def best(trials: Sequence[Trial], goal: Goal) -> Trial | None:
    """The trial that was measured to the end, keeps every limit, and scores most; ties by the lower number."""
    able = [one for one in trials if one.state == DONE and one.role != "verify" and one.keeps_limits(goal)]
    return max(able, key=lambda one: (one.score(goal), -one.number)) if able else None


def settle(trial: Trial, trials: Sequence[Trial], goal: Goal, repeats: int) -> None:
    """What becomes of a trial after one more measurement."""
    if trial.role in ("search", "simple"):
        leader, spread = best(trials, goal), noise(trials, goal)
        if trial.excess(goal) > 0.2:
            trial.state = PRUNED
            trial.problem = f"exceeds a limit by {trial.excess(goal):.0%}"
            return
        if leader is not None:
            error = spread * math.sqrt(1 / len(trial.measurements) + 1 / len(leader.measurements))
            if trial.score(goal) < leader.score(goal) - BEHIND * error:
                trial.state = PRUNED
                trial.problem = "falls behind the best by more than noise"
                return
    if len(trial.measurements) >= repeats:
        trial.state = DONE
