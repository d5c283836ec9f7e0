# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Search for the order of a seasonal ARIMA (p,d,q)(P,D,Q)m.

1. D = 1 where the seasonal strength 1 - Var(remainder) / Var(season + remainder) of the
   classical decomposition is above 0.64; then d, the fewest differences after which the
   KPSS test does not reject a constant level at 5 %.
2. Every (p, q, P, Q) and the constant is ranked by the AICc of its Hannan-Rissanen
   regression: w[t] on its own lags and on lags of the residuals of a long autoregression,
   what lies before the sample taken as zero. All of them share one Gram matrix, so ranking
   some hundreds costs less than one exact fit.
3. The first of the ranking and two usual ones are fitted exactly; then the neighbours of
   the best (one order, or both of a pair, up or down by one; the constant the other way)
   in the order of the ranking, moving whenever one is better, until none is, the number of
   fits is used up, or the CPU budget is.

Without a function for exact fits the first of the ranking is the answer.

Sources: Hyndman and Khandakar (2008), J. Stat. Software 27(3), for the stepwise search;
Hannan and Rissanen (1982), Biometrika 69, 81-94; Kwiatkowski, Phillips, Schmidt and Shin
(1992), J. Econometrics 54, 159-178; Wang, Smith and Hyndman (2006), Data Mining and
Knowledge Discovery 13, 335-364, for the seasonal strength.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Callable, Optional

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.exponential_smoothing import (
    corrected_aic,
    seasonal_indices,
)

MOST_LAGS = 4
MOST_SEASONAL_LAGS = 1
MOST_DIFFERENCES = 2
STRONG_SEASON = 0.64
KPSS_LIMIT = 0.463  # 5 % for a constant level
MOST_FITS = 25
FITTED_FROM_RANKING = 3
TINY = 1e-300

# -2 log L of (p, q), (P, Q) and a season on a series of mean zero; infinite when the fit is no good
Deviance = Callable[[Any, tuple[int, int], tuple[int, int], int], float]


@dataclass(frozen=True)
class FoundOrder:
    """What the search found.

    Attributes:
        order: (p, d, q).
        seasonal_order: (P, D, Q, m); all zero without a season.
        constant: the differenced series has a mean other than zero.
        aicc: of the last step that was done; lower is better.
        fits: how many exact fits were done.
        complete: False when the CPU budget ended the search; only then may another run find another order.
    """

    order: tuple[int, int, int]
    seasonal_order: tuple[int, int, int, int]
    constant: bool
    aicc: float
    fits: int
    complete: bool


# (p, q, P, Q, constant)
Candidate = tuple[int, int, int, int, int]


def search_order(
    values: Any,
    season: int,
    *,
    deviance: Optional[Deviance] = None,
    budget_seconds: float = 2.0,
    most_fits: int = MOST_FITS,
) -> FoundOrder:
    """The order of the series ``values`` (n,) with a season of ``season`` steps, 0 for none.

    Args:
        values: samples without gaps.
        season: steps of the season; ignored when the series does not cover it twice.
        deviance: exact fits; None ranks only.
        budget_seconds: CPU seconds for the exact fits. The one under way is finished.
        most_fits: how many exact fits at most.
    """
    m = season if season >= 2 and values.size >= 2 * season + MOST_LAGS else 0
    D = int(bool(m) and seasonal_strength(values, m) > STRONG_SEASON)
    w = values[m:] - values[:-m] if D else values
    d = differences_needed(w, MOST_DIFFERENCES - D)
    w = np.diff(w, d)
    ranking = {}
    for constant in ((1,), (0, 1), (0,))[d + D]:
        ranking.update(_rank(w - w.mean() if constant else w, m, constant))
    best = min(ranking, key=lambda candidate: (ranking[candidate], candidate))
    aicc, fits, complete = ranking[best], 0, True
    if deviance is not None:
        best, aicc, fits, complete = _confirm(w, m, ranking, deviance, budget_seconds, most_fits)
    p, q, P, Q, constant = best
    return FoundOrder((p, d, q), (P, D, Q, m) if m else (0, 0, 0, 0), bool(constant), aicc, fits, complete)


def seasonal_strength(values: Any, season: int) -> float:
    """Between 0 and 1: how much of what is not trend the season explains."""
    half = season // 2
    kernel = np.full(2 * half + 1, 1.0 / season)
    if season % 2 == 0:
        kernel[[0, -1]] /= 2
    deviation = values[half : values.size - half] - np.convolve(values, kernel, "valid")
    indices = seasonal_indices(values[None], season, False)[0]
    remainder = deviation - indices[np.arange(half, values.size - half) % season]
    total = float(deviation.var())
    return max(0.0, 1.0 - float(remainder.var()) / total) if total > TINY else 0.0


def differences_needed(values: Any, most: int) -> int:
    """The fewest differences after which KPSS does not reject a constant level at 5 %."""
    for count in range(most):
        if np.ptp(values) <= TINY or kpss(values) < KPSS_LIMIT:
            return count
        values = np.diff(values)
    return most


def kpss(values: Any) -> float:
    """The KPSS statistic for a constant level, with trunc(3 sqrt(n) / 13) lags."""
    n = values.size
    residual = values - values.mean()
    variance = residual @ residual
    lags = int(3.0 * np.sqrt(n) / 13.0)
    for lag in range(1, lags + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1.0)) * (residual[lag:] @ residual[:-lag])
    partial = np.cumsum(residual)
    return float(partial @ partial / n / max(variance, TINY))


