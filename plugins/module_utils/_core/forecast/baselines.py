# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The simple forecasts every other one must beat: seasonal naive and means of seasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]


@dataclass(frozen=True)
class SeasonalMean:
    """Mean of the last ``seasons`` samples at the same phase; one season is seasonal naive.

    With period 1 it is the naive forecast, or the mean of the last samples.
    """

    period: int
    seasons: int = 1

    @property
    def name(self) -> str:
        if self.seasons == 1:
            return "naive" if self.period == 1 else f"seasonal naive({self.period})"
        return f"mean of last {self.seasons}" + ("" if self.period == 1 else f" seasons({self.period})")

    @property
    def samples_lost(self) -> int:
        return self.period * self.seasons

    def predict(self, values: Any, origins: Any, horizon: int) -> Any:
        """Forecasts (S, O, horizon) from every origin; origins >= samples_lost."""
        return predict_seasonal_mean(self, values, origins, horizon)


def predict_seasonal_mean(specification: SeasonalMean, values: Any, origins: Any, horizon: int) -> Any:
    """Forecasts (S, O, horizon) from every origin; origins >= period * seasons."""
    phase = np.arange(min(horizon, specification.period))
    back = specification.period * np.arange(1, specification.seasons + 1)
    at = origins[:, None, None] + phase[None, :, None] - back[None, None, :]
    shape = values[:, at[..., 0]] if specification.seasons == 1 else values[:, at].mean(axis=-1)
    return shape[..., np.arange(horizon) % specification.period]
