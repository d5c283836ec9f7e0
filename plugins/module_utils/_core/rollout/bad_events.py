# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""An anytime-valid test of whether bad events fall on the canary more often than they should.

Requests are cut into windows by count alone: a window closes with the request that gives
both arms at least :data:`WINDOW_REQUESTS`. In a window with n_c and n_b requests of canary and
baseline, and B bad ones of which x are the canary's, let

    q = m n_c / (m n_c + n_b)

be the share of bad events that the canary may have when its rate is m times the baseline's
(m = 1: the same rate). For a rate ratio r > 1 on top of that the window is worth

    L_r = r^x / (1 + q (r - 1))^B

Under H0 and m = 1, x given the counts is hypergeometric; L_r is convex in x and has mean 1 when
x is binomial(B, q), so E[L_r] <= 1 (Hoeffding 1963, theorem 4), without any assumption about
how bad events come over time. The weight of a server in the balancer is not used for q: under
leastconn it says little about who was asked.

E = sum over kinds k of v_k sum over r of w_r prod over windows L_r, is then a nonnegative
supermartingale that starts at 1, and P(E ever reaches 1/alpha) <= alpha (Ville 1939), however often one
looks. Kinds of event are separate: what fails should be equal on equal software (m = 1), what is
slow differs from host to host (m = 1.5).

Ratios and weights: see tests/benchmarks/rollout for how they compare with a uniform mixture over
{1.5, 2, 3, 5, 10, 20}.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.outcomes import FAILED, REFUSED, SLOW

WINDOW_REQUESTS = 6
RATIOS = ((2.0, 0.15), (4.0, 0.15), (10.0, 0.2), (30.0, 0.25), (100.0, 0.25))
KIND_SHARES = {FAILED: 0.85, SLOW: 0.10, REFUSED: 0.05}
LARGEST_LOG = 600.0  # E is reported as at most e^600


@dataclass(frozen=True)
class Window:
    """Requests and bad events of one kind, per arm."""

    canary: int
    baseline: int
    bad_canary: int
    bad_baseline: int


@dataclass(frozen=True)
class Evidence:
    """E after each window that closed (``course``), and its largest value."""

    course: tuple[float, ...]
    largest: float


def cut_windows(
    is_canary: Sequence[bool], is_bad: Sequence[bool], least: int = WINDOW_REQUESTS
) -> list[tuple[int, Window]]:
    """The windows that closed, each with the row it ends at; what came since is left for the next look."""
    found: list[tuple[int, Window]] = []
    counts = [0, 0, 0, 0]
    for row, (canary, bad) in enumerate(zip(is_canary, is_bad)):
        arm = 0 if canary else 1
        counts[arm] += 1
        counts[2 + arm] += bad
        if counts[0] >= least and counts[1] >= least:
            found.append((row, Window(*counts)))
            counts = [0, 0, 0, 0]
    return found


def log_steps(window: Window, margin: float, ratios: Sequence[float]) -> list[float]:
    """log L_r of a window for each ratio."""
    bad = window.bad_canary + window.bad_baseline
    if not bad or not window.canary or not window.baseline:
        return [0.0] * len(ratios)
    share = margin * window.canary / (margin * window.canary + window.baseline)
    return [window.bad_canary * math.log(r) - bad * math.log1p(share * (r - 1.0)) for r in ratios]


def weigh(
    windows: Sequence[tuple[float, str, Window]],
    margins: dict[str, float],
    mixture: Sequence[tuple[float, float]] = RATIOS,
    shares: dict[str, float] | None = None,
) -> Evidence:
    """The evidence of windows of all kinds, each with the moment it ended and its kind.

    Args:
        windows: (moment, kind, counts); taken in order of moment.
        margins: rate ratio that is still no fault, by kind.
        mixture: (rate ratio, weight), the weights summing to 1.
        shares: weight of each kind, summing to at most 1; by default :data:`KIND_SHARES`.
    """
    shares = KIND_SHARES if shares is None else shares
    ratios = [ratio for ratio, _unused in mixture]
    logs = {kind: [math.log(weight * share) for _unused, weight in mixture] for kind, share in shares.items()}
    course: list[float] = []
    for _unused, kind, window in sorted(windows, key=lambda one: (one[0], one[1])):
        steps = log_steps(window, margins.get(kind, 1.0), ratios)
        logs[kind] = [total + step for total, step in zip(logs[kind], steps)]
        course.append(_exponential_sum([value for kind_logs in logs.values() for value in kind_logs]))
    return Evidence(tuple(course), max(course, default=1.0))


def _exponential_sum(logs: Sequence[float]) -> float:
    top = max(logs)
    total = top + math.log(math.fsum(math.exp(value - top) for value in logs))
    return math.exp(min(total, LARGEST_LOG))
