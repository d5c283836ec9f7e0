# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Whether a winner is really better than what is in use: a fresh comparison, interleaved, with an interval.

Default and winner are measured in turn, so that a drift of the machine meets both. With differences
d_i of the pairs, the gain lies in mean(d) ± t(0.975, n - 1)·sd(d)/sqrt(n) (paired Student test), and holds
where the lower end is above 0 and the winner keeps every limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

# Two-sided 95 % points of Student's t by degrees of freedom (Abramowitz and Stegun, table 26.10).
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def t_point(freedom: int) -> float:
    """97.5 % point of Student's t."""
    return _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.4 / freedom


def compared(default: Sequence[float], winner: Sequence[float]) -> dict[str, Any]:
    """The gain of the winner, as a share of the default's mean, with its 95 % interval."""
    pairs = [b - a for a, b in zip(default, winner)]
    base = abs(mean(default)) or 1.0
    gain = mean(pairs)
    if len(pairs) < 2:
        return {"pairs": len(pairs), "gain": gain / base, "low": -math.inf, "high": math.inf}
    half = t_point(len(pairs) - 1) * stdev(pairs) / math.sqrt(len(pairs))
    return {"pairs": len(pairs), "gain": gain / base, "low": (gain - half) / base, "high": (gain + half) / base}
