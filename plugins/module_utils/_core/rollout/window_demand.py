# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The demand to stay above while replicas are away: by the forecast over the whole window, or by what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import (
    by_model,
    forecast_signal,
    summed,
)

NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class HeadroomPolicy:
    """``level``: quantile of demand to stay above; ``margin``: share on top of it; ``observed_factor``: on a rate that was
    only seen; ``reserve``: keep the largest host or fault domain aside."""

    level: float = 0.95
    margin: float = 0.15
    observed_factor: float = 1.2
    reserve: bool = True


@dataclass(frozen=True)
class WindowDemand:
    """Demand over one window, requests/s; None when nothing can be said."""

    requests_per_second: float | None
    reason: str


def demand_over(
    forecast: Any,
    model: str,
    *,
    begins: float,
    window_seconds: float,
    policy: HeadroomPolicy | None = None,
    observed: float | None = None,
    waited_seconds: float = 0.0,
) -> WindowDemand:
    """The demand of ``model`` to stay above from ``begins`` on.

    Args:
        forecast: a forecast.json document, or None.
        begins: epoch seconds at which the window begins.
        window_seconds: drain limit, load, warm-up and judging together.
        observed: requests/s measured now; demand is never taken to be less.
        waited_seconds: how far ``begins`` is ahead of now; the history may be older by as much.
    """
    policy = policy or HeadroomPolicy()
    seen = None if observed is None else expect_number(observed, what="observed demand", where=model, minimum=0)
    document = expect_mapping(forecast, what="forecast") if forecast is not None else {}
    entries = by_model(expect_mapping(document.get("series") or {}, what="forecast series")).get(model, {})
    if not entries:
        return _only_seen(seen, f"the forecast says nothing of {model}", policy)
    signals = [
        forecast_signal(
            name,
            entry,
            window_steps=int(expect_number(document.get("window_steps", 1), what="window_steps", minimum=1)),
            window_seconds=window_seconds,
            headroom=policy.observed_factor,
            as_of=begins,
            interval_seconds=waited_seconds,
        )
        for name, entry in entries.items()
    ]
    doubts = [signal.reason for signal in signals if not signal.levels or not signal.complete]
    if doubts:
        return _only_seen(seen, doubts[0], policy)
    levels = summed(signals)
    rate = next((rate for level, rate in levels if level >= policy.level - NEGLIGIBLE), levels[-1][1])
    if seen is not None and seen > rate:
        return WindowDemand(seen, f"observed: {seen:.4g} requests/s, above the forecast's {rate:.4g}")
    return WindowDemand(rate, signals[0].reason if len(signals) == 1 else f"sum of {len(signals)} forecasts")


def _only_seen(seen: float | None, why: str, policy: HeadroomPolicy) -> WindowDemand:
    if seen is None:
        return WindowDemand(None, why)
    rate = seen * policy.observed_factor
    return WindowDemand(rate, f"{why}; observed {seen:.4g} requests/s x {policy.observed_factor:g}")
