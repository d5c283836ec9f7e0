# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One measurement under a load that is given: what a tuning compares."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Sender, Target
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import quantile_of

_SETTLE = 0.2


@dataclass(frozen=True)
class Load:
    """``rate`` requests a second at their moments, or where it is 0 ``at_once`` clients in a loop each."""

    seconds: float
    at_once: int
    rate: float = 0.0
    seed: int = 1
    quantile: float = 0.95


def measure_load(target: Target, load: Load) -> dict[str, float]:
    """Rates, and the quantile of each time.

    Raises:
        SourceUnavailableError: nothing was answered, or more than a hundredth of the requests was not.
    """
    sender = Sender(target, load.at_once)
    settle = _SETTLE * load.seconds
    try:
        sender.alone(1)
        if load.rate:
            samples = sender.level(load.rate, load.seconds, load.seed, settle)
            shares, seconds = [(1.0, one) for one in samples], load.seconds - settle
        else:
            shares, seconds = sender.closed(load.at_once, load.seconds, settle)
    finally:
        sender.close()
    whole = [(share, one) for share, one in shares if one.status == 200 and one.complete]
    answered = [one for _share, one in whole]
    if len(answered) < max(1.0, 0.99 * len(shares)):
        raise SourceUnavailableError(
            f"{len(shares) - len(answered)} of {len(shares)} requests were not answered",
            where=target.url,
            remedy="Look into the server's log",
        )
    return {
        "requests_per_second": round(sum(share for share, _one in whole) / seconds, 4),
        "output_tokens_per_second": round(sum(share * one.tokens for share, one in whole) / seconds, 3),
        "ttft_seconds": round(quantile_of([one.ttft for one in answered], load.quantile), 5),
        "latency_seconds": round(quantile_of([one.latency for one in answered], load.quantile), 5),
        "inter_token_seconds": round(quantile_of([one.inter_token for one in answered], load.quantile), 6),
        "requests": float(len(answered)),
    }