def _rank(w: Any, season: int, constant: int) -> dict[Candidate, float]:
    """AICc of every candidate by Hannan-Rissanen, n log(SSE / n) up to what all share; ``w`` is without its mean."""
    n = w.size
    most = max(0, min(MOST_LAGS, n // 8))
    seasonal = MOST_SEASONAL_LAGS if season else 0
    own = [*range(1, most + 1), *(season * j for j in range(1, seasonal + 1))]
    innovations = _innovations(w, season)
    X = np.stack([_lagged(w, lag) for lag in own] + [_lagged(innovations, lag) for lag in own], axis=1)
    gram, moment = X.T @ X, X.T @ w
    few, many = range(seasonal + 1), range(most + 1)
    shapes: list[Candidate] = list(product(many, many, few, few, (constant,)))
    used = np.zeros((len(shapes), X.shape[1]), dtype=bool)
    for row, (p, q, P, Q, _constant) in enumerate(shapes):
        for start, short, long in ((0, p, P), (len(own), q, Q)):
            used[row, start : start + short] = True
            used[row, start + most : start + most + long] = True
    size = np.sqrt(np.maximum(np.diag(gram), TINY))
    unit = gram / size / size[:, None] + 1e-9 * np.eye(X.shape[1])
    scaled = moment / size
    systems = np.where(used[:, :, None] & used[:, None, :], unit, np.eye(X.shape[1]))
    solved = np.linalg.solve(systems, (used * scaled)[..., None])[..., 0]
    remaining = np.maximum(w @ w - (solved * used) @ scaled, 1e-12 * (w @ w) + TINY)
    count = used.sum(axis=1) + 1 + constant
    scores = n * np.log(remaining / n) + 2.0 * count * n / np.maximum(n - count - 1, 1)
    return {shape: float(score) for shape, score in zip(shapes, scores)}


def _innovations(w: Any, season: int) -> Any:
    """(n,) residuals of a long autoregression, its order the smallest AICc of a few."""
    n = w.size
    longest = max(1, min(n // 4, max(int(np.log(n) ** 1.5), season + 2 if season else 0)))
    X = np.stack([_lagged(w, lag) for lag in range(1, longest + 1)], axis=1)
    best, found = np.inf, w
    for order in sorted({1, 2, 3, longest // 4, longest // 2, longest}):
        if not 1 <= order <= longest:
            continue
        residual = w - X[:, :order] @ np.linalg.lstsq(X[:, :order], w, rcond=None)[0]
        score = n * np.log(max(residual @ residual, TINY)) + 2.0 * order * n / max(n - order - 1, 1)
        if score < best:
            best, found = score, residual
    return found


def _lagged(values: Any, lag: int) -> Any:
    found = np.zeros(values.size)
    found[lag:] = values[: values.size - lag]
    return found


def _confirm(
    w: Any, season: int, ranking: dict[Candidate, float], deviance: Deviance, budget_seconds: float, most_fits: int
) -> tuple[Candidate, float, int, bool]:
    """The best candidate by exact likelihood, its AICc, the number of fits, and whether the search came to its end."""
    deadline = time.process_time() + budget_seconds
    ordered = sorted(ranking, key=lambda candidate: (ranking[candidate], candidate))
    scores: dict[Candidate, float] = {}
    best = ordered[0]
    waiting = [*ordered[:FITTED_FROM_RANKING], *(one for one in _usual(ordered[0][4]) if one in ranking)]
    while waiting and len(scores) < most_fits:
        candidate = waiting.pop(0)
        if candidate in scores:
            continue
        if scores and time.process_time() >= deadline:
            return best, scores[best], len(scores), False
        scores[candidate] = _exact_aicc(w, season, candidate, deviance)
        better = scores[candidate] < scores.get(best, np.inf)
        best = candidate if better or best not in scores else best
        if (better or not waiting) and len(scores) > FITTED_FROM_RANKING:
            near = {one for one in _neighbours(best) if one in ranking and one not in scores}
            waiting = sorted(near, key=lambda one: (ranking[one], one))
    return best, scores[best], len(scores), True


def _exact_aicc(w: Any, season: int, candidate: Candidate, deviance: Deviance) -> float:
    p, q, P, Q, constant = candidate
    centred = w - w.mean() if constant else w
    if p + q + P + Q:
        value = deviance(centred, (p, q), (P, Q), season)
    else:
        value = w.size * (np.log(2.0 * np.pi * max(float(centred @ centred) / w.size, TINY)) + 1.0)
    return float(corrected_aic(value, sum(candidate) + 1, w.size))


def _usual(constant: int) -> tuple[Candidate, ...]:
    """First-order autoregression and moving average, with and without their seasonal part."""
    return (0, 1, 0, 1, constant), (1, 0, 1, 0, constant), (0, 1, 0, 0, constant), (1, 0, 0, 0, constant)


def _neighbours(candidate: Candidate) -> Iterator[Candidate]:
    p, q, P, Q, constant = candidate
    for step in (-1, 1):
        yield (p + step, q, P, Q, constant)
        yield (p, q + step, P, Q, constant)
        yield (p + step, q + step, P, Q, constant)
        yield (p, q, P + step, Q, constant)
        yield (p, q, P, Q + step, constant)
        yield (p, q, P + step, Q + step, constant)
    yield (p, q, P, Q, 1 - constant)
