# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How many replicas of a model may be away at once, and when.

A replica that is upgraded serves nothing from the start of its drain until its slow start
is over. With replicas of capacity c_i (requests/s inside the SLO, not the most they can push),
D the demand's upper quantile over the whole window and m a safety margin, k replicas may be
away when, whichever they are, the rest still carries the demand after the worst loss::

    C - (the k largest c_i) - R >= D (1 + m)        C = sum of c_i

R is the reserve: the largest capacity that one host or one declared fault domain holds.
For equal replicas this is ``k = floor(N - D (1 + m) / c) - R/c``.

When no replica may be away, the answer is in this order: surge (start replicas on free
accelerators first), wait (the first step of the forecast at which one may be away for a
whole window), refuse (with the capacity that is missing). A later window is judged by the largest
step of the quantile path, which is at most the quantile of the maximum: check again when it opens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import by_model
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.window_demand import (
    HeadroomPolicy,
    WindowDemand,
    demand_over,
)

NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Replica:
    """A replica that serves now. ``fault_domain``: what fails together beyond the host (zone, rack, feed); empty: only the host."""

    host: str
    slot: str
    requests_per_second: float
    fault_domain: str = ""


@dataclass(frozen=True)
class Spare:
    """What may be away. ``missing_requests_per_second``: capacity short of one replica away; 0 when one may be."""

    replicas: int
    serving_requests_per_second: float
    needed_requests_per_second: float
    reserve_requests_per_second: float
    reserve_replicas: int
    reserve_domain: str
    missing_requests_per_second: float


@dataclass(frozen=True)
class Headroom:
    """The answer. ``decision``: now, surge, wait or refuse; ``batch``: replicas that may be away at once
    (after the surge, or when the window opens); ``opens_at``: epoch seconds, for wait."""

    decision: str
    batch: int
    spare: Spare
    demand: WindowDemand
    surge_replicas: int = 0
    opens_at: float | None = None
    missing_replicas: int = 0
    reason: str = ""


def spare_replicas(replicas: Sequence[Replica], demand: float, policy: HeadroomPolicy | None = None) -> Spare:
    """How many of ``replicas`` may be away at once while ``demand`` requests/s are carried, whichever they are."""
    policy = policy or HeadroomPolicy()
    for one in replicas:
        expect_number(one.requests_per_second, what="requests_per_second", where=f"{one.host}/{one.slot}", minimum=0)
    serving = math.fsum(one.requests_per_second for one in replicas)
    needed = expect_number(demand, what="demand", minimum=0) * (1.0 + policy.margin)
    domain, reserve, members = _largest_domain(replicas) if policy.reserve else ("", 0.0, 0)
    room = serving - needed - reserve
    away, count = 0.0, 0
    largest_first = sorted((one.requests_per_second for one in replicas), reverse=True)
    for capacity in largest_first:
        if away + capacity > room + NEGLIGIBLE * max(1.0, serving):
            break
        away, count = away + capacity, count + 1
    short = max(0.0, largest_first[0] - room) if largest_first else needed
    return Spare(count, serving, needed, reserve, members, domain, short if count == 0 else 0.0)


