# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up canaries: columns of events with known bad ratios and latencies."""

from __future__ import annotations

from typing import Any

import numpy as np

SIGMA = 0.8  # of log latency, as RELIABILITY's simulations


def columns(
    requests: int = 1000,
    *,
    share: float = 0.5,
    bad: tuple[float, float] = (0.0, 0.0),
    speed: tuple[float, float] = (1.0, 1.0),
    seed: int = 1,
    per_second: float = 1.0,
    median_ms: float = 200.0,
) -> dict[str, list[Any]]:
    """Events of servers ``new-0`` (canary) and ``old-0``; ``bad`` and ``speed`` are of canary and baseline."""
    rng = np.random.default_rng(seed)
    canary = rng.random(requests) < share
    failed = rng.random(requests) < np.where(canary, *bad)
    length = rng.lognormal(7.0, 1.0, requests)
    latency = (
        median_ms * np.where(canary, *speed) * (length / np.exp(7.0)) ** 0.5 * rng.lognormal(0, SIGMA / 2, requests)
    )
    return {
        "at": [1_800_000_000 + spot / per_second for spot in range(requests)],
        "server": np.where(canary, "new-0", "old-0").tolist(),
        "status": np.where(failed, 503, 200).tolist(),
        "term": ["----"] * requests,
        "response_ms": latency.round(3).tolist(),
        "total_ms": (latency * 3).round(3).tolist(),
        "bytes": [500] * requests,
        "request_bytes": length.astype(int).tolist(),
        "synthetic": [0] * requests,
    }
