# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Requests as the gateway logged them, one entry a request, as columns.

Every column is an equal-length list; ``None`` where something is not known. Required are
``at`` (epoch seconds of acceptance), ``server``, ``status`` and ``term`` (HAProxy's
termination state). The others are filled with their default when absent. ``ttft_ms`` and
``inter_token_ms`` come from a source that sees tokens; without ``ttft_ms`` the time to the
response's headers, ``response_ms``, stands in for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, load
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

REQUIRED = ("at", "server", "status", "term")
MEASURES = (
    "response_ms",
    "total_ms",
    "ttft_ms",
    "inter_token_ms",
    "bytes",
    "request_bytes",
    "prompt_tokens",
    "output_tokens",
)


@dataclass(frozen=True)
class Events:
    """Requests as columns of equal length; NaN where a measure is not known.

    ``at``: epoch seconds. ``measures``: by name, see :data:`MEASURES`. ``synthetic``: sent by a probe or a replay.
    """

    at: tuple[float, ...]
    server: tuple[str, ...]
    status: tuple[int, ...]
    term: tuple[str, ...]
    synthetic: tuple[bool, ...]
    measures: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.at)


def parse_events(value: Any) -> Events:
    """Columns, given inline or as the path of a JSON file, checked; rows in order of time.

    Raises:
        InputError: a column is missing, of another length, or holds what it must not.
    """
    columns = expect_mapping(load(value, what="events"), what="events", where="events")
    columns = expect_mapping(columns.get("events", columns), what="events", where="events")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise InputError(
            f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} must be there",
            where="events",
            remedy="Pass the result of gateway_events_info",
        )
    known = [*REQUIRED, "synthetic", *MEASURES]
    length = _common_length({name: columns[name] for name in known if name in columns})
    order = _order(columns, length)
    at = _numbers("at", columns["at"], order, needed=True)
    return Events(
        at=at,
        server=tuple(str(columns["server"][row]) for row in order),
        status=tuple(int(code) for code in _numbers("status", columns["status"], order, needed=True)),
        term=tuple(str(columns["term"][row]) for row in order),
        synthetic=tuple(_truth(columns["synthetic"][row]) for row in order)
        if "synthetic" in columns
        else (False,) * length,
        measures={name: _numbers(name, columns[name], order) for name in MEASURES if name in columns},
    )


def _common_length(columns: Mapping[str, Any]) -> int:
    lengths = {}
    for name, column in columns.items():
        if isinstance(column, (str, bytes)) or not isinstance(column, Sequence):
            raise InputError(f"the column {name} must be a list", where="events")
        lengths[name] = len(column)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise InputError(f"the columns differ in length ({told})", where="events")
    return next(iter(lengths.values()))


def _order(columns: Mapping[str, Any], length: int) -> list[int]:
    """Rows by time; equal moments by what they say, so that the order given does not matter."""
    at = _numbers("at", columns["at"], range(length), needed=True)
    ties = [name for name in (*REQUIRED, "synthetic", *MEASURES) if name in columns and name != "at"]
    return sorted(range(length), key=lambda row: (at[row], tuple(str(columns[name][row]) for name in ties)))


def _numbers(name: str, column: Sequence[Any], order: Sequence[int], *, needed: bool = False) -> tuple[float, ...]:
    numbers = []
    for row in order:
        value = column[row]
        try:
            number = math.nan if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} must be a number, not {value!r}", where=f"events, row {row + 1}") from error
        if needed and not math.isfinite(number):
            raise InputError(f"{name} must be a number, not {value!r}", where=f"events, row {row + 1}")
        # HAProxy writes -1 for a time it never measured
        numbers.append(number if needed or number >= 0 else math.nan)
    return tuple(numbers)


def _truth(value: Any) -> bool:
    return str(value).strip().lower() in ("1", "true", "yes")
