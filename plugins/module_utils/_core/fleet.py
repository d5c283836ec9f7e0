# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the fleet is made of: hosts, models and the replicas that run.

Records arrive as plain mappings (inventory variables, JSON files). Here they are
checked once and become frozen dataclasses; nothing behind this file looks at raw
records again. A host variable's ``modelops_`` prefix is optional in a record.

Units: requests/s, seconds, GiB, currency per hour; an accelerator share of 0.5
is half of one accelerator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

HOST_STATES = ("active", "draining", "maintenance")
ENGINES = ("vllm", "sglang", "tgi", "triton", "llama_cpp", "command")
DEFAULT_BASE_PORT = 8100
DEFAULT_STARTUP_SECONDS = 300.0


@dataclass(frozen=True)
class Host:
    """One machine of the stock.

    ``state``: ``active`` takes replicas; ``draining`` keeps what runs but takes
    nothing new and is emptied when there is room elsewhere; ``maintenance`` runs nothing.
    ``reachable`` is False when the host did not answer while facts were gathered.
    """

    name: str
    zone: str = "default"
    region: str = "default"
    accelerator_type: str = "cpu"
    accelerator_count: int = 0
    accelerator_memory_gib: float = 0.0
    accelerator_uuids: tuple[str, ...] = ()
    cpu_cores: float = 0.0
    memory_gib: float = 0.0
    cost_per_hour: float = 0.0
    state: str = "active"
    reachable: bool = True
    base_port: int = DEFAULT_BASE_PORT
    max_replicas: int | None = None

    @property
    def takes_new_replicas(self) -> bool:
        return self.state == "active" and self.reachable


@dataclass(frozen=True)
class Capacity:
    """What one replica sustains inside its SLO on one accelerator type."""

    requests_per_second: float
    service_time_seconds: float


@dataclass(frozen=True)
class Model:
    """One served model: what a replica needs, what it gives, what a shortage costs.

    ``capacity`` maps accelerator type to :class:`Capacity`; a type that is absent
    cannot serve the model. ``spread`` maps ``zone`` or ``region`` to the largest
    share (0, 1] of the replicas that may be in one of them.
    """

    name: str
    engine: str = "command"
    version: str = "0"
    accelerators: float = 0.0
    accelerator_memory_gib: float = 0.0
    cpu_cores: float = 0.0
    memory_gib: float = 0.0
    capacity: Mapping[str, Capacity] = field(default_factory=dict)
    min_replicas: int = 1
    max_replicas: int | None = None
    max_replicas_per_host: int | None = None
    weight: float = 1.0
    shortage_cost: float | None = None
    spread: Mapping[str, float] = field(default_factory=dict)
    startup_seconds: float = DEFAULT_STARTUP_SECONDS
    latency_slo_seconds: float | None = None


