# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The demand of later periods, and how many periods a start takes.

With periods of D seconds and a lead time of l seconds, a start takes L = floor(l / D) whole
periods; the rest r = l - L D is part of what a period must cover. What serves from period t
on is decided at t D and must carry the largest demand over [t D, (t + 1) D + r].

The first period is planned for as every plan is. A later one follows the forecast alone:
what is observed now says nothing of then. Where the forecast is not trusted, not given as
a forecast, or does not reach that far, the period asks for what the one before it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import (
    Levels,
    by_model,
    forecast_signal,
    is_document,
    summed,
)


def lead_periods(lead_seconds: Mapping[str, float], period_seconds: float) -> dict[str, int]:
    """Whole periods from start to first answer by model."""
    return {name: int(seconds // period_seconds) for name, seconds in lead_seconds.items()}


def later_demands(
    forecast: Mapping[str, Any] | None,
    first: Mapping[str, ModelDemand],
    lead_seconds: Mapping[str, float],
    *,
    periods: int,
    period_seconds: float,
    headroom: float,
    as_of: float,
) -> list[dict[str, ModelDemand]]:
    """What is planned for in each period after the first.

    Args:
        forecast: as planned_demand takes it.
        first: what is planned for in the first period.
        lead_seconds: from start to first answer by model.
        periods: how many there are, the first included.
        period_seconds: how long each is.
        headroom: factor on what was recently seen, where the forecast is not used.
        as_of: epoch seconds the plan is for.
    """
    document = forecast if forecast is not None and is_document(forecast) else {}
    series = by_model(document.get("series") or {})
    window_steps = int(document.get("window_steps") or 0)
    later: list[dict[str, ModelDemand]] = []
    for t in range(1, periods):
        before = later[-1] if later else first
        demands = {}
        for name, demand in before.items():
            rest = lead_seconds[name] % period_seconds
            levels: Levels = ()
            if demand.source != "held":
                signals = [
                    forecast_signal(
                        one,
                        entry,
                        window_steps=window_steps,
                        window_seconds=period_seconds + rest,
                        headroom=headroom,
                        as_of=as_of + t * period_seconds,
                    )
                    for one, entry in series.get(name, {}).items()
                ]
                trusted = bool(signals) and all(one.source == "forecast" and one.levels for one in signals)
                levels = summed(signals) if trusted else ()
            demands[name] = replace(demand, levels=levels or demand.levels)
        later.append(demands)
    return later


def demand_path(later: Sequence[Mapping[str, ModelDemand]], first: Mapping[str, ModelDemand], name: str) -> list[float]:
    """Requests/s at the highest level, period by period."""
    return [demands[name].levels[-1][1] for demands in (first, *later)]
