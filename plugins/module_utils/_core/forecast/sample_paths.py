# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Sample paths whose steps have the forecast's quantiles and hang together like its errors: the Schaake shuffle.

At each lead the N paths take the values F^-1((k + 1/2) / N), k = 0 .. N - 1, each once;
F^-1 is linear in normal scores between the given levels and beyond the outermost ones.
Which path takes which is read off N templates, by rank at each lead. A template is a
smoothed draw from the backtest's O error paths e_o, centred at each lead,

    t_n = e_o(n) + BANDWIDTH * O^-1/2 * sum_o w_no e_o,    w_no ~ N(0, 1),

where each origin serves equally often. Ties are broken thereby in a way that depends
over the leads as the errors do; the correlation of the templates is that of the errors.
Where no error is known, or none differs, a path keeps its rank.

Sources: Clark, Gangopadhyay, Hay, Rajagopalan and Wilby (2004), J. Hydrometeorology 5,
243-262; Schefzik, Thorarinsdottir and Gneiting (2013), Statistical Science 28, 616-640;
smoothing after Silverman and Young (1987), Biometrika 74, 469-479.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

# Beyond about a half, smoothing makes the dependence Gaussian and the window maximum too low for short memories.
BANDWIDTH = 0.25


def draw_paths(
    levels: Sequence[float],
    quantiles: Any,
    errors: Any,
    observed: Any,
    *,
    names: Sequence[str],
    count: int,
    seed: int,
) -> Any:
    """Paths (S, count, H), never negative, in no order.

    A series' paths depend on its own numbers, its name and the seed alone.

    Args:
        levels: Q, ascending.
        quantiles: (S, Q, H), ascending in Q.
        errors: (S, O, H) actual - forecast of the backtest, in any scale that is one at each lead.
        observed: (S, O, H) bool, where ``errors`` is known.
        names: S, to seed each series.
        count: N, 1 or more.
        seed: 0 or more.
    """
    values = np.maximum(_level_weights(levels, count) @ quantiles, 0.0)
    templates = _templates(_whole_paths(errors, observed), observed.any(axis=2), names, count, seed)
    order = np.argsort(templates, axis=1, kind="stable")
    paths = np.empty_like(values)
    np.put_along_axis(paths, order, values, axis=1)
    return paths


def _level_weights(levels: Sequence[float], count: int) -> Any:
    """(N, Q): what each given quantile weighs in the quantile at (k + 1/2) / N."""
    normal = NormalDist()
    given = np.array([normal.inv_cdf(level) for level in levels])
    weights = np.zeros((count, given.size))
    if given.size == 1:
        return weights + 1.0
    asked = np.array([normal.inv_cdf((k + 0.5) / count) for k in range(count)])
    left = np.clip(np.searchsorted(given, asked, side="right") - 1, 0, given.size - 2)
    share = (asked - given[left]) / (given[left + 1] - given[left])
    rows = np.arange(count)
    weights[rows, left] = 1.0 - share
    weights[rows, left + 1] = share
    return weights


def _whole_paths(errors: Any, observed: Any) -> Any:
    """(S, O, H) centred at each lead, gaps bridged linearly between neighbours; 0 where an origin knows nothing."""
    known = np.maximum(observed.sum(axis=1, keepdims=True), 1)
    centred = np.where(observed, errors, 0.0)
    centred = np.where(observed, centred - centred.sum(axis=1, keepdims=True) / known, 0.0)
    if observed.all():
        return centred
    leads = np.arange(errors.shape[2])
    before = np.maximum.accumulate(np.where(observed, leads, -1), axis=2)
    after = np.minimum.accumulate(np.where(observed, leads, leads.size)[..., ::-1], axis=2)[..., ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == leads.size, before, after)
    before, after = (np.clip(side, 0, leads.size - 1) for side in (before, after))
    start, stop = (np.take_along_axis(centred, side, axis=2) for side in (before, after))
    return start + (stop - start) * (leads - before) / np.maximum(after - before, 1)


def _templates(errors: Any, usable: Any, names: Sequence[str], count: int, seed: int) -> Any:
    """(S, N, H) from ``errors`` (S, O, H), of the origins that are ``usable`` (S, O)."""
    series, origins, _leads = errors.shape
    weights = np.zeros((series, count, origins))
    rows = np.arange(count)
    for one, name in enumerate(names):
        random = _stream(name, seed)
        own = random.permutation(np.flatnonzero(usable[one]))
        if own.size:
            weights[one][:, own] = BANDWIDTH * own.size**-0.5 * random.standard_normal((count, own.size))
            weights[one, rows, own[rows % own.size]] += 1.0
    return weights @ errors


def _stream(name: str, seed: int) -> Any:
    """A generator of the series' own, so that its draws do not depend on which others are drawn for."""
    own = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:16], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, own])))
