# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How many requests a verdict still lacks, and how fast synthetic ones may fill in.

Enough are, per arm, ``minimum_requests`` real ones, or half as many real ones and ``minimum_requests``
synthetic ones. Synthetic traffic takes at most :data:`SYNTHETIC_SHARE` of what is spare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.bounds import Budget
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.samples import Count
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import Settings

SYNTHETIC_SHARE = 0.1


@dataclass(frozen=True)
class Missing:
    """Per arm, (canary, baseline): ``real`` requests alone, or ``least_real`` together with ``synthetic``.

    ``requests``: whether an arm lacks any. ``for_bound``: canary requests, none of them bad, until the bound of the bad
    ratio fits (None: out of reach). ``synthetic_seconds``: to send the synthetic ones within
    the headroom, None when there is none or none are needed.
    """

    real: tuple[int, int]
    least_real: tuple[int, int]
    synthetic: tuple[int, int]
    for_bound: int | None
    synthetic_requests_per_second: float
    synthetic_seconds: float | None
    reasons: tuple[str, ...]

    @property
    def requests(self) -> bool:
        return any(self.real)


def what_is_missing(canary: Count, baseline: Count, budgets: tuple[Budget, ...], settings: Settings) -> Missing:
    """What both arms lack of a verdict.

    Args:
        budgets: of the canary, each of which must fit.
    """
    lacks = [_lack(arm, settings.minimum_requests) for arm in (canary, baseline)]
    reachable = [one.lacking for one in budgets if one.lacking is not None]
    for_bound = max(reachable) if len(reachable) == len(budgets) else None
    synthetic = [lack[2] for lack in lacks]
    synthetic[0] = max(synthetic[0], for_bound or 0)
    rate = SYNTHETIC_SHARE * settings.spare_requests_per_second
    seconds = sum(synthetic) / rate if rate > 0 and any(synthetic) else None
    reasons = [
        f"the {name} lacks {real} requests" + (f", or {least} real and {extra} synthetic ones" if least < real else "")
        for name, (real, least, extra) in zip(("canary", "baseline"), lacks)
        if real
    ]
    if not any(lack[0] for lack in lacks) and for_bound:
        reasons.append(f"{for_bound} more canary requests without a bad one would bring the bound within the budget")
    if seconds is not None and reasons:
        reasons.append(
            f"{sum(synthetic)} synthetic requests at {rate:.3g} requests/s, a tenth of the headroom, take {seconds:.0f} seconds"
        )
    return Missing(
        (lacks[0][0], lacks[1][0]),
        (lacks[0][1], lacks[1][1]),
        (synthetic[0], synthetic[1]),
        for_bound,
        rate,
        seconds,
        tuple(reasons),
    )


def _lack(arm: Count, minimum: int) -> tuple[int, int, int]:
    """Real ones alone; or real and synthetic ones together; zeros when there are enough."""
    half = math.ceil(minimum / 2)
    if arm.real >= minimum or (arm.real >= half and arm.synthetic >= minimum):
        return 0, 0, 0
    return minimum - arm.real, max(0, half - arm.real), max(0, minimum - arm.synthetic)
