# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the report is made from, and a check that it has the shape the file contracts promise.

The page shows what the files say; it recomputes nothing. So the only way a file
can be wrong here is its shape, and that is one message naming the place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import PlanRefusedError

SCHEMA_VERSION = 1
NUMBER = (int, float)
OPTIONAL_NUMBER = (int, float, type(None))

# A key that ends in "?" may be absent or null; "*" stands for any key, "#" for any key that is a number.
_REPLICA = {
    "host": str,
    "slot": int,
    "model": str,
    "version?": str,
    "port?": int,
    "accelerators?": [int],
    "wave?": int,
}
PLAN_SHAPE: dict[str, Any] = {
    "created_at": str,
    "as_of?": str,
    "digest?": str,
    "generator?": str,
    "fleet_fingerprint?": str,
    "inputs?": dict,
    "lead_time_seconds?": {"*": OPTIONAL_NUMBER},
    "demand": {
        "*": {
            "levels?": {"#": OPTIONAL_NUMBER},
            "observed?": NUMBER,
            "source?": str,
            "floor_replicas?": NUMBER,
            "reason?": str,
        }
    },
    "capacity?": {"*": {"planned_requests_per_second?": NUMBER, "running_requests_per_second?": NUMBER}},
    "placements": [_REPLICA],
    "actions": [{**_REPLICA, "wave": int, "action": str, "move?": (str, int), "reason?": str}],
    "waves?": [{"wave": int, "serving_requests_per_second?": {"*": OPTIONAL_NUMBER}, "note?": str}],
    "shortages?": [
        {"model": str, "requests_per_second?": NUMBER, "replicas?": NUMBER, "cost_per_hour?": NUMBER, "reason?": str}
    ],
    "violations?": [{"limit?": str, "model?": str, "amount?": NUMBER, "reason?": str}],
    "reasons?": [str],
    "fairness?": {"*": OPTIONAL_NUMBER},
    "cost_per_hour?": NUMBER,
    "expected_response_time_seconds?": {"*": OPTIONAL_NUMBER},
    "outlook?": {
        "period_seconds": NUMBER,
        "periods": [
            {
                "begins_after_seconds": NUMBER,
                "replicas": {"*": {"*": int}},
                "starts": int,
                "stops": int,
                "cost_per_hour": NUMBER,
                "shortages": {"*": NUMBER},
                "reasons?": [str],
            }
        ],
    },
    "solver?": dict,
    "hosts?": [
        {
            "name": str,
            "zone?": str,
            "accelerator_type?": str,
            "accelerator_count?": NUMBER,
            "cost_per_hour?": NUMBER,
            "state?": str,
            "reachable?": bool,
        }
    ],
    "models?": {"*": {"engine?": str, "version?": str, "accelerators?": NUMBER, "latency_slo_seconds?": NUMBER}},
    "warnings?": [str],
}
FORECAST_SHAPE: dict[str, Any] = {
    "created_at?": str,
    "generator?": str,
    "series": {
        "*": {
            "model?": str,
            "usable?": bool,
            "beats_seasonal_naive?": bool,
            "start": str,
            "step_seconds": NUMBER,
            "last_observed?": NUMBER,
            "mean?": [OPTIONAL_NUMBER],
            "quantiles?": {"#": [OPTIONAL_NUMBER]},
            "backtest?": {"mase?": NUMBER, "skill?": NUMBER, "coverage?": {"#": OPTIONAL_NUMBER}},
            "warnings?": [str],
        }
    },
    "warnings?": [str],
}
SCHEDULE_SHAPE: dict[str, Any] = {
    "start": str,
    "end": str,
    "policy": str,
    "summary": str,
    "inputs?": dict,
    "figures": {"*": OPTIONAL_NUMBER},
    "jobs": {
        "*": {
            "status": str,
            "weight": NUMBER,
            "work_accelerator_hours": NUMBER,
            "start?": str,
            "finish?": str,
            "deadline?": str,
            "lateness_seconds?": NUMBER,
            "reason?": str,
            "runs": [{"start": str, "end": str, "accelerator_type": str, "accelerators": int, "host?": str}],
        }
    },
    "warnings?": [str],
}


