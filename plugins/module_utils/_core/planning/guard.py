# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What is observed guards the forecast: how much of it counts.

What is observed is where demand stands now; headroom is for where it may go until the next
plan stands. A forecast that expected just this has already said where it goes from here, and headroom on top of
it would plan for the same growth twice. So the factor grows with the surprise. With s what is surely
seen (see :mod:`counting`), m the forecast's median of the step that is now and u its highest level, at least
one standard deviation of the count above m::

    guard = s (1 + (headroom - 1) e),   e = 0 for s <= m, (s - m) / (u - m) between, 1 for s >= u

Where a forecast is trusted in part, m and u count in part, so its excuse is smaller too; without one e = 1.
"""

from __future__ import annotations

import math

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.counting import surely_seen
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import KNOWN_LEVEL, Levels


def guarded(observed: float, seconds: float, headroom: float, levels: Levels, expected: Levels) -> tuple[float, str]:
    """The requests/s to plan for at least, and in words why.

    Args:
        observed: requests/s now, counted over ``seconds``; 0 takes it as exact.
        headroom: factor on what was not expected, at least 1.
        levels: what is forecast; where there is nothing, there is nothing to guard and ``observed`` counts as it is.
        expected: what the forecast says of the step that is now.
    """
    sure = surely_seen(observed, seconds) if levels else observed
    factor = 1.0 + (headroom - 1.0) * _surprise(sure, expected, math.sqrt(observed / seconds) if seconds > 0 else 0.0)
    words = f"observed {observed:.4g} requests/s{'' if sure == observed else f', surely {sure:.4g},'} x {factor:.3g}"
    if factor < headroom:
        words += f", as the forecast expects up to {expected[-1][1]:.4g} now"
    return sure * factor, words


def _surprise(sure: float, expected: Levels, scatter: float) -> float:
    """From 0, what the median says, to 1, what no level holds; ``scatter`` of the count in requests/s."""
    if not expected:
        return 1.0
    middle = next((rate for level, rate in expected if level >= KNOWN_LEVEL), expected[-1][1])
    width = max(expected[-1][1] - middle, scatter)
    over = sure - middle
    return 0.0 if over <= 0 else min(1.0, over / width) if width > 0 else 1.0
