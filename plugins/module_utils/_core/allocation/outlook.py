# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the plan expects of later periods, for people: nothing is done by it.

The next plan decides anew; the outlook says what this one reckoned with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.classes import HostClass
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
NEGLIGIBLE_RATE = 1e-6


def class_labels(classes: Sequence[HostClass]) -> list[str]:
    """A name for each class: its accelerator type, and what tells it from others of that type."""
    types = Counter(one.example.accelerator_type for one in classes)
    labels = []
    for one in classes:
        kind = one.example.accelerator_type
        labels.append(kind if types[kind] == 1 else f"{kind} like {one.example.name}")
    return labels


def outlook_record(
    problem: Problem,
    path: Array,
    demands: Sequence[Mapping[str, ModelDemand]],
    period_seconds: float,
    free: Sequence[Mapping[str, int]],
) -> dict[str, Any] | None:
    """The later periods of ``path``, replicas of shape (T, P); None for a plan of one period.

    Args:
        problem: the arrays of the plan.
        path: what serves.
        demands: what was planned for in each period.
        period_seconds: how long a period is.
        free: accelerators serving leaves free in each later period, by host where that changes.
    """
    if len(path) < 2:
        return None
    labels = class_labels(problem.classes)
    return {
        "period_seconds": period_seconds,
        "periods": [
            {**_period(problem, labels, t, path, demands, period_seconds), "free_accelerators": dict(free[t - 1])}
            for t in range(1, len(path))
        ],
    }


def _period(
    problem: Problem,
    labels: Sequence[str],
    t: int,
    path: Array,
    demands: Sequence[Mapping[str, ModelDemand]],
    period_seconds: float,
) -> dict[str, Any]:
    worth = value(problem, path[t], wanted=problem.periods[t], before=path[t - 1])
    change = path[t] - path[t - 1]
    replicas: dict[str, dict[str, int]] = {model.name: {} for model in problem.models}
    for pair in np.flatnonzero(path[t] > 0).tolist():
        name = problem.models[problem.pair_model[pair]].name
        replicas[name][labels[problem.pair_class[pair]]] = int(path[t][pair])
    return {
        "begins_after_seconds": t * period_seconds,
        "replicas": replicas,
        "starts": int(np.maximum(change, 0.0).sum()),
        "stops": int(np.maximum(-change, 0.0).sum()),
        "cost_per_hour": round(float(problem.cost @ path[t]) / problem.period_hours, 4),
        "shortages": {
            model.name: round(missing, 6)
            for model, missing in zip(problem.models, worth.missing_rate.tolist())
            if missing > NEGLIGIBLE_RATE
        },
        "reasons": _reasons(problem, t, path, demands),
    }


def _reasons(problem: Problem, t: int, path: Array, demands: Sequence[Mapping[str, ModelDemand]]) -> list[str]:
    """A line for each model whose replicas change."""
    count = len(problem.models)
    before, now = (np.bincount(problem.pair_model, weights=one, minlength=count) for one in (path[t - 1], path[t]))
    lines = []
    for m in np.flatnonzero(before != now).tolist():
        name = problem.models[m].name
        then, wanted = (demands[i][name].levels[-1][1] for i in (t - 1, t))
        if then == wanted:
            why = f"for the same {wanted:.4g} requests/s, as later periods or other models ask for it"
        else:
            why = f"as demand goes from {then:.4g} to {wanted:.4g} requests/s"
        lines.append(f"{name}: {int(before[m])} to {int(now[m])} replicas, {why}")
    return lines
