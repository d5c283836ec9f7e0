# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which days are public holidays, from the library ``holidays``.

Days are counted from 1970-01-01, which was a Thursday. A day is a local one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

PURPOSE = "The option holidays"
EPOCH = date(1970, 1, 1)
FIRST_WEEKDAY = 3  # 1970-01-01, with Monday as 0
SUNDAY = 6


@dataclass(frozen=True)
class HolidayCalendar:
    """Where the holidays are those of: a country, or a part of one."""

    country: str
    subdivision: str | None

    @property
    def name(self) -> str:
        return f"{self.country}-{self.subdivision}" if self.subdivision else self.country


@dataclass(frozen=True)
class Holiday:
    """A local day, its name, and the calendars that keep it."""

    day: int
    name: str
    calendars: frozenset[str]

    @property
    def date(self) -> str:
        return (EPOCH + timedelta(days=self.day)).isoformat()


def weekday(day: int) -> int:
    """Monday is 0."""
    return (day + FIRST_WEEKDAY) % 7


def parse_holiday_calendars(value: Any) -> tuple[HolidayCalendar, ...]:
    """Calendars from texts such as ``US`` and ``DE-BY``, each once, by name.

    Raises:
        InputError: not a list, or a country or subdivision the library does not have.
        MissingLibraryError: the library is absent or too old.
    """
    codes = [value] if isinstance(value, str) else value
    if not isinstance(codes, (list, tuple)) or not all(isinstance(code, str) for code in codes):
        raise InputError(
            f"holidays must be a list of countries, not {value!r}", where="holidays", remedy="Write [DE-BY, US]"
        )
    supported = require("holidays", purpose=PURPOSE).list_supported_countries(include_aliases=False)
    found = {_parse_calendar(code, supported) for code in codes}
    return tuple(sorted(found, key=lambda one: one.name))


def holidays_between(calendars: Sequence[HolidayCalendar], first_day: int, last_day: int) -> tuple[Holiday, ...]:
    """Every holiday from ``first_day`` to ``last_day``, both included, in order; a day that several keep is one."""
    years = range((EPOCH + timedelta(days=first_day)).year, (EPOCH + timedelta(days=last_day)).year + 1)
    names: dict[int, list[str]] = {}
    keepers: dict[int, set[str]] = {}
    for calendar in calendars:
        for when, name in sorted(_of_library(calendar, years).items()):
            day = (when - EPOCH).days
            if first_day <= day <= last_day:
                keepers.setdefault(day, set()).add(calendar.name)
                if name not in names.setdefault(day, []):
                    names[day].append(name)
    return tuple(Holiday(day, ", ".join(names[day]), frozenset(keepers[day])) for day in sorted(names))


def rest_weekday(calendars: Sequence[HolidayCalendar]) -> int:
    """The day of the week that a holiday is expected to be like: the last of the first calendar's weekend."""
    return max(getattr(_of_library(calendars[0], range(0)), "weekend", None) or (SUNDAY,))


def _of_library(calendar: HolidayCalendar, years: range) -> Any:
    # The language is named, since it would otherwise follow the environment.
    return require("holidays", purpose=PURPOSE).country_holidays(
        calendar.country, subdiv=calendar.subdivision, years=years, language="en_US"
    )


def _parse_calendar(code: str, supported: dict[str, list[str]]) -> HolidayCalendar:
    country, _dash, subdivision = code.strip().partition("-")
    country = country.upper()
    if country not in supported:
        raise InputError(
            f"no holidays are known for {code!r}",
            where="holidays",
            remedy=f"Countries are two letters, with a part of the country behind a hyphen (DE-BY): "
            f"{', '.join(sorted(supported))}",
        )
    if not subdivision:
        return HolidayCalendar(country, None)
    by_lower = {part.lower(): part for part in supported[country]}
    if subdivision.lower() not in by_lower:
        parts = ", ".join(sorted(supported[country]))
        raise InputError(
            f"{country} has no part {subdivision!r} with holidays of its own",
            where="holidays",
            remedy=f"Its parts are {parts}" if parts else f"Write {country}: its holidays are the same everywhere",
        )
    return HolidayCalendar(country, by_lower[subdivision.lower()])
