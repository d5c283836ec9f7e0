# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Samples as they were written, in any order, onto one regular grid.

The step of a series is the most common distance between its neighbouring samples.
All series come out with the same step: the one asked for, or else the coarsest
found. A sample lies at the nearest moment of its series' own grid; a moment with no
sample is a gap.

Months are not equally long. A series with one sample a month is laid on steps of the
mean Gregorian month, its last sample at its true moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.jitter import (
    even_step,
    usual_phase,
    wavers,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.samples import Notes, Samples
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import (
    Series,
    aggregate_samples,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import numpy.typing as npt

DAY_SECONDS = 86_400
MONTH_SECONDS = 2_629_746  # 400 Gregorian years have 146,097 days, so a month has 30.436875 of them
SAMPLES_THAT_TELL_A_STEP = 4
SAMPLES_THAT_WAVER = 12
FINEST_SHARE = 4  # a common divisor of all distances is the step when it is at least this part of the usual one
LEAST_SHARE_FINER = 0.2
LEAST_SHARE_ALIKE = 0.1
MOST_SAMPLES_ASTRAY = 0.25


@dataclass(frozen=True)
class _Track:
    """One series' samples, ascending, one a moment. ``step`` is None when it cannot be told."""

    name: str
    moments: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    step: int | None


def regular_series(
    samples: Samples, *, step_seconds: int | None, aggregation: str, where: str, notes: Notes
) -> list[Series]:
    """Every series of ``samples`` on one step, sorted by name.

    Args:
        samples: rows in any order; the order does not matter to the result.
        step_seconds: the step wanted; None takes the coarsest step found.
        aggregation: how samples are gathered into a coarser step.
        where: the file, for errors.
        notes: what was noticed is added to it.

    Raises:
        InputError: no step can be told, a series is coarser than the step wanted, or
            the samples of a series follow no grid.
    """
    tracks = [
        _Track(name, moments, values, _usual_step(moments))
        for name, moments, values in _distinct_samples(samples, notes)
        if len(moments)
    ]
    step = step_seconds or _common_step(tracks, where, notes)
    return [_on_grid(track, step, step_seconds is not None, aggregation, where, notes) for track in tracks]


def _distinct_samples(
    samples: Samples, notes: Notes
) -> Iterator[tuple[str, npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Per series, by name: moments ascending and distinct, with their values."""
    by_name = sorted(range(len(samples.names)), key=samples.names.__getitem__)
    rank = np.empty(len(by_name), dtype=np.int64)
    rank[by_name] = np.arange(len(by_name))
    codes = rank[samples.codes]
    moments, values = samples.moments, samples.values
    next_series, later = np.diff(codes), np.diff(moments) > 0
    if not np.all((next_series > 0) | ((next_series == 0) & later)):
        # The value is the last key, so that even repeated moments come in one order.
        order = np.lexsort((values, moments, codes))
        codes, moments, values = codes[order], moments[order], values[order]
    bounds = np.searchsorted(codes, np.arange(len(by_name) + 1))
    for number, code in enumerate(by_name):
        name, part = samples.names[code], slice(bounds[number], bounds[number + 1])
        own_moments, own_values = _even_months(moments[part], name, notes), values[part]
        if np.any(np.diff(own_moments) == 0):
            own_moments, own_values = _mean_of_repeated(own_moments, own_values, name, notes)
        yield name, own_moments, own_values


def _mean_of_repeated(
    moments: npt.NDArray[np.float64], values: npt.NDArray[np.float64], name: str, notes: Notes
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """One value a moment: the mean of those given, gaps left out."""
    distinct, group = np.unique(moments, return_inverse=True)
    known = ~np.isnan(values)
    counts = np.bincount(group[known], minlength=len(distinct))
    totals = np.bincount(group[known], weights=values[known], minlength=len(distinct))
    result = np.full(len(distinct), np.nan)
    np.divide(totals, counts, out=result, where=counts > 0)
    agree = np.isclose(values[known], result[group[known]], rtol=1e-12, atol=0)
    if agree.all():
        # A mean of equal numbers can differ from them in the last bit.
        result[group[known]] = values[known]
        notes.add("moments given more than once, with the same value", name)
    else:
        notes.add("moments given more than once, with different values; their mean is taken", name)
    return distinct, result


def _even_months(moments: npt.NDArray[np.float64], name: str, notes: Notes) -> npt.NDArray[np.float64]:
    """Moments on the same day of different months, moved to equal distances; others as they are."""
    if len(moments) < 2 or np.diff(moments).min() < 28 * DAY_SECONDS:
        return moments
    stamps = np.round(moments).astype("datetime64[s]")
    months = stamps.astype("datetime64[M]")
    into_month = (stamps - months.astype("datetime64[s]")).astype(np.int64)
    to_next = ((months + 1).astype("datetime64[s]") - stamps).astype(np.int64)
    if np.ptp(into_month) and np.ptp(to_next):
        return moments
    notes.add(f"one sample a month, taken as equal steps of {MONTH_SECONDS} s", name)
    numbers = months.astype(np.int64)
    return np.asarray(round(moments[-1]) - (numbers[-1] - numbers) * MONTH_SECONDS, dtype=np.float64)


def _usual_step(moments: npt.NDArray[np.float64]) -> int | None:
    """Most common distance of neighbours in whole seconds, the smallest of equals; None for a single sample.

    Three exceptions. Samples that waver about a grid keep no distance exactly; see
    :mod:`jitter`. A series written only where it is not zero has few direct neighbours:
    when many distances are smaller and all are multiples of a number not much smaller,
    that number is the step. And when hardly two distances agree there is no step; the
    median then says how far apart the samples are.
    """
    if len(moments) < 2:
        return None
    distances = np.maximum(np.round(np.diff(moments)), 1).astype(np.int64)
    if distances.min() == distances.max():
        return int(distances[0])
    sizes, counts = np.unique(distances, return_counts=True)
    usual, divisor = int(sizes[counts.argmax()]), int(np.gcd.reduce(sizes))
    median = math.ceil(float(np.median(distances)))
    if len(moments) >= SAMPLES_THAT_WAVER and divisor * FINEST_SHARE < median and wavers(distances, usual):
        even = even_step(moments, median)
        if even is not None:
            return even
    if counts.max() < LEAST_SHARE_ALIKE * len(distances) or (
        counts.max() == 1 and len(distances) >= SAMPLES_THAT_TELL_A_STEP
    ):
        return divisor if divisor * FINEST_SHARE >= median else median
    finer = np.mean(distances < usual)
    return divisor if finer >= LEAST_SHARE_FINER and divisor * FINEST_SHARE >= usual else usual


def _common_step(tracks: list[_Track], where: str, notes: Notes) -> int:
    """The coarsest step found; series of very few samples decide only when there is no other."""
    telling = [track for track in tracks if track.step and len(track.moments) >= SAMPLES_THAT_TELL_A_STEP]
    steps = {track.step: track.name for track in telling or tracks if track.step}
    if not steps:
        raise InputError(
            "no series has two samples, so the step cannot be told", where=where, remedy="Set step_seconds"
        )
    coarsest = max(steps)
    if len(steps) > 1:
        found = ", ".join(f"{step} s" for step in sorted(steps))
        notes.add(
            f"the series have different steps ({found}); all are brought to {coarsest} s, the step of {steps[coarsest]}."
            " Set step_seconds to choose another",
            where,
        )
    return coarsest


def _on_grid(track: _Track, step: int, chosen: bool, aggregation: str, where: str, notes: Notes) -> Series:
    own_step = track.step or step
    if own_step > step and len(track.moments) < SAMPLES_THAT_TELL_A_STEP:
        own_step = step
    steps = (track.moments[-1] - track.moments[0]) / step + 1
    if steps > 100_000 + 100 * len(track.moments):
        raise InputError(
            f"{len(track.moments)} samples from {format_moment(track.moments[0])} to {format_moment(track.moments[-1])}"
            f" would make {steps:.0f} steps of {step} s",
            where=f"{where}, series {track.name}",
            remedy="Correct the stray timestamp, or set a coarser step_seconds",
        )
    if own_step == step:
        return _snapped(track, step, chosen, aggregation, where, notes)
    start, values = aggregate_samples(
        track.moments, track.values, sampled_every=own_step, step_seconds=step, how=aggregation, name=track.name
    )
    return Series(track.name, start, step, values)


def _snapped(track: _Track, step: int, chosen: bool, aggregation: str, where: str, notes: Notes) -> Series:
    """Each sample at the nearest moment of the series' own grid."""
    if track.moments[0].is_integer() and np.all(np.diff(track.moments) == step):
        return Series(track.name, float(track.moments[0]), step, track.values.copy())
    offsets, counts = np.unique(np.round(track.moments) % step, return_counts=True)
    wavering = counts.max() < LEAST_SHARE_ALIKE * len(track.moments) and len(track.moments) >= SAMPLES_THAT_WAVER
    phase = usual_phase(track.moments, step) if wavering else float(offsets[counts.argmax()])
    numbers = np.rint((track.moments - phase) / step).astype(np.int64)
    astray = np.abs(track.moments - (phase + numbers * step))
    if np.mean(astray > step / 4) > MOST_SAMPLES_ASTRAY:
        if chosen:
            start, values = aggregate_samples(
                track.moments, track.values, sampled_every=step, step_seconds=step, how=aggregation, name=track.name
            )
            return Series(track.name, start, step, values)
        distances = np.diff(track.moments)
        raise InputError(
            f"its samples follow no step: they are {distances.min():g} to {distances.max():g} s apart",
            where=f"{where}, series {track.name}",
            remedy=f"Set step_seconds, for example to {math.ceil(float(np.median(distances)) * 2)}, to gather them",
        )
    values = track.values
    if np.any(np.diff(numbers) == 0):
        moved, values = _mean_of_repeated(numbers.astype(np.float64), values, track.name, Notes())
        numbers = moved.astype(np.int64)
    if astray.max() > 0.5:
        notes.add("samples beside the grid are moved to its nearest moment", track.name)
    grid = np.full(int(numbers[-1] - numbers[0]) + 1, np.nan)
    grid[numbers - numbers[0]] = values
    return Series(track.name, phase + float(numbers[0]) * step, step, grid)
