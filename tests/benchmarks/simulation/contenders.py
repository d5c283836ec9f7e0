# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies, and which of their settings are tried.

Each is tuned with the same number of evaluations, :data:`EVALUATIONS`: six settings spread over what is sensible,
then two more, half way between the settings that keep the SLO at least cost and the next thriftier that
do not. ``share`` is the part of a replica's full rate that a policy counts on. What is not named keeps its default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sageserve import SageServe
from traffic_world import GRID, WAVES, World

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_forecast import Ours, Planner
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_plain import (
    Hindsight,
    Person,
    Static,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_reactive import (
    Hpa,
    Keda,
    Kpa,
)

EPOCH = 1_767_571_200.0  # the first sample, a Monday
EVALUATIONS = 8
Maker = Callable[[World, int, Mapping[str, Any]], Any]


def rates(world: World, share: float) -> dict[str, float]:
    return {name: share * full for name, full in world.full.items()}


def places(world: World) -> dict[str, int]:
    return {name: profile.max_batch for name, profile in world.profiles.items()}


def static(world: World, seed: int, s: Mapping[str, Any]) -> Static:
    """One number for each model, from its busiest hours; with one replica less of the model ``fewer``."""
    busy = {name: np.percentile(values[: 7 * 144], 99) for name, values in world.demand.items()}
    found = {name: math.ceil(rate / (s["share"] * world.full[name])) for name, rate in busy.items()}
    return Static({name: max(1, count - (name == s.get("fewer"))) for name, count in found.items()})


def foresight(world: World, seed: int, s: Mapping[str, Any]) -> Hindsight:
    return Hindsight(world.demand, 0.0, GRID, rates(world, s["share"]))


def person(world: World, seed: int, s: Mapping[str, Any]) -> Person:
    return Person(rates(world, s["share"]), high=s["high"])


def hpa(world: World, seed: int, s: Mapping[str, Any]) -> Hpa:
    return Hpa(places(world), target=s["target"], least=s["least"])


def keda(world: World, seed: int, s: Mapping[str, Any]) -> Keda:
    return Keda(threshold=s["threshold"], least=s["least"])


def kpa(world: World, seed: int, s: Mapping[str, Any]) -> Kpa:
    return Kpa(places(world), target=s["target"], least=s["least"])


def planner(world: World, seed: int, s: Mapping[str, Any]) -> Planner:
    return Planner(rates(world, s["share"]), least=s["least"])


def sageserve(world: World, seed: int, s: Mapping[str, Any]) -> SageServe:
    return SageServe(rates(world, s["share"]), memory=world.hourly[seed])


def ours(world: World, seed: int, s: Mapping[str, Any]) -> Ours:
    more = {key: value for key, value in s.items() if key.startswith(("use_", "hold_"))}
    return Ours(
        rates(world, s["share"]),
        service_seconds=60.0,
        quantile=s["quantile"],
        forecast_seconds=float(GRID),  # with every new sample of the history, as the playbook does
        epoch=EPOCH,
        memory=world.memory[seed],
        **more,
    )


Grid = list[dict[str, Any]]


def grid(name: str, values: tuple[Any, ...], second: str = "", others: tuple[Any, ...] = (None,)) -> Grid:
    """Settings from generous to thrifty in ``name``, for each value of ``second``."""
    return [{name: value, **({second: other} if second else {})} for other in others for value in values]


FIRST_TWO = tuple(WAVES.models)  # of which a fixed fleet may have one replica less than its busiest hours ask for
# Policy: how it is made, the knob that goes from generous to thrifty, and the six settings tried first.
CONTENDERS: dict[str, tuple[Maker, str, Grid]] = {
    "best static": (static, "share", grid("share", (0.8, 0.9), "fewer", ("none", *FIRST_TWO))),
    "perfect foresight": (foresight, "share", grid("share", (0.5, 0.6, 0.7, 0.8, 0.9, 1.0))),
    "modelops": (ours, "share", grid("share", (0.6, 0.75, 0.9), "quantile", (0.5, 0.9))),
    "Dynamo-like planner": (planner, "share", grid("share", (0.6, 0.75, 0.9), "least", (1, 2))),
    "a person": (person, "share", grid("share", (0.4, 0.6, 0.8), "high", (0.6, 0.8))),
    "HPA on utilisation": (hpa, "target", grid("target", (0.1, 0.2, 0.4), "least", (1, 2))),
    "KPA on concurrency": (kpa, "target", grid("target", (0.1, 0.2, 0.4), "least", (1, 2))),
    "KEDA on queue length": (keda, "threshold", grid("threshold", (0.5, 1.0, 5.0), "least", (2, 4))),
    "SageServe-like": (sageserve, "share", grid("share", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9))),
}
LIMIT = "perfect foresight"
# At these shares, with what else the search found, ours and the limit are judged too.
FRONTIER = {"modelops": (0.4, 0.5, 0.6, 0.7, 0.8), LIMIT: (0.6, 0.7, 0.8)}
# What is published as default or usual; a share of 1 counts on the full rate.
PUBLISHED: dict[str, dict[str, Any]] = {
    "best static": {"share": 1.0},
    "Dynamo-like planner": {"share": 1.0, "least": 1},
    "HPA on utilisation": {"target": 0.7, "least": 1},
    "KPA on concurrency": {"target": 0.7, "least": 1},
    "a person": {"share": 1.0, "high": 0.8},
    "KEDA on queue length": {"threshold": 5.0, "least": 1},
    "SageServe-like": {"share": 1.0},
}
