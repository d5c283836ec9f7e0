# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets, catalogues and checks that the allocation tests share."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.plan_document import (
    Inputs,
    Policy,
    plan_capacity,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import plan_digest
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.reservations import parse_reserved

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = Draft202012Validator(json.loads((ROOT / "docs/schemas/plan.schema.json").read_text(encoding="utf-8")))
NOW = 1_800_000_000.0
TYPES = {"h100-80gb": (8, 80.0, 24.0), "l40s-48gb": (4, 48.0, 6.0)}


def host(name: str, kind: str = "h100-80gb", **fields: Any) -> dict[str, Any]:
    count, memory, cost = TYPES.get(kind, (0, 0.0, 1.0))
    record = {
        "name": name,
        "zone": "a",
        "accelerator_type": kind,
        "accelerator_count": count,
        "accelerator_memory_gib": memory,
        "cost_per_hour": cost,
    }
    return {**record, **fields}


def model(
    accelerators: float = 1, *, h100: float | None = 6.0, l40s: float | None = None, **fields: Any
) -> dict[str, Any]:
    rates = {"h100-80gb": h100, "l40s-48gb": l40s}
    capacity = {
        kind: {"requests_per_second": rate, "service_time_seconds": 1.0} for kind, rate in rates.items() if rate
    }
    return {
        "version": "1",
        "resources": {"accelerators": accelerators},
        "capacity": capacity,
        "min_replicas": 0,
        **fields,
    }


def plan(
    hosts: list[dict[str, Any]],
    models: dict[str, Any],
    demand: dict[str, Any] | None = None,
    current: list[dict[str, Any]] | None = None,
    observed: dict[str, float] | None = None,
    reserved: dict[str, Any] | None = None,
    **policy: Any,
) -> dict[str, Any]:
    stock = parse_hosts(hosts)
    inputs = Inputs(
        hosts=stock,
        reserved=parse_reserved(reserved, stock),
        models=parse_models(models),
        current=parse_replicas(current or []),
        forecast=demand,
        observed=observed,
    )
    return plan_capacity(inputs, Policy(as_of=NOW, **policy), now=NOW).plan


def count(document: dict[str, Any], **wanted: Any) -> int:
    """Placements whose fields are as wanted."""
    return sum(all(one[key] == value for key, value in wanted.items()) for one in document["placements"])


def replica(host_name: str, slot: int, model_name: str, **fields: Any) -> dict[str, Any]:
    return {"host": host_name, "slot": slot, "model": model_name, "version": "1", **fields}


def check_document(document: dict[str, Any]) -> None:
    """The plan is of its schema, has its digest, and fits its hosts."""
    SCHEMA.validate(document)
    check_room(document)
    assert document["digest"] == plan_digest(document)
    assert "seconds" not in document["solver"]


def check_room(document: dict[str, Any]) -> None:
    """Nothing on a host is used beyond what the host has: counted anew from the placements alone."""
    models = document["models"]
    on_host = defaultdict(list)
    for one in document["placements"]:
        on_host[one["host"]].append(one)
    for record in document["hosts"]:
        placed = on_host[record["name"]]
        held_by_others = {i for own in document.get("reserved", {}).get(record["name"], {}).values() for i in own}
        assert len({one["slot"] for one in placed}) == len(placed)
        assert len({one["port"] for one in placed}) == len(placed)
        assert record["max_replicas"] is None or len(placed) <= record["max_replicas"]
        per_model = Counter(one["model"] for one in placed)
        share, memory = Counter(), Counter()
        for one in placed:
            needs = models[one["model"]]
            assert record["accelerator_type"] in needs["capacity"]
            limit = needs["max_replicas_per_host"]
            assert limit is None or per_model[one["model"]] <= limit
            if record["accelerator_type"] != "cpu":
                whole = max(1, int(needs["accelerators"])) if needs["accelerators"] else 0
                assert len(one["accelerators"]) == whole
                for index in one["accelerators"]:
                    assert 0 <= index < record["accelerator_count"]
                    assert index not in held_by_others
                    share[index] += min(1.0, needs["accelerators"])
                    memory[index] += needs["accelerator_memory_gib"] / whole
        assert all(used <= 1 + 1e-9 for used in share.values())
        if record["accelerator_memory_gib"]:
            assert all(used <= record["accelerator_memory_gib"] + 1e-9 for used in memory.values())
        for key in ("cpu_cores", "memory_gib"):
            if record[key]:
                assert sum(models[one["model"]][key] for one in placed) <= record[key] + 1e-9


@st.composite
def fleets(draw: st.DrawFn) -> list[dict[str, Any]]:
    states = st.sampled_from(["active", "active", "active", "draining", "maintenance"])
    return [
        host(
            f"h{i}",
            draw(st.sampled_from([*TYPES, "cpu"])),
            zone=draw(st.sampled_from("ab")),
            state=draw(states),
            reachable=draw(st.sampled_from([True, True, True, False])),
            cpu_cores=draw(st.sampled_from([0, 16, 64])),
            memory_gib=draw(st.sampled_from([0, 128])),
            max_replicas=draw(st.sampled_from([None, None, 3])),
        )
        for i in range(draw(st.integers(0, 6)))
    ]


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Any]:
    catalogue = {}
    for i in range(draw(st.integers(0, 3))):
        kinds = draw(st.lists(st.sampled_from([*TYPES, "cpu"]), min_size=1, max_size=3, unique=True))
        floor = draw(st.integers(0, 3))
        catalogue[f"m{i}"] = {
            "version": "1",
            "resources": {
                "accelerators": draw(st.sampled_from([0.25, 0.5, 1, 1, 2, 3, 4])),
                "accelerator_memory_gib": draw(st.sampled_from([0, 10, 30])),
                "cpu_cores": draw(st.sampled_from([0, 4, 9])),
                "memory_gib": draw(st.sampled_from([0, 50])),
            },
            "capacity": {kind: {"requests_per_second": draw(st.sampled_from([0.5, 2.0, 3.7]))} for kind in kinds},
            "min_replicas": floor,
            "max_replicas": draw(st.sampled_from([None, None, floor + 2])),
            "max_replicas_per_host": draw(st.sampled_from([None, None, 2])),
            "spread": draw(st.sampled_from([{}, {"zone": 0.6}])),
            "weight": draw(st.sampled_from([1.0, 3.0])),
            "shortage_cost": draw(st.sampled_from([None, None, 0.0, 0.02])),
        }
    return catalogue


@st.composite
def demands(draw: st.DrawFn, catalogue: dict[str, Any]) -> dict[str, Any]:
    rates = {}
    for name in catalogue:
        ladder = sorted(draw(st.lists(st.sampled_from([0.0, 0.3, 2.0, 7.5, 30.0]), min_size=3, max_size=3)))
        rates[name] = dict(zip(("0.5", "0.9", "0.95"), ladder))
    return rates
