# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The history a forecast is asked of: a history file, or series given inline or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

try:
    import numpy as np
except ImportError:  # reported by libraries.require before any use
    np = None  # type: ignore[assignment]

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    digest,
    expect_mapping,
    expect_number,
    file_digest,
    load,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import read_history


def read_source(params: Mapping[str, Any]) -> tuple[list[Series], list[str], str]:
    """Series sorted by name, what was noticed while reading, and the digest of the source.

    Args:
        params: ``src`` or ``series``, and ``names``, ``until``, ``step_seconds``,
            ``aggregation``, ``invalid_values`` as the module takes them.

    Raises:
        InputError: no source or two, a series that is missing or malformed, nothing before ``until``.
    """
    src, inline = params.get("src"), params.get("series")
    if (src is None) == (inline is None):
        raise InputError("give either src or series", remedy="src is a history file, series the samples themselves")
    until = params.get("until")
    moment = None if until is None else parse_moment(until, what="until")
    names = params.get("names") or None
    if src is not None:
        found, noticed = read_history(
            src,
            names=names,
            step_seconds=params.get("step_seconds"),
            until=moment,
            aggregation=params.get("aggregation") or "mean",
            invalid_values=params.get("invalid_values") or "refuse",
        )
        return found, noticed, file_digest(src)
    document = load(inline, what="series")
    take_gaps = (params.get("invalid_values") or "refuse") == "gap"
    found = [_prepared(one, moment, params) for one in parse_inline(document, names=names, gaps_for_invalid=take_gaps)]
    return found, [], digest(document)


def parse_inline(document: Any, *, names: Sequence[str] | None = None, gaps_for_invalid: bool = False) -> list[Series]:
    """Series from ``{name: {start, step_seconds, values}}``; null is a gap.

    Raises:
        InputError: a field is missing or of the wrong kind, a value is negative or infinite, a name is unknown.
    """
    mapping = {str(name): record for name, record in expect_mapping(document, what="series").items()}
    unknown = sorted(set(names or ()) - set(mapping))
    if unknown:
        raise InputError(
            f"there is no series {', '.join(unknown)}", where="names", remedy=f"There are {', '.join(sorted(mapping))}"
        )
    return [_parse_one(name, mapping[name], gaps_for_invalid) for name in sorted(names or mapping)]


def _parse_one(name: str, record: Any, gaps_for_invalid: bool) -> Series:
    where = f"series {name}"
    fields = expect_mapping(record, what="series", where=where)
    for key in ("start", "step_seconds", "values"):
        if fields.get(key) is None:
            raise InputError(
                f"it has no {key}", where=where, remedy="Write {start: moment, step_seconds: 600, values: [...]}"
            )
    start = fields["start"]
    step = expect_number(fields["step_seconds"], what="step_seconds", where=where, minimum=1)
    if step != int(step):
        raise InputError(f"step_seconds must be a whole number, not {step:g}", where=where)
    values = fields["values"]
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence) or not values:
        raise InputError("values must be a list of numbers, null for a gap", where=where)
    return Series(
        name=name,
        start=float(start) if _is_number(start) else parse_moment(str(start), what="start", where=where),
        step_seconds=int(step),
        values=np.array([_sample(value, row, where, gaps_for_invalid) for row, value in enumerate(values, start=1)]),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sample(value: Any, row: int, where: str, gaps_for_invalid: bool) -> float:
    if value is None:
        return math.nan
    try:
        return expect_number(value, what=f"value {row}", where=where, minimum=0)
    except InputError:
        if gaps_for_invalid:
            return math.nan
        raise


def _prepared(one: Series, until: float | None, params: Mapping[str, Any]) -> Series:
    kept = one if until is None else one.until(until)
    if not kept.values.size:
        raise InputError(
            "no sample lies at or before until", where=f"series {one.name}", remedy="Choose a later moment"
        )
    step = params.get("step_seconds")
    return kept if step is None else kept.aggregate(int(step), params.get("aggregation") or "mean")
