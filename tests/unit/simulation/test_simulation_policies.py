"""Each policy on demand whose answer can be worked out by hand, and profiles and measures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import parse_models
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.counting import surely_seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.fleet_run import (
    Course,
    Look,
    Seen,
    run_policy,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.measures import (
    Goals,
    measure,
    over_seeds,
    steps_at,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.policy_forecast import (
    Ours,
    Planner,
    one_step,
)
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
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.profile_sources import (
    constant_rate,
    from_catalogue,
    from_table,
    read_table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.station import Requests, Station

PROFILE = Profile((0.05,) * 10, startup_seconds=120.0)


def look(moment: float = 0.0, rates: Any = (), **state: int) -> Look:
    fields = {"queued": 0, "in_service": 0, "ready": 1, "starting": 0, **state}
    return Look(moment, 60.0, {"m": Seen(np.asarray(rates, dtype=float), profile=PROFILE, **fields)})


def test_hpa_follows_the_documented_formula() -> None:
    # kubernetes.io: current 2, metric 200 over a target of 100 doubles the replicas.
    assert Hpa({"m": 10}, target=0.5).wanted(look(in_service=20, ready=2))["m"] == 4
    assert Hpa({"m": 10}, target=0.5).wanted(look(in_service=10, ready=2))["m"] == 2
    # Within 10 % of the target nothing is done.
    assert Hpa({"m": 10}, target=0.5).wanted(look(in_service=16, ready=3))["m"] == 3
    # One that is not ready counts with 0: 20 of 4 x 10 places is the target, so it stays.
    assert Hpa({"m": 10}, target=0.5).wanted(look(in_service=20, ready=2, starting=2))["m"] == 4


def test_hpa_scales_in_to_the_largest_of_five_minutes() -> None:
    policy = Hpa({"m": 10}, target=0.5)
    assert policy.wanted(look(0.0, in_service=20, ready=4))["m"] == 4
    assert policy.wanted(look(299.0, in_service=5, ready=4))["m"] == 4
    assert policy.wanted(look(301.0, in_service=5, ready=4))["m"] == 1


def test_keda_counts_the_queue() -> None:
    assert Keda(threshold=5).wanted(look(queued=14))["m"] == 3
    assert Keda(threshold=5).wanted(look(queued=0))["m"] == 1
    # The controller adds at most four replicas a look while there are four or fewer.
    assert Keda(threshold=5).wanted(look(queued=500))["m"] == 5


def test_kpa_panics_and_then_only_grows() -> None:
    policy = Kpa({"m": 10}, target=0.7)
    assert policy.wanted(look(0.0, in_service=7))["m"] == 1
    assert policy.wanted(look(10.0, in_service=10, queued=11))["m"] == 3
    assert policy.wanted(look(20.0, in_service=2, ready=3))["m"] == 3
    assert policy.wanted(look(100.0, in_service=7, ready=3))["m"] == 1


def test_a_person_acts_late_and_sleeps() -> None:
    def changes(hour: float) -> list[tuple[float, int]]:
        person = Person({"m": 1.0}, margin=1.0)
        moments = [hour * 3600 + 60.0 * minute for minute in range(90)]
        wished = [(moment - hour * 3600, person.wanted(look(moment, [3.0] * 60))) for moment in moments]
        return [(moment, found["m"]) for moment, found in wished if found]

    assert changes(9)[0] == (1800.0, 3)
    assert changes(23) == []


def test_the_planner_goes_on_with_a_ramp_and_has_no_margin() -> None:
    assert one_step(np.arange(40.0)) == pytest.approx(40.0)
    assert one_step(np.array([5.0, 5.0])) == 5.0
    steady = Planner({"m": 2.0}).wanted(look(rates=[4.0] * 60))
    assert steady["m"] == 2


def test_hindsight_is_ready_when_demand_comes() -> None:
    future = np.array([1.0] * 10 + [3.0] * 10)
    policy = Hindsight({"m": future}, 0.0, 60.0, {"m": 1.0})
    assert policy.wanted(look(60.0))["m"] == 1
    assert policy.wanted(look(420.0))["m"] == 3


def test_ours_starts_before_a_peak_that_comes_every_day() -> None:
    """Eight days of 2 requests/s with 8 from 09:00 to 17:00; at 08:55 nothing is seen of the ninth day's peak."""
    minutes = np.arange(8 * 1440 + 535)
    hours = minutes % 1440 / 60
    history = np.where((hours >= 9) & (hours < 17), 8.0, 2.0)
    start = 8 * 86400.0 + 535 * 60.0
    seen = Look(start, 60.0, {"m": Seen(history, 0, 0, 2, 0, Profile((1.0,), startup_seconds=600.0))})
    assert Ours({"m": 1.0}, 1.0, interval_seconds=300.0).wanted(seen)["m"] >= 8
    blind = Ours({"m": 1.0}, 1.0, interval_seconds=300.0, use_forecast=False)
    assert blind.wanted(seen)["m"] == 3  # observed 2 x 1.2


