# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A forecast for a history too short to test one on: flagged, wide, never refused.

The mean of the last season (or of everything there is) with the spread of the
history about it, never less than half of it, and the tails of Student's t with as
few degrees of freedom as there are samples. It says "somewhere here"; planning
should rather go by what is observed, and the document says so (``usable: false``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import (
    ForecastOptions,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.student import t_quantile

LEAST_RELATIVE_SPREAD = 0.5
# Errors of neighbouring steps go together: a window counts as at most this many independent ones.
INDEPENDENT_STEPS = 6


@dataclass(frozen=True)
class ShortForecast:
    """One series: ``mean`` (horizon,), ``quantiles`` (Q, horizon), ``window_maximum`` (Q,)."""

    mean: Any
    quantiles: Any
    window_maximum: Any


def forecast_short(values: Any, season: int, options: ForecastOptions) -> ShortForecast:
    """Forecast from a handful of samples.

    Args:
        values: (n,) with NaN for gaps; may hold nothing at all.
        season: steps of the shortest season, 0 when there is none; used when it was seen once.
        options: horizon, window and levels.
    """
    horizon = options.horizon_steps
    known = values[np.isfinite(values)]
    if not known.size:
        zeros = np.zeros(len(options.quantiles))
        return ShortForecast(np.zeros(horizon), zeros[:, None] + np.zeros(horizon), zeros)
    centre = float(known.mean())
    mean = np.full(horizon, centre)
    if season and values.size >= season:
        last = np.where(np.isfinite(values[-season:]), values[-season:], centre)
        mean = last[np.arange(horizon) % season]
    spread = max(float(known.std(ddof=1)) if known.size > 1 else 0.0, LEAST_RELATIVE_SPREAD * centre)
    degrees = max(1, min(known.size - 1, 30))
    tails = np.array([t_quantile(level, degrees) for level in options.quantiles])
    steps = min(options.window_steps, INDEPENDENT_STEPS)
    top = np.array([t_quantile(level ** (1.0 / steps), degrees) for level in options.quantiles])
    paths = np.maximum(mean[None, :] + spread * tails[:, None], 0.0)
    peak = mean[: options.window_steps].max()
    return ShortForecast(mean, paths, np.maximum(peak + spread * top, paths[:, : options.window_steps].max(axis=1)))
