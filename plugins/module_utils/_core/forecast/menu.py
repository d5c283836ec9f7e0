# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which candidates a history of given length and seasons can support.

The families are those of FORECAST evidence on hourly and 10-minute demand: the weekly
lag next to the daily one is what order-searching ARIMA with one season cannot see.
"""

from __future__ import annotations

from typing import Union

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.arima import (
    SubsetAutoregression,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.baselines import (
    SeasonalMean,
)

Candidate = Union[SubsetAutoregression, SeasonalMean]

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
    wanted: list[Candidate] = [*_baselines(periods)]
    for log in (False, True):
        wanted.extend(_autoregressions(periods, log))
    return [candidate for candidate in wanted if _fits(candidate, head)]


def seasonal_naive(periods: tuple[int, ...]) -> SeasonalMean:
    """The forecast that skill is measured against: one (shortest) season back, or the last value."""
    return SeasonalMean(periods[0] if periods else 1)


def _baselines(periods: tuple[int, ...]) -> list[SeasonalMean]:
    shortest = periods[0] if periods else 1
    wanted = [SeasonalMean(1), SeasonalMean(1, 3), SeasonalMean(1, 12)]
    if periods:
        wanted += [
            SeasonalMean(1, shortest),
            SeasonalMean(shortest),
            SeasonalMean(shortest, 3),
            SeasonalMean(shortest, 7),
        ]
    for longer in periods[1:]:
        wanted += [SeasonalMean(longer), SeasonalMean(longer, 2), SeasonalMean(longer, 3)]
    return list(dict.fromkeys(wanted))


def _autoregressions(periods: tuple[int, ...], log: bool) -> list[SubsetAutoregression]:
    def subset(
        lags: set[int], span: int = 0, *harmonics: tuple[int, int], means: tuple[int, ...] = ()
    ) -> SubsetAutoregression:
        return SubsetAutoregression(tuple(sorted(lags)), means, span, harmonics, log)

    if not periods:
        return [subset({1}), subset({1, 2, 3}), subset({1, 2}, 1)]
    day = periods[0]
    daily = (day, min(DAILY_HARMONICS, (day - 1) // 2 or 1))
    wanted = [
        subset({1, 2, 3}, 0, daily),
        subset({1, 2, day, day + 1}),
        subset({1, 2, day, day + 1, 2 * day}),
        subset({1, 2, day, day + 1}, 0, daily),
        subset({1, 2, 3, day}, day),
        subset({1, 2}, 1),
        subset({1, 2, day}, 1),
        subset({1, 2}, 0, daily, means=(max(3, day // 8), day)),
        subset({1, 2, day, day + 1}, 0, daily, means=(max(3, day // 8), day)),
        subset({1, 2, day}, day, means=(max(3, day // 8), day)),
        subset({1, 2, day, day + 1}, 0, means=(max(3, day // 8), day)),
        subset({1, 2, day, day + 1}, 0, daily, means=(max(3, day // 24), max(4,day // 4), day)),
        subset({1, 2, day, day + 1,2*day,3*day}, 0, daily, means=(max(3, day // 8), day)),
        subset({1, 2, day, day + 1}, 1, daily, means=(max(3, day // 8), day)),
        subset({1}, 0, daily, means=(max(3, day // 8), day)),
    ]
    for week in periods[1:]:
        weekly = (week, WEEKLY_HARMONICS)
        short = {1, 2, 3, day, day + 1}
        wanted += [
            subset({1, 2, 3}, 0, daily, weekly),
            subset({*short, week, week + 1}),
            subset({*short, 2 * day, 3 * day, week, week + 1}),
            subset({*short, week, week + 1}, 0, daily),
            subset({1, 2, 3, day}, week),
            subset({1, 2, day, day + 1, week, week + 1}, 0, daily, means=(max(3, day // 8), day)),
            subset({1, 2, day, day + 1, week, week + 1}, 0, means=(max(3, day // 8), day)),
            subset({1, 2, day, day + 1, 2*day, week, week + 1}, 0, daily, means=(max(3, day // 8), day, week)),
            subset({1, 2, day, week}, 0, daily, weekly, means=(max(3, day // 8), day)),
            subset({1, 2, day}, week, means=(max(3, day // 8), day)),
        ]
    return list(dict.fromkeys(wanted))


def _fits(candidate: Candidate, head: int) -> bool:
    if isinstance(candidate, SeasonalMean):
        return candidate.samples_lost <= head
    return head - candidate.samples_lost >= ROWS_PER_COEFFICIENT * len(candidate.terms)
