# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a public holiday does to demand, learned from the holidays of the same history.

For series i, holiday d and step of day p, with u_id(p) what would have been usual, W_i the
series' mean week and X_id(p) = W_i(rest day, p) - W_i(weekday of d, p), 0 with less than two weeks,

    demand_id(p) = (u_id(p) + a X_id(p)) exp(b_d(p) + c_id(p) + e_d(p)):

a part a of the way to a rest day (usually Sunday), whose night, morning and evening differ
from a working day's each in its own way; then an offset b common to all series, an offset c
of the series' own, and a spread e between holidays. The offsets are seen as

    y_id(p) = log( sum demand / sum (u + a X) )     over the steps within an eighth of a day of p,

and where demand is small drawn towards the ratio of the whole day. All are posterior means
under independent normal priors,

    a ~ N(1/2, A^2),  b ~ N(0, B^2),  c ~ N(0, C^2),  e ~ N(0, E^2),

so few holidays leave the effect half way between an ordinary day and a rest day, and
many let it be what was seen. Each y_id carries the variance E^2 + s_i^2 with s_i the usual
spread of the series' daily totals, so that one noisy day is not taken for an
effect. A past holiday counts by its likeness to the coming one: same name 4, a calendar
in common 1, else 1/4. E^2 is estimated with two pseudo-observations of its prior. The
predictive standard deviation of the effect, of a, b, c and e together, widens the interval.

