# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The policies on an operator's own demand: what each would have served, and what it would have taken.

The last ``days`` of the history are replayed; what lies before is what a policy knows at
the start, and what the static fleets are sized on. A replica is the constant rate that the
catalogue gives its model on the accelerator type. A gap in the history is filled by a straight line.

Request by request, arrivals are Poisson within a step and lengths exponential around the
service time, drawn anew for each seed. As a fluid there is one run and no single request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Model
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import (
    Course,
    Failure,
    ScalingPolicy,
    run_policy,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fluid import Flow, FluidStation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.measures import (
    Goals,
    measure,
    measure_fluid,
    over_seeds,
    steps_at,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_forecast import Ours, Planner
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_plain import (
    Hindsight,
    Person,
    Static,
    replicas_for,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_reactive import Hpa, Keda, Kpa
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile_sources import from_catalogue
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.question import (
    FIDELITIES,
    PATIENCE,
    POLICIES,
    STOCK,
    Question,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.rhythm import rhythm
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Requests, Station

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
DAY_SECONDS = 86_400.0
SAMPLE_SECONDS = 60.0
OUTPUT_TOKENS = 2.0  # one token of work: its step time is the service time
MOST_REQUESTS = 2_000_000  # request by request, over all seeds and policies; beyond it auto takes the fluid
PEAK_LEVEL = 0.99


@dataclass(frozen=True, eq=False)
class Case:
    """One model: its profile, its demand before and in the time that is replayed, requests/s a step."""

    profile: Profile
    rate: float
    service_seconds: float
    before: Array
    replayed: Array


@dataclass(frozen=True, eq=False)
class Replay:
    """All models on one grid, and what had to be done to their history."""

    cases: Mapping[str, Case]
    start: float
    step_seconds: float
    warnings: Sequence[str]

    @property
    def seconds(self) -> float:
        return len(next(iter(self.cases.values())).replayed) * self.step_seconds


def prepare(series: Sequence[Series], models: Sequence[Model], question: Question) -> Replay:
    """The cases of all models that have a history.

    Raises:
        InputError: no model has one, their steps or ends differ, or nothing lies before what is replayed.
    """
    known = {one.name: one for one in models}
    chosen = [one for one in sorted(series, key=lambda one: one.name) if one.name in known]
    if not chosen:
        raise InputError("no series of the history is a model of the catalogue", remedy="Name the series as the models")
    if len({(one.step_seconds, one.end) for one in chosen}) > 1:
        raise InputError("the series end at different moments or differ in step", remedy="Give step_seconds, and until")
    step = float(chosen[0].step_seconds)
    steps = round(question.days * DAY_SECONDS / step)
    warnings, cases = [], {}
    for one in chosen:
        present = np.flatnonzero(one.present)
        if len(one) <= steps or not len(present):
            raise InputError(
                f"its history of {len(one)} steps leaves nothing before the {steps} that are replayed",
                where=f"series {one.name}",
                remedy="Replay fewer days, or give a longer history",
            )
        if len(present) < len(one):
            warnings.append(
                f"{one.name}: {len(one) - len(present)} steps without a value are filled by a straight line"
            )
        values = np.interp(np.arange(len(one)), present, one.values[present]) * question.demand_factor
        cases[one.name] = _case(known[one.name], values, steps, question)
    absent = sorted(set(known) - set(cases))
    if absent:
        warnings.append(f"There is no history of {', '.join(absent)}: not simulated")
    return Replay(cases, chosen[0].end - (steps - 1) * step, step, warnings)


def _case(model: Model, values: Array, steps: int, question: Question) -> Case:
    profile = from_catalogue(model, question.accelerator_type, output_tokens=OUTPUT_TOKENS)
    profile = replace(profile, startup_seconds=profile.startup_seconds * question.startup_factor)
    capacity = model.capacity[question.accelerator_type]
    service = profile.step_seconds[0]
    return Case(profile, capacity.requests_per_second, service, values[:-steps], values[-steps:])


def compare(replay: Replay, question: Question) -> dict[str, Any]:
    """The figures of every policy asked for: by policy, each with its mean and the half width of its interval."""
    unknown = sorted(set(question.policies) - set(POLICIES))
    if unknown or question.fidelity not in FIDELITIES:
        raise InputError(
            f"there is no policy {', '.join(unknown)}" if unknown else f"there is no fidelity {question.fidelity!r}",
            remedy=f"Policies: {', '.join(POLICIES)}; fidelities: {', '.join(FIDELITIES)}",
        )
    expected = sum(float(case.replayed.sum()) for case in replay.cases.values()) * replay.step_seconds
    single = question.fidelity == "requests" or (
        question.fidelity == "auto" and expected * question.seeds * len(question.policies) <= MOST_REQUESTS
    )
    deadline = question.deadline_seconds or PATIENCE * max(case.service_seconds for case in replay.cases.values())
    goals = Goals(0.0, replay.seconds, deadline, math.inf, deadline, min(600.0, replay.seconds / 10.0))
    found, courses = {}, {}
    for name in question.policies:
        runs = [
            _run(replay, question, goals, seed if single else None, make(name, replay, question))
            for seed in range(question.seeds if single else 1)
        ]
        found[name] = over_seeds([figures for figures, _course in runs])
        courses[name] = runs[0][1]
    return {
        "policies": found,
        "capacity": courses,
        "demand": sum(case.replayed for case in replay.cases.values()).tolist(),
        "start": format_moment(replay.start),
        "step_seconds": replay.step_seconds,
        "fidelity": "requests" if single else "fluid",
        "deadline_seconds": deadline,
        "accelerators": _stock(replay, question),
        "requests": expected,
        "rhythm": rhythm(
            sum(case.before / case.rate for case in replay.cases.values()),
            sum(case.replayed / case.rate for case in replay.cases.values()),
            replay.step_seconds,
        ),
        "warnings": list(replay.warnings),
    }


def make(name: str, replay: Replay, question: Question) -> ScalingPolicy:
    """A policy with its usual settings; the rate of a replica is the catalogue's for all of them."""
    cases = replay.cases
    rates = {model: case.rate for model, case in cases.items()}
    places = {model: case.profile.max_batch for model, case in cases.items()}
    if name == "static_peak":
        return Static(peak_replicas(replay))
    if name == "static_mean":
        return Static(
            {model: replicas_for(float(case.before.mean()), rates[model], 1) for model, case in cases.items()}
        )
    if name == "foresight":
        return Hindsight({model: case.replayed for model, case in cases.items()}, 0.0, replay.step_seconds, rates)
    if name == "person":
        return _AtClock(Person(rates), replay.start % DAY_SECONDS)
    if name == "hpa":
        return Hpa(places)
    if name == "keda":
        return Keda()
    if name == "kpa":
        return Kpa(places)
    if name == "planner":
        return Planner(rates)
    return Ours(
        rates,
        max(case.service_seconds for case in cases.values()),
        quantile=question.quantile,
        interval_seconds=question.interval_seconds,
        grid_seconds=int(max(replay.step_seconds, SAMPLE_SECONDS)),
        epoch=replay.start,
    )


def peak_replicas(replay: Replay) -> dict[str, int]:
    """By model, the replicas that carry the 99 % quantile of the demand before."""
    return {
        name: replicas_for(float(np.quantile(case.before, PEAK_LEVEL)), case.rate, 1)
        for name, case in replay.cases.items()
    }


def _stock(replay: Replay, question: Question) -> float:
    if question.accelerators is not None:
        return question.accelerators
    peak = peak_replicas(replay)
    return STOCK * sum(count * replay.cases[name].profile.accelerators for name, count in peak.items())


def _failures(replay: Replay, question: Question) -> list[Failure]:
    """In the middle of the busiest step of all models together."""
    busiest = int(np.argmax(sum(case.replayed / case.rate for case in replay.cases.values())))
    moment = (busiest + 0.5) * replay.step_seconds
    return [Failure(moment, name, question.lost_share) for name in sorted(replay.cases) if question.lost_share > 0]


class _AtClock:
    """A policy that goes by the time of day, told it."""

    def __init__(self, inner: Person, seconds: float) -> None:
        self.name, self.interval_seconds = inner.name, inner.interval_seconds
        self._inner, self._seconds = inner, seconds

    def wanted(self, look: Any) -> Mapping[str, int]:
        return self._inner.wanted(replace(look, moment=look.moment + self._seconds))


def _run(
    replay: Replay, question: Question, goals: Goals, seed: int | None, policy: ScalingPolicy
) -> tuple[dict[str, float], list[float]]:
    """The figures, and the capacity of what was ready at the beginning of each step, requests/s."""
    sample = min(SAMPLE_SECONDS, replay.step_seconds)
    repeat = max(1, round(replay.step_seconds / sample))
    before = {name: np.repeat(case.before, repeat) for name, case in replay.cases.items()}
    course = Course(0.0, replay.seconds, sample, _stock(replay, question), _failures(replay, question), before)
    rates = {name: case.rate for name, case in replay.cases.items()}
    ready = {name: replicas_for(float(case.before[-1]), case.rate, 1) for name, case in replay.cases.items()}
    stations: dict[str, Any] = {}
    for number, (name, case) in enumerate(sorted(replay.cases.items())):
        if seed is None:
            flow = Flow(0.0, replay.step_seconds, case.replayed, 0.0, OUTPUT_TOKENS)
            stations[name] = FluidStation(case.profile, flow, ready=ready[name])
        else:
            requests = _requests(case, replay.step_seconds, seed, number)
            stations[name] = Station(case.profile, requests, ready=ready[name])
    run_policy(stations, policy, course)
    figures = (measure_fluid if seed is None else measure)(stations, goals, rates, sample)
    moments = np.arange(0.0, replay.seconds, replay.step_seconds)
    capacity = sum(steps_at(station.counts.ready, moments) * rates[name] for name, station in stations.items())
    return figures, [float(one) for one in capacity]


def _requests(case: Case, step: float, seed: int, number: int) -> Requests:
    random = np.random.default_rng([seed, number])
    counts = random.poisson(case.replayed * step)
    starts = np.repeat(step * np.arange(len(counts)), counts)
    arrival = np.sort(starts + step * random.random(len(starts)))
    return Requests(arrival, np.zeros(len(arrival)), 1.0 + random.exponential(OUTPUT_TOKENS - 1.0, len(arrival)))
