# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Blend several sources of quantiles by how well each did in the backtest, level by level.

At each level q the best few sources by pinball loss share the weight, by loss^-6:
the loss at q is what makes a q-quantile right, so another source may win at 0.95
than at 0.5. Averaging quantiles keeps the shape that the sources share (Vincent 1912;
Lichtendahl, Grushka-Cockayne and Winkler 2013, Management Science 59, 1594-1611).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

BEST = 4
WITHIN = 1.2
SHARPNESS = 6


@dataclass(frozen=True)
class Source:
    """Quantiles at L points of S series: ``tested`` (S, O, L, Q) in the backtest, ``final`` (S, L, Q) for real.

    ``tested`` must not have been learned from the very samples it is tested on.
    """

    name: str
    tested: Any
    final: Any


@dataclass(frozen=True)
class Blend:
    """``weights`` (K, S, Q) of the sources, and their weighted ``tested`` (S, O, L, Q) and ``final`` (S, L, Q)."""

    weights: Any
    tested: Any
    final: Any


def blend(sources: Sequence[Source], actual: Any, observed: Any, levels: Sequence[float]) -> Blend:
    """Weigh the sources.

    Args:
        sources: K of them, in order of preference where they tie.
        actual: (S, O, L) what happened, and ``observed`` its bool mask.
        levels: Q.
    """
    at = np.asarray(levels)
    mask = None if observed.all() else observed[..., None]
    weights = _weights(np.stack([_loss(source.tested, actual[..., None], mask, at) for source in sources]))
    tested = np.zeros_like(sources[0].tested)
    final = np.zeros_like(sources[0].final)
    for weight, source in zip(weights, sources):
        tested += weight[:, None, None, :] * source.tested
        final += weight[:, None, :] * source.final
    return Blend(weights, tested, final)


def _loss(tested: Any, actual: Any, mask: Any, levels: Any) -> Any:
    """Summed pinball loss (S, Q): that of a gap d at level q is (q - 1/2) d + |d| / 2, so two sums give every level."""
    gap = actual - tested
    if mask is not None:
        gap *= mask
    signed = gap.sum(axis=(1, 2))
    return (levels - 0.5) * signed + 0.5 * np.abs(gap, out=gap).sum(axis=(1, 2))


def _weights(losses: Any) -> Any:
    """Weights (K, S, Q) that sum to one over the sources."""
    best = losses.min(axis=0)
    rank = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0, kind="stable")
    # a loss of exactly zero (constant series) would divide by zero; relative to the best no power overflows
    floor = np.maximum(best, 1e-12)
    relative = np.maximum(losses, 1e-12) / floor
    weights = np.where((rank < BEST) & (relative <= WITHIN), relative**-SHARPNESS, 0.0)
    return weights / weights.sum(axis=0)
