# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the LSTM sees of a history at an origin, and the unit it forecasts in.

A window is the C samples before an origin o of one series, with C = 7 days (at most
:data:`MOST_SEGMENTS` segments), cut into segments of w samples; the network recurs over
segments, which keeps the recurrence short (Lin et al. 2023, SegRNN, arXiv:2308.11200).
All is said in the window's own unit, so that the forecast is equivariant in scale:

    level  = mean of the window,          at least a tenth of the mean of all history
    spread = mean |y[t] - y[t-day]| there, at least 0.3 of that of all history, 3 % of the level
    z      = (y - level) / spread

A sample is described by asinh z, by asinh of its differences to a day and a week before in
units of the spread, and by whether it was observed; a step to forecast by K simple seasonal
forecasts of it (:func:`_baselines`), its lead, and its phase. The phase of day and week is
relative to the window's own first harmonic: histories start at any hour, so the phase of
the sample's number would mean something else in every series.

Nothing at or after the origin is read. The week is used only where enough of the samples
fitted to had a week before them (:func:`seasons`), or the network would meet at the origin
what it never met in training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.panel import Panel

SEGMENTS_A_DAY = 4
MOST_SEGMENTS = 64
CONTEXT_DAYS = 7
# Context of a series without a season, samples.
PLAIN_CONTEXT = 64
DAYS_AVERAGED = 7
WEEKS_AVERAGED = 3

SAMPLE_FEATURES = 4
SEGMENT_FEATURES = 4
STEP_FEATURES = 11
BASELINES = 9


@dataclass(frozen=True)
class Seasons:
    """Steps of the seasons a window looks back by: ``day`` (1 without any) and ``week`` (0 without)."""

    day: int
    week: int

    @property
    def least_history(self) -> int:
        """Samples before an origin that a forecast needs: one context window at its shortest."""
        return max(2 * self.day, 8)


def seasons(periods: tuple[int, ...], fitted_to: int, horizon: int) -> Seasons:
    """The shortest period, and the longest other one that the first ``fitted_to`` samples can teach."""
    day = periods[0] if periods else 1
    taught = [period for period in periods[1:] if 1.5 * period + 2 * horizon <= fitted_to]
    return Seasons(day, taught[-1] if taught else 0)


def segment_width(day: int) -> int:
    """Samples w of a segment."""
    return max(1, round(day / SEGMENTS_A_DAY))


