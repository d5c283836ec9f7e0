# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How far a forecast is to be trusted, from its own backtest.

A switch at zero skill would flip between two plans on a difference that is noise: of
two forecasts whose errors differ by a percent, either may come out ahead in a backtest of
a few dozen origins. So trust falls by degrees. With s the skill over seasonal naive
(1 - MAE / MAE of seasonal naive)::

    w = 1                        s >= -0.02, a tie, or better
    w = (s + 0.20) / 0.18        in between
    w = 0                        s <= -0.20

and what is planned for is w x forecast + (1 - w) x recent maximum x headroom.

An interval that is too narrow is another fault: with q the highest level and c the share
of the backtest that stayed below it, doubt is d = (q - c - 0.05) / 0.15 within [0, 1];
0.05 is about two standard deviations of c at q = 0.95 and 80 independent points. Each
level is then raised by d of what it lies below the recent maximum x headroom; a doubtful
interval never lowers what is planned for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIE_SKILL = -0.02
NO_SKILL = -0.20
COVERAGE_SLACK = 0.05
COVERAGE_RANGE = 0.15


@dataclass(frozen=True)
class Trust:
    """``weight`` of the forecast against what was seen, ``doubt`` about its interval, and both in ``words``."""

    weight: float
    doubt: float
    words: str

    def blend(self, forecast: float, seen: float) -> float:
        """The rate to plan for, from the forecast's and from what was seen, both requests/s."""
        raised = forecast + self.doubt * max(0.0, seen - forecast)
        return self.weight * raised + (1.0 - self.weight) * seen


def trust_in(entry: Mapping[str, Any]) -> Trust:
    """The trust in one series of a forecast document."""
    backtest = entry.get("backtest")
    backtest = backtest if isinstance(backtest, Mapping) else {}
    skill = _number(backtest.get("skill"))
    doubt, narrow = _doubt(backtest)
    if entry.get("beats_seasonal_naive") is True:
        return Trust(1.0, doubt, narrow)
    if skill is None:
        return Trust(0.0, doubt, "the forecast did not beat seasonal naive in its own backtest")
    weight = round(min(1.0, max(0.0, (skill - NO_SKILL) / (TIE_SKILL - NO_SKILL))), 6)
    if weight == 1.0:
        words = "as good as seasonal naive in its own backtest"
    else:
        words = f"the forecast did not beat seasonal naive in its own backtest (skill {skill:.2g})"
    return Trust(weight, doubt, f"{words}, and {narrow}" if narrow else words)


def _doubt(backtest: Mapping[str, Any]) -> tuple[float, str]:
    coverage = backtest.get("coverage")
    shares = {
        _number(key): _number(share) for key, share in (coverage if isinstance(coverage, Mapping) else {}).items()
    }
    known = [(level, share) for level, share in shares.items() if level is not None and share is not None]
    if not known:
        return 0.0, ""
    level, share = max(known)
    doubt = round(min(1.0, max(0.0, (level - share - COVERAGE_SLACK) / COVERAGE_RANGE)), 6)
    return doubt, f"its level {level:g} held {share:.0%} of the time" if doubt else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
