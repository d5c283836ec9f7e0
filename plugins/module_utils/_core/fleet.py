# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the fleet is made of: hosts, models and the replicas that run.

Records arrive as plain mappings (inventory variables, JSON files). Here they are
checked once and become frozen dataclasses; nothing behind this file looks at raw
records again. A host variable's ``modelops_`` prefix is optional in a record.

Units: requests/s, seconds, GiB, currency per hour; an accelerator share of 0.5
is half of one accelerator. A host's accelerator memory is that of each of its
accelerators; a model's is what one replica takes over all of its accelerators.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
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
    ``reserved`` are accelerators that somebody else holds for now, such as a job that may not be
    interrupted; no inventory says so, and no record of a host does.
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
    reserved: tuple[int, ...] = ()

    @property
    def open_accelerators(self) -> int:
        """How many are there for serving."""
        return self.accelerator_count - len(self.reserved)

    @property
    def takes_new_replicas(self) -> bool:
        return self.state == "active" and self.reachable

    @property
    def serves(self) -> bool:
        """Whether what runs here counts as capacity."""
        return self.state != "maintenance" and self.reachable

    def as_record(self) -> dict[str, Any]:
        # All fields are plain values: a copy of them is a tenth of the time of asdict, over thousands of hosts.
        record = {**vars(self), "accelerator_uuids": list(self.accelerator_uuids)}
        del record["reserved"]
        return record


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

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


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
    if isinstance(records, (Mapping, str, bytes)) or not isinstance(records, Iterable):
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
    if isinstance(records, (Mapping, str, bytes)) or not isinstance(records, Iterable):
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
                slot=_count(fields["slot"], what="slot", where=where),
                model=str(fields["model"]),
                version=str(fields.get("version", "0")),
                port=_count(fields.get("port", 0), what="port", where=where, maximum=65535),
                accelerators=tuple(
                    _count(index, what="accelerator index", where=where) for index in fields.get("accelerators") or ()
                ),
            )
        )
    replicas.sort()
    for first, second in zip(replicas, replicas[1:]):
        if (first.host, first.slot) == (second.host, second.slot):
            raise InputError(
                f"slot {first.slot} is used twice",
                where=f"{what}, host {first.host}",
                remedy="Each replica has its own slot",
            )
    return replicas


def _parse_host(record: Any, row: int) -> Host:
    fields = {
        str(key)[len("modelops_") :] if str(key).startswith("modelops_") else str(key): value
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

    def count(key: str, default: int = 0, maximum: float = math.inf) -> int:
        value = fields.get(key)
        return default if value is None else _count(value, what=key, where=where, maximum=maximum)

    return Host(
        name=name,
        zone=str(fields.get("zone") or "default"),
        region=str(fields.get("region") or "default"),
        accelerator_type=str(fields.get("accelerator_type") or "cpu"),
        accelerator_count=count("accelerator_count"),
        accelerator_memory_gib=number("accelerator_memory_gib"),
        accelerator_uuids=tuple(str(uuid) for uuid in fields.get("accelerator_uuids") or ()),
        cpu_cores=number("cpu_cores"),
        memory_gib=number("memory_gib"),
        cost_per_hour=number("cost_per_hour"),
        state=state,
        reachable=_truth(fields.get("reachable"), what="reachable", where=where),
        base_port=count("base_port", DEFAULT_BASE_PORT, maximum=65535),
        max_replicas=None if fields.get("max_replicas") is None else count("max_replicas"),
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
        return None if fields.get(key) is None else _count(fields[key], what=key, where=where)

    engine = str(fields.get("engine") or "command")
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}", where=where)
    for domain, share in spread.items():
        if domain not in ("zone", "region"):
            raise InputError(f"spread is over zone or region, not {domain!r}", where=where)
        expect_number(share, what=f"spread.{domain}", where=where, minimum=1e-9, maximum=1)
    minimum = (
        1 if fields.get("min_replicas") is None else _count(fields["min_replicas"], what="min_replicas", where=where)
    )
    maximum = optional_count("max_replicas")
    if maximum is not None and maximum < minimum:
        raise InputError(
            f"max_replicas ({maximum}) is below min_replicas ({minimum})",
            where=where,
            remedy="Raise one or lower the other",
        )
    _check_accelerators(number(resources, "accelerators"), number(resources, "accelerator_memory_gib"), where)
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


def _check_accelerators(accelerators: float, memory_gib: float, where: str) -> None:
    if accelerators > 1 and accelerators != int(accelerators):
        raise InputError(
            f"accelerators must be a whole number, or a share below 1, not {accelerators:g}",
            where=where,
            remedy="A replica takes whole accelerators, or shares a single one",
        )
    if memory_gib > 0 and accelerators == 0:
        raise InputError(
            "accelerator_memory_gib is set, but accelerators is not",
            where=where,
            remedy="Set resources.accelerators, 1 or a share such as 0.5; or remove accelerator_memory_gib",
        )


def _count(value: Any, *, what: str, where: str, maximum: float = math.inf) -> int:
    number = expect_number(value, what=what, where=where, minimum=0, maximum=maximum)
    if number != int(number):
        raise InputError(f"{what} must be a whole number, not {number:g}", where=where)
    return int(number)


def _truth(value: Any, *, what: str, where: str) -> bool:
    """A truth value; words are taken, since Jinja may make them."""
    if value is None or isinstance(value, bool):
        return value is not False
    words = {"true": True, "yes": True, "false": False, "no": False}
    if str(value).lower() not in words:
        raise InputError(f"{what} must be true or false, not {value!r}", where=where)
    return words[str(value).lower()]


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
