# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the inputs say about each model's demand, before any rule is applied to it.

A forecast document holds one series per model or per ``model|region``. Each becomes
a :class:`Signal`: a ladder of (quantile level, requests/s) for the largest demand
over the coming window, and whether all of it could be read. What cannot be read is
never taken for zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.readings import (
    quantile_level,
    reading,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.scale_in import Seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.trust import Trust, trust_in
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.window import (
    expected_now,
    window_maxima,
    window_of,
)

Levels = tuple[tuple[float, float], ...]
STALE_STEPS = 6
KNOWN_LEVEL = 0.5  # a single number is entered as its own median: a ladder of one flat step


@dataclass(frozen=True)
class Signal:
    """What one series says.

    ``levels``: (quantile level, requests/s), empty when it says nothing.
    ``latest``: the last sample, requests/s, or None when there is none that is recent.
    ``complete``: False when something is missing or stale; then it is no reason to stop a replica.
    ``seen``: the largest of the latest samples, with headroom, over how many seconds; None when it is not known.
    ``expected``: the ladder of the step that is now, as far as the forecast is trusted; empty when there is none.
    """

    source: str
    levels: Levels
    latest: float | None
    complete: bool
    reason: str
    seen: Seen | None = None
    expected: Levels = ()


def by_model(mapping: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Entries grouped by the model in front of ``|``: ``{model: {series name: entry}}``, sorted."""
    grouped: dict[str, dict[str, Any]] = {}
    for name in sorted(mapping, key=str):
        grouped.setdefault(str(name).split("|", maxsplit=1)[0], {})[str(name)] = mapping[name]
    return grouped


def is_document(forecast: Mapping[str, Any]) -> bool:
    """Whether this is a forecast document, rather than a plain mapping of model to demand."""
    return forecast.get("kind") == "forecast" or isinstance(forecast.get("series"), Mapping)


def given_signal(name: str, value: Any) -> Signal:
    """Demand an operator wrote down: a number, or a mapping of quantile level to requests/s."""
    where = f"demand of {name}"
    if isinstance(value, Mapping):
        rates = {quantile_level(level, where=where): reading(rate, where=where) for level, rate in value.items()}
    else:
        rates = {KNOWN_LEVEL: reading(value, where=where)}
    if not rates or any(rate is None for rate in rates.values()):
        return Signal("given", (), None, False, "the demand given is not a number")
    levels = _ascending({level: rate for level, rate in rates.items() if rate is not None})
    return Signal("given", levels, None, True, f"given: up to {levels[-1][1]:g} requests/s")


def forecast_signal(
    name: str,
    series: Any,
    *,
    window_steps: int,
    window_seconds: float,
    headroom: float,
    as_of: float | None = None,
    interval_seconds: float = 0.0,
) -> Signal:
    """One series of a forecast document, read for the coming window.

    Args:
        name: the series, for messages.
        series: its entry in the document.
        window_steps: over how many steps the document's ``window_maximum`` reaches.
        window_seconds: lead time plus planning interval.
        headroom: factor on what was recently seen, where the forecast is not used.
        as_of: epoch seconds the plan is for; None takes the forecast's own start.
        interval_seconds: time between plans; a history that ended longer before ``as_of`` than this
            and :data:`STALE_STEPS` steps is stale.

    Raises:
        InputError: the entry lacks what a usable series must hold.
    """
    where = f"forecast of {name}"
    entry = expect_mapping(series, what="forecast series", where=where)
    recent = reading(entry.get("recent_maximum"), where=where)
    latest = reading(entry.get("last_observed"), where=where) if recent is not None else None
    stale = _staleness(entry, as_of, interval_seconds, where)
    seen = None
    if recent is not None and not stale:
        step = expect_number(entry.get("step_seconds", 0), what="step_seconds", where=where, minimum=0)
        seen = Seen(window_steps * step, recent * headroom)
    usable = entry.get("usable") is True
    trust = trust_in(entry)
    if not usable or trust.weight == 0:
        why = trust.words if usable else "the history is too short or broken for a forecast"
        signal = _reactive(why, recent, latest, headroom, complete=usable)
    else:
        signal = _forecast(entry, trust, recent, latest, headroom, (window_steps, window_seconds, as_of), where)
    if stale:
        return replace(signal, complete=False, reason=f"{signal.reason}; {stale}")
    return replace(signal, seen=seen)


def summed(signals: Sequence[Signal]) -> Levels:
    """The ladder of the sum, level by level over the union of levels.

    Adding quantiles assumes the parts peak together, so at levels above the median
    the sum is on the safe side for parts that do not. A part without a level counts with its next higher one.
    """
    return _sum([signal.levels for signal in signals if signal.levels])


def expected_sum(signals: Sequence[Signal]) -> Levels:
    """What all parts together are expected to ask for now; empty when one of them expects nothing in particular."""
    ladders = [signal.expected for signal in signals]
    return _sum(ladders) if ladders and all(ladders) else ()


def _sum(ladders: Sequence[Levels]) -> Levels:
    union = sorted({level for ladder in ladders for level, _unused in ladder})
    return tuple((level, sum(_at(ladder, level) for ladder in ladders)) for level in union)


def _forecast(
    entry: Mapping[str, Any],
    trust: Trust,
    recent: float | None,
    latest: float | None,
    headroom: float,
    reach: tuple[int, float, float | None],
    where: str,
) -> Signal:
    """What a forecast that is trusted, if only in part, says about the window."""
    window_steps, window_seconds, as_of = reach
    window = window_of(entry, window_seconds, as_of, where)
    if window.steps == 0:
        return Signal("forecast", (), None, False, f"the forecast ended at {format_moment(window.end)}")
    maxima, how = window_maxima(entry, window, window_steps, where)
    if not maxima:
        return _reactive("the forecast holds values that are not numbers", recent, latest, headroom, complete=False)
    doubted = trust.weight < 1 or trust.doubt > 0
    if doubted and recent is not None:
        maxima = {level: trust.blend(rate, recent * headroom) for level, rate in maxima.items()}
    levels = _ascending(maxima)
    reason = f"forecast: {levels[-1][1]:.4g} requests/s at quantile {levels[-1][0]:g}, {how}"
    if doubted and recent is not None:
        share = 1.0 - trust.weight * (1.0 - trust.doubt)
        reason += (
            f"; {trust.words}, so the recent maximum {recent:.4g} requests/s x {headroom:g} counts for {share:.0%}"
        )
    elif trust.words:
        reason += f"; {trust.words}"
    if window.truncated:
        reason += "; the forecast ends before lead time and planning interval do"
    if recent is None:
        reason += "; the latest samples of its history are missing"
    sure = trust.weight * (1.0 - trust.doubt)
    now = _ascending({level: sure * rate for level, rate in expected_now(entry, window, where).items()})
    complete = recent is not None and not window.truncated
    return Signal("forecast", levels, latest, complete, reason, expected=now)


def _staleness(entry: Mapping[str, Any], as_of: float | None, interval_seconds: float, where: str) -> str:
    """In words, that the history ended too long ago; empty when it did not, or no moment is known."""
    ended = entry.get("history_end")
    if ended is None or as_of is None:
        return ""
    step = expect_number(entry.get("step_seconds", 0), what="step_seconds", where=where, minimum=0)
    age = as_of - parse_moment(str(ended), what="history_end", where=where)
    if age <= interval_seconds + STALE_STEPS * step:
        return ""
    return f"its history ended at {ended}, too long ago to stop anything"


def _reactive(why: str, recent: float | None, latest: float | None, headroom: float, *, complete: bool) -> Signal:
    if recent is None:
        return Signal("observed", (), None, False, f"{why}, and the latest samples of its history are missing")
    reason = f"reactive, because {why}: recent maximum {recent:.4g} requests/s x {headroom:g}"
    return Signal("observed", ((KNOWN_LEVEL, recent * headroom),), latest, complete, reason)


def _ascending(rates: Mapping[float, float]) -> Levels:
    """The ladder by level, with crossings removed: a higher level never asks for less."""
    ladder: list[tuple[float, float]] = []
    for level in sorted(rates):
        ladder.append((level, max(rates[level], ladder[-1][1] if ladder else 0.0)))
    return tuple(ladder)


def _at(ladder: Levels, level: float) -> float:
    return next((rate for own, rate in ladder if own >= level), ladder[-1][1])
