# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A load sweep over one replica, within a budget of seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.capacity_fit import (
    Capacity,
    Level,
    estimate_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Sender, Target
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.rate_search import next_rate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import (
    Sample,
    Slo,
    is_good,
    longest_seconds,
    quantile_of,
)

_ALONE, _WARM = 5, 3
# Share of a level in which the queue fills; a level starts with an empty one, which flatters.
_SETTLE = 0.3
# Requests that may wait beside twice those that a rate has in flight where each takes as long as it may (Little's
# law): more would load this program more than the server, and answer nothing.
_WAITING = 16


@dataclass(frozen=True)
class Bounds:
    """``seconds`` in all, ``level_seconds`` a level; never more than ``most_rate`` a second or ``most_at_once``."""

    seconds: float = 180.0
    level_seconds: float = 10.0
    most_rate: float = 500.0
    most_at_once: int = 256
    seed: int = 1


@dataclass(frozen=True)
class Swept:
    """``capacity`` is None where the sweep did not enclose it, for the reason ``note``."""

    capacity: Capacity | None
    lone_seconds: float
    levels: list[dict[str, Any]]
    note: str = ""


def sweep(target: Target, slo: Slo, bounds: Bounds, sender: Sender | None = None) -> Swept:
    """Try rates until the budget is spent. ``sender`` sends to ``target``, by default one of its own, and is closed at the end.

    Raises:
        SourceUnavailableError: the server does not answer a single request.
    """
    began, sender = time.monotonic(), sender or Sender(target, bounds.most_at_once)
    try:
        alone = _alone(sender, target)
        lone = mean(one.latency for one in alone)
        # One that is late among several was held up by something else.
        if 2 * sum(is_good(one, slo) for one in alone) < len(alone):
            return Swept(None, lone, [], "requests miss the SLO even one at a time")
        levels: list[Level] = []
        shown: list[dict[str, Any]] = []
        # A level that fails also takes as long as its queue needs to run empty.
        while time.monotonic() - began + 1.2 * bounds.level_seconds < bounds.seconds:
            rate = next_rate(levels, slo.quantile, lone_seconds=lone, most=bounds.most_rate)
            settle = _SETTLE * bounds.level_seconds
            waiting = _WAITING + 2 * rate * longest_seconds(slo, target.output_tokens)
            samples = sender.level(rate, bounds.level_seconds, bounds.seed * 1000 + len(levels), settle, waiting)
            if not samples:
                return Swept(
                    None,
                    lone,
                    shown,
                    f"levels of {bounds.level_seconds:g} s are too short for requests of {lone:.1f} s",
                )
            level = Level(
                len(samples) / (bounds.level_seconds - settle), len(samples), sum(is_good(one, slo) for one in samples)
            )
            levels.append(level)
            shown.append(_shown(level, samples, slo))
            if level.holds(slo.quantile) and rate >= bounds.most_rate:
                return Swept(
                    None, lone, shown, f"the SLO holds at {bounds.most_rate:g} requests/s, the most that was allowed"
                )
        capacity = estimate_capacity(levels, slo.quantile, seed=bounds.seed)
        return Swept(
            capacity, lone, shown, "" if capacity else "the budget ended before a rate held and another failed"
        )
    finally:
        sender.close()


def _alone(sender: Sender, target: Target) -> Sequence[Sample]:
    samples = sender.alone(_WARM + _ALONE)[_WARM:]
    if not any(one.status == 200 for one in samples):
        status = samples[-1].status
        raise SourceUnavailableError(
            f"the server refuses a completion with status {status}" if status else "the server does not answer",
            where=target.url,
            remedy="Shorten prompts and answers to what its context holds, and give the name it serves under"
            if status
            else "Start the replica first",
        )
    return [one for one in samples if one.status == 200]


def _shown(level: Level, samples: Sequence[Sample], slo: Slo) -> dict[str, Any]:
    answered = [one for one in samples if one.status == 200 and one.complete]
    return {
        "requests_per_second": round(level.rate, 4),
        "sent": level.sent,
        "good": level.good,
        "failed": level.sent - len(answered),
        "ttft_seconds": round(quantile_of([one.ttft for one in answered], slo.quantile), 4),
        "latency_seconds": round(quantile_of([one.latency for one in answered], slo.quantile), 4),
        "inter_token_seconds": round(quantile_of([one.inter_token for one in answered], slo.quantile), 5),
        "output_tokens_per_second": round(sum(one.tokens for one in answered) * level.rate / max(1, level.sent), 2),
    }
