# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programme against enumeration: counts, hosts, and classes of alike hosts."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from allocation_fleets import host, model

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import (
    classes as classes_file,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import (
    solver,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import formulate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.hosts import assign
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import build_problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.rounding import rounded
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.search import replica_counts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import admissible, value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand

SIZES = {"h100-80gb": 4, "l40s-48gb": 2}


def toy(seed: int, *, sizes=(1, 2, 4), hosts: int = 3, models: int = 2, spread: bool = True):
    """A small fleet with a demand it may not be able to serve, and something that runs."""
    rng = random.Random(seed)
    fleet = parse_hosts(
        [
            host(f"h{i}", kind, accelerator_count=SIZES[kind], zone=rng.choice("ab"))
            for i, kind in enumerate(rng.choice(list(SIZES)) for _unused in range(hosts))
        ]
    )
    catalogue = parse_models(
        {
            f"m{i}": model(
                rng.choice(sizes),
                h100=rng.choice([2.0, 3.3]),
                l40s=rng.choice([None, 1.0, 1.4]),
                min_replicas=rng.choice([0, 1, 2]),
                max_replicas=rng.choice([None, 3]),
                weight=rng.choice([1, 2]),
                shortage_cost=rng.choice([None, None, 0.002]),
                spread=rng.choice([{}, {"zone": 0.5}]) if spread else {},
            )
            for i in range(models)
        }
    )
    asked = {
        f"m{i}": dict(zip(("0.5", "0.9", "0.95"), sorted(rng.uniform(0, 9) for _unused in range(3))))
        for i in range(models)
    }
    demands, _unused = planned_demand(catalogue, asked, None, [])
    running = parse_replicas(
        [
            {"host": one.name, "slot": 0, "model": "m0", "version": "1"}
            for one in fleet
            if rng.random() < 0.4 and one.accelerator_type in catalogue[0].capacity
        ]
    )
    return fleet, catalogue, demands, running


def packs_on_hosts(problem, counts) -> bool:
    """Whether whole accelerator counts fit on hosts, by trying every way."""
    for k, one in enumerate(problem.classes):
        items = sorted(
            (
                int(problem.need[p, 0])
                for p in np.flatnonzero(problem.pair_class == k)
                for _unused in range(int(counts[p]))
            ),
            reverse=True,
        )
        if not _packs(items, [one.example.accelerator_count] * len(one.hosts)):
            return False
    return True


def _packs(items: list[int], free: list[int]) -> bool:
    if not items:
        return True
    for size in set(free):
        if size >= items[0]:
            rest = list(free)
            rest[rest.index(size)] -= items[0]
            if _packs(items[1:], rest):
                return True
    return False


def best_by_enumeration(problem) -> float:
    ranges = [range(int(upper) + 1) for upper in problem.upper]
    return min(
        value(problem, counts).objective
        for counts in (np.array(one, dtype=float) for one in itertools.product(*ranges))
        if admissible(problem, counts) and packs_on_hosts(problem, counts)
    )


@pytest.mark.parametrize("seed", range(25))
def test_the_optimum_is_that_of_enumerating_all_plans_on_hosts(seed):
    fleet, catalogue, demands, running = toy(seed)
    problem = build_problem(fleet, catalogue, demands, running)
    found = replica_counts(problem)
    assert found.objective == pytest.approx(best_by_enumeration(problem), rel=1e-6, abs=1e-9)
    assert value(problem, found.replicas).objective == pytest.approx(found.objective)
    assert found.bound <= found.objective * (1 + 1e-6)
    assert assign(problem, found.replicas, fleet, running, elsewhere=False).left_over == {}


@pytest.mark.parametrize("seed", range(25, 40))
def test_packing_rows_cut_nothing_that_fits_on_hosts(seed):
    """With sizes that do not divide each other the programme is a relaxation: never above the true optimum."""
    fleet, catalogue, demands, running = toy(seed, sizes=(1, 2, 3))
    problem = build_problem(fleet, catalogue, demands, running)
    best = best_by_enumeration(problem)
    assert replica_counts(problem).objective <= best * (1 + 1e-6) + 1e-9


def test_packing_row_says_that_two_large_replicas_do_not_share_a_host():
    """Three replicas of 3 accelerators need 9 of the 16 on two hosts of 8, in total; each host takes two."""
    fleet = parse_hosts([host("a"), host("b")])
    catalogue = parse_models({"m": model(3), "n": model(5)})
    demands, _unused = planned_demand(catalogue, {"m": 1, "n": 100}, None, [])
    problem = build_problem(fleet, catalogue, demands, [])
    relaxed = solver.solve(formulate(problem).model, integer=False)
    # Without the row, 16/5 = 3.2 replicas of 5 would fit; a host takes one.
    assert relaxed.values[1] == pytest.approx(2.0)


@pytest.mark.parametrize("seed", range(10))
def test_classes_of_alike_hosts_lose_nothing(seed, monkeypatch):
    """The linear programme over classes has the optimum of the one over hosts."""
    fleet, catalogue, demands, running = toy(seed, hosts=8, models=4)
    by_class = build_problem(fleet, catalogue, demands, running)
    likeness = classes_file.likeness
    monkeypatch.setattr(classes_file, "likeness", lambda one, domains: (*likeness(one, domains), one.name))
    by_host = build_problem(fleet, catalogue, demands, running)
    assert len(by_host.classes) == 8 > len(by_class.classes)
    optima = [solver.solve(formulate(one).model, integer=False).objective for one in (by_class, by_host)]
    assert optima[0] == pytest.approx(optima[1], rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_rounding_is_admissible_and_near_the_optimum(seed):
    fleet, catalogue, demands, running = toy(seed, hosts=12, models=5, spread=False)
    problem = build_problem(fleet, catalogue, demands, running)
    relaxed = solver.solve(formulate(problem).model, integer=False)
    whole = rounded(problem, relaxed.values[: problem.pairs])
    assert (whole == np.round(whole)).all()
    assert admissible(problem, whole)
    exact = replica_counts(problem)
    assert value(problem, whole).objective >= exact.objective * (1 - 1e-6)
    assert value(problem, whole).shortage <= value(problem, np.zeros(problem.pairs)).shortage


@pytest.mark.parametrize("seed", range(12))
def test_one_more_host_never_makes_the_plan_dearer(seed):
    fleet, catalogue, demands, running = toy(seed, hosts=4, models=3, spread=False)
    records = [one.as_record() for one in fleet]
    for added in ("h100-80gb", "l40s-48gb"):
        wider = parse_hosts([*records, host("z", added, accelerator_count=SIZES[added], zone="a")])
        # Derived prices follow the dearest host there is, so both are valued on the wider fleet.
        problem = build_problem(wider, catalogue, demands, running)
        k = next(k for k, one in enumerate(problem.classes) if "z" in one.hosts)
        fewer = problem.host_count.copy()
        fewer[k] -= 1
        upper = np.minimum(problem.upper, problem.fits * fewer[problem.pair_class])
        narrower = replace(problem, host_count=np.maximum(fewer, 1), upper=upper)
        assert replica_counts(problem).objective <= replica_counts(narrower).objective * (1 + 1e-6)


def test_the_newsvendor_level_follows_from_a_stated_price():
    """A replica of 1 requests/s costs 3/h; a request is worth 6/h: serve up to the level 1 - 3/6, the median."""
    fleet = parse_hosts([host(f"h{i:02d}") for i in range(20)])
    levels = {f"{q / 100:g}": float(q) for q in range(1, 100)}
    catalogue = parse_models({"m": model(1, h100=1.0, shortage_cost=6.0 / 3600.0)})
    demands, _unused = planned_demand(catalogue, {"m": levels}, None, [])
    problem = build_problem(fleet, catalogue, demands, [], churn_hours=0.0)
    assert replica_counts(problem).replicas.sum() == pytest.approx(50, abs=1)


def test_churn_price_keeps_what_runs_when_moving_would_save_less():
    """Moving one replica from a host of 24/h to one of 23.9/h saves 0.0125/h and costs 0.03 x 2.9875."""
    fleet = parse_hosts([host("a"), host("b", cost_per_hour=23.9)])
    catalogue = parse_models({"m": model(1, min_replicas=1)})
    demands, _unused = planned_demand(catalogue, {"m": 0}, None, [])
    running = parse_replicas([{"host": "a", "slot": 0, "model": "m", "version": "1"}])
    for churn_hours, hosts_used in ((0.03, 0), (0.0, 1)):
        problem = build_problem(fleet, catalogue, demands, running, churn_hours=churn_hours)
        counts = replica_counts(problem).replicas
        kept = counts[next(k for k in range(2) if problem.classes[problem.pair_class[k]].hosts == ("a",))]
        assert kept == 1 - hosts_used
