"""The simulation against queues with a known answer, and the two fidelities against each other."""

from __future__ import annotations

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import (
    Profile,
    departures_per_second,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.queueing import (
    birth_death,
    erlang_c,
    md1_wait_seconds,
    mmc_wait_seconds,
    mmc_waits_longer,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import (
    Requests,
    replay,
    response_seconds,
)

REQUESTS = 150_000


def poisson(rate: float, outputs: str, seed: int, count: int = REQUESTS) -> Requests:
    """Poisson arrivals whose decoding takes a mean of one token's step time: 1 + Exp(1) tokens, or 2."""
    random = np.random.default_rng(seed)
    arrival = np.cumsum(random.exponential(1.0 / rate, count))
    decoded = random.exponential(1.0, count) if outputs == "exponential" else np.ones(count)
    return Requests(arrival, np.zeros(count), 1.0 + decoded)


def test_erlang_c_matches_the_published_example() -> None:
    # Gross & Harris, 2.3: a = 2, c = 3 gives P(wait) = 4/9.
    assert float(erlang_c(2.0, 3)) == pytest.approx(4.0 / 9.0)
    assert float(mmc_wait_seconds(2.0, 1.0, 3)) == pytest.approx(4.0 / 9.0)
    assert float(mmc_wait_seconds(3.0, 1.0, 3)) == np.inf


@pytest.mark.parametrize(("servers", "batch"), [(1, 1), (1, 4), (4, 1), (3, 4)])
def test_a_step_that_does_not_depend_on_the_batch_is_an_mmc_queue(servers: int, batch: int) -> None:
    places = servers * batch
    rate = 0.7 * places
    station = replay(Profile((1.0,) * batch), poisson(rate, "exponential", seed=7), servers)
    expected = 1.0 + float(mmc_wait_seconds(rate, 1.0, places))
    assert response_seconds(station).mean() == pytest.approx(expected, rel=0.02)
    waited = response_seconds(station, station.first_token)
    longer = float(mmc_waits_longer(rate, 1.0, places, 0.5))
    assert (waited > 0.5).mean() == pytest.approx(longer, rel=0.05)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_constant_lengths_on_one_place_are_an_md1_queue(load: float) -> None:
    station = replay(Profile((1.0,)), poisson(load, "constant", seed=11), 1)
    assert response_seconds(station).mean() == pytest.approx(1.0 + float(md1_wait_seconds(load, 1.0)), rel=0.02)


def test_prefill_alone_is_an_md1_queue_too() -> None:
    requests = poisson(0.6, "constant", seed=3)
    only_prefill = Requests(requests.arrival, np.ones(len(requests)), np.ones(len(requests)))
    station = replay(Profile((1.0,) * 64, prefill_seconds_per_token=1.0), only_prefill, 1)
    expected = 1.0 + float(md1_wait_seconds(0.6, 1.0))
    assert response_seconds(station, station.first_token).mean() == pytest.approx(expected, rel=0.02)


def test_a_batch_that_slows_down_matches_its_birth_death_chain() -> None:
    profile = Profile(tuple(1.0 + 0.2 * batch for batch in range(8)))
    rate = 2.4
    station = replay(profile, poisson(rate, "exponential", seed=5), 1)
    mean = float(birth_death([rate], departures_per_second(profile, 1, 0.0, 2.0))[0])
    assert response_seconds(station).mean() == pytest.approx(mean / rate, rel=0.02)


def test_the_chain_of_equal_servers_is_erlangs() -> None:
    rates = np.array([1.0, 5.0, 11.0])
    chain = birth_death(rates, departures_per_second(Profile((1.0,) * 4), 3, 0.0, 2.0))
    assert chain == pytest.approx(rates * (1.0 + mmc_wait_seconds(rates, 1.0, 12)), rel=1e-9)


def test_a_processor_shared_by_all_has_the_response_of_processor_sharing() -> None:
    # Step time proportional to the batch: M/M/1-PS, mean response 1 / (1 - rho).
    station = replay(Profile(tuple(float(batch) for batch in range(1, 200))), poisson(0.7, "exponential", seed=2), 1)
    assert response_seconds(station).mean() == pytest.approx(1.0 / 0.3, rel=0.03)
