# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the calendar did to a forecast, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.events import Event
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.holiday_dates import Holiday

MOST_NAMED = 5


def about_events(events: Sequence[Event], first: float, last: float) -> list[str]:
    """The events that touch the horizon, from ``first`` to before ``last``."""
    return _shortened(
        [
            f"event {event.name!r} ({event.span}) lies in the horizon: demand there was {event.effect}"
            for event in events
            if event.meets(first, last)
        ],
        "events",
    )


def about_floors(ignored: Sequence[Event]) -> list[str]:
    """Past floors that demand did not come up to."""
    return [
        f"event {event.name!r} ({event.span}) left no trace: demand did not come near {event.floor:g}, so it was kept"
        for event in ignored
    ]


def about_holidays(coming: Sequence[Holiday], scales: Any, seen: Any, seen_together: Any) -> list[str]:
    """Coming holidays (F) with what demand was scaled by, and what that was learned from."""
    said = []
    for one, scale, own, together in zip(coming, scales, seen, seen_together):
        if own:
            source = f"learned from {_holidays(own)}"
        elif together:
            source = f"learned from {_holidays(together)} of other series"
        else:
            source = "a guess between an ordinary day and a Sunday, since the history holds no such holiday"
        said.append(f"{one.date} ({one.name}) lies in the horizon: demand there was scaled by {scale:.2f}, {source}")
    return _shortened(said, "holidays")


def too_few_ordinary_days() -> str:
    """Why past holidays were not taken out."""
    return "the history holds too few ordinary days to tell its holidays from them, so they were kept as they are"


def step_does_not_divide_a_day(step_seconds: int) -> str:
    """Why there are no holidays."""
    return f"a step of {step_seconds} s does not divide a day, so public holidays were not considered"


def step_does_not_fit_the_clock_change(step_seconds: int) -> str:
    """Why the grid stayed in UTC."""
    return (
        f"the clocks change within the history or the horizon, by less than a step of {step_seconds} s: days were"
        " compared at the same UTC time"
    )


def _holidays(count: int) -> str:
    return "1 holiday" if count == 1 else f"{count} holidays"


def _shortened(said: list[str], what: str) -> list[str]:
    return said if len(said) <= MOST_NAMED else [*said[:MOST_NAMED], f"and {len(said) - MOST_NAMED} more {what}"]
