# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The adapter to OR-Tools: both routes, every status, published optima."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import LinearConstraint, milp

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel

DATA = Path(os.environ.get("MODELOPS_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))


def programme(objective, rows, row_lower, row_upper, upper, integer=True) -> LinearModel:
    count = len(objective)
    return LinearModel(
        objective=np.array(objective, dtype=float),
        lower=np.zeros(count),
        upper=np.broadcast_to(np.asarray(upper, dtype=float), (count,)).copy(),
        matrix=sparse.csr_matrix(np.array(rows, dtype=float)),
        row_lower=np.array(row_lower, dtype=float),
        row_upper=np.array(row_upper, dtype=float),
        integer=np.broadcast_to(np.asarray(integer), (count,)).copy(),
    )


def random_programme(seed: int) -> LinearModel:
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 20, (5, 12))
    return programme(
        -rng.integers(5, 40, 12), rows, np.full(5, -np.inf), rows.sum(axis=1) * 0.7, 3, integer=np.arange(12) % 3 > 0
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("integer", [True, False])
def test_both_routes_agree_with_scipy(seed, integer):
    model = random_programme(seed)
    reference = milp(
        model.objective,
        integrality=model.integer if integer else None,
        bounds=(model.lower, model.upper),
        constraints=LinearConstraint(model.matrix, model.row_lower, model.row_upper),
        options={"mip_rel_gap": 1e-9},
    )
    solution = solver.solve(model, integer=integer)
    assert solution.status is solver.Status.OPTIMAL
    assert solution.objective == pytest.approx(reference.fun, rel=1e-6)
    assert solution.bound <= solution.objective + 1e-6
    name = "scip" if integer else "glop"
    status, values, objective, _bound, duals = solver._solve_by_proto(model, name, 30.0, 1e-6)
    assert status is solver.Status.OPTIMAL
    assert objective == pytest.approx(reference.fun, rel=1e-6)
    assert model.objective @ values == pytest.approx(objective)
    assert duals == pytest.approx(solution.duals)


def test_the_fallback_is_used_when_the_helper_cannot_fill(monkeypatch):
    from ortools.linear_solver.python import model_builder_helper

    class Older:
        pass

    monkeypatch.setattr(model_builder_helper, "ModelBuilderHelper", Older)
    model = random_programme(0)
    assert solver.solve(model).objective == pytest.approx(solver._solve_by_proto(model, "scip", 30.0, 1e-6)[2])


def test_same_arrays_same_answer():
    first, second = solver.solve(random_programme(3)), solver.solve(random_programme(3))
    assert (first.values == second.values).all()


@pytest.mark.parametrize("route", [solver._solve_by_helper, solver._solve_by_proto])
def test_an_impossible_programme_is_said_to_be(route):
    impossible = programme([1.0], [[1.0]], [3.0], [np.inf], 2)
    assert route(impossible, "scip", 10.0, 1e-6)[0] is solver.Status.INFEASIBLE


def test_an_unbounded_programme_carries_no_values():
    unbounded = programme([-1.0], [[0.0]], [-np.inf], [1.0], np.inf, integer=False)
    assert not solver.solve(unbounded).status.has_values


def test_the_best_plan_so_far_survives_the_time_limit():
    rng = np.random.default_rng(5)
    rows = rng.uniform(0, 10, (30, 150))
    hard = programme(-rng.uniform(1, 10, 150), rows, np.full(30, -np.inf), rows.sum(axis=1) * 1.37, 5)
    solution = solver.solve(hard, time_limit_seconds=0.5)
    assert solution.seconds < 5
    assert solution.status is solver.Status.FEASIBLE
    assert solution.bound < solution.objective < 0
    assert (hard.matrix @ solution.values <= hard.row_upper + 1e-6).all()


def test_nothing_is_printed(capfd):
    solver.solve(random_programme(1))
    solver.solve(random_programme(1), integer=False)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


def test_melange_toy_instance():
    """Published answer: 3 A10G and 1 A100-80GB, 6.70 per hour (Griggs et al., Melange, 2024)."""
    path = DATA / "alloc" / "melange" / "example.json"
    if not path.is_file():
        pytest.skip(f"reference data not found at {path}; set MODELOPS_DATA")
    instance = json.loads(path.read_text())
    gpus = sorted(instance["gpu_info"])
    rates = np.array(instance["workload_distribution"]).ravel() * instance["total_request_rate"]
    load = np.array([rates / np.array(instance["gpu_info"][gpu]["tputs"]).ravel() for gpu in gpus])
    # Columns: bucket b wholly on GPU type g (8), then how many GPUs of each type (2).
    rows = np.zeros((6, 10))
    for g in range(2):
        rows[g, 4 * g : 4 * g + 4] = load[g]
        rows[g, 8 + g] = -1.0
    for b in range(4):
        rows[2 + b, [b, 4 + b]] = 1.0
    costs = [instance["gpu_info"][gpu]["cost"] for gpu in gpus]
    upper = np.append(np.ones(8), [np.inf, np.inf])
    model = programme(np.append(np.zeros(8), costs), rows, [-np.inf] * 2 + [1.0] * 4, [0.0] * 2 + [1.0] * 4, upper)
    solution = solver.solve(model)
    assert solution.objective == pytest.approx(6.70)
    assert dict(zip(gpus, np.round(solution.values[8:]))) == {"A10G": 3, "A100-80GB": 1}
