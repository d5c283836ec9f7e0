# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Free accelerators by period: what serving leaves to jobs.

Time is cut into T equal periods from ``start``. Accelerators are in bins: one host, or all
that is free of one type where hosts are not named. A job runs inside one bin at a time.
``free`` is an integer array of shape (bins, T).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.resources import free_accelerators
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.scheduling.expectation import (
    Step,
    fewest_free,
)

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

Array = Any
MOST_PERIODS = 10_000
KNOWN = ("start", "end", "accelerator_type", "accelerators", "host", "cost_per_hour")


@dataclass(frozen=True, eq=False)
class FreeCapacity:
    """What is free when.

    ``bins`` are (accelerator type, host), sorted, the host empty where all of a type is one
    pool; ``types`` the sorted types; ``type_of`` the index of each bin's type; ``prices``
    the cost of one accelerator-hour of each type, 1 where nothing is known.
    """

    start: float
    period_seconds: int
    bins: tuple[tuple[str, str], ...]
    free: Array
    types: tuple[str, ...]
    prices: tuple[float, ...]

    @property
    def periods(self) -> int:
        return int(self.free.shape[1])

    @property
    def hours(self) -> float:
        return self.period_seconds / 3600

    @property
    def end(self) -> float:
        return self.start + self.periods * self.period_seconds

    @property
    def type_of(self) -> list[int]:
        return [self.types.index(name) for name, _host in self.bins]

    @property
    def by_type(self) -> Array:
        """Free accelerators, shape (types, T)."""
        return self._over_types(np.add)

    @property
    def largest_bin(self) -> Array:
        """Most accelerators one job can have, shape (types, T)."""
        return self._over_types(np.maximum)

    def _over_types(self, reduce: Any) -> Array:
        total = np.zeros((len(self.types), self.periods), dtype=np.int64)
        if len(self.bins):
            reduce.at(total, self.type_of, self.free)
        return total

    def moment(self, period: int) -> float:
        return self.start + period * self.period_seconds

    def with_extra(self, extra: Mapping[str, Array]) -> FreeCapacity:
        """The same with more accelerators by type, arrays of shape (T,), as bins of their own or in the pool."""
        bins, rows = list(self.bins), [row.copy() for row in self.free]
        for name in sorted(extra):
            pool = (name, "")
            if pool in bins:
                rows[bins.index(pool)] += extra[name]
            else:
                bins.append((name, "(more)"))
                rows.append(np.asarray(extra[name], dtype=np.int64))
        order = sorted(range(len(bins)), key=lambda index: bins[index])
        free = np.array([rows[index] for index in order], dtype=np.int64).reshape(len(order), self.periods)
        return replace(self, bins=tuple(bins[index] for index in order), free=free)


def parse_capacity(records: Any, *, period_seconds: int) -> FreeCapacity:
    """Free capacity from a list of ``{start, accelerator_type, accelerators}``.

    A record holds for one period, or until its ``end``. ``host`` keeps hosts apart: a job
    then runs on one of them. Periods that no record names have nothing free.

    Raises:
        InputError: no records, a start off the grid, a record twice, a value out of range.
    """
    if isinstance(records, (Mapping, str, bytes)) or not isinstance(records, Iterable):
        raise InputError("capacity must be a list of records", remedy="Give start, accelerator_type and accelerators")
    parsed = [_parse_record(record, row, period_seconds) for row, record in enumerate(records)]
    if not parsed:
        raise InputError(
            "there is no capacity",
            where="capacity",
            remedy="Give at least one record; accelerators may be 0 where nothing is free",
        )
    start = min(one.start for one in parsed)
    periods = max(_periods(one.end - start, period_seconds, one.where) for one in parsed)
    if periods > MOST_PERIODS:
        raise InputError(
            f"the capacity covers {periods} periods, more than {MOST_PERIODS}",
            where="capacity",
            remedy="Use longer periods or a shorter time",
        )
    bins = sorted({(one.accelerator_type, one.host) for one in parsed})
    types = sorted({name for name, _host in bins})
    free = np.full((len(bins), periods), -1, dtype=np.int64)
    for one in parsed:
        row = bins.index((one.accelerator_type, one.host))
        first = _periods(one.start - start, period_seconds, one.where)
        last = _periods(one.end - start, period_seconds, one.where)
        if (free[row, first:last] >= 0).any():
            raise InputError(
                f"the free {one.accelerator_type} at {format_moment(one.start)} are given twice",
                where=one.where,
                remedy="Give one record a period, accelerator type and host",
            )
        free[row, first:last] = one.accelerators
    prices = {one.accelerator_type: one.cost_per_hour for one in parsed if one.cost_per_hour is not None}
    return FreeCapacity(
        start=start,
        period_seconds=period_seconds,
        bins=tuple(bins),
        free=np.maximum(free, 0),
        types=tuple(types),
        prices=_prices(types, prices),
    )


