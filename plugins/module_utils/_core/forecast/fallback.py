# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A forecast for a history too short to test one on: flagged, wide, never refused.

With x[1..n] the samples, p the relative day shape and b(i) the phase of step i:

    level   L = sum_i w[i] x[i] / sum_i w[i] p(b(i)) ** g,   w[i] = 2 ** (-(n - i) / half-life)
    mean    m[k] = (1 - a) L p(b(n + k)) ** g + a x[n + k - P]      (a = 0 before a season of P steps was seen)
    spread  s[k] = sqrt((d r^2 L^2 + sum_i (x[i] - L p(b(i)) ** g)^2) / (d + n - 1)) max(m[k] / L, 0.2)

where g in [0, 1] says how much of the borrowed shape to believe, a how much of the
own last season, r is the siblings' typical relative scatter and d how many samples
it counts for.

Nothing can be tested on the series itself, so it is rehearsed on the siblings
(:mod:`siblings`): each of their days, cut to n samples at the same time of day, is a
history as young whose future is known. The g, a and half-life of least mean absolute
error there are taken, then the d of least pinball loss, and the quantiles of
(actual - m) / s over the rehearsals, those that look most like the series, replace a
table of tails. A client known to have been silent before looks like a sibling's day after
a silent one: most such bursts end soon. This is split conformal prediction with the siblings as calibration set,
of which two days each count as independent. The maximum over the window
has rehearsals of its own.

Without siblings the mean is flat (or the last season), the spread is half the level or
more, since demand peaks at one and a half to two times its daily mean, and the tails
are Student's t whose degrees of freedom count days seen, as samples of one day share its luck.
The document says "somewhere here": ``usable: false``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.limits import most_expected
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.siblings import Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import t_quantile

RELATIVE_SPREAD = 0.5
# A forecast near zero still errs by this share of the spread at the level.
LEAST_SHAPE = 0.2
# Errors of neighbouring steps go together: a window counts as at most this many independent ones.
INDEPENDENT_STEPS = 6
# What is rehearsed.
SHAPE_POWERS = (0.0, 0.5, 1.0)
HALF_LIVES_DAYS = (0.05, 0.25, 4.0)
SEASON_SHARES = (0.0, 0.5, 0.8, 1.0)
PRIOR_SAMPLES = (1, 4, 16, 64)
PRIOR_SAMPLES_ALONE = 4
# Rehearsals: days of each sibling, fewest that calibrate, and the share and number of most alike ones kept.
MOST_DAYS_REHEARSED = 8
LEAST_REHEARSALS = 20
LEAST_SIBLINGS = 3
ALIKE_SHARE, LEAST_ALIKE = 0.5, 80
INDEPENDENT_DAYS = 2
CALIBRATED_LEVEL = 0.95
# The limit on the maximum over a window, in that of a single step: few samples hold no peak yet.
PEAK_ALLOWANCE = 2.0
# Keeps the logarithm of a ratio of zero finite.
LOOKS_OFFSET = 0.1


@dataclass(frozen=True)
class ShortForecast:
    """One series: ``mean`` (horizon,), ``quantiles`` (Q, horizon), ``window_maximum`` (Q,)."""

    mean: Any
    quantiles: Any
    window_maximum: Any


@dataclass(frozen=True)
class Method:
    """One way to forecast from n samples; ``seen`` (n,) and ``ahead`` (horizon,) are p ** g at their phases."""

    seen: Any
    ahead: Any
    half_life_steps: float
    season: int
    season_share: float

    def mean(self, rows: Any) -> Any:
        """(R, horizon) from rows (R, n) with NaN for gaps."""
        known = np.isfinite(rows)
        filled = np.where(known, rows, 0.0)
        length = rows.shape[1]
        weight = np.where(known, 0.5 ** (np.arange(length - 1, -1, -1) / self.half_life_steps), 0.0)
        mean = _ratio((weight * filled).sum(axis=1), (weight * self.seen).sum(axis=1))[:, None] * self.ahead
        if self.season_share:
            last = length - self.season + np.arange(self.ahead.size) % self.season
            share = np.where(known[:, last], self.season_share, 0.0)
            mean = (1.0 - share) * mean + share * filled[:, last]
        return mean

    def spread(self, rows: Any, mean: Any, relative: float, prior_samples: float) -> Any:
        """(R, horizon), positive where a row holds any demand."""
        known = np.isfinite(rows)
        filled = np.where(known, rows, 0.0)
        level = _ratio(filled.sum(axis=1), (known * self.seen).sum(axis=1))
        residual = np.where(known, filled - level[:, None] * self.seen, 0.0)
        freedom = prior_samples + np.maximum(known.sum(axis=1) - 1, 0)
        variance = (prior_samples * (relative * level) ** 2 + (residual**2).sum(axis=1)) / freedom
        return np.sqrt(variance)[:, None] * np.maximum(_ratio(mean, level[:, None]), LEAST_SHAPE)


