# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Ways to fill one host of a class, made to be worth much at given prices.

A filling says how many replicas of each pair share one host. It is built by putting them
into the host's room one by one, down to the accelerator, so it can be placed as it is.
Which filling is worth most is a small knapsack over several resources with accelerators
that are shared; it is solved by greedy construction, many times: each time replicas are
taken in the order of their price per room, with the prices disturbed a little, by another
measure of room, and as full as it goes. Good fillings are all that is needed of it, the
programme over fillings proves nothing.

Source: randomised greedy construction (Feo and Resende, J. Global Optimization 6, 1995).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.problem import Problem
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.room_states import RoomStates

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
SEED = 1
DISTURBANCE = 0.3  # of the logarithm of a price
LEAST_PRICE = 1e-9


class FillingMaker:
    """Builds fillings; what fits into which state of a host is remembered between them."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._states = RoomStates()
        self._random = np.random.default_rng(SEED)
        by_class = np.argsort(problem.pair_class, kind="stable")
        edges = np.searchsorted(problem.pair_class[by_class], np.arange(len(problem.classes) + 1))
        self.pairs_of = [by_class[edges[k] : edges[k + 1]] for k in range(len(problem.classes))]

    def best(self, k: int, prices: Array, tries: int) -> list[tuple[float, dict[int, int]]]:
        """Fillings of class ``k`` at these prices (money a replica, shape (P,)), each with its worth, best first.

        Args:
            k: the class.
            prices: what a replica of each pair is worth.
            tries: how many are built; equal ones are returned once.
        """
        pairs = self.pairs_of[k]
        pairs = pairs[prices[pairs] > LEAST_PRICE]
        found: dict[tuple[tuple[int, int], ...], float] = {}
        for number in range(tries if len(pairs) else 0):
            order = self._order(k, pairs, prices[pairs], number)
            filling = self._fill(k, order)
            worth = sum(float(prices[pair]) * count for pair, count in filling.items())
            found[tuple(sorted(filling.items()))] = worth
        return [(worth, dict(key)) for key, worth in sorted(found.items(), key=lambda item: (-item[1], item[0]))]

    def _order(self, k: int, pairs: Array, prices: Array, number: int) -> list[int]:
        """Dearest per room first; the measure of room changes from try to try, the first try is undisturbed."""
        room = np.where(np.isfinite(self._problem.room[k]), self._problem.room[k], np.inf)
        shares = self._problem.need[pairs] / np.maximum(room, LEAST_PRICE)
        measure = (shares.max(axis=1), shares.sum(axis=1), shares[:, 0])[number % 3]
        density = np.log(prices) - np.log(np.maximum(measure, LEAST_PRICE))
        if number >= 3:
            density = density + self._random.normal(0.0, DISTURBANCE, len(pairs))
        return [int(pairs[i]) for i in np.lexsort((pairs, -np.round(density, 9)))]

    def _fill(self, k: int, order: list[int]) -> dict[int, int]:
        problem, states = self._problem, self._states
        state = states.empty(problem.classes[k].example)
        filling: dict[int, int] = {}
        for pair in order:
            model = problem.models[problem.pair_model[pair]]
            most = min(problem.fits[pair], problem.upper[pair])
            while filling.get(pair, 0) < most and states.can_take(state, model):
                state = states.take(state, model, states.choose(state, model))
                filling[pair] = filling.get(pair, 0) + 1
        return filling
