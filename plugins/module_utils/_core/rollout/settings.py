# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the judge goes by, with the defaults of the collection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.outcomes import Slo

LEAST_MARGIN = 1.15
A_A_QUANTILE = 0.99
LEAST_A_A_RUNS = 20


@dataclass(frozen=True)
class Settings:
    """``alpha``: of each of the two tests. ``latency_margin``: ratio of latency, ``slow_margin``: ratio of slow answers
    that is still no fault. ``minimum_requests``: per arm. ``budget``: bad ratio that the bound must stay below.
    ``host_spread``: standard deviation of log latency between equal hosts. ``latency_looks``: at how many final looks latency may be tested."""

    alpha: float = 0.01
    latency_margin: float = 1.25
    slow_margin: float = 1.5
    minimum_requests: int = 100
    budget: float = 0.03
    confidence: float = 0.95
    soak_seconds: float = 600.0
    warmup_seconds: float = 120.0
    warmup_requests: int = 20
    latency_looks: int = 1
    host_spread: float = 0.1
    provider_error_limit: int = 4
    spare_requests_per_second: float = 0.0


_BOUNDS: dict[str, tuple[float, float]] = {
    "alpha": (1e-6, 0.5),
    "latency_margin": (1.0, 10.0),
    "slow_margin": (1.0, 10.0),
    "minimum_requests": (1, 1e6),
    "budget": (1e-6, 1.0),
    "confidence": (0.5, 0.999999),
    "soak_seconds": (0, 1e7),
    "warmup_seconds": (0, 1e6),
    "warmup_requests": (0, 1e6),
    "latency_looks": (1, 100),
    "host_spread": (0, 2.0),
    "provider_error_limit": (1, 1000),
    "spare_requests_per_second": (0, 1e9),
}


def parse_settings(given: Mapping[str, Any]) -> Settings:
    """Settings from a mapping; what is absent or None keeps its default.

    Raises:
        InputError: an unknown name, or a value out of bounds.
    """
    unknown = sorted(set(given) - set(_BOUNDS))
    if unknown:
        raise InputError(
            f"there is no setting {unknown[0]!r}", where="settings", remedy=f"Known are {', '.join(sorted(_BOUNDS))}"
        )
    values: dict[str, Any] = {}
    for one in fields(Settings):
        if given.get(one.name) is None:
            continue
        low, high = _BOUNDS[one.name]
        number = expect_number(given[one.name], what=one.name, where="settings", minimum=low, maximum=high)
        values[one.name] = int(number) if isinstance(one.default, int) else number
    return Settings(**values)


def parse_slo(given: Any) -> Slo:
    """Limits in milliseconds from ``{ttft_ms, inter_token_ms, total_ms}``, all optional."""
    mapping = expect_mapping(given or {}, what="slo", where="slo")
    unknown = sorted(set(mapping) - {one.name for one in fields(Slo)})
    if unknown:
        raise InputError(
            f"there is no limit {unknown[0]!r}", where="slo", remedy="Known are ttft_ms, inter_token_ms and total_ms"
        )
    limits = {
        name: expect_number(value, what=name, where="slo", minimum=1e-9)
        for name, value in mapping.items()
        if value is not None
    }
    return Slo(**limits)


def calibrated_margin(ratios: Sequence[Any]) -> float:
    """max(1.15, the 99 % quantile of latency ratios of A/A runs: the same version on both arms).

    The quantile is the order statistic at ceil(0.99 n), which for fewer than 100 runs is the largest.
    A ratio below 1 counts as its inverse: which arm was called canary is chance.

    Raises:
        InputError: fewer than 20 runs, or a ratio that is none.
    """
    if len(ratios) < LEAST_A_A_RUNS:
        raise InputError(
            f"a margin needs at least {LEAST_A_A_RUNS} A/A runs, not {len(ratios)}",
            where="aa_ratios",
            remedy="Run more, or leave the option out for the default margin",
        )
    numbers = [
        expect_number(value, what="ratio", where=f"aa_ratios, entry {spot + 1}", minimum=1e-6)
        for spot, value in enumerate(ratios)
    ]
    spread = sorted(max(number, 1.0 / number) for number in numbers)
    return max(LEAST_MARGIN, spread[math.ceil(A_A_QUANTILE * len(spread)) - 1])
