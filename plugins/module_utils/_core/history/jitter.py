# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The step and the phase of samples whose moments waver about a grid.

A collector that wakes every 600 s, more or less, writes distances of 520 to 680 s, of
which the most common one is chance: a step of 598 s would lose the day. With k[i] the
number of steps up to sample i (each distance by the first guess, rounded), the step is
the slope b of the least-squares line through (k[i], moment[i]), whose standard error is

    sd(residual) / (sd(k) sqrt(n)).

The step is the number of seconds within three standard errors (at least half a second)
of b that divides a day; else b in whole seconds. The phase is the circular mean of the
moments modulo the step, and zero, the clock's own grid, where that is within the
scatter of the samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt

DAY_SECONDS = 86_400
# Samples waver when fewer of the distances than this agree with the most common one.
LEAST_SHARE_EXACT = 0.5
# A line is drawn only through samples that keep to it: this share, within a quarter of a step.
LEAST_SHARE_ON_LINE = 0.75
STANDARD_ERRORS = 3.0


def wavers(distances: npt.NDArray[np.int64], usual: int) -> bool:
    """Whether the samples have a rhythm that hardly any distance keeps exactly."""
    whole = distances % usual == 0
    return bool(np.mean(whole) < LEAST_SHARE_EXACT)


def even_step(moments: npt.NDArray[np.float64], guess: int) -> int | None:
    """The step in seconds behind wavering ascending moments, or None where there is none.

    Args:
        moments: (n,) epoch seconds, n at least 3.
        guess: about a step, within a third.
    """
    steps = np.concatenate([[0.0], np.cumsum(np.maximum(np.rint(np.diff(moments) / guess), 0.0))])
    if steps[-1] < 2:
        return None
    apart, since = steps - steps.mean(), moments - moments.mean()
    slope = float(apart @ since / (apart @ apart))
    residual = since - slope * apart
    if slope < 1.0 or np.mean(np.abs(residual) <= slope / 4) < LEAST_SHARE_ON_LINE:
        return None
    error = max(0.5, STANDARD_ERRORS * float(residual.std() / math.sqrt(apart @ apart)))
    near = range(max(1, math.ceil(slope - error)), math.floor(slope + error) + 1)
    round_ones = [step for step in near if DAY_SECONDS % step == 0 or step % DAY_SECONDS == 0]
    return min(round_ones or [round(slope)], key=lambda step: abs(step - slope))


def usual_phase(moments: npt.NDArray[np.float64], step: int) -> float:
    """Whole seconds, from 0 to below ``step``, by which the samples' own grid lies after the clock's."""
    angle = moments % step * (2 * math.pi / step)
    centre = math.atan2(float(np.sin(angle).mean()), float(np.cos(angle).mean())) * step / (2 * math.pi)
    beside = (moments - centre + step / 2) % step - step / 2
    return 0.0 if abs(centre) <= np.median(np.abs(beside)) else float(round(centre) % step)
