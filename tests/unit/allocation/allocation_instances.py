# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets and catalogues of any size for tests of scale and for benchmarks, from a seed.

Five accelerator types in several zones; replicas take 1, 2, 4 or 8 accelerators; a model
serves on three to five types, faster on the dearer ones; demand is skewed (log-normal)
and scaled so that, served on the fleet's average, it would take ``load`` of its
accelerators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Model,
    parse_hosts,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import (
    ModelDemand,
    planned_demand,
)

# accelerators of a host, GiB of each, cost of the host per hour, relative speed of an accelerator, share of the fleet
TYPES = {
    "h200-141gb": (8, 141.0, 32.0, 4.6, 0.10),
    "h100-80gb": (8, 80.0, 24.0, 4.0, 0.25),
    "a100-80gb": (8, 80.0, 14.0, 2.0, 0.25),
    "l40s-48gb": (4, 48.0, 4.0, 1.0, 0.20),
    "l4-24gb": (4, 24.0, 1.6, 0.35, 0.20),
}
LADDER = {"0.5": 0.8, "0.9": 0.95, "0.95": 1.0}


@dataclass(frozen=True)
class Instance:
    """What ``allocate`` is given; ``rates`` is the demand at the highest level, requests/s."""

    hosts: list[Host]
    models: list[Model]
    rates: dict[str, float]

    def demands(self, factor: float = 1.0) -> dict[str, ModelDemand]:
        asked = {
            name: {level: factor * share * rate for level, share in LADDER.items()} for name, rate in self.rates.items()
        }
        return planned_demand(self.models, asked, None, [])[0]


def instance(
    hosts: int, models: int, *, zones: int = 3, load: float = 0.7, affinity: float = 0.15, seed: int = 1, **fields: Any
) -> Instance:
    """A fleet with its models and demand.

    Args:
        hosts, models, zones: how many.
        load: share of the accelerators that the demand takes on average.
        affinity: how much models differ in what a type does for them, the deviation of its logarithm. In the example
            of Melange, requests/s a dollar differ between two types by factors of 2.2 to 5.5, which is about 0.4.
        seed: of all random numbers.
        fields: go into every model's record (``spread``, ``min_replicas`` ...).
    """
    rng = np.random.default_rng(seed)
    names, shares = list(TYPES), [TYPES[name][4] for name in TYPES]
    kinds = np.repeat(names, np.diff(np.round(np.cumsum([0.0, *shares]) * hosts).astype(int)))
    stock = parse_hosts(
        {
            "name": f"host-{i:05d}",
            "zone": f"zone-{i % zones}",
            "accelerator_type": str(kind),
            "accelerator_count": TYPES[kind][0],
            "accelerator_memory_gib": TYPES[kind][1],
            "cost_per_hour": TYPES[kind][2],
        }
        for i, kind in enumerate(kinds)
    )
    return _with_models(stock, models, load, affinity, rng, fields)


def _with_models(
    stock: list[Host], models: int, load: float, affinity: float, rng: Any, fields: dict[str, Any]
) -> Instance:
    accelerators = sum(host.accelerator_count for host in stock)
    sizes = rng.choice([1, 2, 4, 8], models, p=[0.5, 0.25, 0.15, 0.1])
    base = rng.lognormal(0.0, 0.5, models)
    wanted = rng.lognormal(0.0, 1.0, models)
    wanted *= load * accelerators / wanted.sum()  # accelerators of average speed
    speed = sum(TYPES[host.accelerator_type][0] * TYPES[host.accelerator_type][3] for host in stock) / accelerators
    catalogue, rates = {}, {}
    for m in range(models):
        chosen = sorted(rng.choice(list(TYPES), rng.integers(3, 6), replace=False))
        noise = rng.lognormal(0.0, affinity, len(chosen))
        capacity = {
            kind: {"requests_per_second": float(base[m] * sizes[m] * TYPES[kind][3] * noise[i])}
            for i, kind in enumerate(chosen)
            if sizes[m] <= TYPES[kind][0]
        }
        if not capacity:
            capacity = {"h100-80gb": {"requests_per_second": float(base[m] * sizes[m] * 4.0)}}
        name = f"model-{m:05d}"
        catalogue[name] = {"resources": {"accelerators": int(sizes[m])}, "capacity": capacity, **fields}
        rates[name] = float(base[m] * wanted[m] * speed)
    return Instance(stock, parse_models(catalogue), rates)