def capacity_of_hosts(
    hosts: Sequence[Host],
    placements: Sequence[Replica],
    *,
    start: float,
    period_seconds: int,
    periods: int,
    expected: Sequence[Step] = (),
) -> FreeCapacity:
    """What the replicas of a plan leave free on each host: the same in every period, or as ``expected``.

    Hosts that are draining, in maintenance or did not answer take no job. An accelerator
    that a replica shares is not free.

    Raises:
        InputError: too many periods.
    """
    if periods > MOST_PERIODS:
        raise InputError(f"{periods} periods are more than {MOST_PERIODS}", where="periods", remedy="Use longer ones")
    left = free_accelerators(hosts, placements)
    stock = sorted((host.accelerator_type, host.name, host) for host in hosts if host.accelerator_count)
    free = [left.get(name, 0) for _type, name, _host in stock]
    total: Counter[str] = Counter()
    cost: Counter[str] = Counter()
    for name, _host, host in stock:
        total[name] += host.accelerator_count
        cost[name] += host.cost_per_hour  # type: ignore[assignment]
    types = sorted(total)
    moments = [start + period * period_seconds for period in range(periods + 1)]
    return FreeCapacity(
        start=start,
        period_seconds=period_seconds,
        bins=tuple((name, host) for name, host, _record in stock),
        free=fewest_free([host for _type, host, _record in stock], free, expected, moments),
        types=tuple(types),
        prices=_prices(types, {name: cost[name] / total[name] for name in types}),
    )


@dataclass(frozen=True)
class _Record:
    where: str
    start: float
    end: float
    accelerator_type: str
    accelerators: int
    host: str
    cost_per_hour: float | None


def _parse_record(record: Any, row: int, period_seconds: int) -> _Record:
    where = f"capacity[{row}]"
    fields = expect_mapping(record, what="capacity record", where=where)
    for key in ("start", "accelerator_type", "accelerators"):
        if fields.get(key) in (None, ""):
            raise InputError(f"it has no {key}", where=where)
    unknown = sorted(str(key) for key in fields if key not in KNOWN)
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}", where=where, remedy=f"Known fields are {', '.join(KNOWN)}")
    start = float(round(parse_moment(fields["start"], what="start", where=where)))
    end = start + period_seconds
    if fields.get("end") is not None:
        end = float(round(parse_moment(fields["end"], what="end", where=where)))
    if end <= start:
        raise InputError("end is not after start", where=where)
    accelerators = expect_number(fields["accelerators"], what="accelerators", where=where, minimum=0, maximum=1e7)
    if accelerators != int(accelerators):
        raise InputError(f"accelerators must be a whole number, not {accelerators:g}", where=where)
    cost = fields.get("cost_per_hour")
    return _Record(
        where=where,
        start=start,
        end=end,
        accelerator_type=str(fields["accelerator_type"]),
        accelerators=int(accelerators),
        host=str(fields.get("host") or ""),
        cost_per_hour=None if cost is None else expect_number(cost, what="cost_per_hour", where=where, minimum=0),
    )


def _periods(seconds: float, period_seconds: int, where: str) -> int:
    if seconds % period_seconds:
        raise InputError(
            f"its times are not whole periods of {period_seconds} s from the first start",
            where=where,
            remedy="Give starts and ends on one grid, or set period_seconds",
        )
    return int(seconds // period_seconds)


def _prices(types: Sequence[str], known: Mapping[str, float]) -> tuple[float, ...]:
    """Prices relative to each other; a type without one costs what the mean type does."""
    given = [price for price in known.values() if price > 0 and math.isfinite(price)]
    mean = sum(given) / len(given) if given else 1.0
    return tuple(known.get(name) or mean for name in types)
