# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What earlier forecasts really covered, fed back: adaptive conformal inference.

With c_i = 1 where sample i of the new history is at or below the quantile that the
previous forecast gave it at level q, the level that is really asked for moves by

    q_eff <- clip(q_eff + gamma * tail * sum_i (q - c_i)),    tail = min(q, 1 - q),

and the next quantile is stretched by z(q_eff) / z(q), z the normal quantile. The moves
telescope: as long as the clip is not met, the share covered in the long run is q,
however the samples are distributed. A level moves in units of its tail, so that 0.99
is not thrown about by the few misses that a step made for 0.9 would turn into leaps.

Errors of neighbouring steps are alike, so gamma is set by time and not by samples: one
day wholly beyond P95 moves it to the clip, and the misses of an ordinary day by about a
tenth of the tail. The share shown beside it forgets what is older than four weeks: it
answers whether the quantiles can be trusted now, which years of history would hide.

Source: Gibbs and Candes (2021), Adaptive Conformal Inference Under Distribution Shift,
NeurIPS 34.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series

READS_SCHEMA_VERSION = 1
DAY_SECONDS = 86_400
# Tails that a day of nothing but misses moves a level by, and no single sample more than the second.
GAMMA_PER_DAY = 1.08
GAMMA_MOST = 0.05
# One forecast's samples together weigh no more than these days: a longer one would overshoot and swing.
MOST_DAYS_AT_ONCE = 7
MEMORY_DAYS = 28
# A level may ask for twice its tail at most and for a twentieth of it at least.
WIDEST_TAIL = 2.0
NARROWEST_TAIL = 1.0 / 20.0
LEVEL_DIGITS = 12
SHARE_DIGITS = 6


@dataclass(frozen=True)
class Feedback:
    """What is known of one series' earlier forecasts.

    Attributes:
        samples: how many samples were ever compared.
        realised: level, as Python prints it, to the share at or below its quantile, newest four weeks foremost.
        effective_levels: level to the one to ask for instead.
    """

    samples: int
    realised: dict[str, float]
    effective_levels: dict[str, float]

    def stretch(self, levels: Sequence[float]) -> Any:
        """(Q,) by how much to move each quantile away from the forecast; 1 where nothing is known."""
        return np.array([self._stretch_at(level) for level in levels], dtype=np.float64)

    def as_fields(self) -> dict[str, Any]:
        """What the forecast document keeps under the series' ``feedback``."""
        return {
            "samples": self.samples,
            "realised": {level: round(share, SHARE_DIGITS) for level, share in self.realised.items()},
            "effective_levels": {level: round(q, LEVEL_DIGITS) for level, q in self.effective_levels.items()},
        }

    def _stretch_at(self, level: float) -> float:
        effective = self.effective_levels.get(str(level), level)
        if effective == level or level == 0.5:
            return 1.0
        normal = NormalDist()
        return normal.inv_cdf(effective) / normal.inv_cdf(level)


def read_feedback(
    previous: Mapping[str, Any] | None, series: Sequence[Series], levels: Sequence[float]
) -> dict[str, Feedback]:
    """What the new history says about the previous forecast.

    A series that the forecast lacks, gives another step or tells in another form has no
    feedback; one without new samples keeps what was known of it.

    Args:
        previous: the previous forecast document, None when there is none.
        series: the new history.
        levels: the quantile levels of the next forecast.

    Returns:
        Name to feedback, without the series of which nothing is known.

    Raises:
        InputError: the document is no forecast.
    """
    if previous is None:
        return {}
    entries = previous.get("series") if isinstance(previous, Mapping) else None
    if not isinstance(entries, Mapping) or previous.get("kind") != "forecast":
        raise InputError(
            "the document is not a forecast",
            where="previous forecast",
            remedy="Give the file that demand_forecast wrote before, or none",
        )
    if previous.get("schema_version") != READS_SCHEMA_VERSION:
        return {}
    known = {}
    for one in series:
        entry = entries.get(one.name)
        if isinstance(entry, Mapping) and entry.get("step_seconds") == one.step_seconds:
            found = _follow(_earlier(entry.get("feedback"), levels), entry, one, levels)
            if found.effective_levels:
                known[one.name] = found
    return known


