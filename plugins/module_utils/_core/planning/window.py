# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The coming window of one series of a forecast document: its largest demand, by level.

The plan must carry the largest demand between now and the moment the next plan takes effect,
``W`` seconds away. With X_t the demand of step t and n = ceil(W / step):

- ``window_maximum`` holds quantiles of max(X_1..X_N). From the first step on, and when N >= n, it
  is used: the maximum over more steps is at least the maximum over fewer.
- otherwise the largest quantile on the path over the n steps stands in, max_t q_p(X_t), raised by what the known
  maximum has over its own path, max_p(X_1..X_N) - max_t<=N q_p(X_t). The path alone is at most the true quantile of
  the maximum. That it stands in is said in the signal's reason.

Both are quantiles of counts, and counts scatter by chance also where demand is known; the capacity of a
replica was measured under arrivals that scatter just so. What chance alone gives is therefore taken off, see
:func:`counting.beyond_chance`: else it would be planned for twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.counting import beyond_chance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.readings import (
    forecast_rate,
    quantile_level,
)

MEDIAN = 0.5


@dataclass(frozen=True)
class Window:
    """From which step of the forecast on, over how many; ``end`` of the forecast in epoch seconds."""

    offset: int
    steps: int
    truncated: bool
    end: float
    step_seconds: float


def window_of(entry: Mapping[str, Any], window_seconds: float, as_of: float | None, where: str) -> Window:
    """Which steps lie between ``as_of`` and the end of the window."""
    step = expect_number(entry.get("step_seconds"), what="step_seconds", where=where, minimum=1e-9)
    start = parse_moment(entry.get("start", ""), what="start", where=where)
    paths = expect_mapping(entry.get("quantiles"), what="quantiles", where=where)
    if not paths or any(isinstance(path, (str, bytes)) or not isinstance(path, Sequence) for path in paths.values()):
        raise InputError("a usable series needs a list of values per quantile", where=where, remedy="Forecast again")
    horizon = min(len(path) for path in paths.values())
    elapsed = max(0.0, as_of - start) if as_of is not None else 0.0
    offset = int(elapsed // step)
    last = max(offset + 1, math.ceil((elapsed + window_seconds) / step - 1e-9))
    return Window(offset, max(0, min(last, horizon) - offset), last > horizon, start + horizon * step, step)


def window_maxima(
    entry: Mapping[str, Any], window: Window, window_steps: int, where: str
) -> tuple[dict[float, float], str]:
    """Per level the largest demand over the window, and in words how it was found.

    Args:
        window_steps: N, over how many steps ``window_maximum`` reaches.

    Returns:
        No level when a value is not a number.
    """
    known = expect_mapping(entry.get("window_maximum") or {}, what="window_maximum", where=where)
    of_maxima = {key: forecast_rate(known.get(key), where=where) for key in entry["quantiles"]}
    exact = window.offset == 0 and window.steps <= window_steps and None not in of_maxima.values()
    maxima: dict[float, float] = {}
    for key, path in entry["quantiles"].items():
        of_maximum = of_maxima[key]
        if of_maximum is None or not exact:
            largest = _largest(path[window.offset : window.offset + window.steps], where)
            if largest is None:
                return {}, ""
            its_own = _largest(path[:window_steps], where)
            excess = 0.0 if of_maximum is None or its_own is None else max(0.0, of_maximum - its_own)
            of_maximum = largest + excess
        maxima[quantile_level(key, where=where)] = of_maximum
    steps = max(window_steps if exact else window.steps, 1)
    maxima = _beyond_chance(maxima, _middle(entry, window.offset, steps, where), steps, window.step_seconds)
    if exact:
        return maxima, f"of the maximum over {window.steps} steps"
    return maxima, f"the largest of {window.steps} steps standing in for the maximum over them"


def expected_now(entry: Mapping[str, Any], window: Window, where: str) -> dict[float, float]:
    """Per level what the forecast says of the count of the step that is now; empty when a value is not a number."""
    rates = {
        quantile_level(key, where=where): forecast_rate(path[window.offset], where=where)
        for key, path in entry["quantiles"].items()
    }
    known = {level: rate for level, rate in rates.items() if rate is not None}
    return known if len(known) == len(rates) else {}


def _beyond_chance(
    rates: Mapping[float, float], middle: float | None, steps: int, seconds: float
) -> dict[float, float]:
    if middle is None:
        return dict(rates)
    return {level: beyond_chance(rate, middle, level, steps=steps, seconds=seconds) for level, rate in rates.items()}


def _middle(entry: Mapping[str, Any], offset: int, steps: int, where: str) -> float | None:
    """The largest median of the steps: what the window's demand is without its interval."""
    medians = [path for key, path in entry["quantiles"].items() if quantile_level(key, where=where) == MEDIAN]
    return _largest(medians[0][offset : offset + steps], where) if medians else None


def _largest(values: Sequence[Any], where: str) -> float | None:
    """The largest of some rates; None when one is not a number, or there is none."""
    rates = [forecast_rate(value, where=where) for value in values]
    known = [rate for rate in rates if rate is not None]
    return max(known) if known and len(known) == len(rates) else None