class Series(Protocol):
    """A regular series; a gap is NaN. Times in epoch seconds."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def start(self) -> float:
        """The moment of the first value."""

    @property
    def step_seconds(self) -> float:
        """From one value to the next."""

    @property
    def values(self) -> Any:
        """As many as steps."""


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page is made from; same inputs, same bytes.

    ``incidents``: the events of the record of remediation. ``digests`` maps a word (plan, forecast, history, schedule) to the digest of the file shown.
    """

    plan: Mapping[str, Any]
    forecast: Mapping[str, Any] | None = None
    history: Mapping[str, Series] = field(default_factory=dict)
    title: str = "Capacity plan"
    history_days: float = 7.0
    digests: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    schedule: Mapping[str, Any] | None = None
    incidents: Sequence[Mapping[str, Any]] | None = None


def check_plan(document: Any, *, where: str) -> Mapping[str, Any]:
    """``document`` when it is a plan this page can show.

    Raises:
        PlanRefusedError: another kind or schema, or a field of another shape.
    """
    return _checked(document, "plan", PLAN_SHAPE, where, "Write the plan again with capacity_plan")


def check_forecast(document: Any, *, where: str) -> Mapping[str, Any]:
    """``document`` when it is a forecast this page can show.

    Raises:
        PlanRefusedError: another kind or schema, or a field of another shape.
    """
    return _checked(document, "forecast", FORECAST_SHAPE, where, "Write the forecast again with demand_forecast")


def check_schedule(document: Any, *, where: str) -> Mapping[str, Any]:
    """``document`` when it is a schedule of jobs this page can show.

    Raises:
        PlanRefusedError: another kind or schema, or a field of another shape.
    """
    return _checked(document, "schedule", SCHEDULE_SHAPE, where, "Write the schedule again with job_schedule")


def _checked(document: Any, kind: str, shape: Mapping[str, Any], where: str, remedy: str) -> Mapping[str, Any]:
    if not isinstance(document, Mapping) or document.get("kind") != kind:
        found = document.get("kind") if isinstance(document, Mapping) else type(document).__name__
        raise PlanRefusedError(f"this is no {kind} (kind is {found!r})", where=where, remedy=remedy)
    if document.get("schema_version") != SCHEMA_VERSION:
        raise PlanRefusedError(
            f"the {kind} has schema_version {document.get('schema_version')!r}, this collection reads {SCHEMA_VERSION}",
            where=where,
            remedy=remedy,
        )
    fault = _fault(document, shape, "")
    if fault:
        raise PlanRefusedError(f"the {kind} does not have its shape: {fault}", where=where, remedy=remedy)
    return document


def _fault(value: Any, shape: Any, path: str) -> str:
    """The first place where ``value`` is not of ``shape``, in words, or an empty text."""
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            return f"{path} must be a mapping"
        return _first(_mapping_faults(value, shape, path))
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path} must be a list"
        return _first(_fault(item, shape[0], f"{path}[{row}]") for row, item in enumerate(value))
    wanted = shape if isinstance(shape, tuple) else (shape,)
    if isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted):
        return ""
    kinds = [_TYPE_WORDS[kind] for kind in wanted if not (kind is int and float in wanted)]
    return f"{path} is {value!r}, which is not {' or '.join(kinds)}"


_TYPE_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    type(None): "null",
}


def _mapping_faults(value: Mapping[str, Any], shape: Mapping[str, Any], path: str) -> Iterator[str]:
    if shape.keys() <= {"*", "#"}:
        [(any_key, inner)] = shape.items()
        for key, item in value.items():
            if any_key == "#" and not _is_number(key):
                yield f"{path} has the key {key!r}, which is not a number"
            yield _fault(item, inner, f"{path}.{key}" if path else key)
        return
    for key, inner in shape.items():
        name = key.rstrip("?")
        place = f"{path}.{name}" if path else name
        if value.get(name) is None:
            yield "" if key.endswith("?") else f"{place} is missing"
        else:
            yield _fault(value[name], inner, place)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _first(faults: Iterable[str]) -> str:
    return next((fault for fault in faults if fault), "")
