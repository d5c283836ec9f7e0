# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a good answer is, and how many of a level's answers were good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


@dataclass(frozen=True)
class Slo:
    """``quantile`` of the requests must be answered wholly, within each limit that is set (seconds).

    ``inter_token_seconds`` is the mean between the tokens of one answer.
    """

    quantile: float = 0.95
    ttft_seconds: float | None = None
    latency_seconds: float | None = None
    inter_token_seconds: float | None = None

    def as_record(self) -> dict[str, float]:
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Sample:
    """One request. Seconds count from the moment it was due, so a server that stalls is seen to stall; -1 is unknown."""

    status: int
    complete: bool
    ttft: float = -1.0
    latency: float = -1.0
    tokens: int = 0

    @property
    def inter_token(self) -> float:
        return (self.latency - self.ttft) / (self.tokens - 1) if self.tokens > 1 else 0.0


def read_slo(record: Any) -> Slo:
    """The ``slo`` of a catalogue entry, with ``inter_token_seconds`` where it is set.

    Raises:
        InputError: no limit is set, or one is out of range.
    """
    given: Mapping[str, Any] = expect_mapping(record or {}, what="slo", where="slo")
    limits = {}
    for name in ("ttft_seconds", "latency_seconds", "inter_token_seconds"):
        if given.get(name) is not None:
            limits[name] = expect_number(given[name], what=name, where="slo", minimum=1e-6)
    if not limits:
        raise InputError(
            "the model has no SLO",
            where="slo",
            remedy="Set slo, like {ttft_seconds: 1.5, latency_seconds: 8.0, quantile: 0.95}",
        )
    quantile = expect_number(given.get("quantile", 0.95), what="quantile", where="slo", minimum=0.5, maximum=0.9999)
    return Slo(quantile=quantile, **limits)


def is_good(sample: Sample, slo: Slo) -> bool:
    """Answered with 200, to its end, within every limit."""
    if sample.status != 200 or not sample.complete:
        return False
    pairs = (
        (sample.ttft, slo.ttft_seconds),
        (sample.latency, slo.latency_seconds),
        (sample.inter_token, slo.inter_token_seconds),
    )
    return all(limit is None or value <= limit for value, limit in pairs)


def quantile_of(values: Sequence[float], level: float) -> float:
    """The smallest value that at least a share ``level`` of all values does not exceed; 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, int(level * len(ordered) - 1e-9)))]


def longest_seconds(slo: Slo, tokens: int) -> float:
    """How long a good answer of so many tokens may take; without an end where only the first token is limited."""
    if slo.latency_seconds is not None:
        return slo.latency_seconds
    if slo.inter_token_seconds is None:
        return math.inf
    return (slo.ttft_seconds or slo.inter_token_seconds) + tokens * slo.inter_token_seconds
