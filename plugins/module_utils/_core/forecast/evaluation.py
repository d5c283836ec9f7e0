# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How every candidate did in the backtest, by each measure.

Over the observed samples of all origins and leads, with y what happened and f the forecast,

    MAE      mean |y - f|
    MASE     MAE / mean |y[t] - y[t-m]|, the denominator over the whole history, m the shortest season
    sMAPE    200 mean |y - f| / (|y| + |f|), in percent
    skill    1 - MAE / MAE of seasonal naive
    pinball  mean max(q d, (q - 1) d) with d = y - Q_q
    coverage share of y at or below Q_q, which should be q

A candidate says a point only. Its Q_q are those that its own errors give by
:func:`conformal.residual_sources` with errors proportional to the root of the
forecast, learned for each half of the origins from the other half, and never
negative; with a single origin there is no other half and they are learned from its
own errors. The spread by lead is one for both halves. The combination's quantiles are
those of the forecast, which have further sources and allowances (:mod:`intervals`).

Sources: Hyndman and Koehler (2006), Int. J. Forecasting 22, 679-688 (MASE);
Makridakis (1993), Int. J. Forecasting 9, 527-529 (sMAPE).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import (
    Layout,
    masked_mean,
    naive_scale,
    pinball,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    predict_seasonal_mean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.conformal import (
    POWERS,
    residual_sources,
    spread_by_lead,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.document import DIGITS, NEGLIGIBLE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.menu import seasonal_naive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel_forecast import (
    Backtest,
    Scores,
)

POWER = 0.5


@dataclass(frozen=True)
class CandidateScores:
    """C candidates of S series, on the panel's scale: ``mae`` and ``smape`` are (C, S), ``pinball`` and ``coverage``
    (C, S, Q)."""

    mae: Any
    smape: Any
    pinball: Any
    coverage: Any


@dataclass(frozen=True)
class LeadErrors:
    """Mean absolute error over MASE's denominator at each lead, (S, horizon), NaN where a lead was never observed."""

    combination: Any
    naive: Any


def score_candidates(tested: Backtest, levels: Sequence[float]) -> CandidateScores:
    """Scores of every candidate of a backtest at these levels."""
    actual, observed = tested.actual, tested.observed
    both = (1, 2)
    mae, smape, losses, shares = [], [], [], []
    # one candidate at a time: the quantiles of all at once would be Q times the size of the backtest
    for forecast in tested.tried:
        miss, size = np.abs(forecast - actual), np.abs(forecast) + np.abs(actual)
        mae.append(masked_mean(miss, observed, both))
        smape.append(200.0 * masked_mean(miss / np.where(size > 0.0, size, 1.0), observed, both))
        said = candidate_quantiles(forecast, actual, observed, levels)
        each = range(len(levels))
        losses.append([masked_mean(pinball(actual, said[..., q], levels[q]), observed, both) for q in each])
        shares.append([masked_mean(actual <= said[..., q], observed, both) for q in each])
    return CandidateScores(
        mae=np.stack(mae),
        smape=np.stack(smape),
        pinball=np.array(losses).transpose(0, 2, 1),
        coverage=np.array(shares).transpose(0, 2, 1),
    )


def candidate_quantiles(forecast: Any, actual: Any, observed: Any, levels: Sequence[float]) -> Any:
    """(S, O, horizon, Q) quantiles around a point forecast, each half of the origins by the errors of the other.

    Args:
        forecast: (S, O, horizon), as ``actual`` and the bool mask ``observed``.
        levels: Q.
    """
    spread = spread_by_lead(forecast, actual, observed, POWER)
    wanted = POWERS.index(POWER)
    # the final forecast is not asked for here, so that of the last origin stands in its place
    sources = residual_sources(forecast, forecast[:, -1], actual, observed, levels, [spread] * (wanted + 1))
    return np.maximum(sources[wanted].tested, 0.0)


def errors_by_lead(panel: Panel, layout: Layout, tested: Backtest, skipped: int) -> LeadErrors:
    """Errors of the combination and of seasonal naive at each lead after the first ``skipped``."""
    naive = seasonal_naive(panel.periods)
    simple = predict_seasonal_mean(naive, panel.actual, layout.origins, layout.horizon)
    unit = naive_scale(panel.actual, panel.observed, naive.period)
    unit = np.where(unit > NEGLIGIBLE, unit, np.nan)[:, None]
    known = tested.observed.any(axis=1)

    def by_lead(forecast: Any) -> Any:
        error = masked_mean(np.abs(forecast - tested.actual), tested.observed, 1)
        return np.where(known, error / unit, np.nan)[:, skipped:]

    return LeadErrors(by_lead(tested.combined), by_lead(simple))


def shares_below(quantiles: Any, tested: Backtest) -> Any:
    """(S, Q) share of what happened that is strictly below the backtest quantiles (S, O, horizon, Q).

    Coverage counts demand at the quantile too. Where demand ties with it, as zeros do, the level
    lies between the two shares when the quantile is right, and coverage alone reads too high.
    """
    actual, observed = tested.actual, tested.observed
    each = range(quantiles.shape[-1])
    return np.stack([masked_mean(actual < quantiles[..., q], observed, (1, 2)) for q in each], axis=1)


def describe_candidates(
    row: int,
    names: Sequence[str],
    tested: Backtest,
    reference: Scores,
    found: CandidateScores,
    scale: float,
    levels: Sequence[float],
) -> list[dict[str, Any]]:
    """Every candidate of series ``row``, the smallest error first, errors in the unit of the history.

    Args:
        row: which series of the panel.
        names: of the C candidates.
        tested: the backtest, for its weights.
        reference: the panel's scores, for the errors of seasonal naive.
        found: the candidates' scores.
        scale: what the series was divided by.
        levels: Q.
    """
    unit, naive = float(reference.naive_scale[row]), float(reference.naive_mae[row])
    decimals = decimals_of(scale)
    described = []
    for index in np.argsort(found.mae[:, row], kind="stable"):
        error = float(found.mae[index, row])
        described.append(
            {
                "name": names[index],
                "weight": round(float(tested.weights[index, row]), DIGITS),
                "mae": _rounded(scale * error, decimals),
                "mase": round(error / unit, DIGITS) if unit > NEGLIGIBLE else None,
                "smape": round(float(found.smape[index, row]), DIGITS),
                "skill": round(1.0 - error / naive, DIGITS) + 0.0 if naive > NEGLIGIBLE else 0.0,
                "pinball": {
                    str(level): _rounded(scale * loss, decimals)
                    for level, loss in zip(levels, found.pinball[index, row])
                },
                "coverage": {
                    str(level): round(float(share), DIGITS) for level, share in zip(levels, found.coverage[index, row])
                },
            }
        )
    return described


def decimals_of(scale: float) -> int:
    """Decimals that keep :data:`document.DIGITS` digits below the mean of a series."""
    return DIGITS - math.floor(math.log10(scale)) if 1e-200 < scale < 1e200 else DIGITS


def _rounded(value: Any, decimals: int) -> float:
    return float(np.round(value, decimals) + 0.0)
