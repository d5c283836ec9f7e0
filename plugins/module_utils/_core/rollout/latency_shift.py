# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whether the canary is slower than the baseline by more than a margin.

Two hosts with the same software differ by some percent, and a plain test finds that with enough
requests. So the canary's values are divided by a margin first, and H0 is "at most margin
times the baseline". On logarithms, with strata h (prompt lengths; real and synthetic apart),
m_h and n_h values of canary and baseline, N_h = m_h + n_h and midranks R within the stratum:

    W_h = sum of the canary's ranks          E W_h = m_h (N_h + 1) / 2
    V_h = m_h n_h / 12 (N_h + 1 - sum (t^3 - t) / (N_h (N_h - 1)))          t: sizes of ties
    z = sum w_h (W_h - E W_h) / sqrt(sum w_h^2 V_h)        w_h = 1 / (N_h + 1)

the van Elteren (1960) test; with one stratum it is Mann and Whitney's. One-sided,
p = 1 - Phi(z). A request that failed ranks worst, and counts as very slow in the ratio.

The p-value knows nothing of hosts: with many requests it finds the spread between two of them. With a standard
deviation s of log latency between hosts and h_c and h_b hosts, a ratio below

    exp(2.65 s sqrt(1 / h_c + 1 / h_b))

is what equal software shows in 99 rollouts of 100; see :func:`least_telling_ratio`.

Ratio: exp of the median of all differences log x - log y within strata (Hodges and Lehmann 1963),
with the interval between the order statistics at M/2 -+ z sqrt(sum V_h), M the number of
differences (Moses; Lehmann 1975). Beyond :data:`MOST_PER_ARM` values a stratum stands by evenly
spaced order statistics, its differences weighted to count as all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.numerics import library

MOST_PER_ARM = 250
HOST_DEVIATIONS = 2.65
WORST = 50.0  # log of milliseconds that stands for a request that failed

Stratum = tuple[Sequence[float], Sequence[float]]  # milliseconds of canary and baseline; infinite: failed


@dataclass(frozen=True)
class Shift:
    """``p_value`` of "no slower than the margin", the ratio canary to baseline with its interval (NaN when
    nothing can be compared), and how many values of each arm were compared."""

    p_value: float
    ratio: float
    lower: float
    upper: float
    canary: int
    baseline: int
    strata: int


def compare(strata: Mapping[str, Stratum], margin: float, confidence: float = 0.98) -> Shift:
    """The shift of the canary against the baseline over strata; those without both arms say nothing.

    Args:
        strata: milliseconds, by stratum; values of 0 count as 1 microsecond.
        margin: ratio that is still no fault.
        confidence: of the ratio's interval, two-sided.
    """
    np = library("numpy")
    special = library("scipy.special")
    pairs = [(_logs(np, strata[name][0]), _logs(np, strata[name][1])) for name in sorted(strata)]
    pairs = [(x, y) for x, y in pairs if x.size and y.size]
    score = variance = 0.0
    for canary, baseline in pairs:
        weight = 1.0 / (canary.size + baseline.size + 1.0)
        excess, spread = _rank_excess(np, np.where(canary >= WORST, WORST, canary - math.log(margin)), baseline)
        score += weight * excess
        variance += weight * weight * spread
    p_value = float(special.ndtr(-score / math.sqrt(variance))) if variance > 0 else 1.0
    ratio, lower, upper = _hodges_lehmann(np, special, pairs, confidence)
    return Shift(
        p_value,
        ratio,
        lower,
        upper,
        sum(int(x.size) for x, _unused in pairs),
        sum(int(y.size) for _unused, y in pairs),
        len(pairs),
    )


def least_telling_ratio(host_spread: float, canary_hosts: int, baseline_hosts: int) -> float:
    """The ratio of latencies that hosts alone do not explain.

    Args:
        host_spread: standard deviation of log latency between hosts of the same software, 0.1 for 10 %.
    """
    return math.exp(
        HOST_DEVIATIONS * host_spread * math.sqrt(1.0 / max(1, canary_hosts) + 1.0 / max(1, baseline_hosts))
    )


def _logs(np: Any, values: Sequence[float]) -> Any:
    column = np.sort(np.asarray(values, dtype=float))
    return np.minimum(np.log(np.maximum(column[~np.isnan(column)], 1e-3)), WORST)


def _rank_excess(np: Any, canary: Any, baseline: Any) -> tuple[float, float]:
    """Canary's rank sum above its mean under H0, and the variance with ties."""
    m, n = canary.size, baseline.size
    # rounding keeps what is equal but for the last bits equal, whatever unit it was measured in
    both = np.round(np.concatenate([canary, baseline]), 9)
    _unused, where, counts = np.unique(both, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2.0)[where]
    total = m + n
    ties = float(np.sum(counts.astype(float) ** 3 - counts)) / (total * (total - 1.0))
    excess = float(ranks[:m].sum()) - m * (total + 1) / 2.0
    return excess, m * n / 12.0 * (total + 1.0 - ties)


def _hodges_lehmann(np: Any, special: Any, pairs: Sequence[Any], confidence: float) -> tuple[float, float, float]:
    differences, weights, spread = [], [], 0.0
    for x, y in pairs:
        spread += _rank_excess(np, x, y)[1]
        few_x, few_y = _thinned(np, x), _thinned(np, y)
        block = np.subtract.outer(few_x, few_y).ravel()
        differences.append(block)
        weights.append(np.full(block.size, x.size * y.size / block.size))
    if not differences:
        return math.nan, math.nan, math.nan
    values, heavy = np.concatenate(differences), np.concatenate(weights)
    order = np.argsort(values, kind="stable")
    values, reached = values[order], np.cumsum(heavy[order])
    total = float(reached[-1])
    reach = float(special.ndtri(0.5 + confidence / 2.0)) * math.sqrt(spread)

    def at(rank: float) -> float:
        spot = int(np.searchsorted(reached, rank - 1e-6))
        return float(values[min(max(spot, 0), values.size - 1)])

    middle = (at(total / 2.0) + at(total / 2.0 + 1.0)) / 2.0
    lowest = math.floor(total / 2.0 - reach)
    return math.exp(middle), math.exp(at(max(lowest, 1))), math.exp(at(min(total + 1 - lowest, total)))


def _thinned(np: Any, ordered: Any) -> Any:
    if ordered.size <= MOST_PER_ARM:
        return ordered
    spots = (np.arange(MOST_PER_ARM) + 0.5) / MOST_PER_ARM * ordered.size
    return ordered[spots.astype(int)]
