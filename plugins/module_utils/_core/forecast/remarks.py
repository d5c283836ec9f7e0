# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a person should know about a series' forecast, in plain words."""

from __future__ import annotations

from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

MANY_GAPS = 0.1
MANY_ZEROS = 0.5
FEW_WINDOWS = 3
MOSTLY_KNOWN = 0.5


def about_history(values: Any, periods: tuple[int, ...], last_gap_steps: int) -> list[str]:
    """Remarks on the samples themselves (n,), NaN for gaps."""
    known = values[np.isfinite(values)]
    said = []
    if not known.size or known.max() <= 0.0:
        return ["the history holds no demand at all"]
    missing = 1.0 - known.size / values.size
    if missing > MANY_GAPS:
        said.append(f"{missing:.0%} of the history is missing and was filled with the usual shape")
    if last_gap_steps:
        said.append(f"the last {last_gap_steps} samples are missing, so the forecast rests on what came before them")
    if known.max() == known.min():
        said.append("the history never changes, so nothing is known about its spread")
    zeros = float((known == 0.0).mean())
    if zeros > MANY_ZEROS:
        said.append(
            f"{zeros:.0%} of the samples are zero: demand is sporadic and the quantiles matter more than the mean"
        )
    if not periods:
        said.append("the history covers no season twice, so no daily or weekly shape was used")
    return said


def about_backtest(windows: int, horizon: int, beats: bool, engine: str) -> list[str]:
    """Remarks on how much the backtest could show."""
    said = []
    if windows < FEW_WINDOWS:
        few = "one window" if windows == 1 else f"{windows} windows"
        said.append(f"tested on {few} of {horizon} steps only, so the interval is wide")
    if not beats and engine != "seasonal_naive":
        said.append("did not beat seasonal naive in its own backtest: plan from what is observed")
    return said


def too_short(samples: int, horizon: int, length: int = 0) -> str:
    """Why a series is not usable; ``samples`` are known of the last ``length``."""
    if 0 < samples < MOSTLY_KNOWN * length:
        return (
            f"only {samples} of the last {length} samples are known, too few to test a forecast {horizon} steps ahead: "
            "plan from what is observed"
        )
    seen = "1 sample" if samples == 1 else f"{samples} samples"
    return f"{seen} is too short a history to test a forecast {horizon} steps ahead: plan from what is observed"


def level_shift(since: str, ratio: float) -> str:
    """What was done about a level that changed."""
    return (
        f"since {since} demand runs at {ratio:.2g} times its usual level: "
        "the older history was brought to that level and the interval widened"
    )


def order_searched(order: str, complete: bool) -> str:
    """Which order a search ended with."""
    return f"order {order} was found by search" + ("" if complete else ", which its CPU budget ended early")


def training_cut_short(steps: int, budget_seconds: float) -> str:
    """Why another run may forecast otherwise."""
    return (
        f"training of the LSTM ended after {steps} steps with its budget of {budget_seconds:g} s, before it stopped "
        "getting better: another run may differ; a larger training_budget_seconds makes it repeatable"
    )
