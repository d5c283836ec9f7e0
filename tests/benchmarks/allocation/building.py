# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building: 1e6 nonzeros into a solver, ours against highspy arrays and pywraplp term by term.

    .venv/bin/python tests/benchmarks/allocation/building.py

The rows of a replica plan: 1,000 models on 250 classes, four rows a pair. CPU seconds, best of three.
"""

from __future__ import annotations

from typing import Any

import common
import numpy as np
from scipy import sparse

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import LinearModel


def programme(models: int = 1000, classes: int = 250) -> LinearModel:
    pairs = models * classes
    rng = np.random.default_rng(1)
    m, k = np.divmod(np.arange(pairs), classes)
    rows = np.concatenate([m, models + k, models + classes + k, models + 2 * classes + k])
    matrix = sparse.csr_matrix(
        (rng.uniform(1, 8, 4 * pairs), (rows, np.tile(np.arange(pairs), 4))), shape=(models + 3 * classes, pairs)
    )
    return LinearModel(
        objective=rng.uniform(1, 5, pairs),
        lower=np.zeros(pairs),
        upper=np.full(pairs, 100.0),
        matrix=matrix,
        row_lower=np.concatenate([np.full(models, 50.0), np.full(3 * classes, -np.inf)]),
        row_upper=np.concatenate([np.full(models, np.inf), np.full(3 * classes, 1e4)]),
        integer=np.ones(pairs, dtype=bool),
    )


def by_arrays(model: LinearModel) -> Any:
    from ortools.linear_solver.python import model_builder_helper

    built = model_builder_helper.ModelBuilderHelper()
    built.fill_model_from_sparse_data(
        model.lower, model.upper, model.objective, model.row_lower, model.row_upper, model.matrix
    )
    assert built.num_variables() == len(model.objective)
    return built


def by_highspy(model: LinearModel) -> Any:
    import highspy

    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    programme = highspy.HighsLp()
    programme.num_row_, programme.num_col_ = model.matrix.shape
    programme.col_cost_, programme.col_lower_, programme.col_upper_ = model.objective, model.lower, model.upper
    programme.row_lower_, programme.row_upper_ = model.row_lower, model.row_upper
    programme.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    programme.a_matrix_.start_ = model.matrix.indptr
    programme.a_matrix_.index_ = model.matrix.indices
    programme.a_matrix_.value_ = model.matrix.data
    solver.passModel(programme)
    return solver


def by_pywraplp(model: LinearModel) -> Any:
    from ortools.linear_solver import pywraplp

    solver = pywraplp.Solver.CreateSolver("GLOP")
    variables = [solver.NumVar(lower, upper, "") for lower, upper in zip(model.lower.tolist(), model.upper.tolist())]
    edges = model.matrix.indptr.tolist()
    columns, values = model.matrix.indices.tolist(), model.matrix.data.tolist()
    for row, (lower, upper) in enumerate(zip(model.row_lower.tolist(), model.row_upper.tolist())):
        constraint = solver.Constraint(lower, upper)
        for entry in range(edges[row], edges[row + 1]):
            constraint.SetCoefficient(variables[columns[entry]], values[entry])
    return solver


def main() -> None:
    model = programme()
    rows: list[dict[str, Any]] = []
    for name, build in (("ours", by_arrays), ("highspy arrays", by_highspy), ("pywraplp", by_pywraplp)):
        try:
            build(programme(10, 5))
        except ImportError as error:
            rows.append({"way": name, "absent": str(error)})
            continue
        seconds, _unused = common.cpu(lambda build=build: build(model), repeat=3)
        rows.append({"way": name, "nonzeros": model.matrix.nnz, "cpu_seconds": round(seconds, 4)})
        rows[-1]["times_ours"] = round(seconds / rows[0]["cpu_seconds"], 1)
    common.write(__file__, rows, "highspy")


if __name__ == "__main__":
    main()
