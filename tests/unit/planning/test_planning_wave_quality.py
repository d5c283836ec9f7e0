# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the waves are: against the best order there is, against stop-all-then-start-all, and in time."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from typing import Any

import pytest
from planning_builders import host, model, replica
from test_planning_waves import instance, limit, served, usage

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.changes import Changes, changes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import Waves, order_waves

EPSILON = 1e-6


class Rollout:
    """One instance, counted anew: what is served when some of the work is done."""

    def __init__(self, current: Any, target: Any, hosts: list[Host], models: list[Model], floors: Any) -> None:
        self.hosts, self.models = hosts, models
        self.work: Changes = changes(current, target)
        self.keeps = [one for one in current if one not in set(self.work.stops)]
        self.most = usage(target, models)
        self.by_name = {each.name: each for each in hosts}
        goal, first = served(target, hosts, models), served(current, hosts, models)
        self.needs = {name: min((floors or {}).get(name, first[name]), goal[name], first[name]) for name in first}

    def dip(self, running: Any) -> float:
        """The largest share of what a model needs that is not served."""
        now = served(running, self.hosts, self.models)
        return max(
            ((need - now[name]) / need for name, need in self.needs.items() if now[name] < need - EPSILON), default=0.0
        )

    def fits(self, running: list[Replica], start: Replica) -> bool:
        taken = usage([*running, start], self.models)
        keys = [(start.host, which) for which in (*start.accelerators, "cores", "memory", "replicas")]
        bounds = [max(limit(self.by_name.get(start.host), key[1]), self.most[key]) for key in keys]
        free = (start.host, start.slot) not in {(one.host, one.slot) for one in running}
        return free and all(taken[key] <= bound + EPSILON for key, bound in zip(keys, bounds))

    def naive(self) -> float:
        """Stop all, then start all."""
        return self.dip(self.keeps)

    def ours(self, found: Waves) -> float:
        """The worst dip of the waves: when the stops of a wave are gone and its starts do not serve yet."""
        done = {(one["action"], one["host"], one["slot"]): one["wave"] for one in found.actions}
        worst = 0.0
        for wave in range(1, len(found.waves) + 1):
            started = [one for one in self.work.starts if done[("start", one.host, one.slot)] < wave]
            left = [one for one in self.work.stops if done[("stop", one.host, one.slot)] > wave]
            worst = max(worst, self.dip([*self.keeps, *started, *left]))
        return worst

    def best(self) -> float:
        """The least worst dip of all orders, one start or stop at a time: a bottleneck shortest path."""
        steps = [*self.work.starts, *self.work.stops]
        starts = len(self.work.starts)
        done = (1 << len(steps)) - 1
        least, queue = {0: 0.0}, [(0.0, 0)]
        while queue:
            dip, state = heapq.heappop(queue)
            if state == done:
                return dip
            if dip > least[state]:
                continue
            for step, one in enumerate(steps):
                if state >> step & 1 or (step < starts and not self.fits(self._running(steps, starts, state), one)):
                    continue
                after = state | 1 << step
                worst = max(dip, self.dip(self._running(steps, starts, after)))
                if worst < least.get(after, 2.0):
                    least[after] = worst
                    heapq.heappush(queue, (worst, after))
        raise AssertionError("the target cannot be reached")

    def _running(self, steps: list[Replica], starts: int, state: int) -> list[Replica]:
        return self.keeps + [one for step, one in enumerate(steps) if (step < starts) == bool(state >> step & 1)]


def test_small_rollouts_dip_no_deeper_than_the_best_order() -> None:
    """Of all small instances at least 97 in 100 have the least worst dip there is, and none is worse than naive."""
    exact = total = 0
    for seed in range(400):
        current, target, hosts, models, floors = instance(seed)
        rollout = Rollout(current, target, hosts, models, floors)
        if not 2 <= len(rollout.work.starts) + len(rollout.work.stops) <= 8:
            continue
        found = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
        ours, best = rollout.ours(found), rollout.best()
        assert best - EPSILON <= ours <= rollout.naive() + EPSILON, seed
        total += 1
        exact += ours <= best + EPSILON
    assert total > 150
    assert exact >= 0.97 * total


def test_the_worst_dip_is_the_stated_one_and_a_fraction_of_naive() -> None:
    ours, naive = [], []
    for seed in range(600):
        current, target, hosts, models, floors = instance(seed)
        rollout = Rollout(current, target, hosts, models, floors)
        found = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
        ours.append(rollout.ours(found))
        naive.append(rollout.naive())
        assert ours[-1] <= naive[-1] + EPSILON
        stated = [1 - dip.lowest_requests_per_second / dip.floor_requests_per_second for dip in found.dips]
        assert max(stated, default=0.0) >= ours[-1] - EPSILON, seed
        assert all(1 <= dip.first_wave <= dip.last_wave <= len(found.waves) for dip in found.dips)
    assert sum(ours) < 0.25 * sum(naive)
    assert sum(dip > 0 for dip in ours) < 0.3 * sum(dip > 0 for dip in naive)


