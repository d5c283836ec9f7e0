# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""compute_share against a convex solver, and max-min fairness against one programme for each task.

    .venv/bin/python tests/benchmarks/allocation/share.py [--largest 100000] [--max-min-tasks 1000]

The seed problem: minimise sum w R / C subject to sum C <= capacity and floors, at 1e2 to
1e5 tasks. Exactness is the objective against the closed form, and the closed form is held
to the optimum by its Karush-Kuhn-Tucker residual. The convex solver is CLARABEL through
cvxpy, in an environment of its own that the script builds in .cache/allocation-benchmark
from requirements/allocation-benchmark.in; the timed part is its solve alone, without
cvxpy's building. All times are CPU seconds, the least of a few runs. Writes share.json
beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import sparse

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.solver import solve
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.least_response_time import (
    least_response_time,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.linear_programme import (
    linear,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.max_min_fairness import (
    max_min_fairness,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import Instance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.routes import build_routes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.segments import segment_form

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".cache" / "allocation-benchmark"
REQUIREMENTS = ROOT / "requirements" / "allocation-benchmark.in"
RESULT = Path(__file__).with_suffix(".json")
SEGMENT_LIMIT = 10_000
# Odd: the first guess is the optimum when there is one resource, and must not be the end of a piece.
PIECES = 63
CONVEX = """
import json, sys, time
import cvxpy, numpy
data = numpy.load(sys.argv[1])
effort, floor, capacity = data["effort"], data["floor"], float(data["capacity"])
share = cvxpy.Variable(len(effort))
limits = [cvxpy.sum(share) <= capacity, share >= floor]
problem = cvxpy.Problem(cvxpy.Minimize(effort @ cvxpy.inv_pos(share)), limits)
before = time.process_time()
data, chain, inverse = problem.get_problem_data(cvxpy.CLARABEL, solver_opts={"max_threads": 1})
built = time.process_time()
raw = chain.solve_via_data(problem, data, solver_opts={"max_threads": 1})
solved = time.process_time()
problem.unpack_results(raw, chain, inverse)
found = numpy.maximum(share.value, floor)
found = floor + (found - floor) * min(1.0, (capacity - floor.sum()) / (found - floor).sum())
print(json.dumps({"status": problem.status, "objective": float((effort / found).sum()),
    "build_cpu_seconds": built - before, "solve_cpu_seconds": solved - built,
    "cvxpy": cvxpy.__version__, "clarabel": __import__("clarabel").__version__}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--max-min-tasks", type=int, default=1000)
    options = parser.parse_args()
    convex = convex_environment()
    sizes = [size for size in (100, 1_000, 10_000, 100_000) if size <= options.largest]
    report = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("numpy", "scipy", "ortools")}},
        "seed_problem": [seed_problem(size, convex) for size in sizes],
        "max_min": [max_min(options.max_min_tasks, pools, most) for pools, most in ((4, 3), (12, 3), (12, 1))],
    }
    RESULT.write_text(json.dumps(report, indent=1, sort_keys=False) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


def convex_environment() -> str:
    """The Python that has cvxpy; the environment is built once."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    probe = [str(python), "-c", "import cvxpy, clarabel"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)], check=True)
    return str(python)


def cpu_seconds(work: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """The least CPU seconds of a few runs, and the last result."""
    least, result = np.inf, None
    for _run in range(repeat):
        before = time.process_time()
        result = work()
        least = min(least, time.process_time() - before)
    return float(least), result


def seed_instance(count: int) -> Instance:
    """One capacity at twice the floors, demands over three decades, floors for a third of the tasks."""
    rng = np.random.default_rng(count)
    demand = 10.0 ** rng.uniform(-1.5, 1.5, count)
    floor = np.where(rng.random(count) < 1 / 3, rng.uniform(0.5, 3.0, count), 0.0)
    return instance(
        "least_response_time", "all", np.array([2.0 * floor.sum()]), demand, rng.choice([0.5, 1.0, 3.0], count), floor
    )


def instance(
    strategy: str, use: str, amounts: Any, demand: Any, weight: Any, floor: Any, needs: Any = None
) -> Instance:
    count = len(demand)
    return Instance(
        strategy=strategy,
        use=use,
        resources=tuple(f"r{index:02}" for index in range(len(amounts))),
        amounts=amounts,
        prices=np.zeros(len(amounts)),
        names=tuple(f"t{index:06}" for index in range(count)),
        demand=demand,
        weight=weight,
        floor=floor,
        ceiling=np.full(count, np.inf),
        cost=np.zeros(count),
        value=np.full(count, np.nan),
        needs=np.ones((count, len(amounts))) if needs is None else needs,
    )


def seed_problem(count: int, python: str) -> dict[str, Any]:
    problem = seed_instance(count)
    effort, capacity = problem.weight * problem.demand, float(problem.amounts[0])
    seconds, found = cpu_seconds(lambda: least_response_time(problem, problem.floor, problem.ceiling), 7)
    objective = float((effort / found.shares).sum())
    entry: dict[str, Any] = {
        "tasks": count,
        "closed_form": {
            "cpu_seconds": round(seconds, 6),
            "kkt_residual": found.residual,
            "at_floor": int((found.shares <= problem.floor).sum()),
        },
    }
    if count <= SEGMENT_LIMIT:
        entry["segment_form"] = [segments(problem, effort, objective, refinements) for refinements in (0, 1, 2)]
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, effort=effort, floor=problem.floor, capacity=capacity)
        file.flush()
        done = subprocess.run([python, "-c", CONVEX, file.name], capture_output=True, text=True, check=True)
    other = json.loads(done.stdout)
    entry["convex_solver"] = {
        **other,
        "objective_over_closed_form": other.pop("objective") / objective - 1.0,
        "cpu_ratio": round(other["solve_cpu_seconds"] / seconds),
    }
    return entry


def segments(problem: Instance, effort: Any, objective: float, refinements: int) -> dict[str, Any]:
    routes = build_routes(problem)
    scaled = effort / routes.reach
    low = problem.floor / routes.reach
    high = np.ones(len(low))
    seconds, form = cpu_seconds(
        lambda: segment_form(routes, scaled, low, high, pieces=PIECES, refinements=refinements), 1
    )
    return {
        "pieces": PIECES,
        "refinements": refinements,
        "objective_over_closed_form": float((scaled / form.shares).sum()) / objective - 1.0,
        "proven_gap": form.gap,
        "cpu_seconds": round(seconds, 3),
    }


def max_min(count: int, pools: int, most: int) -> dict[str, Any]:
    """Demands over a decade at 1.6 times the capacity; each task may use one to ``most`` random pools."""
    rng = np.random.default_rng(pools)
    needs = np.zeros((count, pools))
    for row in range(count):
        chosen = rng.choice(pools, rng.integers(1, most + 1), replace=False)
        needs[row, chosen] = rng.uniform(0.5, 2.0, len(chosen))
    demand = 10.0 ** rng.uniform(0.0, 1.0, count)
    amounts = rng.uniform(0.5, 1.5, pools)
    amounts *= demand.sum() / 1.6 / amounts.sum()
    problem = instance(
        "max_min_fairness", "any", amounts, demand, rng.choice([0.5, 1.0, 3.0], count), np.zeros(count), needs
    )
    seconds, found = cpu_seconds(lambda: max_min_fairness(problem, problem.floor, demand), 2)
    slow_seconds, (reference, programmes) = cpu_seconds(lambda: sequential(problem, demand), 1)
    return {
        "tasks": count,
        "pools": pools,
        "pools_of_a_task": [1, most],
        "method": found.method,
        "cpu_seconds": round(seconds, 4),
        "sequential_programmes": programmes,
        "sequential_cpu_seconds": round(slow_seconds, 3),
        "largest_difference": float(np.abs(found.shares - reference).max() / reference.max()),
        "cpu_ratio": round(slow_seconds / seconds, 1),
    }


def sequential(problem: Instance, upper: Any) -> tuple[Any, int]:
    """One programme after another with the same solver: raise the least share over weight, freeze who is stopped."""
    routes = build_routes(problem)
    count, columns = len(upper), len(routes.task)
    resources = len(problem.amounts)
    high, rates = upper / routes.reach, problem.weight / routes.reach
    unit = rates.max()
    rates = rates / unit
    rates_left, fixed, programmes = rates.copy(), np.zeros(count), 0
    while (rates_left > 0).any():
        active = rates_left > 0
        most = float((high[active] / rates[active]).min())
        level = sparse.csr_matrix(-rates_left[:, None])
        model = linear(
            np.append(np.zeros(columns), -1.0),
            np.append(np.full(columns, np.inf), most),
            sparse.bmat([[routes.usage, None], [routes.share, level]], format="csr"),
            np.concatenate((np.full(resources, -np.inf), fixed)),
            np.concatenate((np.ones(resources), np.full(count, np.inf))),
        )
        solution = solve(model, integer=False)
        programmes += 1
        reached = float(solution.values[-1])
        prices = np.asarray(solution.duals)[resources:] * rates_left
        stopped = active & ((prices > 1e-7) | (high <= reached * rates * (1 + 1e-12)))
        fixed[stopped] = np.minimum(reached * rates[stopped], high[stopped])
        rates_left[stopped] = 0.0
    return fixed * routes.reach, programmes


if __name__ == "__main__":
    main()
