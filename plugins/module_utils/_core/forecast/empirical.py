# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Quantiles of past samples: what demand was, at this time of day or lately.

They assume nothing about noise or scale, so they are right where residuals of a
forecast mislead: sporadic demand, bursts, demand that is silent at night. A quantile
at level q of N samples is the one at rank q (N + 1), between neighbours linearly and
never beyond the extremes, as split conformal prediction asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.profiles import same_phase


def ranked(ordered: Any, levels: Sequence[float]) -> Any:
    """Quantiles (..., Q) of samples (..., N) in ascending order."""
    count = ordered.shape[-1]
    rank = np.clip(np.asarray(levels) * (count + 1) - 1.0, 0.0, count - 1.0)
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    below = ordered[..., low]
    return below + (rank - low) * (ordered[..., high] - below)


def masked_quantiles(values: Any, mask: Any, levels: Sequence[float]) -> Any:
    """Quantiles (S, Q) of (S, N) over the entries where ``mask`` holds; 0 without any."""
    if mask.all():
        return ranked(np.sort(values, axis=1), levels)
    ordered = np.sort(np.where(mask, values, np.inf), axis=1)
    count = mask.sum(axis=1)
    rank = np.clip(np.asarray(levels)[None, :] * (count[:, None] + 1) - 1.0, 0.0, np.maximum(count - 1, 0)[:, None])
    low = np.floor(rank).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    ordered = np.where(np.isfinite(ordered), ordered, 0.0)
    below = np.take_along_axis(ordered, low, axis=1)
    above = np.take_along_axis(ordered, high, axis=1)
    return below + (rank - low) * (above - below)


def recent_quantiles(values: Any, ends: Any, width: int, levels: Sequence[float]) -> Any:
    """Quantiles (S, E, Q) of the last ``width`` samples before each of the E ``ends``; all of them where fewer."""
    found = np.empty((values.shape[0], len(ends), len(levels)))
    for index, end in enumerate(ends):
        found[:, index] = ranked(np.sort(values[:, max(0, end - width) : end], axis=1), levels)
    return found


def phase_quantiles(
    values: Any, origins: Any, leads: Any, period: int, seasons: int, reach: int, levels: Sequence[float]
) -> Any:
    """Quantiles (S, O, L, Q) of the samples near the same phase in the seasons before each origin.

    Args:
        values: (S, n).
        origins: (O,) every sample before an origin is known.
        leads: (L,) steps ahead.
    """
    phases, where = np.unique(leads % period, return_inverse=True)
    near = np.sort(same_phase(values, origins, phases, period, seasons, reach), axis=-1)
    return ranked(near, levels)[:, :, where]