def big(
    hosts: int, models: int, moves: int, *, spare: float, in_place: bool
) -> tuple[list[Replica], list[Replica], list[Host], list[Model]]:
    """Hosts of eight slots, a random model in each but for ``spare``; ``moves`` of them shuffled or upgraded."""
    rng = random.Random(7)
    stock = [host(f"h{number:05d}", 8, cpu_cores=0.0) for number in range(hosts)]
    catalogue = [model(f"m{number:03d}", rate=rng.choice([1.0, 2.5, 7.0]), cpu_cores=0.0) for number in range(models)]
    current = [
        replica(one.name, slot, rng.choice(catalogue).name)
        for one in stock
        for slot in range(8)
        if rng.random() >= spare
    ]
    moving = rng.sample(current, moves)
    kept = set(current) - set(moving)
    taken = {(one.host, one.slot) for one in kept}
    free = [(one.name, slot) for one in stock for slot in range(8) if (one.name, slot) not in taken]
    rng.shuffle(free)
    places = [(one.host, one.slot) for one in moving] if in_place else free
    target = [*kept, *(replica(*place, one.model, "2") for place, one in zip(places, moving))]
    return current, sorted(target), stock, catalogue


@pytest.mark.parametrize(
    ("spare", "in_place", "floor_share", "most_waves", "dips"),
    [
        (0.05, False, None, 40, False),  # 5 % of the slots are free: surge is enough
        (0.0, False, 0.8, 10, False),  # none is free, a fifth of what is served is spare
        (0.0, False, None, 40, True),  # nothing is spare at all: a few per cent of every model wait for a place
        (0.0, True, None, 60, True),
        (0.0, True, 0.8, 12, False),
    ],
)
def test_large_rollouts_take_few_waves_and_little_time(
    spare: float, in_place: bool, floor_share: float | None, most_waves: int, dips: bool
) -> None:
    """2,000 replicas of 40 models, 600 of them moved. Linear in size: 10,000 with 3,000 take five times as long."""
    current, target, hosts, models = big(250, 40, 600, spare=spare, in_place=in_place)
    floors = None
    if floor_share is not None:
        rates = {one.name: one.capacity["h100-80gb"].requests_per_second for one in models}
        counts = Counter(one.model for one in current)
        floors = {name: floor_share * rates[name] * number for name, number in counts.items()}
    began = time.process_time()
    found = order_waves(current, target, hosts, models, floor_requests_per_second=floors)
    assert time.process_time() - began < 2.0
    assert len(found.waves) <= most_waves
    assert bool(found.dips) == dips
    assert (
        max((1 - dip.lowest_requests_per_second / dip.floor_requests_per_second for dip in found.dips), default=0)
        <= 0.1
    )
    assert all(one["reason"] for one in found.actions)


def test_what_was_applied_is_a_fixed_point() -> None:
    for seed in range(100):
        _current, target, hosts, models, floors = instance(seed)
        found = order_waves(target, target, hosts, models, floor_requests_per_second=floors)
        assert (found.waves, found.moves, found.dips) == ([], 0, ())
        assert {one["action"] for one in found.actions} <= {"keep"}


def test_spare_capacity_serves_the_upgrade_before_it_is_given_away() -> None:
    """Three of chat, one too many by the target: it leaves only when the other two were replaced without a dip."""
    current = [replica("a", slot, "chat") for slot in range(3)]
    target = [replica("a", slot, "chat", "2") for slot in range(1, 3)]
    found = order_waves(
        current, target, [host("a", 3)], [model("chat", rate=2.0)], floor_requests_per_second={"chat": 4.0}
    )
    assert found.dips == ()
    stops = [(one["wave"], one["slot"]) for one in found.actions if one["action"] == "stop"]
    assert stops == [(1, 1), (3, 2), (5, 0)]


def test_spare_capacity_is_not_given_to_another_model_while_the_upgrade_needs_it() -> None:
    """Code waits for slot 0. Did chat leave it first, nothing would be spare to replace slots 1 and 2 without a dip."""
    found = order_waves(
        [replica("a", slot, "chat") for slot in range(3)],
        [replica("a", 0, "code"), *(replica("a", slot, "chat", "2") for slot in range(1, 3))],
        [host("a", 3)],
        [model("chat", rate=2.0), model("code")],
        floor_requests_per_second={"chat": 4.0},
    )
    assert found.dips == ()
    assert [one["slot"] for one in found.actions if one["action"] == "stop"] == [1, 2, 0]
