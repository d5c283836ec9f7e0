# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared accelerators: how much of the openb cluster is allocated at 130 % demand.

    .venv/bin/python tests/benchmarks/allocation/packing.py [--seeds 3]

1,213 GPU nodes and the default pod list of the openb trace (alibaba/clusterdata). Pods are
drawn from the list until they ask for 130 % of all GPUs, as published packing studies do;
pods of one shape are one model. Ours plans whole host fillings (method columns). The greedy
peers know all pods and take them largest first, on single GPUs for shares:

least allocated, most allocated   Kubernetes' two scores, over GPUs and processors
best fit                          the node with the least dominant share left
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
from collections import Counter
from typing import Any

import common

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import Settings, allocate
from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.room_states import RoomStates
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Model,
    parse_hosts,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.demand import planned_demand

FOLDER = common.DATA / "alloc" / "openb"
DEMAND = 1.3


def rows_of(name: str) -> list[dict[str, str]]:
    with gzip.open(FOLDER / name, "rt") as stream:
        return list(csv.DictReader(stream))


def nodes() -> list[Host]:
    return parse_hosts(
        {
            "name": one["sn"],
            "accelerator_type": one["model"],
            "accelerator_count": int(one["gpu"]),
            "cpu_cores": int(one["cpu_milli"]) / 1000,
            "memory_gib": int(one["memory_mib"]) / 1024,
            "cost_per_hour": 1.0,
        }
        for one in rows_of("openb_node_list_gpu_node.csv.gz")
    )


def gpus(pod: dict[str, str]) -> float:
    count = int(pod["num_gpu"])
    return int(pod["gpu_milli"]) / 1000 if count == 1 else float(count)


def pods(hosts: list[Host], seed: int) -> tuple[list[Model], dict[str, int]]:
    """Shapes as models, and how many of each are asked for."""
    rng, pool = random.Random(seed), rows_of("openb_pod_list_default.csv.gz")
    total, asked, shapes = DEMAND * sum(host.accelerator_count for host in hosts), 0.0, Counter()
    while asked < total:
        pod = rng.choice(pool)
        shapes[(int(pod["cpu_milli"]) / 1000, int(pod["memory_mib"]) / 1024, gpus(pod))] += 1
        asked += gpus(pod)
    capacity = {kind: {"requests_per_second": 1.0} for kind in {host.accelerator_type for host in hosts}}
    catalogue, counts = {}, {}
    for number, ((cores, memory, accelerators), count) in enumerate(sorted(shapes.items())):
        name = f"shape-{number:04d}"
        needs = {"accelerators": accelerators, "cpu_cores": cores, "memory_gib": memory}
        # A pod is worth its GPUs; one without any is worth a little, for its processors.
        price = 0.01 * accelerators + 1e-5 * cores
        catalogue[name] = {"resources": needs, "capacity": capacity, "min_replicas": 0, "shortage_cost": price}
        counts[name] = count
    return parse_models(catalogue), counts


def greedy(hosts: list[Host], models: list[Model], counts: dict[str, int], rule: str) -> float:
    """GPUs allocated."""
    states = RoomStates()
    of_host = Counter(states.empty(host) for host in hosts)  # nodes in one state are one choice
    allocated = 0.0
    for model in sorted(models, key=lambda one: (-one.accelerators, -one.cpu_cores, one.name)):
        for _unused in range(counts[model.name]):
            able = [state for state, number in of_host.items() if number and states.can_take(state, model)]
            if not able:
                break
            if rule == "best fit":
                chosen = min(able, key=lambda state: (states.left_after(state, model), state))
            else:
                sign = 1 if rule == "least allocated" else -1
                chosen = min(able, key=lambda state: (sign * states.room(state).used, state))
            of_host[chosen] -= 1
            of_host[states.take(chosen, model, states.choose(chosen, model))] += 1
            allocated += model.accelerators
    return allocated


def one_seed(hosts: list[Host], seed: int) -> list[dict[str, Any]]:
    models, counts = pods(hosts, seed)
    total = sum(host.accelerator_count for host in hosts)
    demands = planned_demand(models, {name: {"1.0": float(count)} for name, count in counts.items()}, None, [])[0]
    size = {model.name: model.accelerators for model in models}
    rows: list[dict[str, Any]] = []

    def add(name: str, call: Any) -> None:
        seconds, allocated = common.cpu(call)
        rows.append(
            {
                "seed": seed,
                "way": name,
                "gpus_allocated": round(allocated / total, 5),
                "idle_gpus": round(total - allocated, 1),
                "cpu_seconds": round(seconds, 1),
            }
        )

    def ours(method: str) -> float:
        chosen = Settings(method=method, time_limit_seconds=40)
        found = allocate(hosts, models, demands, [], chosen)
        return sum(size[replica.model] for replica in found.assignment.replicas)

    for method in ("columns", "box"):
        add(f"ours, {method}", lambda method=method: ours(method))
    for rule in ("least allocated", "most allocated", "best fit"):
        add(rule, lambda rule=rule: greedy(hosts, models, counts, rule))
    best = min(row["idle_gpus"] for row in rows[2:])
    for row in rows[:2]:
        row["idle_over_best_greedy"] = round(row["idle_gpus"] / best, 3)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    common.warm_up()
    hosts = nodes()
    rows = [row for seed in range(1, options.seeds + 1) for row in one_seed(hosts, seed)]
    common.write(__file__, rows, demand=DEMAND)


if __name__ == "__main__":
    main()
