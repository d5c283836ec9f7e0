# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capacity from levels of load: against a curve that is known, and against a queue that is simulated."""

from __future__ import annotations

import heapq
import math
import random

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.capacity_fit import (
    Level,
    estimate_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.facts import (
    measured_here,
    with_measured_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.place import free_place
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.rate_search import next_rate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import (
    Sample,
    Slo,
    is_good,
    quantile_of,
    read_slo,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.release import release_digest


def levels_of(centre: float, slope: float, source: random.Random) -> list[Level]:
    found = []
    for rate in (4.0, 6.0, 8.0, 9.0, 10.0, 11.0, 12.0, 9.5, 10.5, 10.0):
        chance = 1 / (1 + math.exp(slope * (math.log(rate) - math.log(centre))))
        found.append(Level(rate, 200, sum(source.random() < chance for _request in range(200))))
    return found


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """P(good | r) logistic in ln r with m = ln 11 and s = 20: the rate at 0.95 is 11·exp(-logit(0.95)/20)."""
    truth = 11 * math.exp(-math.log(0.95 / 0.05) / 20)
    source, held, errors = random.Random(11), 0, []
    for _trial in range(20):
        found = estimate_capacity(levels_of(11, 20, source), 0.95)
        assert found is not None
        errors.append(found.rate / truth - 1)
        held += found.low <= truth <= found.high
    assert abs(sum(errors) / len(errors)) < 0.02
    assert held >= 16  # 19 of 20 are wanted; ten levels say little of their own spread


def test_what_was_not_enclosed_is_not_estimated() -> None:
    good, bad = Level(5, 100, 100), Level(20, 100, 10)
    assert estimate_capacity([good], 0.95) is None
    assert estimate_capacity([bad], 0.95) is None
    found = estimate_capacity([good, bad], 0.95)
    assert found is not None
    assert 5 < found.rate < 20
    assert estimate_capacity([good, bad], 0.95) == found


def served(rate: float, seconds: float, seed: int, servers: int, service: float) -> list[tuple[float, float]]:
    """Arrivals and times in system of a Poisson stream at servers that each take ``service`` seconds (M/D/c)."""
    source, moment, free = random.Random(seed), 0.0, [0.0] * servers
    found: list[tuple[float, float]] = []
    while True:
        moment += source.expovariate(rate)
        if moment >= seconds:
            return found
        start = max(moment, heapq.heappop(free))
        heapq.heappush(free, start + service)
        found.append((moment, start + service - moment))


@pytest.mark.parametrize(("servers", "service", "seconds"), [(1, 0.2, 200), (4, 0.5, 60)])
def test_the_search_finds_the_capacity_of_a_queue(servers: int, service: float, seconds: int) -> None:
    """From three seeds within 10 %, and near the rate at which a long run keeps the SLO."""
    slo, rates, limit = Slo(latency_seconds=4 * service), [], 4 * service
    for seed in (1, 2, 3):
        levels: list[Level] = []
        while len(levels) < 14:
            rate = next_rate(levels, slo.quantile, lone_seconds=service, most=100)
            sent, settled = served(rate, seconds, 100 * seed + len(levels), servers, service), 0.3 * seconds
            times = [one for moment, one in sent if moment > settled]
            levels.append(Level(len(times) / (seconds - settled), len(times), sum(one <= limit for one in times)))
        found = estimate_capacity(levels, slo.quantile, seed=seed)
        assert found is not None
        rates.append(found.rate)
    assert (max(rates) - min(rates)) / (sum(rates) / 3) < 0.10
    low, high = 0.5 * servers / service, servers / service
    for _halving in range(8):
        middle = (low + high) / 2
        times = [one for _moment, one in served(middle, 4000, 9, servers, service)]
        low, high = (middle, high) if sum(one <= limit for one in times) >= 0.95 * len(times) else (low, middle)
    assert sum(rates) / 3 == pytest.approx(low, rel=0.10)


def test_the_search_doubles_closes_in_and_stays_within_its_limit() -> None:
    assert next_rate([], 0.95, lone_seconds=0.5, most=100) == pytest.approx(0.8)
    assert next_rate([Level(1, 50, 50)], 0.95, lone_seconds=0.5, most=100) == 2
    assert next_rate([Level(60, 50, 50)], 0.95, lone_seconds=0.5, most=100) == 100
    assert next_rate([Level(8, 50, 5)], 0.95, lone_seconds=0.5, most=100) == 4
    closing = next_rate([Level(4, 50, 50), Level(8, 50, 5)], 0.95, lone_seconds=0.5, most=100)
    assert closing == pytest.approx(math.sqrt(32))


@pytest.mark.parametrize(
    ("sample", "good"),
    [
        (Sample(200, True, 0.9, 4.0, 31), True),
        (Sample(200, True, 1.1, 4.0, 31), False),
        (Sample(200, True, 0.9, 5.1, 41), False),
        (Sample(200, True, 0.9, 4.0, 21), False),
        (Sample(200, False, 0.9, 4.0, 31), False),
        (Sample(503, True, 0.9, 4.0, 31), False),
        (Sample(0, False), False),
    ],
)
def test_a_good_answer_is_whole_and_within_every_limit(sample: Sample, good: bool) -> None:
    slo = read_slo({"ttft_seconds": 1.0, "latency_seconds": 5.0, "inter_token_seconds": 0.12, "quantile": 0.9})
    assert is_good(sample, slo) is good


def test_quantiles_are_those_of_what_was_seen() -> None:
    assert quantile_of([], 0.95) == 0
    assert quantile_of([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile_of(list(range(1, 101)), 0.95) == 95


@pytest.mark.parametrize(
    ("slo", "says"),
    [
        ({}, "the model has no SLO"),
        ({"quantile": 0.9}, "the model has no SLO"),
        ({"ttft_seconds": 0}, "ttft_seconds must be at least"),
        ({"ttft_seconds": 1, "quantile": 1.0}, "quantile must be between"),
    ],
)
def test_an_slo_that_cannot_be_held_against_is_refused(slo: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_slo(slo)


ENTRY = {
    "engine": "vllm",
    "version": "1",
    "slo": {"ttft_seconds": 1.5},
    "capacity": {"l4-24gb": {"requests_per_second": 9}},
}


def state(rate: float, seconds: float = 0.5, **change: object) -> dict[str, object]:
    record = {
        **{"accelerator_type": "h100-80gb", "digest": release_digest(ENTRY), "requests_per_second": rate},
        **{"service_time_seconds": seconds, "slo": {"ttft_seconds": 1.5, "quantile": 0.95}},
        **change,
    }
    return {"capacity": {"chat": record}}


def test_the_lowest_host_of_a_type_counts_beside_what_the_catalogue_says() -> None:
    found = with_measured_capacity({"chat": ENTRY}, [state(6.0), state(5.0, 0.7), {}, None])
    assert found["chat"]["capacity"] == {
        "l4-24gb": {"requests_per_second": 9},
        "h100-80gb": {"requests_per_second": 5.0, "service_time_seconds": 0.7},
    }


@pytest.mark.parametrize("change", [{"digest": "sha256:0"}, {"slo": {"ttft_seconds": 2.0, "quantile": 0.95}}])
def test_what_was_measured_of_another_release_or_slo_does_not_count(change: dict[str, object]) -> None:
    assert with_measured_capacity({"chat": ENTRY}, [state(6.0, **change)])["chat"] == ENTRY
    assert measured_here(state(6.0, **change), "chat", ENTRY) is None
    assert measured_here(state(6.0), "chat", ENTRY) is not None


def test_a_free_place_is_beside_what_runs() -> None:
    hosts = [{"name": "a", "accelerator_type": "h100-80gb", "accelerator_count": 2, "accelerator_memory_gib": 80}]
    models = {"chat": {"resources": {"accelerators": 1, "accelerator_memory_gib": 20}}}
    running = [{"host": "a", "model": "chat", "slot": 0, "accelerators": [0]}]
    place = free_place("chat", "a", models, hosts, running)
    assert (place["slot"], place["accelerators"], place["port"]) == (1, [1], 8101)
    with pytest.raises(InputError, match="no room for one more replica of chat"):
        free_place(
            "chat", "a", models, hosts, [*running, {"host": "a", "model": "chat", "slot": 1, "accelerators": [1]}]
        )
    with pytest.raises(InputError, match="no model 'code'"):
        free_place("code", "a", models, hosts, [])
    with pytest.raises(InputError, match="not in the fleet"):
        free_place("chat", "b", models, hosts, [])
