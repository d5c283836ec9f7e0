# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a young series can borrow from the others: the shape of a day and how far off one is with it.

With x[j, t] the demand of sibling j divided by its mean over the last days, and
b(t) = floor(t / step) mod P the phase of the day in UTC (P steps a day), the shape of
sibling j is the mean of x[j, t] over its days at each phase, divided by its own mean
and smoothed over an hour; the borrowed shape p is the median over the siblings,
again of mean one. The median keeps a sibling of another habit, or of another time
zone, from bending it; siblings that disagree give a flat shape and a wide spread.

The recent days of the siblings are kept too: pretending that each of them were as
young as the series in question tells how wide an honest interval is
(:mod:`fallback`), which no formula knows beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

LEAST_DAYS = 3
MOST_DAYS = 10
MOST_SIBLINGS = 200
# A sibling with more gaps than this in its last days is none.
LEAST_KNOWN = 0.8
SMOOTHED_SECONDS = 3600


@dataclass(frozen=True)
class Profile:
    """The borrowed day of P steps.

    Attributes:
        shape: (P,) relative demand by phase, mean one.
        between: (P,) relative standard deviation of the siblings' shapes about ``shape``.
        within: (P,) relative standard deviation of single days about the sibling's own shape, median over siblings.
        histories: (J, D P) the siblings' last D whole days ending at ``now``, each divided by its mean, NaN for gaps;
            a sibling younger than D days has NaN before its start.
        end_phase: phase of the step after the last column of ``histories``.
    """

    shape: Any
    between: Any
    within: Any
    histories: Any
    end_phase: int

    @property
    def day_steps(self) -> int:
        return int(self.shape.size)

    @property
    def siblings(self) -> int:
        return int(self.histories.shape[0])

    def at(self, phases: Any) -> Any:
        """The shape at these phases, of any shape."""
        return self.shape[np.asarray(phases) % self.day_steps]


def step_number(moment: float, step_seconds: int) -> int:
    """Which step of absolute time holds this moment; modulo the steps of a day it is the phase."""
    return int(moment // step_seconds)


def borrow_profile(series: Sequence[Series], step_seconds: int, day_steps: int, now_epoch: float) -> Profile | None:
    """The day that the other series share.

    Args:
        series: candidates; those of another step, with fewer than :data:`LEAST_DAYS` days before
            ``now_epoch``, with many gaps or without demand are passed over.
        step_seconds: step of the young series.
        day_steps: steps of its shortest season, at least two.
        now_epoch: moment of its last sample; nothing later is looked at.

    Returns:
        None where no series qualifies.
    """
    if day_steps < 2:
        return None
    stop = step_number(now_epoch, step_seconds) + 1
    ordered = sorted((one for one in series if one.step_seconds == step_seconds), key=lambda one: one.name)
    found = [row for row in (_last_days(one, stop, day_steps) for one in ordered) if row is not None]
    if not found:
        return None
    histories = np.stack(found[:MOST_SIBLINGS])
    days = np.roll(histories.reshape(len(histories), MOST_DAYS, day_steps), stop % day_steps, axis=2)
    own = _smooth(_mean(days, axis=1), max(1, SMOOTHED_SECONDS // step_seconds))
    own /= np.maximum(own.mean(axis=1, keepdims=True), 1e-12)
    shape = np.median(own, axis=0)
    shape = shape / shape.mean() if shape.mean() > 0.0 else np.ones(day_steps)
    level = _mean(days, axis=2)
    error = days - level[:, :, None] * own[:, None, :]
    return Profile(
        shape=shape,
        between=np.sqrt(np.mean((own - shape) ** 2, axis=0)) / np.maximum(shape, 1e-12),
        within=np.sqrt(np.median(_mean(error**2, axis=1), axis=0)) / np.maximum(shape, 1e-12),
        histories=histories,
        end_phase=stop % day_steps,
    )


def _last_days(one: Series, stop: int, day_steps: int) -> Any | None:
    """(MOST_DAYS day_steps,) of the steps before ``stop``, relative, or None for no sibling."""
    wanted = MOST_DAYS * day_steps
    first = step_number(one.start, one.step_seconds)
    end = min(one.values.size, stop - first)
    begin = max(0, stop - wanted - first)
    if end - begin < LEAST_DAYS * day_steps or stop - first > end + day_steps:
        return None
    row = np.full(wanted, np.nan)
    offset = first - (stop - wanted)
    row[begin + offset : end + offset] = one.values[begin:end]
    known = np.isfinite(row)
    mean = row[known].mean() if known.any() else 0.0
    if known.sum() < LEAST_KNOWN * (end - begin) or mean <= 0.0:
        return None
    return row / mean


def _mean(values: Any, axis: int) -> Any:
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=axis) / np.maximum(known.sum(axis=axis), 1)


def _smooth(days: Any, width: int) -> Any:
    """Circular mean over ``width`` phases, rounded up to an odd number."""
    half = width // 2
    return sum(np.roll(days, shift, axis=1) for shift in range(-half, half + 1)) / (2 * half + 1)
