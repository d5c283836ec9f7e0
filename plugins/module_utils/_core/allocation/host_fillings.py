# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whole hosts at once: the programme over fillings, by column generation.

Where replicas share accelerators, or take much processor or memory, what fits a class in
total does not fit its hosts. There the rows of room give way to fillings of one host:

    x_mk <= sum_f g_mkf y_kf      for each pair;  g: replicas in filling f, y: hosts filled so
    sum_f y_kf <= n_k             for each class

all other rows and the objective stay those of formulation.py. The linear programme is
solved over the fillings known so far; its duals price a replica of each pair, and new
fillings that are worth more than their host at those prices are added, until none is
found, :data:`MAX_ROUNDS` are done, or half of the time is gone. Then the y are made whole:
by the mixed-integer programme over the fillings found, or, where that gives nothing in
time, rounded down; hosts that are left are filled greedily at what is short.

Only the first period is planned this way.

Source: column generation for cutting stock (Gilmore and Gomory, Operations Research 9, 1961).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import solver
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.fillings import FillingMaker
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.formulation import (
    Formulation,
    formulate,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.programme import PURPOSE, LinearModel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.valuation import demand, value
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
MAX_ROUNDS = 40
TRIES = 12  # fillings built a class and round
ADDED = 4  # of them added at most
GAP = 2e-3
INTEGER_SHARE = 0.6  # of the time that is left, for the mixed-integer programme
TOLERANCE = 1e-6


@dataclass(frozen=True)
class HostFilling:
    """One host of class ``host_class`` holds ``replicas``: how many of each pair."""

    host_class: int
    replicas: dict[int, int]


def fill_hosts(problem: Problem, time_limit_seconds: float) -> tuple[list[HostFilling], solver.Status]:
    """Fillings for the first period, and how the last solve ended."""
    if problem.pairs == 0:
        return [], solver.Status.OPTIMAL
    return _Generation(replace(problem, later=(), lead=np.zeros_like(problem.lead)), time_limit_seconds).run()


class _Generation:
    def __init__(self, problem: Problem, time_limit_seconds: float) -> None:
        self.problem = problem
        self._base: Formulation = formulate(problem)
        self._maker = FillingMaker(problem)
        self._known: dict[tuple[int, tuple[tuple[int, int], ...]], None] = {}
        self._begun = time.monotonic()
        self._limit = time_limit_seconds

    def _left(self) -> float:
        return self._limit - (time.monotonic() - self._begun)

    def run(self) -> tuple[list[HostFilling], solver.Status]:
        own = self._base.prices(np.zeros(len(self._base.room_class)))[0]
        worth = np.zeros(len(self.problem.models))
        np.maximum.at(worth, self.problem.layer_model, self.problem.layer_price)
        free = np.zeros(len(self.problem.classes))
        added = self._add(worth[self.problem.pair_model] * self.problem.rate - own, free)
        best = solver.Solution(solver.Status.OPTIMAL, "", np.zeros(0), 0.0, 0.0, 0.0)
        rows = int((self._base.room_class < 0).sum())
        for _unused in range(MAX_ROUNDS if added else 0):
            relaxed = self._solve(integer=False)
            if not relaxed.status.has_values:
                break
            best = relaxed
            duals = -relaxed.duals[rows:]
            if self._left() < self._limit / 2 or not self._add(
                duals[: self.problem.pairs], duals[self.problem.pairs :]
            ):
                break
        if self._known and self._left() > 0:
            whole = self._solve(integer=True)
            best = whole if whole.status.has_values else best
        return self._whole(best.values), best.status

    def _whole(self, values: Array) -> list[HostFilling]:
        """Fillings without the replicas that are not wanted, and greedy ones for the hosts that are left."""
        hosts = np.floor(values[len(self._base.model.objective) :] + TOLERANCE)
        wanted = np.ceil(values[: self.problem.pairs] - TOLERANCE)
        chosen: list[HostFilling] = []
        for (k, key), count in zip(self._known, hosts.tolist()):
            for _unused in range(int(count)):
                held = {pair: int(min(number, wanted[pair])) for pair, number in key}
                for pair, number in held.items():
                    wanted[pair] -= number
                chosen.append(HostFilling(k, {pair: number for pair, number in held.items() if number}))
        return self._filled_up(chosen)

    def _add(self, prices: Array, host_prices: Array) -> int:
        """New fillings that are worth more than their host; returns how many."""
        before = len(self._known)
        for k, one in enumerate(self.problem.classes):
            tries = 1 if one.draining else TRIES
            for worth, filling in self._maker.best(k, prices, tries)[:ADDED]:
                if worth > host_prices[k] + TOLERANCE * max(1.0, host_prices[k]):
                    self._known.setdefault((k, tuple(sorted(filling.items()))))
        return len(self._known) - before

    def _solve(self, *, integer: bool) -> solver.Solution:
        limit = max(0.5, self._left() * (INTEGER_SHARE if integer else 1.0))
        return solver.solve(self._programme(), integer=integer, time_limit_seconds=limit, gap=GAP)

    def _programme(self) -> LinearModel:
        """The base without its rows of room, and a column for each filling."""
        sparse = require("scipy.sparse", purpose=PURPOSE)
        base, problem = self._base.model, self.problem
        kept = np.flatnonzero(self._base.room_class < 0)
        width, count = len(base.objective), len(self._known)
        entries = [(pair, i, number) for i, (_k, key) in enumerate(self._known) for pair, number in key]
        pair, column, number = (np.array(part) for part in zip(*entries))
        holds = sparse.csr_matrix((number.astype(float), (pair, column)), shape=(problem.pairs, count))
        of_class = np.array([k for k, _key in self._known], dtype=np.int64)
        hosts = sparse.csr_matrix((np.ones(count), (of_class, np.arange(count))), shape=(len(problem.classes), count))
        replicas = sparse.csr_matrix(
            (np.ones(problem.pairs), (np.arange(problem.pairs), np.arange(problem.pairs))), shape=(problem.pairs, width)
        )
        matrix = sparse.bmat([[base.matrix[kept], None], [replicas, -holds], [None, hosts]], format="csr")
        rows = problem.pairs + len(problem.classes)
        return LinearModel(
            objective=np.append(base.objective, np.zeros(count)),
            lower=np.append(base.lower, np.zeros(count)),
            upper=np.append(base.upper, np.full(count, np.inf)),
            matrix=matrix,
            row_lower=np.concatenate([base.row_lower[kept], np.full(rows, -np.inf)]),
            row_upper=np.concatenate([base.row_upper[kept], np.zeros(problem.pairs), problem.host_count]),
            integer=np.append(base.integer, np.ones(count, dtype=bool)),
        )

    def _filled_up(self, fillings: list[HostFilling]) -> list[HostFilling]:
        """Greedy fillings for the hosts that are left, cheapest first, at what is short."""
        problem = self.problem
        replicas, free = np.zeros(problem.pairs), problem.host_count.copy()
        for one in fillings:
            free[one.host_class] -= 1
            for pair, number in one.replicas.items():
                replicas[pair] += number
        for k in np.argsort([one.cost_per_hour for one in problem.classes], kind="stable").tolist():
            while free[k] > 0 and not problem.classes[k].draining:
                tries = TRIES if self._left() > 0 else 1
                best = self._maker.best(k, self._prices_of_what_is_short(replicas), tries)
                if not best:
                    break
                fillings.append(HostFilling(k, best[0][1]))
                free[k] -= 1
                for pair, number in best[0][1].items():
                    replicas[pair] += number
        return fillings

    def _prices_of_what_is_short(self, replicas: Array) -> Array:
        """Money that one more replica of each pair saves, nothing where the model needs none."""
        problem = self.problem
        worth = value(problem, replicas)
        unserved = np.zeros(len(problem.models))
        lacking = worth.missing > TOLERANCE * np.maximum(1.0, demand(problem)[problem.layer_model])
        np.maximum.at(unserved, problem.layer_model[lacking], problem.layer_price[lacking])
        missing = worth.missing_rate[problem.pair_model]
        saved = unserved[problem.pair_model] * np.minimum(problem.rate, missing)
        saved += np.where(worth.below[problem.pair_model] > 0, problem.floor_price[problem.pair_model], 0.0)
        room_left = np.bincount(problem.pair_model, weights=replicas, minlength=len(problem.models)) < problem.ceiling
        return np.where(room_left[problem.pair_model], np.maximum(saved - problem.cost, 0.0), 0.0)
