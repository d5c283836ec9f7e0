# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the forecast of ordinary demand on the local grid to what is to be expected, step by step in UTC.

With a(j) the holiday's shift towards a rest day, g(j) the product of its other effect and the event
multipliers, tau(j) the standard deviation of the logarithm of the effect, and f(j) the floor,

    centre   = g max(mean + a, 0),
    mean'(j) = max(f, centre),
    Q_q'(j)  = max(f, centre + spread_q),
    spread_q = g r (Q_q - mean) and centre (exp(z_q tau) - 1), joined as the root of the sum of their squares

where they point the same way, added where they do not: the effect's error is independent
of the forecast's. r = (mean + a) / mean within [1, 3] widens the spread where the shift
raises demand. The maximum over the window exceeds the highest step by g_max times
what it exceeded it by before, with g_max the largest g r of the window; this is exact
where a is 0 and g the same all over the window, and errs to the safe side elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

LARGEST_RAISE = 3.0


@dataclass(frozen=True)
class Restoration:
    """The way back for one series.

    Attributes:
        positions: (H,) which step of the forecast each coming UTC step is.
        shift: (H,) what a holiday adds first, in the unit of the history.
        factor: (H,) event multipliers times the holiday's other effect.
        effect_sd: (H,) standard deviation of the logarithm of the holiday's effect, 0 on other days.
        floor: (H,) the least demand to expect.
        remarks: what was done, in words.
    """

    positions: Any
    shift: Any
    factor: Any
    effect_sd: Any
    floor: Any
    remarks: tuple[str, ...] = ()

    @property
    def steps_ahead(self) -> int:
        """How many steps to forecast: the horizon, or more when clocks go forward in it."""
        return max(int(self.positions.size), int(self.positions.max(initial=0)) + 1)

    @property
    def changes_nothing(self) -> bool:
        return bool(
            np.array_equal(self.positions, np.arange(self.positions.size))
            and not self.shift.any()
            and np.all(self.factor == 1.0)
            and not self.effect_sd.any()
            and not self.floor.any()
        )

    def apply(
        self, mean: Any, quantiles: Any, window_maximum: Any, levels: Sequence[float], window_steps: int
    ) -> tuple[Any, Any, Any]:
        """What is to be expected at each of the H coming steps.

        Args:
            mean: (N,) the forecast of the prepared series, N >= :attr:`steps_ahead`.
            quantiles: (Q, N), ascending in Q.
            window_maximum: (Q,) quantiles of the maximum over the first ``window_steps`` steps.
            levels: the Q levels.
            window_steps: steps of the window, at most H.

        Returns:
            ``mean`` (H,), ``quantiles`` (Q, H) and ``window_maximum`` (Q,), never negative, ascending in Q.
        """
        mean, quantiles, top = (np.asarray(part, dtype=np.float64) for part in (mean, quantiles, window_maximum))
        horizon = self.positions.size
        if self.changes_nothing:
            return mean[:horizon], quantiles[:, :horizon], top
        ordinary = mean[self.positions]
        shifted = np.maximum(ordinary + self.shift, 0.0)
        centre = shifted * self.factor
        most = LARGEST_RAISE * ordinary
        times = np.maximum(shifted, ordinary) / np.where(shifted < most, ordinary, 1.0)
        raised = np.where(self.shift > 0.0, np.where(shifted < most, times, LARGEST_RAISE), 1.0)
        scale = self.factor * raised
        spread = (quantiles[:, self.positions] - ordinary) * scale
        z = np.array([NormalDist().inv_cdf(level) for level in levels])
        wider = centre * np.expm1(z[:, None] * self.effect_sd)
        spread = np.where(spread * wider > 0.0, np.sign(spread) * np.hypot(spread, wider), spread + wider)
        paths = np.maximum.accumulate(np.maximum(np.maximum(centre + spread, self.floor), 0.0), axis=0)
        beyond = np.maximum(top - quantiles[:, :window_steps].max(axis=1), 0.0)
        highest = paths[:, :window_steps].max(axis=1) + float(scale[:window_steps].max()) * beyond
        return np.maximum(centre, self.floor), paths, np.maximum.accumulate(highest)