@dataclass(frozen=True, order=True)
class Replica:
    """One replica on one host. ``slot`` is unique on its host; the port is the host's base port plus the slot."""

    host: str
    slot: int
    model: str
    version: str
    port: int = 0
    accelerators: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What makes two records the same running replica."""
        return (self.host, self.slot, self.model, self.version)

    def as_record(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "slot": self.slot,
            "model": self.model,
            "version": self.version,
            "port": self.port,
            "accelerators": list(self.accelerators),
        }


def parse_hosts(records: Any) -> list[Host]:
    """Hosts from records, sorted by name.

    Args:
        records: a list of mappings; ``name`` (or ``host``) is required.

    Raises:
        InputError: not a list, a name missing or twice, a value out of range.
    """
    if isinstance(records, Mapping) or isinstance(records, (str, bytes)) or not isinstance(records, Iterable):
        raise InputError("hosts must be a list of host records", remedy="Give a list of mappings with a name each")
    hosts = sorted((_parse_host(record, row) for row, record in enumerate(records)), key=lambda host: host.name)
    for first, second in zip(hosts, hosts[1:]):
        if first.name == second.name:
            raise InputError("the host is listed twice", where=f"host {first.name}", remedy="Remove one of the records")
    return hosts


def parse_models(records: Any) -> list[Model]:
    """Models from the catalogue (``modelops_models``), sorted by name.

    Raises:
        InputError: not a mapping, an unknown engine, a value out of range.
    """
    catalogue = expect_mapping(records, what="catalogue of models (modelops_models)")
    return [_parse_model(str(name), catalogue[name]) for name in sorted(catalogue, key=str)]


def parse_replicas(records: Any, *, what: str = "current") -> list[Replica]:
    """Running or planned replicas from records, sorted by host and slot.

    Raises:
        InputError: a record without host, model or slot; a slot used twice on a host.
    """
    if records is None:
        return []
    if isinstance(records, Mapping) or isinstance(records, (str, bytes)):
        raise InputError(f"{what} must be a list of replicas")
    replicas = []
    for row, record in enumerate(records):
        where = f"{what}[{row}]"
        fields = expect_mapping(record, what="replica", where=where)
        for key in ("host", "model", "slot"):
            if key not in fields:
                raise InputError(f"a replica record has no {key}", where=where)
        replicas.append(
            Replica(
                host=str(fields["host"]),
                slot=int(expect_number(fields["slot"], what="slot", where=where, minimum=0)),
                model=str(fields["model"]),
                version=str(fields.get("version", "0")),
                port=int(expect_number(fields.get("port", 0), what="port", where=where, minimum=0, maximum=65535)),
                accelerators=tuple(int(index) for index in fields.get("accelerators") or ()),
            )
        )
    replicas.sort()
    for first, second in zip(replicas, replicas[1:]):
        if (first.host, first.slot) == (second.host, second.slot):
            raise InputError(
                f"slot {first.slot} is used twice", where=f"{what}, host {first.host}", remedy="Each replica has its own slot"
            )
    return replicas


def _parse_host(record: Any, row: int) -> Host:
    fields = {
        str(key)[len("modelops_"):] if str(key).startswith("modelops_") else str(key): value
        for key, value in expect_mapping(record, what="host", where=f"hosts[{row}]").items()
    }
    name = str(fields.get("name") or fields.get("host") or "")
    if not name:
        raise InputError("a host record has no name", where=f"hosts[{row}]")
    where = f"host {name}"

    def number(key: str, default: float = 0.0) -> float:
        value = fields.get(key)
        return default if value is None else expect_number(value, what=key, where=where, minimum=0)

    state = str(fields.get("state") or "active")
    if state not in HOST_STATES:
        raise InputError(f"state must be one of {', '.join(HOST_STATES)}, not {state!r}", where=where)
    count = number("accelerator_count")
    if count != int(count):
        raise InputError(f"accelerator_count must be a whole number, not {count:g}", where=where)
    return Host(
        name=name,
        zone=str(fields.get("zone") or "default"),
        region=str(fields.get("region") or "default"),
        accelerator_type=str(fields.get("accelerator_type") or "cpu"),
        accelerator_count=int(count),
        accelerator_memory_gib=number("accelerator_memory_gib"),
        accelerator_uuids=tuple(str(uuid) for uuid in fields.get("accelerator_uuids") or ()),
        cpu_cores=number("cpu_cores"),
        memory_gib=number("memory_gib"),
        cost_per_hour=number("cost_per_hour"),
        state=state,
        reachable=bool(fields.get("reachable", True)),
        base_port=int(number("base_port", DEFAULT_BASE_PORT)),
        max_replicas=None if fields.get("max_replicas") is None else int(number("max_replicas")),
    )


def _parse_model(name: str, record: Any) -> Model:
    where = f"model {name}"
    fields = expect_mapping(record, what="model", where=where)
    resources = expect_mapping(fields.get("resources") or {}, what="resources", where=where)
    slo = expect_mapping(fields.get("slo") or {}, what="slo", where=where)
    spread = expect_mapping(fields.get("spread") or {}, what="spread", where=where)

    def number(source: Mapping[str, Any], key: str, default: float = 0.0) -> float:
        value = source.get(key)
        return default if value is None else expect_number(value, what=key, where=where, minimum=0)

    def optional(source: Mapping[str, Any], key: str) -> float | None:
        return None if source.get(key) is None else number(source, key)

    def optional_count(key: str) -> int | None:
        value = optional(fields, key)
        return None if value is None else int(value)

    engine = str(fields.get("engine") or "command")
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}", where=where)
    for domain, share in spread.items():
        if domain not in ("zone", "region"):
            raise InputError(f"spread is over zone or region, not {domain!r}", where=where)
        expect_number(share, what=f"spread.{domain}", where=where, minimum=1e-9, maximum=1)
    minimum = int(number(fields, "min_replicas", 1))
    maximum = optional_count("max_replicas")
    if maximum is not None and maximum < minimum:
        raise InputError(
            f"max_replicas ({maximum}) is below min_replicas ({minimum})", where=where, remedy="Raise one or lower the other"
        )
    return Model(
        name=name,
        engine=engine,
        version=str(fields.get("version", "0")),
        accelerators=number(resources, "accelerators"),
        accelerator_memory_gib=number(resources, "accelerator_memory_gib"),
        cpu_cores=number(resources, "cpu_cores"),
        memory_gib=number(resources, "memory_gib"),
        capacity=_parse_capacity(fields.get("capacity"), where),
        min_replicas=minimum,
        max_replicas=maximum,
        max_replicas_per_host=optional_count("max_replicas_per_host"),
        weight=number(fields, "weight", 1.0),
        shortage_cost=optional(fields, "shortage_cost"),
        spread={str(domain): float(share) for domain, share in sorted(spread.items())},
        startup_seconds=number(fields, "startup_seconds", DEFAULT_STARTUP_SECONDS),
        latency_slo_seconds=optional(slo, "latency_seconds"),
    )


def _parse_capacity(record: Any, where: str) -> dict[str, Capacity]:
    if not record:
        raise InputError(
            "the model has no capacity",
            where=where,
            remedy="Say what one replica sustains, for example capacity: {h100-80gb: {requests_per_second: 6.5}}",
        )
    capacity = {}
    for accelerator_type, values in sorted(expect_mapping(record, what="capacity", where=where).items()):
        there = f"{where}, capacity of {accelerator_type}"
        fields = expect_mapping(values, what="capacity", where=there)
        rate = expect_number(fields.get("requests_per_second"), what="requests_per_second", where=there, minimum=1e-9)
        service_time = fields.get("service_time_seconds")
        capacity[str(accelerator_type)] = Capacity(
            requests_per_second=rate,
            service_time_seconds=(
                1.0 / rate
                if service_time is None
                else expect_number(service_time, what="service_time_seconds", where=there, minimum=0)
            ),
        )
    return capacity