def gamma(step_seconds: int, samples: int) -> float:
    """Tails that one sample that is wholly unexpected moves a level by, out of ``samples`` compared at once."""
    each = min(GAMMA_PER_DAY * step_seconds / DAY_SECONDS, GAMMA_MOST)
    return min(each, GAMMA_PER_DAY * MOST_DAYS_AT_ONCE / max(samples, 1))


def safe_band(level: float) -> tuple[float, float]:
    """Lowest and highest effective level; both on the same side of one half as ``level``."""
    if level < 0.5:
        low, high = safe_band(1.0 - level)
        return 1.0 - high, 1.0 - low
    tail = 1.0 - level
    return max(1.0 - WIDEST_TAIL * tail, (level + 0.5) / 2.0), 1.0 - NARROWEST_TAIL * tail


def _follow(state: Feedback, entry: Mapping[str, Any], one: Series, levels: Sequence[float]) -> Feedback:
    """``state`` after the samples that the forecast ``entry`` did not know.

    A sample counts for a level where stretching would move the quantile: not where it is
    0, the least there is, nor where it is not on its own side of the forecast. A silent
    night or a constant series would otherwise be paid for by the quantiles of the day.
    """
    values, mean = _matched(entry, one)
    seen = ~np.isnan(values)
    paths = entry.get("quantiles")
    if not seen.any() or not isinstance(paths, Mapping):
        return state
    realised, effective = dict(state.realised), dict(state.effective_levels)
    memory = min(state.samples, MEMORY_DAYS * DAY_SECONDS // one.step_seconds)
    for level in levels:
        key = str(level)
        path = _numbers(paths.get(key))
        if path.size < values.size:
            continue
        path = path[: values.size]
        with np.errstate(invalid="ignore"):
            side = path > mean if level > 0.5 else (path < mean) & (path > 0.0)
        counts = seen & np.isfinite(path) & (side if level != 0.5 else True)
        covered, count = int((values[counts] <= path[counts]).sum()), int(counts.sum())
        weight = memory if key in realised else 0
        if count:
            realised[key] = (weight * realised.get(key, 0.0) + covered) / (weight + count)
        move = gamma(one.step_seconds, count) * min(level, 1.0 - level) * (level * count - covered)
        low, high = safe_band(level)
        moved = effective.get(key, level) + move
        effective[key] = level if level == 0.5 else min(max(moved, low), high)
    return Feedback(state.samples + int(seen.sum()), realised, effective)


def _matched(entry: Mapping[str, Any], one: Series) -> tuple[Any, Any]:
    """The new samples on the forecast's grid, from its first step on (NaN where unknown), and the forecast.

    Nothing of a forecast that was not usable: it was not planned from.
    """
    nothing = np.empty(0), np.empty(0)
    mean = _numbers(entry.get("mean"))
    try:
        start = parse_moment(entry["start"])
        known_until = parse_moment(entry["history_end"])
    except (KeyError, InputError):
        return nothing
    first = (start - one.start) / one.step_seconds
    # documents tell moments to the second
    if entry.get("usable") is not True or abs(first - round(first)) * one.step_seconds > 0.5:
        return nothing
    at = round(first) + np.arange(mean.size)
    at = at[at < one.values.size]
    inside = (at >= 0) & (one.start + at * one.step_seconds > known_until)
    return np.where(inside, one.values[np.maximum(at, 0)], np.nan), mean[: at.size]


def _earlier(fields: Any, levels: Sequence[float]) -> Feedback:
    """The state that the previous document carries, without what cannot be."""
    if not isinstance(fields, Mapping) or not isinstance(fields.get("samples"), int) or fields["samples"] < 1:
        return Feedback(0, {}, {})
    realised, effective = {}, {}
    for level in levels:
        key = str(level)
        share, asked = _share(fields.get("realised"), key), _share(fields.get("effective_levels"), key)
        if asked is not None:
            low, high = safe_band(level)
            effective[key] = level if level == 0.5 else min(max(asked, low), high)
        if share is not None:
            realised[key] = share
    return Feedback(fields["samples"], realised, effective)


def _share(fields: Any, key: str) -> float | None:
    value = fields.get(key) if isinstance(fields, Mapping) else None
    return float(value) if isinstance(value, (int, float)) and 0.0 <= value <= 1.0 else None


def _numbers(values: Any) -> Any:
    """(n,) float, empty when ``values`` is not a list of numbers."""
    try:
        found = np.asarray(values if isinstance(values, list) else [], dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
    return found if found.ndim == 1 else np.empty(0)