@dataclass(frozen=True)
class Rehearsals:
    """Siblings' days cut as short: ``rows`` (R, n), what came after ``future`` (R, horizon), ``unit`` (R,) for errors."""

    rows: Any
    future: Any
    unit: Any


def forecast_short(
    values: Any,
    season: int,
    options: ForecastOptions,
    profile: Profile | None = None,
    phase: int = 0,
    *,
    after_silence: bool = False,
) -> ShortForecast:
    """Forecast from a handful of samples.

    Args:
        values: (n,) with NaN for gaps; may hold nothing at all.
        season: steps of the shortest season, whether seen yet or not; 0 when there is none.
        options: horizon, window and levels.
        profile: what the siblings share; without it, or with too few of them, nothing is borrowed.
        phase: :func:`siblings.step_number` of the first sample.
        after_silence: whether it is known that a season without demand lies before the samples.
    """
    horizon = options.horizon_steps
    if not np.isfinite(values).any():
        zeros = np.zeros(len(options.quantiles))
        return ShortForecast(np.zeros(horizon), zeros[:, None] + np.zeros(horizon), zeros)
    row = np.asarray(values, dtype=np.float64)[None, :]
    if profile is not None and np.nansum(row) > 0.0:
        rehearsals = _rehearsals(profile, row, horizon, phase, after_silence)
        if rehearsals is not None:
            return _capped(_borrowed(row, season, options, profile, phase, rehearsals), row)
    return _capped(_alone(row, season, options), row)


def _capped(found: ShortForecast, row: Any) -> ShortForecast:
    """Nothing beyond a few times what was ever seen: a burst's spread says little of its end."""
    most = most_expected(float(np.nanmax(row)), np.isfinite(row).sum())
    highest = np.minimum(found.window_maximum, PEAK_ALLOWANCE * most)
    return ShortForecast(np.minimum(found.mean, most), np.minimum(found.quantiles, most), highest)


