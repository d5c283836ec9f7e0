# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every way from demand to waves: no order of the input matters, and what is not known stops nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_builders import host, model, replica, sealed_plan
from test_planning_waves import instance

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.previous import previous_plan
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_floor import rollout_floors
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.serving import serving_capacity
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import order_waves

NOW = 1_795_456_800.0
MODELS = [model(name, rate=2.0, min_replicas=0, startup_seconds=60.0) for name in ("chat", "code", "rank")]
HOSTS = [host("a", 8), host("b", 8)]
RATES = st.one_of(st.none(), st.just(float("nan")), st.just(-1.0), st.floats(0.0, 30.0))


def entry(rate: Any, recent: Any, last: Any, skill: Any, age_steps: int) -> dict[str, Any]:
    return {
        "usable": True,
        "beats_seasonal_naive": skill is not None and skill > 0,
        "backtest": {"skill": skill, "coverage": {"0.95": 0.9}},
        "start": format_moment(NOW - 600 * age_steps),
        "history_end": format_moment(NOW - 600 * (age_steps + 1)),
        "step_seconds": 600,
        "last_observed": last,
        "recent_maximum": recent,
        "quantiles": {"0.5": [rate] * 40},
        "window_maximum": {"0.5": rate},
    }


ENTRIES = st.builds(entry, RATES, RATES, RATES, st.one_of(st.none(), st.floats(-1.0, 1.0)), st.integers(0, 30))
WORLDS = st.fixed_dictionaries(
    {
        "series": st.dictionaries(st.sampled_from(["chat", "code", "rank", "chat|eu", "ghost"]), ENTRIES, max_size=5),
        "observed": st.one_of(st.none(), st.dictionaries(st.sampled_from(["chat", "code", "rank"]), RATES)),
        "runs": st.lists(st.sampled_from(["chat", "code", "rank"]), max_size=16),
        "hold": st.sampled_from([0.0, 1800.0]),
    }
)


