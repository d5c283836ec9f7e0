# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves: every order is replayed step by step, by code that shares nothing with the code that made it."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from planning_builders import host, model, random_fleet, random_placement, replica, share_of

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import Waves, order_waves

EPSILON = 1e-6


def rate(one: Replica, hosts: list[Host], models: list[Model]) -> float:
    """What a replica serves, from the catalogue; nothing where the host serves nothing."""
    where = next((each for each in hosts if each.name == one.host), None)
    what = next((each for each in models if each.name == one.model), None)
    if where is None or what is None or where.state == "maintenance" or not where.reachable:
        return 0.0
    return what.capacity[where.accelerator_type].requests_per_second if where.accelerator_type in what.capacity else 0.0


def served(replicas: Any, hosts: list[Host], models: list[Model]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for one in replicas:
        total[one.model] += rate(one, hosts, models)
    return total


def usage(replicas: Any, models: list[Model]) -> dict[tuple[str, Any], float]:
    """What is taken: per accelerator, and cores and memory per host."""
    by_name = {each.name: each for each in models}
    taken: dict[tuple[str, Any], float] = defaultdict(float)
    for one in replicas:
        what = by_name.get(one.model)
        for index in one.accelerators:
            taken[(one.host, index)] += share_of(what) if what else 1.0
        if what:
            taken[(one.host, "cores")] += what.cpu_cores
            taken[(one.host, "memory")] += what.memory_gib
        taken[(one.host, "replicas")] += 1
    return taken


def limit(where: Host | None, which: Any) -> float:
    if isinstance(which, int):
        return 1.0
    if where is None:
        return float("inf")
    if which == "cores":
        return where.cpu_cores or float("inf")
    if which == "memory":
        return where.memory_gib
    return float("inf") if where.max_replicas is None else float(where.max_replicas)


def replay(
    current: list[Replica],
    target: list[Replica],
    hosts: list[Host],
    models: list[Model],
    floors: dict[str, float] | None,
    found: Waves,
) -> None:
    """Carry the waves out and check every rule after each."""
    running = {(one.host, one.slot): one for one in current}
    goal, at_first = served(target, hosts, models), served(current, hosts, models)
    by_host = {one.name: one for one in hosts}
    most = usage(target, models)
    assert [wave["wave"] for wave in found.waves] == list(range(1, len(found.waves) + 1))
    for wave in found.waves:
        mine = [one for one in found.actions if one["wave"] == wave["wave"]]
        starts = [_replica(one) for one in mine if one["action"] == "start"]
        stops = [_replica(one) for one in mine if one["action"] == "stop"]
        assert (len(starts), len(stops)) == (wave["starts"], wave["stops"])
        assert starts or stops, "an empty wave"

        before = served(running.values(), hosts, models)
        freed = served(stops, hosts, models)
        for name, gone in freed.items():
            floor = (floors or {}).get(name, at_first[name])
            kept = before[name] - gone >= min(floor, goal[name]) - EPSILON
            early = [one for one in mine if one["model"] == name and "stops early to make room" in one["reason"]]
            assert kept or gone == 0 or (early and wave["note"]), f"{name} dips unsaid in {wave}"

        for one in starts:
            assert (one.host, one.slot) not in running, f"slot of {one} is not free in {wave}"
        taken = usage([*running.values(), *starts], models)
        for one in starts:
            for which in (*one.accelerators, "cores", "memory", "replicas"):
                key = (one.host, which)
                bound = max(limit(by_host.get(one.host), which), most[key])
                assert taken[key] <= bound + EPSILON, f"{key} is overbooked in {wave}"

        for one in stops:
            assert running.pop((one.host, one.slot)) == one
        running.update({(one.host, one.slot): one for one in starts})
        after = served(running.values(), hosts, models)
        for name, value in wave["serving_requests_per_second"].items():
            assert value == pytest.approx(after[name], abs=1e-6)
    assert sorted(running.values()) == sorted(target)


def _replica(action: dict[str, Any]) -> Replica:
    return Replica(
        action["host"],
        action["slot"],
        action["model"],
        action["version"],
        action["port"],
        tuple(action["accelerators"]),
    )


def check_actions(current: list[Replica], target: list[Replica], found: Waves) -> None:
    """Each replica has exactly one action; moves pair one start with one stop of one model."""
    kinds = Counter(one["action"] for one in found.actions)
    keeps = {one.key for one in current} & {one.key for one in target}
    assert kinds["start"] + kinds["keep"] == len(target)
    assert kinds["stop"] + kinds["keep"] == len(current)
    assert kinds["keep"] <= len(keeps)
    assert all((one["wave"] == 0) == (one["action"] == "keep") for one in found.actions)
    moves: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found.actions:
        assert set(one) == {
            "wave", "action", "host", "slot", "model", "version", "port", "accelerators", "move", "reason",
        }  # fmt: skip
        assert one["reason"]
        if one["move"]:
            moves[one["move"]].append(one)
    assert len(moves) == found.moves
    for pair in moves.values():
        assert sorted(one["action"] for one in pair) == ["start", "stop"]
        assert pair[0]["model"] == pair[1]["model"]
    for name in {one["model"] for one in found.actions}:
        starts = sum(1 for one in found.actions if one["model"] == name and one["action"] == "start")
        stops = sum(1 for one in found.actions if one["model"] == name and one["action"] == "stop")
        assert sum(1 for move in moves if move.startswith(f"{name}#")) == min(starts, stops)


def instance(seed: int) -> tuple[list[Replica], list[Replica], list[Host], list[Model], dict[str, float] | None]:
    rng = random.Random(seed)
    hosts, models = random_fleet(rng)
    current = random_placement(rng, hosts, models, [], ("1",))
    kept = [one for one in current if rng.random() < rng.choice([0.0, 0.5, 0.9])]
    target = random_placement(rng, hosts, models, kept, rng.choice([("1",), ("2",), ("1", "2")]))
    if len(models) > 1 and rng.random() < 0.15:  # a model left the catalogue
        gone = models[-1].name
        models, target = models[:-1], [one for one in target if one.model != gone]
    floors = None
    if rng.random() < 0.6:
        goal = served(target, hosts, models)
        floors = {each.name: goal[each.name] * rng.choice([0.0, 0.5, 0.9, 1.0, 3.0]) for each in models}
    return current, target, hosts, models, floors


@pytest.mark.parametrize("block", range(20))
def test_random_rollouts_keep_every_rule(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        current, target, hosts, models, floors = instance(seed)
        found = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
        replay(current, target, hosts, models, floors, found)
        check_actions(current, target, found)


def test_the_random_rollouts_are_worth_replaying() -> None:
    """The instances above hold many waves, moves and deadlocks: a replay of nothing proves nothing."""
    waves, moves, deadlocks = [], 0, 0
    for seed in range(1000):
        current, target, hosts, models, floors = instance(seed)
        found = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
        waves.append(len(found.waves))
        moves += found.moves
        deadlocks += any(wave["note"] for wave in found.waves)
    assert sum(1 for count in waves if count >= 3) > 100
    assert moves > 500
    assert deadlocks > 20


def test_the_same_input_in_any_order_gives_the_same_bytes() -> None:
    for seed in range(60):
        current, target, hosts, models, floors = instance(seed)
        first = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
        random.Random(seed).shuffle(current)
        random.Random(seed).shuffle(target)
        second = order_waves(current, target, hosts[::-1], models[::-1], floor_requests_per_second=floors)
        assert json.dumps([first.actions, first.waves]) == json.dumps([second.actions, second.waves])


def test_nothing_to_do_is_no_wave() -> None:
    runs = [replica("a", 0, "chat")]
    found = order_waves(runs, runs, [host("a")], [model("chat")])
    assert (found.waves, found.moves) == ([], 0)
    assert [(one["wave"], one["action"]) for one in found.actions] == [(0, "keep")]


def test_starts_into_free_room_and_stops_of_what_is_too_much_share_one_wave() -> None:
    found = order_waves(
        [replica("a", 0, "chat"), replica("a", 1, "chat")],
        [replica("a", 0, "chat"), replica("b", 0, "code")],
        [host("a", 2), host("b")],
        [model("chat"), model("code")],
        floor_requests_per_second={"chat": 1.0},
    )
    assert [(one["starts"], one["stops"]) for one in found.waves] == [(1, 1)]


def test_a_slot_is_not_used_in_the_wave_that_frees_it() -> None:
    found = order_waves(
        [replica("a", 0, "chat")],
        [replica("a", 0, "code")],
        [host("a")],
        [model("chat"), model("code")],
    )
    assert [(one["wave"], one["action"], one["model"]) for one in found.actions] == [
        (1, "stop", "chat"),
        (2, "start", "code"),
    ]


def test_a_move_starts_before_it_stops_and_serves_all_along() -> None:
    found = order_waves(
        [replica("a", 0, "chat")], [replica("b", 0, "chat")], [host("a"), host("b")], [model("chat", rate=3.0)]
    )
    assert [(one["wave"], one["action"], one["host"], one["move"]) for one in found.actions] == [
        (1, "start", "b", "chat#1"),
        (2, "stop", "a", "chat#1"),
    ]
    assert [one["serving_requests_per_second"]["chat"] for one in found.waves] == [6.0, 3.0]
    assert found.actions[0]["reason"] == "takes over from a slot 0"
    assert found.actions[1]["reason"] == "moves to b slot 0; what replaces it serves once wave 1 is done"


def test_two_models_that_swap_their_only_hosts_take_one_stated_dip() -> None:
    current = [replica("a", 0, "chat"), replica("b", 0, "code")]
    target = [replica("b", 0, "chat"), replica("a", 0, "code")]
    models = [model("chat", rate=5.0), model("code", rate=2.0)]
    found = order_waves(current, target, [host("a"), host("b")], models)
    replay(current, target, [host("a"), host("b")], models, None, found)
    noted = [wave for wave in found.waves if wave["note"]]
    # Either stop is a dip of the whole model; the smaller one in requests/s is taken, and only that one.
    assert len(noted) == 1
    assert "Temporary stop of code on b slot 0 to make room for chat on b slot 0" in noted[0]["note"]
    assert "code serves 0 of 2 requests/s" in noted[0]["note"]
    assert len(found.waves) == 4


def test_the_dip_is_of_the_smallest_share() -> None:
    """Three of chat on one host against one code on the other: a chat replica is a third, code all there is."""
    current = [*(replica("a", slot, "chat") for slot in range(3)), replica("b", 0, "code")]
    target = [replica("a", 0, "chat"), replica("a", 1, "chat"), replica("a", 2, "code"), replica("b", 0, "chat")]
    models = [model("chat", rate=5.0), model("code", rate=2.0)]
    hosts = [host("a", 3), host("b")]
    found = order_waves(current, target, hosts, models)
    replay(current, target, hosts, models, None, found)
    (noted,) = [wave for wave in found.waves if wave["note"]]
    assert "chat serves 10 of 15 requests/s" in noted["note"]


def test_a_new_version_in_place_is_a_stop_and_a_later_start() -> None:
    hosts = [host("a", 2)]
    found = order_waves(
        [replica("a", 0, "chat"), replica("a", 1, "chat")],
        [replica("a", 0, "chat", "2"), replica("a", 1, "chat", "2")],
        hosts,
        [model("chat")],
        floor_requests_per_second={"chat": 2.0},
    )
    assert [(one["wave"], one["action"], one["slot"], one["version"]) for one in found.actions] == [
        (1, "stop", 0, "1"),
        (2, "start", 0, "2"),
        (3, "stop", 1, "1"),
        (4, "start", 1, "2"),
    ]
    assert not any(wave["note"] for wave in found.waves)
    assert found.actions[1]["reason"] == "replaces version 1 in place; its room is free once wave 1 is done"
    assert found.actions[0]["move"] == found.actions[1]["move"] == "chat#1"


def test_other_accelerators_are_another_replica_but_unknown_ones_are_not() -> None:
    hosts, models = [host("a", 2)], [model("chat")]
    moved = order_waves(
        [replica("a", 0, "chat", accelerators=(0,))], [replica("a", 0, "chat", accelerators=(1,))], hosts, models
    )
    assert [one["action"] for one in moved.actions] == ["stop", "start"]
    unknown = order_waves(
        [replica("a", 0, "chat", accelerators=())], [replica("a", 0, "chat", accelerators=(1,))], hosts, models
    )
    assert [one["action"] for one in unknown.actions] == ["keep"]


def test_halves_share_an_accelerator_and_a_third_half_waits() -> None:
    half = model("half", accelerators=0.5)
    full = model("full")
    current = [replica("a", 0, "half", accelerators=(0,)), replica("a", 1, "half", accelerators=(0,))]
    grown = [*current, replica("a", 2, "half", accelerators=(1,))]
    assert len(order_waves(current, grown, [host("a", 2)], [half, full]).waves) == 1
    swapped = [current[0], replica("a", 2, "half", accelerators=(0,))]
    waves = order_waves(current, swapped, [host("a", 2)], [half, full], floor_requests_per_second={"half": 2.0})
    assert [(one["wave"], one["action"]) for one in waves.actions] == [(0, "keep"), (1, "stop"), (2, "start")]


def test_cores_are_freed_before_they_are_used() -> None:
    big = model("big", cpu_cores=10.0)
    current = [replica("a", 0, "big")]
    target = [replica("a", 1, "big")]
    models = [big]
    tight = order_waves(current, target, [host("a", 2, cpu_cores=16.0)], models, floor_requests_per_second={"big": 0.0})
    assert [(one["wave"], one["action"]) for one in tight.actions] == [(1, "stop"), (2, "start")]
    roomy = order_waves(current, target, [host("a", 2, cpu_cores=20.0)], models)
    assert [(one["wave"], one["action"]) for one in roomy.actions] == [(1, "start"), (2, "stop")]


def test_what_serves_nothing_may_stop_at_once() -> None:
    """A host in maintenance or out of reach serves nothing, so waiting for a replacement protects nothing."""
    for broken in ({"state": "maintenance"}, {"reachable": False}):
        found = order_waves(
            [replica("a", 0, "chat"), replica("b", 0, "chat")],
            [replica("b", 0, "chat")],
            [host("a", **broken), host("b")],
            [model("chat")],
        )
        assert [wave["stops"] for wave in found.waves] == [1]
        assert not found.waves[0]["note"]


def test_a_large_upgrade_without_spare_room_takes_a_twentieth_at_a_time() -> None:
    """Every replica replaced in place, nothing spare: 7 of 150 are at most 5 %, so 22 rounds of stop and start."""
    hosts = [host(f"h{number:03d}") for number in range(150)]
    current = [replica(one.name, 0, "chat") for one in hosts]
    target = [replica(one.name, 0, "chat", "2") for one in hosts]
    found = order_waves(current, target, hosts, [model("chat")])
    assert len(found.waves) == 44
    assert {dip.lowest_requests_per_second for dip in found.dips[:-1]} == {286.0}
    assert all(dip.floor_requests_per_second == 300.0 for dip in found.dips)
    assert "2 more temporary stops, each with its reason" in found.waves[0]["note"]
    spare = order_waves(current, target, hosts, [model("chat")], floor_requests_per_second={"chat": 200.0})
    assert len(spare.waves) == 6  # fifty may be away at a time: three rounds of stop and start
    assert spare.dips == ()


def test_models_that_block_only_themselves_do_not_wait_for_each_other() -> None:
    hosts = [host(f"h{number}") for number in range(6)]
    names = [f"m{number}" for number in range(6)]
    current = [replica(one.name, 0, name) for one, name in zip(hosts, names)]
    target = [replica(one.name, 0, name, "2") for one, name in zip(hosts, names)]
    assert len(order_waves(current, target, hosts, [model(name) for name in names]).waves) == 2


def test_pairs_are_across_hosts_where_they_can_be() -> None:
    found = order_waves(
        [replica("a", 0, "chat"), replica("c", 0, "chat")],
        [replica("a", 1, "chat"), replica("b", 0, "chat")],
        [host("a", 2), host("b"), host("c")],
        [model("chat")],
    )
    hosts_of: dict[str, set[str]] = defaultdict(set)
    for one in found.actions:
        hosts_of[one["move"]].add(one["host"])
    assert sorted(map(sorted, hosts_of.values())) == [["a", "b"], ["a", "c"]]


def test_a_pair_takes_the_stop_that_only_it_can_take() -> None:
    """c both starts and stops: were a paired with b, c would be paired with itself."""
    found = order_waves(
        [replica("b", 0, "chat"), replica("c", 0, "chat")],
        [replica("a", 0, "chat"), replica("c", 1, "chat")],
        [host("a"), host("b"), host("c", 2)],
        [model("chat")],
    )
    pairs = defaultdict(list)
    for one in found.actions:
        pairs[one["move"]].append(one["host"])
    assert sorted(sorted(pair) for pair in pairs.values()) == [["a", "c"], ["b", "c"]]


def test_no_more_is_stopped_than_one_start_needs() -> None:
    """z needs eight cores on a; x and y hold eight each. Only x, the smaller, goes before z comes."""
    names = {"x": 1.0, "y": 2.0, "z": 3.0}
    models = [model(name, rate=rate, cpu_cores=8.0) for name, rate in names.items()]
    hosts = [host("a", 4, cpu_cores=16.0), host("b", 1, cpu_cores=8.0)]
    current = [replica("a", 0, "x"), replica("a", 1, "y"), replica("b", 0, "z")]
    target = [replica("a", 0, "y", "2"), replica("a", 2, "z"), replica("b", 0, "x")]
    found = order_waves(current, target, hosts, models)
    replay(current, target, hosts, models, None, found)
    first = [(one["action"], one["model"]) for one in found.actions if one["wave"] == 1]
    assert first == [("stop", "x")]


def test_without_ports_slots_are_still_exclusive() -> None:
    found = order_waves(
        [Replica("a", 0, "chat", "1", 0, (0,))],
        [Replica("a", 0, "code", "1", 0, (1,))],
        [host("a", 2)],
        [model("chat"), model("code")],
        floor_requests_per_second={"chat": 0.0},
    )
    assert [(one["wave"], one["action"], one["port"]) for one in found.actions] == [
        (1, "stop", 8100),
        (2, "start", 8100),
    ]


def test_a_target_beyond_what_the_record_says_is_reached_without_waiting() -> None:
    """The allocator is the judge of what fits: where the target itself takes more, that is the bound."""
    found = order_waves(
        [replica("a", 0, "chat")],
        [replica("a", 1, "chat"), replica("a", 2, "chat")],
        [host("a", 3, cpu_cores=6.0)],
        [model("chat")],
    )
    assert [(one["wave"], one["action"]) for one in found.actions] == [(1, "start"), (2, "stop"), (3, "start")]
