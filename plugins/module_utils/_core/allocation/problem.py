# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan as arrays: host classes, admissible pairs of model and class, prices, limits.

Hosts that are alike form one class: same accelerator type, zone, region, room, cost and
state. The linear programme over classes has the same optimum as the one over hosts at a
fraction of the size, since alike hosts are interchangeable.

Only admissible pairs (model, class) exist: the model serves on that type, and a replica
fits the empty host. All arrays over pairs have shape (P,), in the order of model, class.
A draining class takes nothing new: its pairs keep at most what runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import prices, resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any


@dataclass(frozen=True)
class HostClass:
    """Hosts that are alike; ``example`` stands for all of them."""

    example: Host
    hosts: tuple[str, ...]
    room: resources.Vector
    cost_per_hour: float

    @property
    def draining(self) -> bool:
        return self.example.state == "draining"

    def domain(self, kind: str) -> str:
        """The zone or region of the class."""
        return self.example.zone if kind == "zone" else self.example.region


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
class Problem:
    """One period of the replica plan. Money is currency over the period of ``period_hours``.

    Per pair, shape (P,): ``pair_model``, ``pair_class`` (indices), ``rate`` (requests/s a
    replica), ``fits`` (phi), ``running`` (x0), ``upper``, ``cost``, ``start_price``,
    ``leave_price`` (money a replica); ``need`` has shape (P, R).
    Per class: ``host_count`` (K,), ``room`` (K, R) of one host.
    Per demand layer, shape (J,): ``layer_model``, ``layer_rate`` (requests/s),
    ``layer_price`` (money per request/s unserved, to decide by) and ``layer_cost`` (to report).
    Per model, shape (M,): ``floor``, ``ceiling`` (replicas), ``floor_price`` (money a replica missing).
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
    layer_model: Array
    layer_rate: Array
    layer_price: Array
    layer_cost: Array
    floor: Array
    ceiling: Array
    floor_price: Array
    spread: tuple[SpreadLimit, ...]

    @property
    def pairs(self) -> int:
        return len(self.pair_model)


def host_classes(hosts: Iterable[Host]) -> tuple[HostClass, ...]:
    """Group the hosts that serve; classes are ordered by what they are, hosts by name."""
    serving = sorted((host for host in hosts if host.serves), key=lambda host: host.name)
    costs = prices.decision_costs(serving)
    groups: dict[tuple[Any, ...], list[Host]] = {}
    for host in serving:
        groups.setdefault(_likeness(host), []).append(host)
    return tuple(
        HostClass(
            example=group[0],
            hosts=tuple(host.name for host in group),
            room=resources.room(group[0]),
            cost_per_hour=costs[group[0].name],
        )
        for _unused, group in sorted(groups.items())
    )


def build_problem(
    hosts: Sequence[Host],
    models: Sequence[Model],
    demands: Mapping[str, ModelDemand],
    running: Sequence[Replica],
    *,
    period_hours: float = 1.0,
    churn_hours: float = 0.03,
) -> Problem:
    """Arrays for the hosts, catalogue, demand and what runs now.

    Args:
        hosts: the stock.
        models: the catalogue.
        demands: what is planned for, an entry for each model.
        running: what runs on these hosts, of models in the catalogue.
        period_hours: how long the plan is for.
        churn_hours: hours of a replica's cost that a start is charged.
    """
    models = tuple(sorted(models, key=lambda model: model.name))
    classes = host_classes(hosts)
    pairs = _Pairs(models, classes, running)
    prices_of = [_model_prices(m, models, demands, pairs) for m in range(len(models))]
    cost = pairs.cost * period_hours
    start_price = pairs.cost * churn_hours
    ceilings = [demands[model.name].ceiling_replicas for model in models]
    ceiling = np.array([np.inf if value is None else value for value in ceilings], dtype=float)
    period_seconds = prices.SECONDS_PER_HOUR * period_hours
    slices = [(m, layer) for m, of_model in enumerate(prices_of) for layer in of_model.layers]
    return Problem(
        models=models,
        classes=classes,
        period_hours=period_hours,
        pair_model=pairs.model,
        pair_class=pairs.host_class,
        rate=pairs.rate,
        fits=pairs.fits,
        running=pairs.running,
        upper=np.minimum(pairs.upper, ceiling[pairs.model]) if len(pairs.model) else pairs.upper,
        cost=cost,
        start_price=start_price,
        leave_price=_leave_prices(pairs, prices_of, start_price, period_hours),
        need=pairs.need,
        host_count=np.array([len(one.hosts) for one in classes], dtype=float),
        room=np.array([one.room for one in classes], dtype=float).reshape(len(classes), len(resources.RESOURCES)),
        layer_model=np.array([m for m, _unused in slices], dtype=np.int64),
        layer_rate=np.array([layer.requests_per_second for _unused, layer in slices], dtype=float),
        layer_price=np.array([layer.price for _unused, layer in slices], dtype=float) * period_seconds,
        layer_cost=np.array([layer.cost for _unused, layer in slices], dtype=float) * period_seconds,
        floor=np.array([demands[model.name].floor_replicas for model in models], dtype=float),
        ceiling=ceiling,
        floor_price=np.array([one.floor_value for one in prices_of], dtype=float) * period_hours,
        spread=_spread_limits(models, classes, pairs, prices_of, period_hours),
    )


class _Pairs:
    """The admissible pairs and what is known of each, costs in currency/h."""

    def __init__(self, models: Sequence[Model], classes: Sequence[HostClass], running: Sequence[Replica]) -> None:
        class_of = {host: k for k, one in enumerate(classes) for host in one.hosts}
        counts = Counter((replica.model, class_of[replica.host]) for replica in running if replica.host in class_of)
        rows = []
        for m, model in enumerate(models):
            for k, one in enumerate(classes):
                fits = resources.replicas_per_host(model, one.example)
                runs = counts[(model.name, k)]
                if fits and (runs or not one.draining):
                    takes = resources.need(model, one.example.accelerator_type)
                    cost = one.cost_per_hour * resources.dominant_share(takes, one.room)
                    rate = model.capacity[one.example.accelerator_type].requests_per_second
                    most = runs if one.draining else fits * len(one.hosts)
                    rows.append((m, k, rate, fits, runs, most, cost, takes))
        columns = list(zip(*rows)) or [()] * 8
        self.model, self.host_class = (np.array(column, dtype=np.int64) for column in columns[:2])
        self.rate, self.fits, self.running, self.upper, self.cost = (
            np.array(column, dtype=float) for column in columns[2:7]
        )
        self.need = np.array(columns[7], dtype=float).reshape(len(rows), len(resources.RESOURCES))
        self.draining = np.array([classes[k].draining for k in self.host_class], dtype=bool)


@dataclass(frozen=True)
class _ModelPrices:
    """Currency/h: ``replica_cost`` of the dearest replica, ``floor_value`` of one below the minimum,
    ``replica_value`` of the demand that one replica serves at the least likely layer.
    """

    layers: list[prices.Layer]
    replica_value: float
    floor_value: float
    replica_cost: float


def _model_prices(m: int, models: Sequence[Model], demands: Mapping[str, ModelDemand], pairs: _Pairs) -> _ModelPrices:
    mine = pairs.model == m
    cost = float(pairs.cost[mine].max()) if mine.any() else 1.0
    per_request = float((pairs.cost[mine] / pairs.rate[mine]).max()) if mine.any() else 1.0
    weight = prices.relative_weight(models[m], models)
    ladder = prices.layers(
        models[m],
        demands[models[m].name].levels,
        weight=weight,
        cost_per_request=per_request / prices.SECONDS_PER_HOUR,
    )
    floor_value = value = prices.DOMINANCE * weight * cost
    if models[m].shortage_cost is not None and ladder and mine.any():
        least_rate = float(pairs.rate[mine].min())
        value = min(value, ladder[-1].price * least_rate * prices.SECONDS_PER_HOUR)
    return _ModelPrices(ladder, value, floor_value, cost)


def _leave_prices(pairs: _Pairs, prices_of: Sequence[_ModelPrices], start_price: Array, period_hours: float) -> Array:
    """What a replica on a draining host is charged: more than moving it, at most half of what it serves."""
    dearest = np.array([prices_of[m].replica_cost for m in pairs.model], dtype=float)
    value = np.array([prices_of[m].replica_value for m in pairs.model], dtype=float)
    moving = 2.0 * (dearest * period_hours + start_price)
    return np.where(pairs.draining, np.minimum(moving, 0.5 * value * period_hours), 0.0)


def _spread_limits(
    models: Sequence[Model],
    classes: Sequence[HostClass],
    pairs: _Pairs,
    prices_of: Sequence[_ModelPrices],
    period_hours: float,
) -> tuple[SpreadLimit, ...]:
    limits: list[SpreadLimit] = []
    for m, model in enumerate(models):
        price = min(prices.SPREAD_DOMINANCE * prices_of[m].replica_cost, 0.5 * prices_of[m].replica_value)
        mine = np.flatnonzero(pairs.model == m)
        for kind, share in sorted(model.spread.items()):
            domains = np.array([classes[k].domain(kind) for k in pairs.host_class[mine]])
            if share < 1.0:
                limits.extend(
                    SpreadLimit(m, kind, str(name), share, mine[domains == name], price * period_hours)
                    for name in sorted(set(domains.tolist()))
                )
    return tuple(limits)


def _likeness(host: Host) -> tuple[Any, ...]:
    return (
        host.accelerator_type,
        host.zone,
        host.region,
        resources.room(host),
        host.accelerator_memory_gib,
        host.cost_per_hour,
        host.state,
    )