def forecast_of(start: float, median: float, high: float) -> dict[str, Any]:
    paths = {"0.5": [median] * 6, "0.95": [high] * 6}
    entry = {"start": format_moment(start), "step_seconds": 600, "quantiles": paths, "usable": True}
    entry |= {"beats_seasonal_naive": True, "recent_maximum": median, "last_observed": median}
    return {"kind": "forecast", "window_steps": 1, "series": {"m": entry}}


def test_ours_holds_what_was_planned_for_and_not_a_higher_level() -> None:
    """A replica serves 3 requests/s. The median falls from 12 to 10, so 4 do; the level 0.95 from 15 to 14 needs 5."""
    wanted = {}
    for quantile in (0.5, 0.95):
        policy = Ours({"m": 3.0}, 1.0, quantile=quantile, forecast_seconds=300.0, use_guard=True)
        for moment, median, high in ((0.0, 12.0, 15.0), (300.0, 12.0, 15.0), (900.0, 12.0, 15.0), (1200.0, 10.0, 14.0)):
            policy.memory[moment] = forecast_of(moment, median, high)
            now = Look(moment, 60.0, {"m": Seen(np.full(5, median), 0, 0, 5, 0, PROFILE)})
            wanted[quantile] = policy.wanted(now)["m"]
    assert wanted == {0.5: 4, 0.95: 5}


def test_ours_guards_against_what_no_forecast_knows() -> None:
    history = np.full(3 * 1440, 2.0)
    history[-3:] = 9.0
    seen = Look(3 * 86400.0, 60.0, {"m": Seen(history, 0, 0, 2, 0, PROFILE)})
    assert Ours({"m": 1.0}, 1.0).wanted(seen)["m"] == math.ceil(surely_seen(9.0, 60.0) * 1.2)


def test_a_constant_rate_is_kept_exactly() -> None:
    profile = constant_rate(3.0, 2.1, output_tokens=101.0)
    assert profile.max_batch == 6
    assert profile.requests_per_second(50.0, 101.0) == pytest.approx(3.0)
    models = parse_models(
        {"m": {"engine": "command", "capacity": {"h100": {"requests_per_second": 3.0, "service_time_seconds": 2.1}}}}
    )
    assert from_catalogue(models[0], "h100", output_tokens=101.0).step_seconds == profile.step_seconds
    with pytest.raises(InputError, match="no capacity of it on a100"):
        from_catalogue(models[0], "a100", output_tokens=101.0)


TABLE = b"""model,hardware,prompt_size,batch_size,token_size,peak_power,average_power,prompt_time,token_time,e2e_time,tensor_parallel
A,h100,512,1,128,0,0,61.2,30,1,4
A,h100,512,1,128,0,0,61.2,32,1,4
A,h100,512,4,128,0,0,214.8,34,1,4
A,h100,1024,1,128,0,0,112.4,33,1,4
A,h100,512,1,128,0,0,61.2,99,1,8
"""


def test_a_table_becomes_a_profile() -> None:
    profile = from_table(read_table(TABLE, where="t"), model="A", hardware="h100", tensor_parallel=4)
    assert profile.step_seconds == pytest.approx((0.031, 0.032, 0.033, 0.034))
    assert profile.prefill_seconds(1000) == pytest.approx(0.01 + 0.1)  # the prefills lie on 10 ms + 0.1 ms a token
    assert profile.accelerators == 4
    with pytest.raises(InputError, match="no measurement"):
        from_table(read_table(TABLE, where="t"), model="B", hardware="h100", tensor_parallel=4)
    with pytest.raises(InputError, match="no column"):
        read_table(b"a,b\n1,2\n", where="t")


def test_measures_of_a_run_that_can_be_worked_out() -> None:
    one_place = Profile((0.01,))
    requests = Requests(np.array([0.0, 1.0, 300.0]), np.zeros(3), np.full(3, 1001.0))
    station = Station(one_place, requests, ready=1)
    run_policy({"m": station}, Static({"m": 1}), Course(0.0, 400.0))
    goals = Goals(0.0, 400.0, ttft_seconds=1.0, itl_seconds=0.02, deadline_seconds=15.0, tail_seconds=50.0)
    figures = measure({"m": station}, goals, {"m": 0.01}, 60.0)
    assert figures["requests"] == 3
    assert figures["lost"] == 0
    assert figures["mean_response_seconds"] == pytest.approx((10 + 19 + 10) / 3)
    assert figures["slo_share"] == pytest.approx(2 / 3)
    assert figures["deadline_share"] == pytest.approx(2 / 3)
    assert figures["p50_ttft_seconds"] == pytest.approx(0.0)
    assert figures["accelerator_hours"] == pytest.approx(400 / 3600)
    # 2 requests in the first minute, one replica for 0.6 a minute.
    assert figures["worst_shortfall_per_second"] == pytest.approx(2 / 60 - 0.01)
    assert figures["longest_shortfall_seconds"] == 60.0


def test_intervals_over_seeds_are_students() -> None:
    found = over_seeds([{"x": 1.0}, {"x": 2.0}, {"x": 3.0}])
    assert found["x"]["mean"] == pytest.approx(2.0)
    assert found["x"]["half_width"] == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert steps_at([(0.0, 1), (5.0, 3)], np.array([0.0, 4.9, 5.0])).tolist() == [1, 1, 3]
