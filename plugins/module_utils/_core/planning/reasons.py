# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Why each model gets what it gets: how many replicas, on what, for which demand, and which limit decides.

A limit binds when the replicas planned are as many as it allows, or asks for, and demand
alone would have another number: one replica less would do for demand (then a lower limit
binds), or what is planned does not do (then an upper limit binds).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import ModelDemand
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.serving import replica_capacity

TOLERANCE = 1e-9


def model_reasons(
    target: Sequence[Replica], hosts: Sequence[Host], models: Sequence[Model], demands: Mapping[str, ModelDemand]
) -> list[str]:
    """One line a model, in the order of ``demands``.

    Args:
        target: the replicas planned.
        hosts: the stock.
        models: the catalogue.
        demands: what is planned for, by model.
    """
    by_name, catalogue = {host.name: host for host in hosts}, {model.name: model for model in models}
    planned: dict[str, list[Replica]] = defaultdict(list)
    for replica in target:
        planned[replica.model].append(replica)
    lines = []
    for name, demand in demands.items():
        types = Counter(by_name[replica.host].accelerator_type for replica in planned[name])
        where = ", ".join(f"{types[one]} on {one}" for one in sorted(types)) or "none"
        level, rate = demand.levels[-1]
        rates = [replica_capacity(replica, by_name, catalogue) for replica in planned[name]]
        limits = _binding_limits(catalogue[name], planned[name], by_name, rates, demand)
        lines.append(
            "; ".join(
                [f"{name}: replicas {where}, for {rate:.4g} requests/s at level {level:g}", *limits, demand.reason]
            )
        )
    return lines


def _binding_limits(
    model: Model, replicas: Sequence[Replica], hosts: Mapping[str, Host], rates: Sequence[float], demand: ModelDemand
) -> list[str]:
    """The limits that decide how many replicas there are, in words."""
    count, wanted, served = len(replicas), demand.levels[-1][1], sum(rates)
    limits = []
    if count and count == demand.floor_replicas and served - min(rates) >= wanted * (1 - TOLERANCE):
        name = "min_replicas" if count == model.min_replicas else "what is held"
        limits.append(f"{name} ({count}) decides, demand needs fewer")
    if served < wanted * (1 - TOLERANCE):
        if model.max_replicas is not None and count >= model.max_replicas:
            limits.append(f"max_replicas ({model.max_replicas}) decides, demand needs more")
        for domain, share in sorted(model.spread.items()):
            full = _full_domains(domain, share, replicas, hosts)
            if full:
                limits.append(f"spread.{domain} ({share:g}) allows no more in {', '.join(full)}")
    return limits


def _full_domains(domain: str, share: float, replicas: Sequence[Replica], hosts: Mapping[str, Host]) -> list[str]:
    """Zones or regions that hold as many replicas as the share allows: at most share x count + 1."""
    placed = Counter(str(getattr(hosts[replica.host], domain)) for replica in replicas)
    return sorted(name for name, number in placed.items() if number + 1 > share * (len(replicas) + 1) + 1 + TOLERANCE)
