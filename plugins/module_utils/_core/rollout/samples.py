# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The requests of both arms, in the order they ended, each with what it says.

Windows of the sequential test are cut by the end of requests, since a request is known when it
has ended: what an earlier look saw stays as it was.

Warm-up: of each server the first requests, as long as both fewer than ``warmup_requests`` came
before and fewer than ``warmup_seconds`` passed since its first. What is slow then is not
counted; what fails is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.events import Events
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.outcomes import (
    FAILED,
    GOOD,
    LEFT_OUT,
    REFUSED,
    SLOW,
    Slo,
    first_token_ms,
    outcome,
)

BUCKETS = 4
LATENCIES = ("ttft_ms", "inter_token_ms", "total_ms")


@dataclass(frozen=True)
class Sample:
    """One request of one arm. ``prompt``: its length in tokens or bytes; ``latencies``: in the order of
    :data:`LATENCIES`, NaN when unknown, infinite when it failed."""

    ended_at: float
    at: float
    canary: bool
    says: str
    warming: bool
    synthetic: bool
    prompt: float
    latencies: tuple[float, ...]

    @property
    def answered(self) -> bool:
        """Whether it counts as a request that should have been answered."""
        return self.says in (GOOD, SLOW, FAILED) and not self.warming

    @property
    def bad(self) -> bool:
        """Whether it counts against the budget of bad requests."""
        return self.says == FAILED or (self.says == SLOW and not self.warming)


@dataclass(frozen=True)
class Count:
    """What one arm's requests said. ``bounded``: those the bound of the bad ratio is over."""

    requests: int
    answered: int
    real: int
    synthetic: int
    failed: int
    slow: int
    refused: int
    left_out: int
    warming: int
    bad: int
    bounded: int


def take_samples(
    events: Events, canary: Sequence[str], baseline: Sequence[str], slo: Slo, warmup: tuple[float, int]
) -> list[Sample]:
    """The requests of both arms; those of other servers are dropped.

    Args:
        canary: server names.
        baseline: server names.
        warmup: seconds and requests of each server that warm it up.
    """
    arms = {**dict.fromkeys(baseline, False), **dict.fromkeys(canary, True)}
    first: dict[str, float] = {}
    seen: dict[str, int] = {}
    samples = []
    for row, server in enumerate(events.server):
        if server not in arms:
            continue
        at = events.at[row]
        since = at - first.setdefault(server, at)
        seen[server] = seen.get(server, 0) + 1
        says = outcome(events, row, slo)
        total = _known(events, ("total_ms",), row)
        samples.append(
            Sample(
                ended_at=at + (total / 1000.0 if math.isfinite(total) else 0.0),
                at=at,
                canary=arms[server],
                says=says,
                warming=since < warmup[0] and seen[server] <= warmup[1],
                synthetic=events.synthetic[row],
                prompt=_known(events, ("prompt_tokens", "request_bytes"), row),
                latencies=_latencies(events, row, says),
            )
        )
    return sorted(samples, key=lambda one: (one.ended_at, one.at, one.canary, one.says, one.synthetic))


def count(samples: Sequence[Sample], *, canary: bool) -> Count:
    """What the requests of one arm said."""
    own = [one for one in samples if one.canary is canary]
    return Count(
        requests=len(own),
        answered=sum(one.answered for one in own),
        real=sum(one.answered and not one.synthetic for one in own),
        synthetic=sum(one.answered and one.synthetic for one in own),
        failed=sum(one.says == FAILED for one in own),
        slow=sum(one.says == SLOW and not one.warming for one in own),
        refused=sum(one.says == REFUSED for one in own),
        left_out=sum(one.says == LEFT_OUT for one in own),
        warming=sum(one.warming for one in own),
        bad=sum(one.bad for one in own),
        bounded=sum(one.answered or one.bad for one in own),
    )


def latency_strata(samples: Sequence[Sample], measure: int) -> dict[str, tuple[list[float], list[float]]]:
    """Values of one latency by stratum: real or synthetic, and the quarter of prompt lengths."""
    counted = [one for one in samples if one.answered and not math.isnan(one.latencies[measure])]
    lengths = sorted(one.prompt for one in counted if not math.isnan(one.prompt))
    edges = [lengths[len(lengths) * part // BUCKETS] for part in range(1, BUCKETS)] if lengths else []
    strata: dict[str, tuple[list[float], list[float]]] = {}
    for one in counted:
        bucket = "unknown" if math.isnan(one.prompt) else str(sum(one.prompt >= edge for edge in edges))
        name = f"{'synthetic' if one.synthetic else 'real'} {bucket}"
        strata.setdefault(name, ([], []))[0 if one.canary else 1].append(one.latencies[measure])
    return strata


def _latencies(events: Events, row: int, says: str) -> tuple[float, ...]:
    if says == FAILED or (says == SLOW and events.term[row][:1] == "C"):
        return (math.inf,) * len(LATENCIES)
    if says not in (GOOD, SLOW):
        return (math.nan,) * len(LATENCIES)
    own = (_known(events, (name,), row) for name in LATENCIES[1:])
    return (first_token_ms(events, row), *own)


def _known(events: Events, names: Sequence[str], row: int) -> float:
    """The first of the measures that is known for this request, NaN when none is."""
    for name in names:
        column = events.measures.get(name)
        if column is not None and math.isfinite(column[row]):
            return column[row]
    return math.nan
