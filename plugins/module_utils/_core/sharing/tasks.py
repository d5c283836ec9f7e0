# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Options to arrays: every field checked once, tasks in the order of their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
    load,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.sharing.problem import (
    STRATEGIES,
    USES,
    Instance,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
CAPACITY = "capacity"
NUMBERS = ("demand", "weight", "floor", "ceiling", "cost", "value")
FIELDS = ("name", *NUMBERS, "needs")
ABSENT = {"demand": "nan", "weight": "1", "floor": "0", "ceiling": "inf", "cost": "0", "value": "nan"}
LEAST_WEIGHT = 1e-9
GREATEST = 1e30


def parse_instance(params: Mapping[str, Any]) -> Instance:
    """The division problem that a module's options describe.

    Args:
        params: ``capacity``, ``resources``, ``tasks``, ``strategy`` and ``resource_use`` as the module takes them.

    Raises:
        InputError: a value that cannot be, a name twice, a resource nobody has.
    """
    strategy = str(params.get("strategy") or STRATEGIES[0])
    if strategy not in STRATEGIES:
        raise InputError(f"strategy must be one of {', '.join(STRATEGIES)}, not {strategy!r}")
    use = str(params.get("resource_use") or ("any" if strategy == "least_cost" else "all"))
    if use not in USES:
        raise InputError(f"resource_use must be one of {', '.join(USES)}, not {use!r}")
    if strategy == "least_cost" and use == "all":
        raise InputError(
            "least_cost chooses between pools, so resource_use must be any",
            remedy="Leave resource_use out, or use another strategy for resources that are used together",
        )
    amounts, prices = _parse_resources(params.get("capacity"), params.get("resources"), use)
    records = _records(params.get("tasks"))
    names = [name for name, _record in records]
    table = np.array([[_number(name, fields, key) for key in NUMBERS] for name, fields in records], dtype=float)
    columns = dict(zip(NUMBERS, table.reshape(len(records), len(NUMBERS)).T))
    instance = Instance(
        strategy=strategy,
        use=use,
        resources=tuple(amounts),
        amounts=np.array(list(amounts.values()), dtype=float),
        prices=np.array([prices[name] for name in amounts], dtype=float),
        names=tuple(names),
        needs=_parse_needs(records, tuple(amounts), use),
        **columns,
    )
    _check(instance)
    return instance


def _parse_resources(capacity: Any, resources: Any, use: str) -> tuple[dict[str, float], dict[str, float]]:
    """Amounts and prices by resource, by name; ``capacity`` as a number is a resource of that name."""
    entries: dict[str, Any] = {}
    given = load(resources, what="resources")
    for option, value in (("capacity", capacity), ("resources", given)):
        if isinstance(value, Mapping):
            for name, entry in value.items():
                if str(name) in entries:
                    raise InputError(f"the resource {name} is given twice", where=option)
                entries[str(name)] = entry
        elif value is not None and option == "resources":
            expect_mapping(value, what="resources")
        elif value is not None:
            entries[CAPACITY] = value
    if not entries:
        raise InputError(
            "there is nothing to divide", remedy="Give capacity (a number, or amounts by resource), or resources"
        )
    if use == "any" and CAPACITY in entries and len(entries) > 1:
        raise InputError(
            "capacity as one number and resources as pools cannot both be given",
            remedy="Give the limit of each pool in resources alone",
        )
    amounts, prices = {}, {}
    for name in sorted(entries):
        where = f"resource {name}" if name != CAPACITY or len(entries) > 1 else ""
        entry = entries[name] if isinstance(entries[name], Mapping) else {"amount": entries[name]}
        for key in entry:
            if key not in ("amount", "cost"):
                raise InputError(f"{key!r} is not a field of a resource", where=where, remedy="It has amount and cost")
        what = "amount" if where else "capacity"
        amounts[name] = expect_number(entry.get("amount"), what=what, where=where, minimum=0, maximum=GREATEST)
        prices[name] = expect_number(entry.get("cost", 0), what="cost", where=where, minimum=0, maximum=GREATEST)
    return amounts, prices


def _records(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Names and fields, sorted by name."""
    tasks = load(value, what="list of tasks")
    if isinstance(tasks, Mapping) or not isinstance(tasks, Iterable):
        raise InputError("tasks must be a list of tasks", remedy="Give a list of mappings with a name each")
    records = []
    for row, entry in enumerate(tasks):
        where = f"tasks[{row}]"
        fields = expect_mapping(entry, what="task", where=where)
        if fields.get("name") in (None, ""):
            raise InputError("a task has no name", where=where)
        name = str(fields["name"])
        unknown = next((key for key in fields if key not in FIELDS), None)
        if unknown is not None:
            raise InputError(
                f"{unknown!r} is not a field of a task", where=f"task {name}", remedy=f"It has {', '.join(FIELDS)}"
            )
        records.append((name, fields))
    records.sort(key=lambda record: record[0])
    for (first, _fields), (second, _others) in zip(records, records[1:]):
        if first == second:
            raise InputError("the task is listed twice", where=f"task {first}", remedy="Give each task its own name")
    return records


def _number(name: str, fields: Mapping[str, Any], key: str) -> float:
    value = fields.get(key)
    if value is None:
        return float(ABSENT[key])
    least = LEAST_WEIGHT if key == "weight" else 0.0
    return expect_number(value, what=key, where=f"task {name}", minimum=least, maximum=GREATEST)


def _parse_needs(records: list[tuple[str, Mapping[str, Any]]], resources: tuple[str, ...], use: str) -> Array:
    """a_ir, shape (n, m): 1 of everything where a task says nothing."""
    needs = np.ones((len(records), len(resources)))
    column = {resource: index for index, resource in enumerate(resources)}
    for row, (name, fields) in enumerate(records):
        if fields.get("needs") is None:
            continue
        where = f"task {name}"
        needs[row] = 0.0
        if use == "all" and CAPACITY in column:
            needs[row, column[CAPACITY]] = 1.0
        for resource, need in expect_mapping(fields["needs"], what="needs", where=where).items():
            if str(resource) not in column:
                raise InputError(
                    f"it needs {resource!r}, which is not among the resources",
                    where=where,
                    remedy=f"The resources are {', '.join(resources)}",
                )
            amount = expect_number(need, what=f"need of {resource}", where=where, minimum=0, maximum=GREATEST)
            if use == "any" and amount == 0:
                raise InputError(
                    f"a unit of share cannot take 0 of the pool {resource}",
                    where=where,
                    remedy="Leave out the pools that the task cannot use",
                )
            needs[row, column[str(resource)]] = amount
    return needs


def _check(instance: Instance) -> None:
    def refuse(wrong: Array, what: str, remedy: str) -> None:
        if wrong.any():
            name = instance.names[int(np.flatnonzero(wrong)[0])]
            raise InputError(what, where=f"task {name}", remedy=remedy)

    refuse(instance.floor > instance.ceiling, "the floor is above the ceiling", "Raise one or lower the other")
    bounded = np.isfinite(instance.ceiling)
    if instance.strategy == "least_response_time":
        refuse(
            np.isnan(instance.demand),
            "it has no demand, which least_response_time divides by the share",
            "Give its work, in capacity-unit seconds",
        )
    else:
        bounded = bounded | ~np.isnan(instance.demand)
    if instance.use == "all":
        refuse(
            ~(instance.needs > 0).any(axis=1) & ~bounded,
            "it needs none of the resources and has no ceiling, so its share has no bound",
            "Give it needs or a ceiling",
        )