def headroom(
    replicas: Sequence[Replica],
    forecast: Any,
    model: str,
    *,
    as_of: float,
    window_seconds: float,
    cap: int,
    surge: Sequence[Replica] = (),
    observed: float | None = None,
    policy: HeadroomPolicy | None = None,
) -> Headroom:
    """Whether replicas may be taken away now, after a surge, later or not at all.

    Args:
        replicas: those that serve now.
        forecast: a forecast.json document, or None.
        as_of: epoch seconds now.
        window_seconds: how long a replica is away, in all.
        cap: the most the stage allows at once.
        surge: replicas that could be started on free accelerators first, best first.
        observed: requests/s measured now.
    """
    policy = policy or HeadroomPolicy()
    if cap < 1:
        raise InputError(f"a stage must allow at least one replica, not {cap}", where=f"upgrade of {model}")
    demand = demand_over(forecast, model, begins=as_of, window_seconds=window_seconds, policy=policy, observed=observed)
    if demand.requests_per_second is None:
        return _unknown(replicas, demand, policy)
    spare = spare_replicas(replicas, demand.requests_per_second, policy)
    if spare.replicas >= 1:
        return Headroom("now", min(spare.replicas, cap), spare, demand, reason=_in_words(spare, demand))
    for count in range(1, len(surge) + 1):
        raised = spare_replicas([*replicas, *surge[:count]], demand.requests_per_second, policy)
        if raised.replicas >= 1:
            reason = f"{_in_words(spare, demand)}; with {count} more on free accelerators {raised.replicas} may be away"
            return Headroom("surge", min(raised.replicas, cap), spare, demand, count, reason=reason)
    later = _next_window(replicas, forecast, model, as_of, window_seconds, policy)
    missing = _missing_replicas(replicas, demand.requests_per_second, policy)
    if later is not None:
        opens, then = later
        reason = f"{_in_words(spare, demand)}; by the forecast a window opens at {format_moment(opens)}"
        return Headroom("wait", min(then.replicas, cap), spare, demand, 0, opens, missing, reason)
    reason = (
        f"{_in_words(spare, demand)}; missing are {spare.missing_requests_per_second:.4g} requests/s, "
        f"{missing} more replica{'' if missing == 1 else 's'}, and the forecast holds no window"
    )
    return Headroom("refuse", 0, spare, demand, missing_replicas=missing, reason=reason)


def _unknown(replicas: Sequence[Replica], demand: WindowDemand, policy: HeadroomPolicy) -> Headroom:
    spare = replace(spare_replicas(replicas, 0.0, policy), replicas=0)
    reason = f"the demand is not known ({demand.reason}); forecast again, or give the observed requests/s"
    return Headroom("refuse", 0, spare, demand, reason=reason)


def _largest_domain(replicas: Sequence[Replica]) -> tuple[str, float, int]:
    """The host or fault domain that holds most capacity: its name, capacity and number of replicas."""
    held: dict[str, list[float]] = {}
    for one in replicas:
        held.setdefault(f"host {one.host}", []).append(one.requests_per_second)
        if one.fault_domain:
            held.setdefault(f"fault domain {one.fault_domain}", []).append(one.requests_per_second)
    if not held:
        return "", 0.0, 0
    name = min(held, key=lambda key: (-math.fsum(held[key]), key))
    return name, math.fsum(held[name]), len(held[name])


def _next_window(
    replicas: Sequence[Replica],
    forecast: Any,
    model: str,
    as_of: float,
    window_seconds: float,
    policy: HeadroomPolicy,
) -> tuple[float, Spare] | None:
    """The first step of the forecast at which one replica may be away for a whole window."""
    entries = list(by_model((forecast or {}).get("series") or {}).get(model, {}).values())
    if not entries:
        return None
    step = max(expect_number(entry.get("step_seconds"), what="step_seconds", minimum=1e-9) for entry in entries)
    steps = max(len(entry.get("mean") or ()) for entry in entries)
    for count in range(1, steps):
        begins = as_of + count * step
        demand = demand_over(
            forecast,
            model,
            begins=begins,
            window_seconds=window_seconds,
            policy=policy,
            waited_seconds=count * step,
        )
        if demand.requests_per_second is None:
            return None
        spare = spare_replicas(replicas, demand.requests_per_second, policy)
        if spare.replicas >= 1:
            return begins, spare
    return None


def _missing_replicas(replicas: Sequence[Replica], demand: float, policy: HeadroomPolicy) -> int:
    """How many more replicas, each on a host of its own and of the smallest capacity there is, would let one be away."""
    capacity = min((one.requests_per_second for one in replicas if one.requests_per_second > 0), default=0.0)
    if capacity <= 0:
        return 0
    short = spare_replicas(replicas, demand, policy).missing_requests_per_second
    return math.ceil(short / capacity - NEGLIGIBLE)


def _in_words(spare: Spare, demand: WindowDemand) -> str:
    reserve = (
        f", reserve {spare.reserve_requests_per_second:.4g} ({spare.reserve_domain})" if spare.reserve_domain else ""
    )
    return (
        f"{spare.replicas} may be away: {spare.serving_requests_per_second:.4g} requests/s serve, "
        f"{spare.needed_requests_per_second:.4g} are needed{reserve} ({demand.reason})"
    )
