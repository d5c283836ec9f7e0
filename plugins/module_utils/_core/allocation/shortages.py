# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the plan could not do, in words: what is short, by how much, why, and what would help."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation import resources
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.alike_hosts import Stock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Allocation
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand

NEGLIGIBLE_REPLICAS = 0.005  # of the rate of one replica: not worth one, nor a line
MAX_TYPES = 4


def shortages(
    allocation: Allocation, hosts: Sequence[Host], demands: Mapping[str, ModelDemand]
) -> list[dict[str, Any]]:
    """One record a model that is short of its demand at the highest level, dearest first.

    ``cost_per_hour`` is the expected price of what is not served, ``replicas`` how many more
    would serve it.
    """
    problem, worth = allocation.problem, allocation.worth
    stock = Stock(allocation, hosts)
    records = []
    for m, model in enumerate(problem.models):
        missing = float(worth.missing_rate[m])
        rate = _best_rate(allocation, m)
        if missing <= NEGLIGIBLE_REPLICAS * rate:
            continue
        layers = problem.layer_model == m
        price = float(problem.layer_cost[layers] @ worth.missing[layers]) / problem.period_hours
        replicas = math.ceil(missing / rate - NEGLIGIBLE_REPLICAS)
        why = _why(allocation, model, stock, demands[model.name], replicas)
        records.append(
            {
                "model": model.name,
                "requests_per_second": round(missing, 6),
                "replicas": replicas,
                "cost_per_hour": round(price, 4),
                "reason": f"{model.name} is {missing:.4g} requests/s short: {why}",
            }
        )
    return sorted(records, key=lambda one: (-one["cost_per_hour"], one["model"]))


def violations(
    allocation: Allocation, hosts: Sequence[Host], demands: Mapping[str, ModelDemand]
) -> list[dict[str, Any]]:
    """One record a policy limit that gave way: the least number of replicas, the spread over zones or regions."""
    return _below_floor(allocation, hosts, demands) + _beyond_spread(allocation, hosts)


def _below_floor(
    allocation: Allocation, hosts: Sequence[Host], demands: Mapping[str, ModelDemand]
) -> list[dict[str, Any]]:
    stock = Stock(allocation, hosts)
    records = []
    for model, below in zip(allocation.problem.models, allocation.worth.below.tolist()):
        if below > 0:
            floor = demands[model.name].floor_replicas
            why = _why(allocation, model, stock, demands[model.name], int(below))
            records.append(
                {
                    "limit": "min_replicas" if floor <= model.min_replicas else "replicas held",
                    "model": model.name,
                    "amount": int(below),
                    "reason": f"{model.name} has {stock.replicas[model.name]} of at least {floor} replicas: {why}",
                }
            )
    return records


def _beyond_spread(allocation: Allocation, hosts: Sequence[Host]) -> list[dict[str, Any]]:
    stock = Stock(allocation, hosts)
    records = []
    for limit, beyond in zip(allocation.problem.spread, allocation.worth.beyond.tolist()):
        if beyond > resources.TOLERANCE:
            name = allocation.problem.models[limit.model].name
            inside, count = stock.inside[(name, limit.kind, limit.domain)], stock.replicas[name]
            records.append(
                {
                    "limit": f"spread.{limit.kind}",
                    "model": name,
                    "amount": round(beyond, 6),
                    "reason": f"{inside} of {count} replicas of {name} are in {limit.kind} {limit.domain}, more than"
                    f" {limit.share:.0%} and one: hosts elsewhere have no room for it, or demand would go unserved",
                }
            )
    return records


def _why(allocation: Allocation, model: Model, stock: Stock, demand: ModelDemand, replicas: int) -> str:
    types = _listed(sorted(model.capacity))
    of_type = [alike for alike in stock.alike if alike.example.accelerator_type in model.capacity]
    if not of_type:
        return f"the fleet has no host of a type it can run on ({types})"
    fitting = [alike for alike in of_type if resources.replicas_per_host(model, alike.example) > 0]
    if not fitting:
        examples = [alike.example for alike in of_type]
        return f"a replica is too large for every host of a type it can run on ({types}): {_too_large(model, examples)}"
    able = [alike for alike in fitting if alike.example.takes_new_replicas]
    if not able:
        return f"all hosts it can run on are {_listed(sorted({_state(alike.example) for alike in fitting}))}"
    runs = stock.replicas[model.name]
    if demand.ceiling_replicas is not None and runs >= demand.ceiling_replicas:
        return f"max_replicas ({demand.ceiling_replicas}) is reached; {replicas} more would remove it"
    roomy = [alike for alike in able if alike.can_take(model)]
    if roomy:
        if model.shortage_cost is not None:
            return f"another replica costs more than the shortage_cost of {model.shortage_cost:g} a request justifies"
        limits = stock.full_domains(model, roomy)
        if limits:
            return f"hosts with room are in {_listed(limits)}, where its spread allows no more"
        return "what is short is worth less than the limits or changes that serving it would take"
    lacking: Counter[str] = Counter()
    for alike in able:
        lacking.update(alike.lacking(model))
    what = min(lacking, key=lambda text: (-lacking[text], text))
    examples = [alike.example for alike in able]
    return f"no host of a type it can run on ({types}) has {what}; {_remedy(model, examples, replicas)}"


def _remedy(model: Model, hosts: Sequence[Host], replicas: int) -> str:
    """The fewest more hosts of a kind the fleet has that would hold ``replicas``."""

    def more(host: Host) -> int:
        return math.ceil(replicas / resources.replicas_per_host(model, host))

    best = min(hosts, key=lambda host: (more(host), host.cost_per_hour, host.name))
    count = more(best)
    hosts_text = (
        f"one more {best.accelerator_type} host" if count == 1 else f"{count} more {best.accelerator_type} hosts"
    )
    return f"{hosts_text} like {best.name} would remove it"


def _too_large(model: Model, hosts: Sequence[Host]) -> str:
    host = min(hosts, key=lambda one: one.name)
    takes, offers = resources.need(model, host.accelerator_type), resources.room(host)
    for name, taken, offered in zip(resources.RESOURCES, takes, offers):
        if taken > offered:
            return f"it needs {taken:g} {name}, {host.name} has {offered:g}"
    return f"its accelerator memory per accelerator exceeds that of {host.name} ({host.accelerator_memory_gib:g} GiB)"


def _best_rate(allocation: Allocation, m: int) -> float:
    """Requests/s of a replica on the best class the fleet has, or else of the best type in the catalogue."""
    here = allocation.problem.rate[allocation.problem.pair_model == m]
    anywhere = max(one.requests_per_second for one in allocation.problem.models[m].capacity.values())
    return float(here.max()) if len(here) else anywhere


def _state(host: Host) -> str:
    if not host.reachable:
        return "not answering"
    return "in maintenance" if host.state == "maintenance" else host.state


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_TYPES])
    return shown if len(names) <= MAX_TYPES else f"{shown} and {len(names) - MAX_TYPES} more"
