# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serving is placed around accelerators that somebody else holds."""

from __future__ import annotations

from typing import Any

import pytest
from allocation_fleets import catalogues, check_document, demands, fleets, host, model, plan
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.summary import summary_lines

relaxed = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
WAYS = st.sampled_from(
    [
        {"objective": "weighted"},
        {"objective": "lexicographic"},
        {"method": "lp_repair"},
        {"method": "columns"},
        {"periods": 3},
        {"response_time_price": 1e-4},
    ]
)


@st.composite
def held_fleets(draw: st.DrawFn) -> tuple[Any, ...]:
    """A fleet that runs a plan made before somebody else took some of its accelerators."""
    hosts, models = draw(fleets()), draw(catalogues())
    calm = [{**one, "state": "active", "reachable": True} for one in hosts]
    running = plan(calm, models, draw(demands(models)))["placements"]
    reserved = {}
    for one in hosts:
        indexes = st.sets(st.integers(0, max(0, one["accelerator_count"] - 1)), max_size=one["accelerator_count"])
        reserved[one["name"]] = {"job": sorted(draw(indexes))}
    return hosts, models, draw(demands(models)), running if draw(st.booleans()) else [], reserved


@relaxed
@given(held_fleets(), WAYS)
def test_nothing_is_placed_on_what_is_reserved_and_what_is_short_is_named(held: Any, way: Any) -> None:
    hosts, models, demand, current, reserved = held
    document = plan(hosts, models, demand, current, reserved=reserved, time_limit_seconds=5, **way)
    check_document(document)  # which looks at document["reserved"]
    assert document.get("reserved", {}) == {name: own for name, own in reserved.items() if own["job"]}
    short = {one["model"]: one["requests_per_second"] for one in document["shortages"]}
    for name in models:
        served = document["capacity"][name]["planned_requests_per_second"]
        assert served + short.get(name, 0.0) >= max(demand[name].values()) - 0.01 * 3.7


@relaxed
@given(held_fleets(), st.sampled_from([{"objective": "weighted"}, {"periods": 3}]))
def test_a_plan_around_reservations_is_a_fixed_point(held: Any, way: Any) -> None:
    hosts, models, demand, current, reserved = held
    first = plan(hosts, models, demand, current, reserved=reserved, **way)
    again = plan(hosts, models, demand, first["placements"], reserved=reserved, **way)
    assert [one for one in again["actions"] if one["action"] != "keep"] == []


def test_the_host_with_the_most_left_takes_what_the_others_cannot() -> None:
    hosts, models = [host("a"), host("b")], {"m": model(4)}
    document = plan(hosts, models, {"m": 18.0}, reserved={"a": {"train": [0, 1, 2]}, "b": {"tune": [5]}})
    check_document(document)
    assert sorted((one["host"], tuple(one["accelerators"])) for one in document["placements"]) == [
        ("a", (4, 5, 6, 7)),
        ("b", (0, 1, 2, 3)),
    ]
    (short,) = document["shortages"]
    assert (short["model"], short["requests_per_second"]) == ("m", pytest.approx(6.0))
    assert "Reserved on a: accelerators 0, 1, 2 for train" in summary_lines(document)
    assert "Reserved on b: accelerator 5 for tune" in summary_lines(document)


def test_a_host_of_which_everything_is_reserved_serves_nothing_and_shares_go_elsewhere() -> None:
    hosts, models = (
        [host("a"), host("b")],
        {"m": model(0.5, resources={"accelerators": 0.5, "accelerator_memory_gib": 30})},
    )
    document = plan(hosts, models, {"m": 60.0}, reserved={"a": {"train": range(8)}})
    check_document(document)
    assert {one["host"] for one in document["placements"]} == {"b"}


def test_a_replica_that_says_it_runs_on_a_reserved_accelerator_is_moved() -> None:
    hosts, models = [host("a")], {"m": model(1)}
    current = [{"host": "a", "slot": 0, "model": "m", "version": "1", "port": 8100, "accelerators": [3]}]
    document = plan(hosts, models, {"m": 5.0}, current, reserved={"a": {"train": [3]}})
    check_document(document)
    assert [one["action"] for one in document["actions"]].count("stop") == 1
    assert len(document["placements"]) == 1


def test_the_fingerprint_is_that_of_the_fleet_and_the_outlook_leaves_reserved_ones_to_jobs() -> None:
    hosts, models = [host("a")], {"m": model(2)}
    without = plan(hosts, models, {"m": 5.0}, periods=2)
    held = plan(hosts, models, {"m": 5.0}, periods=2, reserved={"a": {"train": [0, 1]}})
    assert held["fleet_fingerprint"] == without["fleet_fingerprint"]
    assert (held["inputs"], held["hosts"]) == (without["inputs"], without["hosts"])
    assert held["digest"] != without["digest"]
    assert held["outlook"]["periods"][0]["free_accelerators"] == without["outlook"]["periods"][0]["free_accelerators"]
    assert "reserved" not in without


@pytest.mark.parametrize(
    ("reserved", "message"),
    [
        ({"a": {"train": [8]}}, "reserved, host a: accelerator 8 is reserved for train, but the host has 8, 0 to 7."),
        ({"a": {"train": range(9)}}, "accelerator 8 is reserved for train, but the host has 8"),
        ({"c": {"train": [0]}}, "reserved, host c: accelerator 0 is reserved for train, but the host has 0."),
        ({"z": {"train": [0]}}, "reserved, host z: the host is not in the fleet."),
        ({"a": {"train": [1], "tune": [1]}}, "accelerator 1 is reserved for train and for tune"),
        ({"a": {"train": [-1]}}, "accelerator index must be at least 0"),
        ({"a": {"train": [0.5]}}, "an accelerator index is a whole number, not 0.5"),
        ({"a": {"train": "0,1"}}, "a reservation is a list of accelerator indexes"),
        ({"a": ["train"]}, "holders must be a mapping"),
        (["a"], "reserved must be a mapping"),
    ],
)
def test_what_cannot_be_reserved_is_one_message(reserved: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan([host("a"), host("c", "cpu")], {"m": model(1)}, {"m": 1.0}, reserved=reserved)
    assert message in caught.value.message
