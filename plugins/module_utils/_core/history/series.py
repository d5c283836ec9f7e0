# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A demand history: one value a step, NaN where nothing is known.

A gap is not zero. Nothing here fills one; whoever needs a filled series keeps the
mask of what was filled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt

AGGREGATIONS = ("mean", "sum", "max", "last")
LEAST_SHARE_PRESENT = 0.5


@dataclass(frozen=True, eq=False)
class Series:
    """Demand of one model on a regular grid.

    Args:
        name: the model, or ``model|region``.
        start: moment of the first sample, epoch seconds.
        step_seconds: seconds from one sample to the next.
        values: shape (n,), float64, NaN is a gap; the unit is the source's, usually requests/s.
    """

    name: str
    start: float
    step_seconds: int
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> float:
        """Moment of the last sample, epoch seconds."""
        return self.start + (len(self.values) - 1) * self.step_seconds

    @property
    def moments(self) -> npt.NDArray[np.float64]:
        """Moment of each sample, epoch seconds, shape (n,)."""
        return self.start + self.step_seconds * np.arange(len(self.values), dtype=np.float64)

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """True where there is a value, shape (n,)."""
        return ~np.isnan(self.values)

    @property
    def last_observed(self) -> float | None:
        """The newest value that is not a gap; None when all are gaps."""
        known = np.flatnonzero(self.present)
        return float(self.values[known[-1]]) if len(known) else None

    def until(self, moment: float) -> Series:
        """The samples at or before ``moment``; none when it lies before the start."""
        kept = math.floor((moment - self.start) / self.step_seconds) + 1
        return replace(self, values=self.values[: max(0, min(kept, len(self.values)))])

    def since(self, moment: float) -> Series:
        """The samples at or after ``moment``; none when it lies behind the end."""
        dropped = max(0, min(math.ceil((moment - self.start) / self.step_seconds), len(self.values)))
        return replace(self, start=self.start + dropped * self.step_seconds, values=self.values[dropped:])

    def aggregate(self, step_seconds: int, how: str = "mean") -> Series:
        """The same demand on a coarser grid, its steps beginning at whole multiples of ``step_seconds``.

        See :func:`aggregate_samples` for the arithmetic.

        Raises:
            InputError: the new step is finer than the present one.
        """
        if step_seconds == self.step_seconds:
            return self
        start, values = aggregate_samples(
            self.moments,
            self.values,
            sampled_every=self.step_seconds,
            step_seconds=step_seconds,
            how=how,
            name=self.name,
        )
        return Series(self.name, start, step_seconds, values)

    def as_record(self) -> dict[str, Any]:
        """``{start, step_seconds, values}`` with null for gaps, as ``demand_forecast`` takes it inline."""
        return {
            "start": format_moment(self.start),
            "step_seconds": self.step_seconds,
            "values": [None if math.isnan(value) else value for value in self.values.tolist()],
        }


def aggregate_samples(
    moments: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    *,
    sampled_every: float,
    step_seconds: int,
    how: str,
    name: str = "",
) -> tuple[float, npt.NDArray[np.float64]]:
    """Samples gathered into steps ``[k S, (k+1) S)``, k whole, S = ``step_seconds``.

    With ``n = S / sampled_every`` samples expected in a step and ``c`` of them present,
    a step with ``c < n / 2`` is a gap. Otherwise its value is the mean, the maximum, or
    the newest of those present; the sum is their sum times ``n / c`` (when ``c < n``), so that
    a lost sample does not look like lost demand.

    Args:
        moments: shape (m,), epoch seconds, ascending.
        values: shape (m,), NaN is a gap.
        sampled_every: usual distance of two samples, seconds.
        step_seconds: the new step, seconds.
        how: one of :data:`AGGREGATIONS`.
        name: the series, for the error.

    Returns:
        Moment of the first step, and the value of each step.

    Raises:
        InputError: ``step_seconds`` is finer than ``sampled_every``, or ``how`` is unknown.
    """
    if how not in AGGREGATIONS:
        raise InputError(f"the aggregation must be one of {', '.join(AGGREGATIONS)}, not {how!r}")
    if step_seconds < sampled_every:
        raise InputError(
            f"its samples are {sampled_every:g} s apart, so a step of {step_seconds} s cannot be made from it",
            where=f"series {name}" if name else "",
            remedy=f"Set step_seconds to {sampled_every:g} or more",
        )
    numbers = np.floor(moments / step_seconds).astype(np.int64)
    first = int(numbers[0])
    steps = int(numbers[-1]) - first + 1
    present = ~np.isnan(values)
    slot, known = (numbers - first)[present], values[present]
    counts = np.bincount(slot, minlength=steps)
    expected = step_seconds / sampled_every
    result = np.full(steps, np.nan)
    if how == "last":
        result[slot] = known
    elif how == "max":
        result[:] = -np.inf
        np.maximum.at(result, slot, known)
    else:
        totals = np.bincount(slot, weights=known, minlength=steps)
        divisor = np.maximum(counts, 1)
        result = totals / divisor if how == "mean" else totals * np.maximum(expected / divisor, 1.0)
    result[(counts == 0) | (counts < LEAST_SHARE_PRESENT * expected)] = np.nan
    return float(first * step_seconds), result