def replicas(names: list[str]) -> list[Any]:
    return [replica("ab"[number // 8], number % 8, name) for number, name in enumerate(names)]


def plan_of(world: Any, runs: Any, previous: Any = None, *, turned: bool = False) -> dict[str, Any]:
    """The demand of a world as the plan file holds it; ``turned``: everything given the other way round."""
    step = -1 if turned else 1
    series = dict(list(world["series"].items())[::step])
    observed = None if world["observed"] is None else dict(list(world["observed"].items())[::step])
    demands, notes = planned_demand(
        MODELS[::step],
        {"kind": "forecast", "window_steps": 6, "series": series},
        observed,
        runs[::step],
        as_of=NOW,
        previous=previous,
        hosts=HOSTS[::step],
        scale_in_hold_seconds=world["hold"],
    )
    demand = {name: one.as_record() for name, one in demands.items()}
    return {"kind": "plan", "as_of": format_moment(NOW), "demand": demand, "notes": notes}


@settings(max_examples=150, deadline=None)
@given(WORLDS)
def test_the_order_of_the_input_does_not_matter(world: Any) -> None:
    runs = replicas(world["runs"])
    assert json.dumps(plan_of(world, runs)) == json.dumps(plan_of(world, runs, turned=True))


@settings(max_examples=150, deadline=None)
@given(WORLDS)
def test_missing_data_never_stops_a_replica(world: Any) -> None:
    """Anything that is absent, NaN, negative or old keeps all replicas of the models it concerns."""
    runs = replicas(world["runs"])
    demands = plan_of(world, runs)["demand"]

    def readable(value: Any) -> bool:
        return value is not None and value >= 0  # NaN is neither

    for name, record in demands.items():
        parts = [one for key, one in world["series"].items() if key.split("|")[0] == name]
        known = bool(parts) and all(
            readable(one["recent_maximum"])
            and (world["observed"] is not None or readable(one["last_observed"]))
            and one["history_end"] >= format_moment(NOW - 3600 - 6 * 600)
            for one in parts
        )
        known = known and (world["observed"] is None or readable(world["observed"].get(name)))
        running = sum(one.model == name for one in runs)
        if not known:
            assert record["floor_replicas"] == running
            assert running == 0 or "that run stay" in record["reason"]


@settings(max_examples=150, deadline=None)
@given(WORLDS, st.randoms(use_true_random=False))
def test_planning_again_after_scale_in_asks_for_the_same(world: Any, rng: random.Random) -> None:
    """With what is left running, and with the plan just made as the previous one, all demand is the same."""
    runs = replicas(world["runs"])
    first = plan_of(world, runs)
    left = []
    for name, record in first["demand"].items():
        mine = [one for one in runs if one.model == name]
        rng.shuffle(mine)
        left += mine[: max(record["floor_replicas"], rng.randint(0, len(mine)))]
    again = plan_of(world, sorted(left), first)
    for name, record in again["demand"].items():
        before = first["demand"][name]
        assert {key: record[key] for key in ("levels", "observed", "source", "recent")} == {
            key: before[key] for key in ("levels", "observed", "source", "recent")
        }
        assert record["floor_replicas"] == before["floor_replicas"]


def test_an_empty_observation_is_not_an_absent_one() -> None:
    calm = {"chat": entry(1.0, 1.0, 1.0, 0.5, 0)}
    world = {"series": calm, "observed": None, "runs": [], "hold": 0.0}
    runs = replicas(["chat"] * 5)
    assert plan_of(world, runs)["demand"]["chat"]["floor_replicas"] == 0
    nothing = plan_of({**world, "observed": {}}, runs)
    assert nothing["demand"]["chat"]["floor_replicas"] == 5
    assert "The observed demand names no model: nothing was measured, so what runs stays" in nothing["notes"]


@pytest.mark.parametrize(("age_steps", "floor"), [(11, 0), (12, 5)])
def test_a_stale_forecast_may_add_but_not_stop(age_steps: int, floor: int) -> None:
    """History may end one planning interval (6 steps) and 6 steps before the moment planned for."""
    world = {"series": {"chat": entry(9.0, 1.0, 1.0, 0.5, age_steps)}, "observed": {"chat": 1.0}, "hold": 0.0}
    record = plan_of(world, replicas(["chat"] * 5))["demand"]["chat"]
    assert record["floor_replicas"] == floor
    assert record["levels"] == {"0.5": 9.0}
    assert ("too long ago to stop anything" in record["reason"]) == bool(floor)


def test_waves_of_a_plan_keep_the_floor_of_its_demand() -> None:
    """An upgrade of six replicas, median 6 of 10 requests/s planned: three may go at a time, and nothing dips."""
    runs = [replica("a", slot, "chat") for slot in range(6)]
    target = [replica("a", slot, "chat", "2") for slot in range(6)]
    ladder = {"chat": {"0.5": 6.0, "0.95": 10.0}}
    demands, _notes = planned_demand(MODELS[:1], ladder, {"chat": 4.0}, runs, hosts=HOSTS, as_of=NOW)
    serving = serving_capacity(runs, {one.name: one for one in HOSTS}, {one.name: one for one in MODELS})
    floors = rollout_floors(demands, serving)
    found = order_waves(runs, target, HOSTS, MODELS, floor_requests_per_second=floors)
    assert found.floors == {"chat": 6.0}
    assert ([wave["stops"] for wave in found.waves], found.dips) == ([3, 0, 3, 0], ())


def test_floors_and_dips_do_not_depend_on_the_order_of_the_input() -> None:
    for seed in range(60):
        current, target, hosts, models, floors = instance(seed)
        first = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
        second = order_waves(current[::-1], target[::-1], hosts[::-1], models[::-1], floor_requests_per_second=floors)
        assert (first.floors, first.dips) == (second.floors, second.dips)
        assert list(first.floors) == list(second.floors)


def test_the_previous_plan_is_read_where_it_is_one(tmp_path: Path) -> None:
    plan = sealed_plan()
    path = tmp_path / "plan.json"
    assert previous_plan(None) is previous_plan("") is previous_plan(str(path)) is None
    path.write_bytes(documents.canonical_bytes(plan))
    assert previous_plan(str(path)) == plan == previous_plan(plan)
    path.write_bytes(b"{}")
    assert previous_plan(str(path)) is None
    with pytest.raises(InputError, match="previous plan must be a mapping, not a list"):
        previous_plan([1])
