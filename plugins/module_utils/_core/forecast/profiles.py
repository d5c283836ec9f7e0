# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Forecasts from the shape of the recent seasons, robust where a regression is not.

Bursty traffic has no autocorrelation worth a coefficient, but a usual height at each
time of day: its median there, which single bursts do not move. Where the shape holds
and the level wanders, the mean shape is scaled to the level of the last few samples.
And a service that is mostly silent is best forecast by silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

# Added to both levels of a ratio, as a share of the mean, so that silence does not divide by zero.
LEVEL_OFFSET = 0.05
MOST_RATIO = 10.0


@dataclass(frozen=True)
class PhaseMedian:
    """Median of the samples at most ``reach`` steps from the same phase in the last ``seasons`` seasons."""

    period: int
    seasons: int
    reach: int = 1

    @property
    def name(self) -> str:
        return f"median of last {self.seasons} seasons({self.period})"

    @property
    def samples_lost(self) -> int:
        return self.period * self.seasons + self.reach

    def predict(self, values: Any, origins: Any, horizon: int) -> Any:
        """Forecasts (S, O, horizon) from every origin; origins >= samples_lost."""
        phases = np.arange(min(horizon, self.period))
        near = same_phase(values, origins, phases, self.period, self.seasons, self.reach)
        return np.median(near, axis=-1)[..., np.arange(horizon) % self.period]


@dataclass(frozen=True)
class LevelledProfile:
    """Mean shape of the last ``seasons`` seasons times the ratio of the recent level to what it was at this phase.

    forecast[j] = shape[j] * (mean of the last ``recent`` samples) / (mean shape over the same phases).
    """

    period: int
    seasons: int
    recent: int

    @property
    def name(self) -> str:
        return f"shape of last {self.seasons} seasons({self.period}) at the level of the last {self.recent}"

    @property
    def samples_lost(self) -> int:
        return self.period * self.seasons + self.recent

    def predict(self, values: Any, origins: Any, horizon: int) -> Any:
        """Forecasts (S, O, horizon) from every origin; origins >= samples_lost."""
        ahead = np.arange(min(horizon, self.period))
        past = np.arange(-self.recent, 0)
        back = self.period * np.arange(1, self.seasons + 1)
        shape = values[:, origins[:, None, None] + ahead[None, :, None] - back].mean(axis=-1)
        usual = values[:, origins[:, None, None] + past[None, :, None] - back].mean(axis=(-1, -2))
        level = values[:, origins[:, None] + past].mean(axis=-1)
        ratio = np.clip((level + LEVEL_OFFSET) / (usual + LEVEL_OFFSET), 1.0 / MOST_RATIO, MOST_RATIO)
        return (shape * ratio[..., None])[..., np.arange(horizon) % self.period]


@dataclass(frozen=True)
class Zero:
    """No demand at all."""

    name = "zero"
    samples_lost = 0

    def predict(self, values: Any, origins: Any, horizon: int) -> Any:
        """Zeros (S, O, horizon)."""
        return np.zeros((values.shape[0], len(origins), horizon))


def same_phase(values: Any, origins: Any, phases: Any, period: int, seasons: int, reach: int) -> Any:
    """Samples (S, O, L, seasons * (2 reach + 1)) near the same phase in the seasons before each origin.

    Args:
        values: (S, n).
        origins: (O,) first step ahead of each; every sample before it is known.
        phases: (L,) steps ahead, below ``period``.
    """
    back = (period * np.arange(1, seasons + 1)[:, None] + np.arange(-reach, reach + 1)[None, :]).ravel()
    at = origins[:, None, None] + phases[None, :, None] - back
    # the last phases of a season have neighbours beyond the origin: the last known sample stands in
    return values[:, np.minimum(at, origins[:, None, None] - 1)]
