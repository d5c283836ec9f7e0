# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The route to counts: by size, when the solver gives nothing, and when what runs is as good."""

from __future__ import annotations

import random

import numpy as np
import pytest
from allocation_fleets import check_document, host, model, plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import routes, search, solver

KINDS = ("h100-80gb", "l40s-48gb")


def fleet(seed: int):
    rng = random.Random(seed)
    hosts = [host(f"h{i:02d}", KINDS[i % 2], zone="abc"[i % 3]) for i in range(24)]
    models = {
        f"m{i}": model(rng.choice([1, 1, 2, 4]), h100=rng.uniform(3, 9), l40s=rng.uniform(1, 3), spread={"zone": 0.6})
        for i in range(6)
    }
    demand = {name: rng.uniform(10, 60) for name in models}
    return hosts, models, demand


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objective", search.OBJECTIVES)
def test_the_route_for_large_fleets_is_sound_and_near_the_direct_one(seed, objective, monkeypatch):
    direct = plan(*fleet(seed), objective=objective)
    monkeypatch.setattr(routes, "DIRECT_INTEGERS", 0)
    rounded = plan(*fleet(seed), objective=objective)
    check_document(rounded)
    assert rounded["solver"]["method"].startswith("mixed-integer programme around")
    assert rounded["solver"]["status"] == "feasible"
    assert rounded["shortages"] == direct["shortages"] == []
    assert rounded["cost_per_hour"] <= 1.25 * direct["cost_per_hour"]


def test_a_solver_that_finds_nothing_in_time_leaves_a_rounded_plan(monkeypatch):
    solve = solver.solve

    def out_of_time(programme, *, integer=True, **limits):
        if integer:
            return solver.Solution(solver.Status.NO_SOLUTION, "scip", np.zeros(0), np.inf, -np.inf, 30.0)
        return solve(programme, integer=False, **limits)

    monkeypatch.setattr(solver, "solve", out_of_time)
    document = plan(*fleet(1))
    check_document(document)
    assert document["solver"]["status"] == "no solution in time"
    assert document["shortages"] == []


def test_a_solver_that_fails_altogether_leaves_what_runs(monkeypatch):
    hosts, models, demand = fleet(2)
    current = plan(hosts, models, demand)["placements"]
    nothing = solver.Solution(solver.Status.FAILED, "scip", np.zeros(0), np.inf, -np.inf, 0.0)
    monkeypatch.setattr(solver, "solve", lambda *args, **named: nothing)
    document = plan(hosts, models, demand, current)
    check_document(document)
    assert (document["starts"], document["stops"]) == (0, 0)
    assert document["solver"]["status"] == "failed"
    assert document["warnings"]


def test_without_any_solver_demand_is_still_served_greedily(monkeypatch):
    nothing = solver.Solution(solver.Status.FAILED, "scip", np.zeros(0), np.inf, -np.inf, 0.0)
    monkeypatch.setattr(solver, "solve", lambda *args, **named: nothing)
    document = plan(*fleet(2))
    check_document(document)
    assert document["shortages"] == []
