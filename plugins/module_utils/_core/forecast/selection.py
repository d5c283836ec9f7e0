# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Combine the candidates that did best in the backtest.

The best 8 whose mean absolute error is within 1.4 times the smallest, weighted by
1 / MAE^4; after a small backtest by :data:`SHORT`, with a preference for the methods
that win on short series. A combination beats its best member because the members err differently
(Bates and Granger 1969). The backtest of the combination takes each fold's weights
from the other folds, so its errors are not of forecasts chosen on those errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import Layout


@dataclass(frozen=True)
class Rule:
    """The best ``best`` candidates within ``within`` times the smallest error share the weight by error^-``sharpness``."""

    best: int = 8
    within: float = 1.4
    sharpness: int = 4


LONG = Rule()
# A small backtest ranks badly: more candidates stay, and less hangs on their order.
SHORT = Rule(within=1.8, sharpness=2)


def combination_weights(errors: Any, rule: Rule = LONG, preferences: Any = 1.0) -> Any:
    """Weights (C, ...) that sum to one over candidates.

    Args:
        errors: (C, ...) mean absolute error of each candidate. Ties go to the earlier.
        rule: who shares, and how.
        preferences: (C,) factors on the weights, for candidates known to be good before any test.
    """
    best = errors.min(axis=0)
    rank = np.argsort(np.argsort(errors, axis=0, kind="stable"), axis=0, kind="stable")
    # an error of exactly zero (constant series) would divide by zero; relative to the best no power overflows
    relative = np.maximum(errors, 1e-12) / np.maximum(best, 1e-12)
    chosen = (rank < rule.best) & (relative <= rule.within)
    prior = np.reshape(preferences, (-1,) + (1,) * (errors.ndim - 1))
    weights = np.where(chosen, prior * relative**-rule.sharpness, 0.0)
    return weights / weights.sum(axis=0)


def fold_sums(forecasts: Any, actual: Any, observed: Any, layout: Layout) -> tuple[Any, Any]:
    """Sums of absolute errors (C, S, F) and counts (S, F) per fold."""
    folds = int(layout.folds[-1]) + 1
    starts = np.searchsorted(layout.folds, np.arange(folds))
    counts = np.add.reduceat(observed.sum(axis=-1), starts, axis=-1)
    sums = np.empty((forecasts.shape[0], forecasts.shape[1], folds))
    for index, candidate in enumerate(forecasts):
        misses = (np.abs(candidate - actual) * observed).sum(axis=-1)
        sums[index] = np.add.reduceat(misses, starts, axis=-1)
    return sums, counts


def combine_out_of_fold(
    forecasts: Any, sums: Any, counts: Any, layout: Layout, rule: Rule = LONG, preferences: Any = 1.0
) -> Any:
    """Backtest forecasts (S, O, horizon) of the combination, each fold weighted by the others.

    With a single fold there are no others, and its own weights are used.
    """
    if counts.shape[-1] > 1:
        sums = sums.sum(axis=-1, keepdims=True) - sums
        counts = counts.sum(axis=-1, keepdims=True) - counts
    weights = combination_weights(sums / np.maximum(counts, 1), rule, preferences)
    return np.einsum("csoh,cso->soh", forecasts, weights[:, :, layout.folds], optimize=False)
