# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Known events: windows in which demand is multiplied, or is at least so much.

A multiplier m holds for the share w of a step that lies inside the window, so the
step's mean demand is multiplied by 1 + w (m - 1); several events multiply. A past
event is divided out the same way, and what remains is ordinary demand.

A floor f is demand known to come whatever else happens: a load test, a batch run,
a promise. Ahead it lifts every figure of the steps it touches to f. In the past it
mattered only where usual demand was below f, and only if the demand came: when the
mean of those steps lies nearer to the floor than to what is usual there, they
are not ordinary demand and become gaps; otherwise they stay. The decision is one for
the whole window, since dropping single high steps would leave only low ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

FIELDS = ("name", "start", "end", "multiplier", "floor", "series")


@dataclass(frozen=True)
class Event:
    """A window [start, end), epoch seconds, with either a multiplier > 0 or a floor >= 0; no ``series`` means all."""

    name: str
    start: float
    end: float
    multiplier: float | None
    floor: float | None
    series: tuple[str, ...]

    def concerns(self, name: str) -> bool:
        """Whether the series ``name`` is meant, by its own name or by its model (``model|region``)."""
        return not self.series or name in self.series or name.split("|", maxsplit=1)[0] in self.series

    def shares(self, moments: Any, step_seconds: int) -> Any:
        """How much of each step from ``moments`` lies in the window, 0 to 1."""
        inside = np.minimum(moments + step_seconds, self.end) - np.maximum(moments, self.start)
        return np.clip(inside / step_seconds, 0.0, 1.0)

    def meets(self, first: float, last: float) -> bool:
        """Whether it touches the span from ``first`` to before ``last``."""
        return self.start < last and self.end > first

    @property
    def effect(self) -> str:
        """What it does, in words."""
        return f"multiplied by {self.multiplier:g}" if self.multiplier is not None else f"at least {self.floor:g}"

    @property
    def span(self) -> str:
        return f"{format_moment(self.start)} to {format_moment(self.end)}"


def parse_events(value: Any) -> tuple[Event, ...]:
    """Events from the plain values an operator gives, in order of time.

    Raises:
        InputError: the first thing wrong, with the event's name or number.
    """
    if not isinstance(value, (list, tuple)):
        raise InputError(f"events must be a list of windows, not {value!r}", where="events")
    found = [_parse_event(number, one) for number, one in enumerate(value, start=1)]
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.name)))


def check_series_names(events: Sequence[Event], names: Sequence[str]) -> None:
    """Every series an event names must be there.

    Raises:
        InputError: a name that is neither a series nor the model of one.
    """
    known = set(names) | {name.split("|", maxsplit=1)[0] for name in names}
    for event in events:
        for name in event.series:
            if name not in known:
                shown = ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
                raise InputError(
                    f"the history has no series {name!r}",
                    where=f"event {event.name!r}",
                    remedy=f"Name one of {shown}, or leave series out to mean all of them",
                )


def factors(events: Sequence[Event], moments: Any, step_seconds: int) -> Any:
    """What the multipliers come to at each step, shape of ``moments``."""
    product = np.ones(moments.shape)
    for event in events:
        if event.multiplier is not None:
            product *= 1.0 + event.shares(moments, step_seconds) * (event.multiplier - 1.0)
    return product


def floors(events: Sequence[Event], moments: Any, step_seconds: int) -> Any:
    """The highest floor at each step, 0 without any."""
    highest = np.zeros(moments.shape)
    for event in events:
        if event.floor is not None:
            touched = event.shares(moments, step_seconds) > 0.0
            highest = np.where(touched, np.maximum(highest, event.floor), highest)
    return highest


def lifted_by_floor(floor: float, actual: Any, usual: Any, touched: Any) -> Any:
    """(n,) bool: the samples that a past floor pushed up, see the head of this file.

    Args:
        floor: the least demand that was expected.
        actual: (n,) with NaN for gaps.
        usual: (n,) what would have been ordinary.
        touched: (n,) bool, the steps that the window touches.
    """
    below = touched & (usual < floor) & np.isfinite(actual)
    if not below.any():
        return below
    risen = float(np.mean(actual[below] - usual[below]))
    return below & (risen > 0.5 * float(np.mean(floor - usual[below])))


def _parse_event(number: int, value: Any) -> Event:
    fields: Mapping[str, Any] = expect_mapping(value, what="event", where=f"event {number}")
    name = str(fields.get("name") or "").strip()
    if not name:
        raise InputError("the event has no name", where=f"event {number}", remedy="Name it: the forecast mentions it")
    where = f"event {name!r}"
    unknown = sorted(set(map(str, fields)) - set(FIELDS))
    if unknown:
        raise InputError(f"it has the unknown field {unknown[0]!r}", where=where, remedy=f"Use {', '.join(FIELDS)}")
    start, end = (_moment(fields, key, where) for key in ("start", "end"))
    if end <= start:
        raise InputError(
            f"its end, {format_moment(end)}, is not after its start, {format_moment(start)}",
            where=where,
            remedy="The end is the first moment that no longer belongs to it",
        )
    multiplier, floor = fields.get("multiplier"), fields.get("floor")
    if (multiplier is None) == (floor is None):
        raise InputError(
            "it has neither a multiplier nor a floor" if floor is None else "it has both a multiplier and a floor",
            where=where,
            remedy="Give one: multiplier scales the demand, floor is the least demand to expect",
        )
    if multiplier is not None:
        multiplier = expect_number(multiplier, what="the multiplier", where=where)
        if multiplier <= 0.0:
            raise InputError(f"the multiplier must be above 0, not {multiplier:g}", where=where)
    else:
        floor = expect_number(floor, what="the floor", where=where, minimum=0)
    return Event(name, start, end, multiplier, floor, _series_names(fields.get("series"), where))


def _moment(fields: Mapping[str, Any], key: str, where: str) -> float:
    if fields.get(key) is None:
        raise InputError(f"it has no {key}", where=where, remedy="Write it like 2026-11-23T18:00:00Z")
    return parse_moment(str(fields[key]), what=key, where=where)


def _series_names(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"its series must be a list of names, not {value!r}", where=where)
    return tuple(sorted(set(names)))
