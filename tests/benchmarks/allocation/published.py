# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published instances: generalised assignment (OR-Library) in 12 s, Melange's example exactly.

.venv/bin/python tests/benchmarks/allocation/published.py
"""

from __future__ import annotations

import csv
import json
from typing import Any

import common
import numpy as np
from scipy import sparse

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel

FOLDER = common.DATA / "alloc"
SECONDS = 12.0


def assignment_programme(name: str) -> LinearModel:
    """min sum c_ij x_ij, each job j on one agent i, sum_j a_ij x_ij <= b_i."""
    numbers = [int(word) for word in (FOLDER / "gap" / f"{name}.txt").read_text().split()]
    agents, jobs = numbers[:2]
    pairs = agents * jobs
    cost, need = np.array(numbers[2 : 2 + 2 * pairs], dtype=float).reshape(2, pairs)
    room = np.array(numbers[2 + 2 * pairs : 2 + 2 * pairs + agents], dtype=float)
    i, j = np.divmod(np.arange(pairs), jobs)
    matrix = sparse.csr_matrix(
        (np.concatenate([need, np.ones(pairs)]), (np.concatenate([i, agents + j]), np.tile(np.arange(pairs), 2)))
    )
    return LinearModel(
        objective=cost,
        lower=np.zeros(pairs),
        upper=np.ones(pairs),
        matrix=matrix,
        row_lower=np.concatenate([np.full(agents, -np.inf), np.ones(jobs)]),
        row_upper=np.concatenate([room, np.ones(jobs)]),
        integer=np.ones(pairs, dtype=bool),
    )


def assignment_rows() -> list[dict[str, Any]]:
    with (FOLDER / "gap" / "data.csv").open() as stream:
        optimum = {one["Path"].split("/")[-1]: float(one["Optimum"]) for one in csv.DictReader(stream)}
    rows = []
    for name in ("c10200", "d10200", "e10200"):
        seconds, found = common.cpu(
            lambda name=name: solver.solve(assignment_programme(name), time_limit_seconds=SECONDS)
        )
        rows.append(
            {
                "instance": name,
                "optimum": optimum[name],
                "found": found.objective,
                "over_optimum": round(found.objective / optimum[name] - 1, 5),
                "cpu_seconds": round(seconds, 1),
            }
        )
    return rows


def melange_row() -> dict[str, Any]:
    """Load buckets split over GPU types, the least cost of whole GPUs; published: 3 A10G and 1 A100, 6.70 an hour."""
    instance = json.loads((FOLDER / "melange" / "example.json").read_text())
    kinds = sorted(instance["gpu_info"])
    rates = np.array(instance["workload_distribution"]).ravel() * instance["total_request_rate"]
    load = np.array([rates / np.array(instance["gpu_info"][kind]["tputs"]).ravel() for kind in kinds])
    buckets = load.shape[1]
    split = len(kinds) * buckets
    rows = np.zeros((len(kinds) + buckets, split + len(kinds)))
    for g in range(len(kinds)):
        rows[g, g * buckets : (g + 1) * buckets] = load[g]
        rows[g, split + g] = -1.0
        rows[len(kinds) + np.arange(buckets), g * buckets + np.arange(buckets)] = 1.0
    costs = [instance["gpu_info"][kind]["cost"] for kind in kinds]
    found = solver.solve(
        LinearModel(
            objective=np.append(np.zeros(split), costs),
            lower=np.zeros(split + len(kinds)),
            upper=np.append(np.ones(split), np.full(len(kinds), np.inf)),
            matrix=sparse.csr_matrix(rows),
            row_lower=np.append(np.full(len(kinds), -np.inf), np.ones(buckets)),
            row_upper=np.append(np.zeros(len(kinds)), np.ones(buckets)),
            integer=np.ones(split + len(kinds), dtype=bool),
        )
    )
    counts = dict(zip(kinds, np.round(found.values[split:]).astype(int).tolist()))
    return {"instance": "melange example", "optimum": 6.70, "found": round(found.objective, 6), "gpus": counts}


def main() -> None:
    common.warm_up()
    common.write(__file__, [*assignment_rows(), melange_row()], seconds=SECONDS)


if __name__ == "__main__":
    main()
