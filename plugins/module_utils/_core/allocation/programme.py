# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A linear or mixed-integer programme as arrays, and the means to build one block by block."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
PURPOSE = "capacity planning"


@dataclass(frozen=True, eq=False)
class LinearModel:
    """minimise ``objective`` x with ``row_lower`` <= ``matrix`` x <= ``row_upper``.

    ``matrix`` is a SciPy CSR matrix; ``integer`` marks the columns that must be whole.
    """

    objective: Array
    lower: Array
    upper: Array
    matrix: Array
    row_lower: Array
    row_upper: Array
    integer: Array

    def with_row(self, row: Array, most: float) -> LinearModel:
        """The model with one more row, ``row`` x <= ``most``."""
        sparse = require("scipy.sparse", purpose=PURPOSE)
        return replace(
            self,
            matrix=sparse.vstack([self.matrix, sparse.csr_matrix(row)], format="csr"),
            row_lower=np.append(self.row_lower, -np.inf),
            row_upper=np.append(self.row_upper, most),
        )


class Rows:
    """Rows collected block by block as coordinate arrays; nothing is added term by term."""

    def __init__(self, column_count: int) -> None:
        self.column_count = column_count
        self.count = 0
        self._parts: list[tuple[Array, Array, Array]] = []
        self._lower: list[Array] = []
        self._upper: list[Array] = []
        self._room_class: list[Array] = []

    def add(
        self, rows: Array, columns: Array, values: Array, lower: Array, upper: Array, *, room_class: Array = -1
    ) -> None:
        """A block: ``rows`` counts from 0 within it; ``lower`` and ``upper`` have one entry a row.

        ``room_class`` names the class whose hosts' room a row shares out, -1 for other rows.
        """
        shape = np.broadcast_shapes(np.shape(rows), np.shape(columns))
        self._parts.append(
            (
                np.asarray(rows) + self.count,
                np.asarray(columns),
                np.broadcast_to(np.asarray(values, dtype=float), shape),
            )
        )
        height = max(np.size(lower), np.size(upper))
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=float), (height,)))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=float), (height,)))
        self._room_class.append(np.broadcast_to(np.asarray(room_class, dtype=np.int64), (height,)))
        self.count += height

    def room_classes(self) -> Array:
        """The class of each row of room, -1 for the others."""
        return np.concatenate(self._room_class) if self._room_class else np.zeros(0, dtype=np.int64)

    def build(self) -> tuple[Array, Array, Array]:
        """The CSR matrix, lower and upper bounds of the rows."""
        sparse = require("scipy.sparse", purpose=PURPOSE)
        rows, columns, values = (
            np.concatenate([part[i] for part in self._parts]) if self._parts else np.zeros(0) for i in range(3)
        )
        matrix = sparse.csr_matrix((values, (rows, columns)), shape=(self.count, self.column_count))
        bounds = (np.concatenate(part) if part else np.zeros(0) for part in (self._lower, self._upper))
        return (matrix, *bounds)
