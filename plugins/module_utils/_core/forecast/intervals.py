# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Quantiles of every step and of the window's maximum, as the backtest says they should be.

Sources are the errors of the forecast and those of a plain one over the whole history
(:mod:`conformal`), and the samples of the last season, of the whole history and of the
same phase (:mod:`empirical`); :mod:`blend` weighs them at each level. The blend is then stretched about the forecast,

    Q_q + (a_q - 1) (Q_q - forecast)    on the level's own side of the forecast,

with a_q = t_w(q) / z(q) the ratio of Student's t with w degrees of freedom (w windows
that do not overlap) to the normal: few windows show too little of the tail. What is
known beside the backtest (drift, the coverage of earlier forecasts) stretches further;
:mod:`limits` ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest import Layout
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.blend import Blend, Source, blend
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.conformal import (
    POWERS,
    long_source,
    peak_sources,
    residual_sources,
    spread_by_lead,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.empirical import (
    phase_quantiles,
    recent_quantiles,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.limits import most_expected
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import (
    tail_allowance,
)

# With fewer windows a choice between sources is luck: the forecast's own errors serve alone.
LEAST_WINDOWS = 5
MOST_SEASONS = 7
REACH = 1
# A plain seasonal forecast has errors after two seasons; one season of them is asked for.
SEASONS_OF_ERRORS = 3


@dataclass(frozen=True)
class PointBacktest:
    """Backtest of a point forecast: ``forecast``, ``actual`` and bool ``observed`` are (S, O, horizon), ``final`` (S, horizon)."""

    forecast: Any
    actual: Any
    observed: Any
    final: Any


@dataclass(frozen=True)
class Intervals:
    """``quantiles`` (S, Q, horizon), ascending in Q and never negative; ``window_maximum`` (S, Q);
    ``backtest`` (S, O, horizon, Q), what the quantiles would have been then, to be scored."""

    quantiles: Any
    window_maximum: Any
    backtest: Any

    def limited(self, panel: Panel, final: Any) -> Intervals:
        """The same within :func:`limits.most_expected` of what was seen or is forecast, ``final`` (S, horizon)."""
        most = most_expected(np.maximum(panel.highest[:, None], final), panel.length)
        return replace(
            self,
            quantiles=np.minimum(self.quantiles, most[:, None, :]),
            window_maximum=np.minimum(self.window_maximum, most.max(axis=1)[:, None]),
        )


def find_intervals(
    panel: Panel,
    layout: Layout,
    tested: PointBacktest,
    levels: Sequence[float],
    window: int,
    *,
    skipped: int = 0,
    extra: Sequence[Source] = (),
    widening: Any = 1.0,
) -> Intervals:
    """Quantiles around a forecast.

    Args:
        panel: S series.
        layout: the backtest's origins.
        tested: the forecast and its backtest.
        levels: Q, ascending.
        window: steps whose maximum is wanted too, after the first ``skipped``.
        extra: further sources for the steps, with L = horizon.
        widening: (S, Q) or a number, on top of the allowance for few windows; not for the backtest.
    """
    allowance = np.array([tail_allowance(level, layout.windows) for level in levels])
    stretch = allowance * widening
    spreads = [spread_by_lead(tested.forecast, tested.actual, tested.observed, power) for power in POWERS]
    steps = _steps(panel, layout, tested, levels, spreads, extra)
    paths = _stretched(steps.final, tested.final, levels, stretch)
    backtest = _stretched(steps.tested, tested.forecast, levels, allowance)
    part = slice(skipped, skipped + window)
    peaks = _peaks(panel, layout, tested, levels, spreads, window, skipped)
    highest = _stretched(peaks.final, tested.final[:, part].max(axis=-1)[:, None], levels, stretch)[:, 0]
    # a maximum is never below any of its steps, so no quantile of it is below that of a step
    highest = np.maximum.accumulate(np.maximum(highest, paths[:, part].max(axis=1)), axis=1)
    return Intervals(paths.transpose(0, 2, 1), highest, backtest)


def _steps(
    panel: Panel,
    layout: Layout,
    tested: PointBacktest,
    levels: Sequence[float],
    spreads: Sequence[Any],
    extra: Sequence[Source],
) -> Blend:
    """The blend at each step of the horizon."""
    sources = residual_sources(tested.forecast, tested.final, tested.actual, tested.observed, levels, spreads)
    sources += extra
    if layout.windows >= LEAST_WINDOWS:
        leads = np.arange(layout.horizon)
        sources += _past_sources(panel.actual, layout.origins, panel, layout, leads, levels, 1)
        if panel.periods and layout.head >= SEASONS_OF_ERRORS * panel.periods[0]:
            period = panel.periods[0]
            sources.append(
                long_source(panel.actual, panel.observed, period, layout, tested.forecast, tested.final, levels)
            )
    return blend(sources, tested.actual, tested.observed, levels)


def _peaks(
    panel: Panel,
    layout: Layout,
    tested: PointBacktest,
    levels: Sequence[float],
    spreads: Sequence[Any],
    window: int,
    skipped: int,
) -> Blend:
    """The blend for the maximum over windows of this many steps, from lead ``skipped`` on.

    Every window of the horizon that fits is tested; one with less than half of its samples
    observed says nothing about its maximum.
    """
    series, origins, horizon = tested.forecast.shape
    fits = (horizon - skipped) // window
    part = slice(skipped, skipped + fits * window)
    parts = (series, origins, fits, window)
    known = tested.observed[..., part].reshape(parts)
    actual = np.where(known, tested.actual[..., part].reshape(parts), 0.0).max(axis=-1)
    enough = known.mean(axis=-1) >= 0.5
    guess = tested.forecast[..., part].reshape(parts)
    cut = [spread[:, part].reshape(series, fits, window) for spread in spreads]
    sources = peak_sources(guess, tested.final[:, skipped : skipped + window], actual, enough, levels, cut)
    if layout.windows >= LEAST_WINDOWS:
        maxima = _rolling_maximum(panel.actual, window)
        leads = skipped + np.arange(fits) * window
        past = _past_sources(maxima, layout.origins, panel, layout, leads, levels, window)
        sources += [Source(one.name, one.tested, one.final[:, :1]) for one in past]
    return blend(sources, actual, enough, levels)


def _past_sources(
    values: Any, origins: Any, panel: Panel, layout: Layout, leads: Any, levels: Sequence[float], window: int
) -> list[Source]:
    """What demand was: over the last season, over the whole history, and near the same phase.

    Args:
        values: (S, n - window + 1): at t the sample, or the maximum of the ``window`` samples from t on.
        leads: (L,) steps ahead that are asked for.
    """
    known = np.append(origins, panel.length) - (window - 1)  # one past the last value that was complete
    season = panel.periods[0] if panel.periods else layout.horizon
    last = recent_quantiles(values, known, season, levels)
    # the whole history changes slowly: once a fold is enough
    folds = np.searchsorted(layout.folds, np.arange(layout.folds[-1] + 1))
    whole = recent_quantiles(values, np.append(known[:-1][folds], known[-1]), panel.length, levels)
    whole = whole[:, np.append(layout.folds, len(folds))]
    repeat = (slice(None), slice(None), None, slice(None))
    count = (1, 1, len(leads), 1)
    sources = [
        Source(name, np.tile(found[:, :-1][repeat], count), np.tile(found[:, -1:][repeat], count)[:, 0])
        for name, found in (("last season", last), ("whole history", whole))
    ]
    seasons = min(MOST_SEASONS, (layout.head - window - REACH) // season)
    if panel.periods and seasons >= 2:
        shape = phase_quantiles(values, known, leads + window - 1, season, seasons, REACH, levels)
        sources.append(Source("same phase", shape[:, :-1], shape[:, -1]))
    return sources


def _rolling_maximum(values: Any, window: int) -> Any:
    """(S, n - window + 1): the maximum of the ``window`` samples from each on."""
    return np.lib.stride_tricks.sliding_window_view(values, window, axis=1).max(axis=-1)


def _stretched(quantiles: Any, centre: Any, levels: Sequence[float], stretch: Any) -> Any:
    """Quantiles (S, ..., Q) moved out from ``centre`` (S, ...) by ``stretch``; ascending and never negative."""
    gap = quantiles - centre[..., None]
    upper = np.asarray(levels) >= 0.5
    outward = np.where(upper, np.maximum(gap, 0.0), np.minimum(gap, 0.0))
    factor = np.asarray(stretch) - 1.0
    if factor.ndim == 2:
        factor = factor.reshape(factor.shape[0], *(1,) * (quantiles.ndim - 2), factor.shape[1])
    return np.maximum.accumulate(np.maximum(quantiles + factor * outward, 0.0), axis=-1)
