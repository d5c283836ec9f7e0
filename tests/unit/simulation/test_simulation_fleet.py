"""Replicas that start, drain and fail; and the fluid against the requests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import (
    Course,
    Failure,
    Look,
    run_policy,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fluid import Flow, FluidStation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Requests, Station

ENGINE = Profile(
    tuple(0.03 + 0.0005 * batch for batch in range(32)),
    prefill_base_seconds=0.01,
    prefill_seconds_per_token=0.0001,
    startup_seconds=60.0,
    accelerators=2.0,
)


class Timetable:
    """Wants what is written down for the moment."""

    name = "timetable"
    interval_seconds = 10.0

    def __init__(self, table: Mapping[float, int]) -> None:
        self.table = table
        self.looks: list[Look] = []

    def wanted(self, look: Look) -> Mapping[str, int]:
        self.looks.append(look)
        return {"m": [count for moment, count in sorted(self.table.items()) if moment <= look.moment][-1]}


def requests(*arrivals: float, tokens: float = 1001.0) -> Requests:
    size = len(arrivals)
    return Requests(np.array(arrivals), np.full(size, 0.0), np.full(size, tokens))


def slow(**more: float) -> Profile:
    """Decodes a token in 10 ms whatever the batch: 1001 tokens take 10 s."""
    return Profile((0.01,) * 4, **more)


def test_a_start_costs_before_it_serves() -> None:
    station = Station(slow(startup_seconds=60.0), requests(5.0))
    run_policy({"m": station}, Timetable({0: 1}), Course(0.0, 100.0))
    assert station.first_token[0] == pytest.approx(60.0)
    assert station.finish[0] == pytest.approx(70.0)
    assert station.counts.accelerator_seconds == pytest.approx(100.0)
    assert (station.counts.starts, station.counts.stops) == (1, 0)


def test_a_drain_finishes_what_it_holds_and_costs_until_then() -> None:
    station = Station(slow(), requests(5.0, 12.0), ready=1)
    run_policy({"m": station}, Timetable({0: 1, 10: 0}), Course(0.0, 100.0))
    assert station.finish == [pytest.approx(15.0), float("inf")]
    assert station.counts.accelerator_seconds == pytest.approx(15.0)
    assert station.queued == 1


def test_what_starts_is_stopped_before_what_serves() -> None:
    station = Station(slow(startup_seconds=60.0), requests(5.0), ready=1)
    run_policy({"m": station}, Timetable({0: 2, 20: 1}), Course(0.0, 100.0))
    assert station.ready == 1
    assert station.counts.accelerator_seconds == pytest.approx(120.0)


def test_a_failure_loses_what_the_replica_held_and_nothing_else() -> None:
    station = Station(slow(), requests(1.0, 1.0, 1.0, 30.0), ready=2)
    run_policy({"m": station}, Timetable({0: 2}), Course(0.0, 100.0, failures=[Failure(5.0, "m")]))
    assert np.isfinite(station.finish).sum() == 2
    assert station.finish[3] == pytest.approx(40.0)
    assert station.counts.failures == 1
    assert station.counts.starts == 1  # the timetable still wants two


def test_who_waits_too_long_leaves() -> None:
    one_place = Profile((0.01,))
    station = Station(one_place, requests(0.0, 1.0, 2.0), patience_seconds=15.0, ready=1)
    station.run_until(100.0)
    assert station.finish == [pytest.approx(10.0), pytest.approx(20.0), float("inf")]


def test_the_cache_bounds_the_batch() -> None:
    station = Station(Profile((0.01,) * 4, kv_tokens=2002.0), requests(0.0, 0.0, 0.0), ready=1)
    station.run_until(100.0)
    assert station.finish == [pytest.approx(10.0), pytest.approx(10.0), pytest.approx(20.0)]


def test_prefill_goes_first_and_holds_up_decoding() -> None:
    profile = Profile((0.01,) * 4, prefill_seconds_per_token=0.001)
    both = Requests(np.array([0.0, 5.0]), np.array([1000.0, 2000.0]), np.array([1001.0, 1001.0]))
    station = Station(profile, both, ready=1)
    station.run_until(100.0)
    assert station.first_token == [pytest.approx(1.0), pytest.approx(7.0)]
    assert station.finish == [pytest.approx(13.0), pytest.approx(17.0)]


def test_stock_limits_what_is_started() -> None:
    station = Station(slow(accelerators=2.0), requests(5.0), ready=1)
    run_policy({"m": station}, Timetable({0: 9}), Course(0.0, 100.0, accelerators=7.0))
    assert station.ready == 3


def test_a_policy_sees_what_was_measured() -> None:
    station = Station(slow(startup_seconds=60.0), requests(1.0, 2.0, 65.0))
    policy = Timetable({0: 1})
    run_policy({"m": station}, policy, Course(0.0, 130.0, before={"m": [7.0]}))
    last = policy.looks[-1].models["m"]
    assert last.requests_per_second == pytest.approx([7.0, 2 / 60, 1 / 60])
    assert policy.looks[3].models["m"].queued == 2
    assert policy.looks[3].models["m"].starting == 1


@pytest.mark.parametrize("peak", [0.5, 0.85])
def test_the_fluid_agrees_with_the_requests_over_hours_with_a_peak(peak: float) -> None:
    """Mean response within 5 % and accelerator-seconds within 1 %, with replicas that come and go."""
    step, steps, tokens = 60.0, 240, (800.0, 120.0)
    capacity = ENGINE.requests_per_second(*tokens)
    shape = 0.55 - 0.45 * np.cos(2 * np.pi * np.arange(steps) / steps)
    rates = peak * 3 * capacity * shape
    table = {0.0: 2, 3600.0: 3, 10800.0: 2}
    fluid = FluidStation(ENGINE, Flow(0.0, step, rates, *tokens), ready=2)
    run_policy({"m": fluid}, Timetable(table), Course(0.0, step * steps))
    random = np.random.default_rng(1)
    counts = random.poisson(rates * step)
    arrival = np.sort(np.concatenate([step * (index + random.random(count)) for index, count in enumerate(counts)]))
    outputs = 1.0 + random.exponential(tokens[1] - 1.0, len(arrival))
    station = Station(ENGINE, Requests(arrival, np.full(len(arrival), tokens[0]), outputs), ready=2)
    run_policy({"m": station}, Timetable(table), Course(0.0, step * steps))
    done = np.isfinite(station.finish)
    simulated = float((np.array(station.finish)[done] - arrival[done]).mean())
    flowed = float(np.average(fluid.stay, weights=fluid.served))
    assert flowed == pytest.approx(simulated, rel=0.05)
    assert fluid.counts.accelerator_seconds == pytest.approx(station.counts.accelerator_seconds, rel=0.01)


def test_the_fluid_backlog_grows_and_drains() -> None:
    profile = Profile((1.0,))
    rates = np.array([2.0] * 10 + [0.0] * 20)
    station = FluidStation(profile, Flow(0.0, 60.0, rates, 0.0, 2.0), ready=1)
    station.run_until(600.0)
    assert station.held == pytest.approx(600.0, rel=0.01)
    station.run_until(1800.0)
    assert station.held < 5.0
