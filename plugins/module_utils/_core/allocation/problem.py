# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan as arrays: host classes, admissible pairs of model and class, prices, limits, periods.

All arrays over pairs have shape (P,), in the order of model, class. What is asked for in
the first period stands in the problem itself; a plan over several periods has one
:class:`PeriodDemand` more for each later one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import ladders, prices, resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.classes import (
    DOMAINS,
    HostClass,
    host_classes,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.pairs import Pairs, admissible_pairs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
Demands = Mapping[str, ModelDemand]


@dataclass(frozen=True)
class SpreadLimit:
    """At most ``share`` of the model's replicas, plus one, in the pairs of one zone or region."""

    model: int
    kind: str
    domain: str
    share: float
    pairs: Array
    price: float


@dataclass(frozen=True, eq=False)
class PeriodDemand:
    """What one period asks for. Per demand layer, shape (J,): ``layer_model``, ``layer_rate`` (requests/s),
    ``layer_price`` (money per request/s not covered, to decide by), ``layer_cost`` (to report),
    ``layer_served`` (whether it is demand, rather than capacity that only shortens waiting).
    Per model, shape (M,): ``floor`` (replicas).
    """

    layer_model: Array
    layer_rate: Array
    layer_price: Array
    layer_cost: Array
    layer_served: Array
    floor: Array


@dataclass(frozen=True, eq=False)
class Problem(PeriodDemand):
    """The replica plan. Money is currency over one period of ``period_hours``.

    Per pair, shape (P,): ``pair_model``, ``pair_class`` (indices), ``rate`` (requests/s a
    replica), ``fits`` (phi), ``running`` (x0), ``upper``, ``cost``, ``start_price``,
    ``leave_price`` (money a replica); ``need`` has shape (P, R).
    Per class: ``host_count`` (K,), ``room`` (K, R) of one host.
    Per model, shape (M,): ``ceiling`` (replicas), ``floor_price`` (money a replica missing),
    ``lead`` (periods from start to first answer).
    ``later``: what each period after the first asks for.
    """

    models: tuple[Model, ...]
    classes: tuple[HostClass, ...]
    period_hours: float
    pair_model: Array
    pair_class: Array
    rate: Array
    fits: Array
    running: Array
    upper: Array
    cost: Array
    start_price: Array
    leave_price: Array
    need: Array
    host_count: Array
    room: Array
    ceiling: Array
    floor_price: Array
    spread: tuple[SpreadLimit, ...]
    lead: Array
    later: tuple[PeriodDemand, ...] = ()

    @property
    def pairs(self) -> int:
        return len(self.pair_model)

    @property
    def periods(self) -> tuple[PeriodDemand, ...]:
        """Every period, the first being the problem itself."""
        return (self, *self.later)


def build_problem(
    hosts: Sequence[Host],
    models: Sequence[Model],
    demands: Demands,
    running: Sequence[Replica],
    *,
    period_hours: float = 1.0,
    churn_hours: float = 0.05,
    later: Sequence[Demands] = (),
    lead_periods: Mapping[str, int] | None = None,
    waiting_price: float = 0.0,
) -> Problem:
    """Arrays for the hosts, catalogue, demand and what runs now.

    Args:
        hosts: the stock.
        models: the catalogue.
        demands: what is planned for, an entry for each model.
        running: what runs on these hosts, of models in the catalogue.
        period_hours: how long one period is.
        churn_hours: hours of a replica's cost that a start is charged.
        later: what is planned for in each period after the first.
        lead_periods: whole periods from start to first answer by model; 0 where not named.
        waiting_price: currency per request and second of waiting; 0 leaves waiting out.
    """
    models = tuple(sorted(models, key=lambda model: model.name))
    domains = {kind for model in models for kind, share in model.spread.items() if share < 1.0}
    classes = host_classes(hosts, domains=[kind for kind in DOMAINS if kind in domains])
    pairs = admissible_pairs(models, classes, running)
    values = prices.model_values(models, pairs)
    periods = [_period(models, pairs, values, wanted, period_hours, waiting_price) for wanted in (demands, *later)]
    ceilings = [demands[model.name].ceiling_replicas for model in models]
    ceiling = np.array([np.inf if value is None else value for value in ceilings], dtype=float)
    start_price = pairs.cost * churn_hours
    worth = prices.replica_values(models, values, periods[0], pairs, period_hours)
    lead = [min(len(later), (lead_periods or {}).get(model.name, 0)) for model in models]
    return Problem(
        **vars(periods[0]),
        models=models,
        classes=classes,
        period_hours=period_hours,
        pair_model=pairs.model,
        pair_class=pairs.host_class,
        rate=pairs.rate,
        fits=pairs.fits,
        running=pairs.running,
        upper=np.minimum(pairs.upper, ceiling[pairs.model]),
        cost=pairs.cost * period_hours,
        start_price=start_price,
        leave_price=_leave_prices(pairs, values.replica_cost, worth, start_price, period_hours),
        need=pairs.need,
        host_count=np.array([len(one.hosts) for one in classes], dtype=float),
        room=np.array([one.room for one in classes], dtype=float).reshape(len(classes), len(resources.RESOURCES)),
        ceiling=ceiling,
        floor_price=values.floor_value * period_hours,
        spread=_spread_limits(models, classes, pairs, values.replica_cost, worth, period_hours),
        lead=np.array(lead, dtype=np.int64),
        later=tuple(periods[1:]),
    )


def _period(
    models: Sequence[Model],
    pairs: Pairs,
    values: prices.ModelValues,
    demands: Demands,
    period_hours: float,
    waiting_price: float,
) -> PeriodDemand:
    ladder = ladders.ladder(models, pairs, values, demands, waiting_price)
    period_seconds = prices.SECONDS_PER_HOUR * period_hours
    return PeriodDemand(
        layer_model=ladder.model,
        layer_rate=ladder.rate,
        layer_price=ladder.price * period_seconds,
        layer_cost=ladder.cost * period_seconds,
        layer_served=ladder.served,
        floor=np.array([demands[model.name].floor_replicas for model in models], dtype=float),
    )


def _leave_prices(pairs: Pairs, dearest: Array, worth: Array, start_price: Array, period_hours: float) -> Array:
    """What a replica on a draining host is charged: more than moving it, at most half of what it serves."""
    moving = 2.0 * (dearest[pairs.model] * period_hours + start_price)
    return np.where(pairs.draining, np.minimum(moving, 0.5 * worth[pairs.model] * period_hours), 0.0)


def _spread_limits(
    models: Sequence[Model],
    classes: Sequence[HostClass],
    pairs: Pairs,
    dearest: Array,
    worth: Array,
    period_hours: float,
) -> tuple[SpreadLimit, ...]:
    limits: list[SpreadLimit] = []
    edges = np.searchsorted(pairs.model, np.arange(len(models) + 1))
    for m, model in enumerate(models):
        price = min(prices.SPREAD_DOMINANCE * float(dearest[m]), 0.5 * float(worth[m])) * period_hours
        mine = np.arange(edges[m], edges[m + 1])
        for kind, share in sorted(model.spread.items()):
            if share < 1.0:
                of_domain: dict[str, list[int]] = {}
                for pair, k in zip(mine.tolist(), pairs.host_class[mine].tolist()):
                    of_domain.setdefault(classes[k].domain(kind), []).append(pair)
                limits.extend(
                    SpreadLimit(m, kind, name, share, np.array(of_domain[name]), price) for name in sorted(of_domain)
                )
    return tuple(limits)