Source of the method: normal linear models with partial pooling (Gelman et al. 2013,
Bayesian Data Analysis, 3rd edition, chapters 5 and 14).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.holiday_dates import (
    Holiday,
    weekday,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.local_days import DayGrid

# Prior standard deviations A, B, C and E.
REST_DAY_SHARE_SD = 0.5
COMMON_SD = 0.4
OWN_SD = 0.15
BETWEEN_SD = 0.25
PRIOR_HOLIDAYS = 2.0
REST_DAY_SHARE = 0.5
SAME_NAME = 4.0
SAME_CALENDAR = 1.0
OTHER_CALENDAR = 0.25
# Errors within a day go together: a day counts as this many independent observations of its shape.
INDEPENDENT_PARTS = 4.0
LARGEST_SHARE = 1.25
# The relative size of the way to a rest day is not counted above this, in the variance alone.
LARGEST_RELATIVE_SHIFT = 1.0
LARGEST_LOG_EFFECT = 2.0
# Added to both sides of a ratio, as a share of the usual day, so that a night without demand has one.
QUIET = 0.02
TINY = 1e-300


@dataclass(frozen=True)
class HolidayEffects:
    """What F coming holidays do to S series with D steps a day.

    Attributes:
        shift: (S, F, D) a X, in the unit of the history; to be added first.
        log_effect: (S, F, D) b + c, to be added to the logarithm of what results.
        sd: (S, F, D) the predictive standard deviation of that logarithm.
        seen: (S, F) past holidays of the series itself, with a calendar in common, that were learned from.
        seen_together: (F,) the same over all series.
    """

    shift: Any
    log_effect: Any
    sd: Any
    seen: Any
    seen_together: Any


@dataclass(frozen=True)
class _Seen:
    """Past holidays P in S series.

    Attributes:
        happened, expected: (S, P, D) demand and what was usual, both 0 where one is not known.
        known: (S, P, D) bool.
        way: (S, P, D) X, 0 where not known.
        weight: (S, P) the share of the day that was seen.
        unit: (S,) mean of what is usual.
    """

    happened: Any
    expected: Any
    known: Any
    way: Any
    weight: Any
    unit: Any

    def offsets(self, share: float) -> Any:
        """y (S, P, D), given how far towards a rest day a holiday goes; 0 for days not seen."""
        expected = np.maximum(self.expected + share * self.way, 0.0)
        quiet = QUIET * self.unit[:, None, None] + TINY
        near, above, below = (_around(part) for part in (self.known.astype(np.float64), self.happened, expected))
        count = self.known.sum(axis=-1)
        whole = _log_ratio(self.happened.sum(axis=-1), expected.sum(axis=-1), quiet[..., 0] * np.maximum(count, 1))
        # Hours of little demand say little about the shape: there the whole day's ratio holds.
        usual_size = (self.unit[:, None, None] * near) ** 2 + TINY
        shape = below**2 / (below**2 + usual_size) * (_log_ratio(above, below, quiet * near + TINY) - whole[..., None])
        y = whole[..., None] + np.where(near > 0.0, shape, 0.0)
        return np.where(self.weight[..., None] > 0.0, y, 0.0)


def learn_effects(
    actual: Any, usual: Any, grid: DayGrid, past: Sequence[Holiday], coming: Sequence[Holiday], rest_weekday: int
) -> HolidayEffects:
    """Effects on the coming holidays.

    Args:
        actual: (S, n) with NaN for gaps.
        usual: (S, n) the same with holidays filled by the usual shape; NaN before the service began.
        grid: the local days of the n positions.
        past: holidays in the history, in order.
        coming: holidays to forecast, in order.
        rest_weekday: the weekday a holiday is expected to be like, Monday 0.
    """
    profile = _weekday_profile(usual, grid)
    noise = _daily_noise(usual, grid, past)
    seen = _look_back(actual, usual, grid, past, profile, rest_weekday)
    likeness = _likeness(coming, past)
    weight = seen.weight.max(axis=0, initial=0.0)
    precision = 1.0 / (BETWEEN_SD**2 + noise**2)
    trust = seen.weight * precision[:, None]
    trust = trust / np.maximum(trust.sum(axis=0), TINY)
    noise_of_mean = float((precision**2 * noise**2).sum() / precision.sum() ** 2)

    share, share_variance = _rest_day_share(seen, trust, weight, noise_of_mean)
    way = _way_to_rest_day(profile, coming, rest_weekday)
    shift = share * way

    each = seen.offsets(share)
    together = np.einsum("sp,spd->pd", trust, each)
    between = _between_variance(together, weight, likeness)
    count = likeness @ weight
    prior_count = (between + noise_of_mean) / COMMON_SD**2
    common = np.einsum("fp,pd->fd", likeness * weight, together) / (count + prior_count)[:, None]

    own_count = np.einsum("fp,sp->sf", likeness, seen.weight)
    own_sum = np.einsum("fp,sp,spd->sfd", likeness, seen.weight, each)
    own_prior = (between[None, :] + (noise**2)[:, None]) / OWN_SD**2
    offset = (own_sum + own_prior[..., None] * common) / (own_count + own_prior)[..., None]

    variance = (
        between[None, :]
        + COMMON_SD**2 * (prior_count / (count + prior_count))[None, :]
        + OWN_SD**2 * own_prior / (own_count + own_prior)
    )
    akin = (likeness >= SAME_CALENDAR).astype(np.int64)
    return HolidayEffects(
        shift=shift,
        log_effect=offset,
        sd=np.sqrt(variance[..., None] + share_variance * _relative(way, shift, profile, coming) ** 2),
        seen=(seen.weight > 0.0).astype(np.int64) @ akin.T,
        seen_together=akin @ (weight > 0.0).astype(np.int64),
    )


def _look_back(
    actual: Any, usual: Any, grid: DayGrid, past: Sequence[Holiday], profile: Any, rest_weekday: int
) -> _Seen:
    """Actual and usual demand on the past holidays."""
    days = np.array([one.day for one in past], dtype=np.int64)
    positions = grid.first_position(days)[:, None] + np.arange(grid.steps_per_day)
    inside = (positions >= 0) & (positions < grid.length)
    where = np.clip(positions, 0, grid.length - 1)
    happened, expected = actual[:, where], usual[:, where]
    known = inside & np.isfinite(happened) & np.isfinite(expected)
    expected = np.where(known, expected, 0.0)
    return _Seen(
        happened=np.where(known, happened, 0.0),
        expected=expected,
        known=known,
        way=np.where(known, _way_to_rest_day(profile, past, rest_weekday), 0.0),
        weight=np.where(expected.sum(axis=-1) > 0.0, known.mean(axis=-1), 0.0),
        unit=np.nanmean(usual, axis=1),
    )


def _log_ratio(above: Any, below: Any, quiet: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.clip(
            np.nan_to_num(np.log((above + quiet) / (below + quiet))), -LARGEST_LOG_EFFECT, LARGEST_LOG_EFFECT
        )


def _around(values: Any) -> Any:
    """Sums over an eighth of a day to either side, within the day (last axis)."""
    steps = values.shape[-1]
    half = steps // 8
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    stop = np.clip(np.arange(steps) + half + 1, 0, steps)
    start = np.clip(np.arange(steps) - half, 0, steps)
    return total[..., stop] - total[..., start]


def _weekday_profile(usual: Any, grid: DayGrid) -> Any:
    """(S, 7, D) mean usual demand by weekday over whole weeks at the end; flat with less than two."""
    first, position, count = grid.whole_days()
    weeks = count // 7
    if weeks < 2:
        return np.ones((usual.shape[0], 7, grid.steps_per_day))
    size = 7 * weeks * grid.steps_per_day
    begin = position + count * grid.steps_per_day - size
    days = usual[:, begin : begin + size].reshape(usual.shape[0], weeks, 7, grid.steps_per_day)
    known = np.isfinite(days)
    mean = np.where(known, days, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    order = np.argsort([weekday(first + count - 7 * weeks + offset) for offset in range(7)])
    return np.where((known.sum(axis=1) >= 2).all(axis=(1, 2))[:, None, None], mean, 1.0)[:, order]


def _way_to_rest_day(profile: Any, days: Sequence[Holiday], rest_weekday: int) -> Any:
    """X (S, P, D) of these days."""
    return profile[:, rest_weekday][:, None, :] - profile[:, [weekday(one.day) for one in days]]


def _relative(way: Any, shift: Any, profile: Any, coming: Sequence[Holiday]) -> Any:
    """X as a share of what is expected with it, (S, F, D)."""
    usual = profile[:, [weekday(one.day) for one in coming]]
    least = QUIET * profile.mean(axis=(1, 2))[:, None, None] + TINY
    return np.clip(way / np.maximum(usual + shift, least), -LARGEST_RELATIVE_SHIFT, LARGEST_RELATIVE_SHIFT)


def _daily_noise(usual: Any, grid: DayGrid, past: Sequence[Holiday]) -> Any:
    """(S,) spread of the logarithm of ordinary daily totals about the same day a week (or a day) before."""
    first, position, count = grid.whole_days()
    lag = 7 if count >= 15 else 1
    if count < lag + 2:
        return np.full(usual.shape[0], BETWEEN_SD)
    totals = usual[:, position : position + count * grid.steps_per_day].reshape(usual.shape[0], count, -1).sum(axis=2)
    totals[:, [one.day - first for one in past if 0 <= one.day - first < count]] = np.nan
    quiet = QUIET * np.nan_to_num(totals).mean(axis=1)[:, None] + TINY
    change = np.abs(np.log((totals[:, lag:] + quiet) / (totals[:, :-lag] + quiet)))
    known = np.isfinite(change)
    ordered = np.sort(np.where(known, change, np.inf), axis=1)
    number = known.sum(axis=1)
    middle = np.take_along_axis(ordered, np.maximum(number - 1, 0)[:, None] // 2, axis=1)[:, 0]
    # 1.4826 turns a median absolute deviation of normals into a standard deviation; a difference has twice the variance.
    return np.where(number >= 2, 1.4826 / np.sqrt(2.0) * np.where(number > 0, middle, 0.0), BETWEEN_SD)


def _likeness(coming: Sequence[Holiday], past: Sequence[Holiday]) -> Any:
    """(F, P) how much a past holiday says about a coming one."""
    result = np.full((len(coming), len(past)), OTHER_CALENDAR)
    for row, one in enumerate(coming):
        for column, other in enumerate(past):
            if one.name == other.name:
                result[row, column] = SAME_NAME
            elif one.calendars & other.calendars:
                result[row, column] = SAME_CALENDAR
    return result


def _rest_day_share(seen: _Seen, trust: Any, weight: Any, noise_of_mean: float) -> tuple[float, float]:
    """Posterior mean and variance of a, from the holidays with a weight (P,); least squares over the steps of the day."""
    unit = np.maximum(seen.unit, TINY)[:, None, None]
    way = np.einsum("sp,spd->pd", trust, seen.way / unit)
    change = np.einsum("sp,spd->pd", trust, (seen.happened - seen.expected) / unit)
    precision = INDEPENDENT_PARTS / (BETWEEN_SD**2 + noise_of_mean)
    information = precision * float((weight * (way**2).mean(axis=-1)).sum()) + 1.0 / REST_DAY_SHARE_SD**2
    told = precision * float((weight * (way * change).mean(axis=-1)).sum()) + REST_DAY_SHARE / REST_DAY_SHARE_SD**2
    return float(np.clip(told / information, 0.0, LARGEST_SHARE)), 1.0 / information


def _between_variance(residual: Any, weight: Any, likeness: Any) -> Any:
    """(F,) the variance of e about the mean of the like holidays, with the prior as two holidays more."""
    relevance = likeness * weight
    count = np.maximum(relevance.sum(axis=1), TINY)
    mean = np.einsum("fp,pd->fd", relevance, residual) / count[:, None]
    square = ((residual[None, :, :] - mean[:, None, :]) ** 2).mean(axis=-1)
    freedom = np.maximum(relevance.sum(axis=1) - 1.0, 0.0)
    spread = (relevance * square).sum(axis=1) / count
    return (PRIOR_HOLIDAYS * BETWEEN_SD**2 + freedom * spread) / (PRIOR_HOLIDAYS + freedom)