def _alone(row: Any, season: int, options: ForecastOptions) -> ShortForecast:
    length, count = row.shape[1], int(np.isfinite(row).sum())
    share = 1.0 if season and length >= season else 0.0
    method = Method(np.ones(length), np.ones(options.horizon_steps), float("inf"), season, share)
    mean = method.mean(row)
    spread = np.maximum(
        method.spread(row, mean, RELATIVE_SPREAD, PRIOR_SAMPLES_ALONE), RELATIVE_SPREAD * np.nanmean(row)
    )
    degrees = max(1, min(1 + length // season if season else 30, count - 1, 30))
    steps = min(options.window_steps, INDEPENDENT_STEPS)
    tails = np.array([t_quantile(level, degrees) for level in options.quantiles])
    tops = np.array([t_quantile(level ** (1.0 / steps), degrees) for level in options.quantiles])
    return _assemble(mean[0], spread[0], tails, tops, options)


def _borrowed(
    row: Any, season: int, options: ForecastOptions, profile: Profile, phase: int, rehearsals: Rehearsals
) -> ShortForecast:
    method = _best_method(row.shape[1], season, options, profile, phase, rehearsals)
    rows, future, window = rehearsals.rows, rehearsals.future, options.window_steps
    rehearsed = method.mean(rows)
    relative = max(float(np.sqrt(np.mean((profile.within * profile.shape) ** 2))), 1e-3)
    best: tuple[float, int, Any, Any] | None = None
    for prior_samples in PRIOR_SAMPLES:
        scatter = method.spread(rows, rehearsed, relative, prior_samples)
        errors = (future - rehearsed) / scatter
        gap = future - rehearsed - np.quantile(errors, CALIBRATED_LEVEL) * scatter
        loss = np.maximum(CALIBRATED_LEVEL * gap, (CALIBRATED_LEVEL - 1.0) * gap).mean(axis=1) / rehearsals.unit
        if best is None or loss.mean() < best[0]:
            best = (float(loss.mean()), prior_samples, scatter, errors)
    if best is None:
        return _alone(row, season, options)
    _loss, prior_samples, scatter, errors = best
    overshoot = future[:, :window].max(axis=1) - rehearsed[:, :window].max(axis=1)
    overshoot /= scatter[:, :window].max(axis=1)
    levels = _widened(options.quantiles, INDEPENDENT_DAYS * profile.siblings)
    mean = method.mean(row)
    spread = method.spread(row, mean, relative, prior_samples)
    return _assemble(mean[0], spread[0], np.quantile(errors, levels), np.quantile(overshoot, levels), options)


def _best_method(
    length: int, season: int, options: ForecastOptions, profile: Profile, phase: int, rehearsals: Rehearsals
) -> Method:
    """The one of least mean absolute error, the plainest where several tie."""
    shares = SEASON_SHARES if season and length >= season else (0.0,)
    shape = profile.at(phase + np.arange(length + options.horizon_steps))
    best, least = None, float("inf")
    for power, half_life, share in product(SHAPE_POWERS, HALF_LIVES_DAYS, shares):
        bent = shape**power
        method = Method(bent[:length], bent[length:], half_life * profile.day_steps, season, share)
        error = np.abs(method.mean(rehearsals.rows) - rehearsals.future).mean(axis=1) / rehearsals.unit
        if best is None or error.mean() < least * (1.0 - 1e-9):
            best, least = method, float(error.mean())
    return best  # type: ignore[return-value]


def _rehearsals(profile: Profile, row: Any, horizon: int, phase: int, after_silence: bool) -> Rehearsals | None:
    """Those of the siblings' days that have what it takes and look most like ``row`` (1, n); None for too few."""
    histories, day = profile.histories, profile.day_steps
    length, total = row.shape[1], histories.shape[1]
    columns = np.arange((phase + length - profile.end_phase + total) % day, total - horizon + 1, day)
    columns = columns[columns >= length][-MOST_DAYS_REHEARSED:]
    if not columns.size or profile.siblings < LEAST_SIBLINGS:
        return None
    change = np.abs(histories[:, day:] - histories[:, :-day])
    unit = np.repeat(_ratio(np.nansum(change, axis=1), np.isfinite(change).sum(axis=1)), columns.size)
    rows = histories[:, columns[:, None] + np.arange(-length, 0)].reshape(-1, length)
    future = histories[:, columns[:, None] + np.arange(horizon)].reshape(-1, horizon)
    whole = np.isfinite(rows).mean(axis=1) >= min(1.0, np.isfinite(row).mean())
    fit = whole & (np.nansum(rows, axis=1) > 0.0) & np.isfinite(future).all(axis=1) & (unit > 0.0)
    if fit.sum() < LEAST_REHEARSALS:
        return None
    looks, own = _looks(rows), _looks(row)
    if after_silence:
        looks = np.column_stack([looks, _awake_before(histories, columns - length, day, rows)])
        own = np.column_stack([own, [math.log(LOOKS_OFFSET)]])
    rows, future, unit, looks = rows[fit], future[fit], unit[fit], looks[fit]
    distance = (((looks - own) / np.maximum(looks.std(axis=0), 1e-9)) ** 2).sum(axis=1)
    kept = min(len(rows), max(LEAST_ALIKE, int(ALIKE_SHARE * len(rows))))
    alike = distance <= np.partition(distance, kept - 1)[kept - 1]  # all of them where all look the same
    return Rehearsals(rows[alike], future[alike], unit[alike])


def _looks(rows: Any) -> Any:
    """(R, 2) of how restless a history is and where its last sample lies, both free of units."""
    known = np.isfinite(rows)
    filled = np.where(known, rows, 0.0)
    count = known.sum(axis=1)
    mean = _ratio(filled.sum(axis=1), count)
    scatter = np.sqrt(_ratio((np.where(known, filled - mean[:, None], 0.0) ** 2).sum(axis=1), count))
    last = np.where(known[:, -1], filled[:, -1], mean)
    return np.log(np.stack([_ratio(scatter, mean), _ratio(last, mean)], axis=1) + LOOKS_OFFSET)


def _awake_before(histories: Any, columns: Any, day: int, rows: Any) -> Any:
    """(R,) the demand of the day before each history of ``rows`` (R, n) relative to the history's own, as in :func:`_looks`.

    Those that begin too early to have a day before them count as awake.
    """
    at = columns[:, None] + np.arange(-day, 0)
    before = np.nan_to_num(histories[:, np.maximum(at, 0)]).mean(axis=-1)
    known = np.isfinite(rows)
    mean = _ratio(np.where(known, rows, 0.0).sum(axis=1), known.sum(axis=1))
    ratio = np.where(np.broadcast_to(columns >= day, before.shape).ravel(), _ratio(before.ravel(), mean), 1.0)
    return np.log(ratio + LOOKS_OFFSET)


def _widened(levels: tuple[float, ...], independent: int) -> Any:
    """Conformal levels: as far out as ``independent`` calibration samples call for."""
    wanted = np.array(levels)
    outer = 0.5 + np.abs(wanted - 0.5)
    outer = np.where(wanted == 0.5, 0.5, np.minimum(outer * (independent + 1) / independent, 1.0))
    return np.where(wanted < 0.5, 1.0 - outer, outer)


def _assemble(mean: Any, spread: Any, tails: Any, tops: Any, options: ForecastOptions) -> ShortForecast:
    paths = np.maximum.accumulate(np.maximum(mean + spread * tails[:, None], 0.0), axis=0)
    window = slice(0, options.window_steps)
    top = np.maximum.accumulate(np.maximum(mean[window].max() + spread[window].max() * tops, 0.0))
    return ShortForecast(mean, paths, np.maximum(top, paths[:, window].max(axis=1)))


def _ratio(numerator: Any, denominator: Any) -> Any:
    """0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0.0)
