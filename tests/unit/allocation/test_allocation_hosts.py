# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas on hosts: accelerators, slots, ports, who stays and who moves."""

from __future__ import annotations

from collections import Counter

import pytest
from allocation_fleets import check_room, count, host, model, plan, replica
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rooms import HostRoom
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)


def room(**fields) -> HostRoom:
    return HostRoom(parse_hosts([host("a", **fields)])[0])


def take(where: HostRoom, accelerators: float, memory: float = 0.0):
    one = parse_models({"m": model(accelerators)})[0]
    one = type(one)(**{**one.__dict__, "accelerator_memory_gib": memory})
    if not where.can_take(one):
        return None
    indexes = where.choose(one)
    where.take(one, indexes)
    return indexes


def test_groups_are_aligned_and_fill_started_groups_first():
    where = room()
    assert take(where, 1) == (0,)
    assert take(where, 2) == (2, 3)
    assert take(where, 1) == (1,)
    assert take(where, 4) == (4, 5, 6, 7)
    assert take(where, 1) is None


def test_three_accelerators_take_the_first_three_of_a_group_of_four():
    where = room()
    assert [take(where, 3), take(where, 3), take(where, 1), take(where, 1)] == [(0, 1, 2), (4, 5, 6), (3,), (7,)]


def test_any_free_accelerators_do_when_no_group_is_free():
    where = room()
    for _unused in range(8):
        take(where, 1)
    freed = room()
    one = parse_models({"m": model(1)})[0]
    for index in (0, 2, 4, 6):
        freed.take(one, (index,))
    assert take(freed, 2) == (1, 3)


def test_shares_sit_together_on_one_accelerator_within_compute_and_memory():
    where = room()
    assert [take(where, 0.5), take(where, 0.25), take(where, 0.5)] == [(0,), (0,), (1,)]
    assert take(where, 0.25, memory=60.0) == (0,)
    assert take(where, 0.25, memory=60.0) == (1,)


def test_a_new_replica_avoids_accelerators_that_are_still_held():
    where = HostRoom(parse_hosts([host("a")])[0], parse_replicas([replica("a", 0, "old", accelerators=[0, 1])]))
    assert take(where, 1) == (2,)


def test_running_replicas_stay_and_slots_in_use_are_not_given_away():
    current = [replica("b", 3, "m", accelerators=[5], port=9000), replica("b", 0, "gone", accelerators=[0])]
    document = plan([host("a"), host("b")], {"m": model(1)}, {"m": 18}, current)
    kept = [one for one in document["actions"] if one["action"] == "keep"]
    assert [(one["host"], one["slot"], one["port"], one["accelerators"]) for one in kept] == [("b", 3, 9000, [5])]
    assert document["starts"] == 2
    started = [one for one in document["placements"] if one["wave"] > 0 and one["host"] == "b"]
    assert all(one["slot"] in (1, 2) and one["port"] == 8100 + one["slot"] for one in started)
    check_room(document)


def test_two_replicas_do_not_hang_on_one_host():
    document = plan([host("a"), host("b")], {"m": model(1)}, {"m": 12})
    assert Counter(one["host"] for one in document["placements"]) == {"a": 1, "b": 1}


def test_scattered_room_is_gathered_by_the_fewest_moves():
    """5 of 8 accelerators used on each of two hosts: a replica of 4 needs one small replica to move."""
    current = [replica(name, i, "small", accelerators=[i]) for name in "ab" for i in range(5)]
    models = {"small": model(1), "big": model(4)}
    document = plan([host("a"), host("b")], models, {"small": 60, "big": 6}, current)
    assert document["shortages"] == []
    assert (document["starts"], document["stops"], document["moves"]) == (2, 1, 1)
    check_room(document)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_accelerator_counts_that_divide_each_other_always_find_hosts(data):
    """Hosts are as full as their total allows, from any scattering of what runs: nothing is left over."""
    hosts = [host(f"h{i}") for i in range(data.draw(st.integers(1, 5)))]
    models = {f"m{size}": model(size, h100=float(size)) for size in (1, 2, 4, 8)}
    current = []
    for one in hosts:
        free, slot = list(range(8)), 0
        while free and data.draw(st.booleans()):
            current.append(
                replica(one["name"], slot, "m1", accelerators=[free.pop(data.draw(st.integers(0, len(free) - 1)))])
            )
            slot += 1
    total = 8 * len(hosts)
    demand = {}
    for size in (8, 4, 2, 1):
        number = data.draw(st.integers(0, total // size)) if size > 1 else total
        demand[f"m{size}"] = float(size * number)
        total -= size * number
    document = plan(hosts, models, demand, current)
    assert document["shortages"] == []
    assert sum(len(one["accelerators"]) for one in document["placements"]) == 8 * len(hosts)
    check_room(document)


def test_a_new_version_replaces_the_old_on_its_host():
    current = [replica(name, 0, "m", accelerators=[0], version="0") for name in "ab"]
    document = plan([host("a"), host("b")], {"m": model(1)}, {"m": 12}, current)
    assert [(one["host"], one["version"]) for one in document["placements"]] == [("a", "1"), ("b", "1")]
    assert document["moves"] == 2
    lowest = min(wave["serving_requests_per_second"]["m"] for wave in document["waves"])
    assert lowest >= 12


def test_draining_hosts_are_emptied_when_there_is_room():
    hosts = [host("a", state="draining"), host("b")]
    current = [replica("a", i, "m", accelerators=[i]) for i in range(2)]
    document = plan(hosts, {"m": model(1)}, {"m": 12}, current)
    assert count(document, host="b") == 2 and count(document, host="a") == 0
    first, last = document["waves"][0], document["waves"][-1]
    assert first["starts"] == 2 and last["stops"] == 2


def test_draining_hosts_keep_serving_when_there_is_no_room():
    hosts = [host("a", state="draining"), host("b", accelerator_count=1)]
    current = [replica("a", i, "m", accelerators=[i], version="0") for i in range(3)]
    document = plan(hosts, {"m": model(1)}, {"m": 18}, current)
    assert count(document, host="b", version="1") == 1
    assert count(document, host="a", version="0") == 2
    assert document["shortages"] == []


@pytest.mark.parametrize("change", [{"state": "maintenance"}, {"reachable": False}])
def test_what_runs_on_a_host_that_serves_nothing_is_replaced(change):
    current = [replica("a", i, "m", accelerators=[i]) for i in range(2)]
    document = plan([host("a", **change), host("b")], {"m": model(1)}, {"m": 12}, current)
    assert count(document, host="b") == 2
    stops = [one for one in document["actions"] if one["action"] == "stop"]
    # A host that does not answer cannot be told to stop anything.
    assert len(stops) == (2 if "state" in change else 0)
    assert bool(document["warnings"]) == ("reachable" in change)