def context_segments(day: int, width: int) -> int:
    """Segments C / w of a window."""
    samples = CONTEXT_DAYS * day if day > 1 else PLAIN_CONTEXT
    return max(1, min(MOST_SEGMENTS, -(-samples // width)))


@dataclass(frozen=True)
class History:
    """S series as tensors of one device: ``values`` and ``observed`` (S, n), and running sums (S, n + 1)."""

    values: Any
    observed: Any
    total: Any
    moved: Any
    seasons: Seasons
    segments: int
    width: int


def make_history(torch: Any, panel: Panel, known: Seasons, width: int, device: str, dtype: Any) -> History:
    """Tensors of a panel; ``moved`` sums |y[t] - y[t-day]|."""
    values = np.asarray(panel.values, dtype=np.float64)
    moved = np.zeros_like(values)
    moved[:, known.day :] = np.abs(values[:, known.day :] - values[:, : -known.day])

    def tensor(array: Any, kind: Any) -> Any:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=kind, device=device)

    def running(array: Any) -> Any:
        return np.concatenate([np.zeros((len(array), 1)), np.cumsum(array, axis=1)], axis=1)

    return History(
        values=tensor(values, dtype),
        observed=tensor(panel.observed, dtype),
        # sums over thousands of samples, of which small differences are taken
        total=tensor(running(values), torch.float64),
        moved=tensor(running(moved), torch.float64),
        seasons=known,
        segments=context_segments(known.day, width),
        width=width,
    )


@dataclass(frozen=True)
class Window:
    """N windows, L leads.

    Attributes:
        context: (N, segments, w * SAMPLE_FEATURES + SEGMENT_FEATURES).
        steps: (N, L, BASELINES + STEP_FEATURES), what is known of each step to forecast.
        baselines: (N, L, BASELINES) in units of the spread about the level.
        level: (N, 1).
        spread: (N, 1).
    """

    context: Any
    steps: Any
    baselines: Any
    level: Any
    spread: Any


def look_back(torch: Any, history: History, rows: Any, origins: Any, leads: Any, horizon: int) -> Window:
    """The windows of series ``rows`` (N,) before ``origins`` (N,), with ``leads`` (L,) from 0 to be forecast."""
    samples = history.segments * history.width
    at = origins[:, None] - samples + torch.arange(samples, device=origins.device)
    inside = (at >= 0).to(history.values.dtype)
    values = _gather(history.values, rows, at)
    level, spread = _unit(torch, history, rows, origins, values, inside)
    features = [torch.asinh((values - level) / spread) * inside]
    for period in (history.seasons.day, history.seasons.week):
        before = (at >= period).to(inside.dtype) * (period > 0)
        features.append(torch.asinh((values - _gather(history.values, rows, at - period)) / spread) * before)
    features.append(_gather(history.observed, rows, at) * inside)
    count = len(origins)
    flat = torch.stack(features, dim=-1).reshape(count, history.segments, -1)
    peaks = _peaks(torch, history, (values - level) * inside, at)
    ends = at[:, history.width - 1 :: history.width]
    context = torch.cat([flat, *_waves(torch, history, peaks, ends, 1)], dim=-1)
    baselines = (_baselines(torch, history, rows, origins, leads) - level[..., None]) / spread[..., None]
    waves = _waves(torch, history, peaks, origins[:, None] + leads, 2)
    ahead = (leads + 1).to(values.dtype)
    lead = torch.stack([ahead / horizon, 1 / ahead, ahead**-0.5], dim=-1).expand(count, -1, -1)
    steps = torch.cat([torch.asinh(baselines), *waves, lead], dim=-1)
    return Window(context, steps, baselines, level, spread)


def _gather(values: Any, rows: Any, at: Any) -> Any:
    """values[rows[i], at[i, ...]]; what lies before the start reads the first sample, to be masked."""
    return values[rows.reshape(-1, *([1] * (at.dim() - 1))), at.clamp(min=0)]


def _unit(torch: Any, history: History, rows: Any, origins: Any, values: Any, inside: Any) -> tuple[Any, Any]:
    """Level and spread (N, 1) of the windows."""
    day = history.seasons.day
    dtype = values.dtype
    start = (origins - values.shape[1]).clamp(min=0)
    level = (values * inside).sum(dim=1) / inside.sum(dim=1)
    level = torch.maximum(level, 0.1 * _mean(history.total, rows, torch.zeros_like(origins), origins).to(dtype))
    level = torch.where(level > 0, level, torch.ones_like(level))
    first = torch.full_like(origins, day)
    spread = _mean(history.moved, rows, torch.maximum(start, first), origins)
    spread = torch.maximum(spread, 0.3 * _mean(history.moved, rows, first, origins)).to(dtype)
    return level[:, None], torch.maximum(spread, 0.03 * level)[:, None]


def _mean(running: Any, rows: Any, start: Any, stop: Any) -> Any:
    """Mean (N,) over the samples [start, stop) from running sums."""
    start = start.clamp(min=0)
    return (running[rows, stop] - running[rows, start]) / (stop - start)


def _peaks(torch: Any, history: History, deviations: Any, at: Any) -> list[Any]:
    """The angle (N, 1) of the first harmonic of the day and of the week in the windows; None for a missing season."""
    found: list[Any] = []
    for period in (history.seasons.day, history.seasons.week):
        if period < 2:
            found.append(None)
            continue
        turn = (at % period) * (2 * math.pi / period)
        found.append(torch.atan2((deviations * torch.sin(turn)).sum(1), (deviations * torch.cos(turn)).sum(1))[:, None])
    return found


def _waves(torch: Any, history: History, peaks: list[Any], at: Any, harmonics: int) -> list[Any]:
    """Cosines and sines (N, L, .) of the phases of day and week after their peaks; zeros for a missing season."""
    found = []
    for period, peak in zip((history.seasons.day, history.seasons.week), peaks):
        for k in range(1, harmonics + 1):
            if peak is None:
                found.append(torch.zeros((*at.shape, 2), dtype=history.values.dtype, device=at.device))
                continue
            angle = k * ((at % period).to(history.values.dtype) * (2 * math.pi / period) - peak)
            found.append(torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1))
    return found


def _baselines(torch: Any, history: History, rows: Any, origins: Any, leads: Any) -> Any:
    """K = 9 simple forecasts (N, L, K), on the panel's scale.

    With d the day, v the week, r(o) the mean of the last d / 8 samples before o and D(o) that of the last day:
    the last day; the mean of up to 7 days at the phase; the last week; the mean of up to 3 weeks; D(o); r(o);
    the last day + r(o) - r(o - d); the last week + D(o) - D(o - v); the last week + r(o) - r(o - v).
    Where there is no week yet the day's stand in.
    """
    day, week = history.seasons.day, history.seasons.week
    dtype = history.values.dtype
    recent = max(1, day // SEGMENTS_A_DAY)
    span = max(day, 3)

    def last(width: int, back: int) -> Any:
        stop = (origins - back).clamp(min=1)
        return _mean(history.total, rows, stop - width, stop).to(dtype)[:, None]

    def lags(period: int, most: int) -> tuple[Any, Any]:
        back = period * torch.arange(1, most + 1, device=leads.device)
        at = origins[:, None, None] + (leads % period)[:, None] - back
        there = (origins[:, None, None] >= back).to(dtype)
        found = _gather(history.values, rows, at)
        return found[..., 0], (found * there).sum(-1) / there.sum(-1).clamp(min=1)

    yesterday, days = lags(day, DAYS_AVERAGED)
    now, today = last(recent, 0), last(span, 0)
    shifted = yesterday + now - last(recent, day)
    found = [yesterday, days, yesterday, days, today, now, shifted, shifted, shifted]
    if week:
        has = (origins >= week + recent)[:, None]
        past, weeks = lags(week, WEEKS_AVERAGED)
        weekly = [past, weeks, past + today - last(span, week), past + now - last(recent, week)]
        for index, one in zip((2, 3, 7, 8), weekly):
            found[index] = torch.where(has, one, found[index])
    return torch.stack([one.expand(len(origins), len(leads)) for one in found], dim=-1)
