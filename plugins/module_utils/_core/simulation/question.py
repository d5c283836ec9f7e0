# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What can be asked of a comparison of policies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number

POLICIES = ("modelops", "static_peak", "static_mean", "person", "hpa", "keda", "kpa", "planner", "foresight")
FIDELITIES = ("auto", "requests", "fluid")
STOCK = 2.0
PATIENCE = 7.0  # exp(-7): of exponential service times one in a thousand is longer


@dataclass(frozen=True)
class Question:
    """What is asked.

    ``accelerator_type``: what every replica runs on. ``deadline_seconds``: a request should be answered by
    then; None takes :data:`PATIENCE` times the service time of the slowest model. ``demand_factor`` and
    ``startup_factor``: what if. ``lost_share``: of the replicas that are ready, this share dies at the busiest
    moment. ``accelerators``: the stock; None takes :data:`STOCK` times what a fixed fleet for the peak takes,
    since no autoscaler can start what is not there.
    """

    accelerator_type: str
    days: float = 2.0
    policies: Sequence[str] = POLICIES
    fidelity: str = "auto"
    seeds: int = 5
    deadline_seconds: float | None = None
    demand_factor: float = 1.0
    startup_factor: float = 1.0
    accelerators: float | None = None
    lost_share: float = 0.0
    interval_seconds: float = 300.0
    quantile: float = 0.95


def question_of(params: Mapping[str, Any]) -> Question:
    """What the options of ``fleet_simulation`` ask.

    Raises:
        InputError: the first option that is out of range.
    """

    def number(name: str, least: float, most: float = math.inf) -> float:
        return expect_number(params[name], what=name, minimum=least, maximum=most)

    given = {name: params[name] for name in ("deadline_seconds", "accelerators") if params.get(name) is not None}
    return Question(
        accelerator_type=params["accelerator_type"],
        days=number("days", 0.1, 60),
        policies=list(dict.fromkeys(params["policies"])),
        fidelity=params["fidelity"],
        seeds=int(number("seeds", 1, 100)),
        demand_factor=number("demand_factor", 1e-3, 1e3),
        startup_factor=number("startup_factor", 0, 1e3),
        lost_share=number("lost_share", 0, 1),
        **{name: expect_number(value, what=name, minimum=1e-3) for name, value in given.items()},
    )
