# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small fleets for the planning tests, and random ones."""

from __future__ import annotations

import random
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Capacity,
    Host,
    Model,
    Replica,
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import (
    fleet_fingerprint,
    seal,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.waves import order_waves

TYPES = ("h100-80gb", "l40s-48gb")


def host(name: str, accelerators: int = 1, **fields: Any) -> Host:
    fields = {"accelerator_type": "h100-80gb", "accelerator_memory_gib": 80.0, "cpu_cores": 64.0, **fields}
    return Host(name=name, accelerator_count=accelerators, memory_gib=512.0, **fields)


def model(name: str, rate: float = 2.0, **fields: Any) -> Model:
    fields = {"accelerators": 1.0, "accelerator_memory_gib": 20.0, "cpu_cores": 4.0, "memory_gib": 16.0, **fields}
    return Model(name=name, version="1", capacity={kind: Capacity(rate, 1.0) for kind in TYPES}, **fields)


def replica(name: str, slot: int, of: str, version: str = "1", accelerators: tuple[int, ...] | None = None) -> Replica:
    return Replica(name, slot, of, version, 8100 + slot, (slot,) if accelerators is None else accelerators)


CATALOGUE: dict[str, Any] = {
    "chat": {
        "engine": "vllm",
        "version": "2026.11.1",
        "resources": {"accelerators": 1, "accelerator_memory_gib": 22, "cpu_cores": 4, "memory_gib": 32},
        "capacity": {"h100-80gb": {"requests_per_second": 6.5, "service_time_seconds": 1.2}},
    },
    "code": {
        "engine": "vllm",
        "version": "7",
        "resources": {"accelerators": 1, "accelerator_memory_gib": 40},
        "capacity": {"h100-80gb": {"requests_per_second": 2.5}},
    },
}
FLEET: list[dict[str, Any]] = [
    {
        "name": name,
        "zone": name[4],
        "accelerator_type": "h100-80gb",
        "accelerator_count": 2,
        "accelerator_memory_gib": 80,
        "cpu_cores": 64,
        "memory_gib": 512,
        "cost_per_hour": 6.5,
    }
    for name in ("gpu-a1", "gpu-b1")
]
RUNNING: list[dict[str, Any]] = [
    {"host": "gpu-a1", "slot": 0, "model": "chat", "version": "2026.10.1", "port": 8100, "accelerators": [0]},
    {"host": "gpu-a1", "slot": 1, "model": "code", "version": "7", "port": 8101, "accelerators": [1]},
]


def sealed_plan(**fields: Any) -> dict[str, Any]:
    """A small plan as capacity_plan writes it: chat moves to the other host, code stays."""
    hosts, models, running = parse_hosts(FLEET), parse_models(CATALOGUE), parse_replicas(RUNNING)
    target = [running[1], Replica("gpu-b1", 0, "chat", "2026.11.1", 8100, (0,))]
    waves = order_waves(running, target, hosts, models)
    wave_of = {(one["host"], one["slot"]): one["wave"] for one in waves.actions if one["action"] != "stop"}
    return seal(
        {
            "created_at": "2026-11-23T18:00:00Z",
            "generator": "modelops.datacenter 0.1.0",
            "fleet_fingerprint": fleet_fingerprint(hosts, models),
            "demand": {
                "chat": {
                    "levels": {"0.5": 4.0, "0.95": 6.25},
                    "observed": 3.5,
                    "source": "forecast",
                    "floor_replicas": 1,
                    "reason": "forecast: 6.25 requests/s at quantile 0.95",
                }
            },
            "placements": [{**one.as_record(), "wave": wave_of[(one.host, one.slot)]} for one in target],
            "actions": waves.actions,
            "waves": waves.waves,
            "moves": waves.moves,
            "shortages": [
                {
                    "model": "code",
                    "requests_per_second": 1.5,
                    "replicas": 1,
                    "cost_per_hour": 2.25,
                    "reason": "no free accelerator",
                }
            ],
            "violations": [],
            "cost_per_hour": 13.0,
            "hosts": [one.as_record() for one in hosts],
            "models": {one.name: one.as_record() for one in models},
            "warnings": [],
            **fields,
        }
    )


def random_fleet(rng: random.Random) -> tuple[list[Host], list[Model]]:
    """Two accelerator types and CPU hosts, some not serving; whole, multiple, shared and CPU-only models."""
    hosts = []
    for number in range(rng.randint(1, 6)):
        kind = rng.choice([*TYPES, TYPES[0], "cpu"])
        count = 0 if kind == "cpu" else rng.choice([1, 2, 4])
        state = rng.choice(["active"] * 8 + ["draining", "maintenance"])
        hosts.append(
            Host(
                name=f"h{number}",
                accelerator_type=kind,
                accelerator_count=count,
                accelerator_memory_gib=80.0 if count else 0.0,
                cpu_cores=rng.choice([0.0, 16.0, 32.0]),
                memory_gib=rng.choice([64.0, 128.0]),
                state=state,
                reachable=rng.random() > 0.05,
                max_replicas=rng.choice([None, None, 3]),
            )
        )
    models = []
    for number in range(rng.randint(1, 4)):
        accelerators = rng.choice([0.5, 1.0, 1.0, 1.0, 2.0])
        models.append(
            Model(
                name=f"m{number}",
                version="1",
                accelerators=accelerators,
                accelerator_memory_gib=rng.choice([10.0, 30.0]) * max(1.0, accelerators),
                cpu_cores=rng.choice([1.0, 6.0]),
                memory_gib=rng.choice([4.0, 30.0]),
                capacity={kind: Capacity(rng.choice([1.0, 2.5, 7.0]), 1.0) for kind in (*TYPES, "cpu")},
            )
        )
    return hosts, models


def random_placement(
    rng: random.Random, hosts: list[Host], models: list[Model], kept: list[Replica], versions: tuple[str, ...]
) -> list[Replica]:
    """A placement that fits: ``kept`` and as many random replicas as find room."""
    placed = list(kept)
    for _unused in range(rng.randint(0, 14)):
        one, what = rng.choice(hosts), rng.choice(models)
        here = [each for each in placed if each.host == one.name]
        slot = next(number for number in range(99) if number not in {each.slot for each in here})
        indexes = _free_indexes(rng, one, what, here, models)
        if indexes is None or not _fits(one, what, here, models):
            continue
        placed.append(Replica(one.name, slot, what.name, rng.choice(versions), one.base_port + slot, indexes))
    return sorted(placed)


def share_of(what: Model) -> float:
    return what.accelerators if what.accelerators < 1 else 1.0


def _free_indexes(
    rng: random.Random, one: Host, what: Model, here: list[Replica], models: list[Model]
) -> tuple[int, ...] | None:
    if one.accelerator_type == "cpu":
        return ()
    by_name = {each.name: each for each in models}
    used = [0.0] * one.accelerator_count
    memory = [0.0] * one.accelerator_count
    for each in here:
        for index in each.accelerators:
            used[index] += share_of(by_name[each.model])
            memory[index] += by_name[each.model].accelerator_memory_gib / len(each.accelerators)
    number = max(1, int(what.accelerators))
    per_accelerator = what.accelerator_memory_gib / number
    free = [
        index
        for index in range(one.accelerator_count)
        if used[index] + share_of(what) <= 1 + 1e-9 and memory[index] + per_accelerator <= one.accelerator_memory_gib
    ]
    return tuple(sorted(rng.sample(free, number))) if len(free) >= number else None


def _fits(one: Host, what: Model, here: list[Replica], models: list[Model]) -> bool:
    by_name = {each.name: each for each in models}
    cores = sum(by_name[each.model].cpu_cores for each in here) + what.cpu_cores
    memory = sum(by_name[each.model].memory_gib for each in here) + what.memory_gib
    return (
        (not one.cpu_cores or cores <= one.cpu_cores)
        and memory <= one.memory_gib
        and (one.max_replicas is None or len(here) < one.max_replicas)
    )
