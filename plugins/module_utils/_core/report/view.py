# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan seen model by model and host by host: one pass over the file, then everything is a look-up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import ReportInputs

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ModelView:
    """What the page says about one model. Rates in requests/s, times in seconds.

    ``number`` is the model's number and colour in the placement picture, 1 for the
    model that holds most accelerators. ``level`` is the highest quantile level of
    the demand and ``target`` the demand there, which is what was planned for. ``forecasts`` maps a series name (the model, or
    ``model|region``) to its forecast record. ``expected`` is the capacity of the outlook:
    (seconds after the plan, requests/s), the last entry where it ends.
    """

    name: str
    number: int
    version: str
    engine: str
    accelerators: float
    replicas_now: int
    replicas_planned: int
    level: str
    target: float | None
    observed: float | None
    source: str
    reason: str
    planned: float | None
    running: float | None
    lead_time_seconds: float
    response_time_seconds: float | None
    latency_slo_seconds: float | None
    served_share: float | None
    shortage: float
    forecasts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expected: Sequence[tuple[float, float]] = ()

    @property
    def basis(self) -> str:
        """What the level planned for is: a quantile of the forecast, or what took its place."""
        if self.source == "forecast" and self.level:
            return f"{self.level} level"
        return {"observed": "observed, with headroom", "held": "held from before"}.get(self.source, "")

    @property
    def use(self) -> float | None:
        """Share of the planned capacity that the demand planned for takes."""
        return self.target / self.planned if self.target is not None and self.planned else None


@dataclass(frozen=True)
class HostView:
    """One host: its record, what the plan puts on it, and what leaves it."""

    name: str
    record: Mapping[str, Any]
    planned: tuple[Mapping[str, Any], ...]
    leaving: tuple[Mapping[str, Any], ...]

    @property
    def zone(self) -> str:
        return str(self.record.get("zone") or "default")

    @property
    def accelerator_count(self) -> int:
        return int(self.record.get("accelerator_count") or 0)

    @property
    def used_accelerators(self) -> frozenset[int]:
        return frozenset(index for replica in self.planned for index in replica.get("accelerators") or ())

    @property
    def marks(self) -> tuple[str, ...]:
        """Why the host takes nothing new: draining, maintenance, unreachable."""
        state = str(self.record.get("state") or "active")
        states = () if state == "active" else (state,)
        return states if self.record.get("reachable", True) else (*states, "unreachable")


@dataclass(frozen=True)
class View:
    """The plan, turned so that the page can be written top to bottom."""

    models: tuple[ModelView, ...]
    hosts: tuple[HostView, ...]
    stray_series: tuple[str, ...]

    @property
    def hosts_in_use(self) -> int:
        return sum(1 for host in self.hosts if host.planned)

    @property
    def numbers(self) -> dict[str, int]:
        return {model.name: model.number for model in self.models}


def view_of(inputs: ReportInputs) -> View:
    """Models sorted with the short ones first, then by name; hosts by zone and name."""
    plan = inputs.plan
    names = sorted(
        {*plan["demand"], *(plan.get("models") or {}), *(replica["model"] for replica in plan["placements"])}
        | {action["model"] for action in plan["actions"]}
    )
    forecasts = _forecasts_by_model(inputs.forecast, names)
    planned, stopped, short = (
        _by_model(plan["placements"]),
        _by_model(plan["actions"]),
        _by_model(plan.get("shortages")),
    )
    order = _by_size(planned, names)
    models = [
        _model_view(
            plan,
            name,
            number=order[name],
            planned=planned.get(name, []),
            stops=sum(1 for action in stopped.get(name, ()) if action["action"] == "stop"),
            shortage=sum(entry.get("requests_per_second") or 0.0 for entry in short.get(name, ())),
            forecasts=forecasts.get(name, {}),
        )
        for name in names
    ]
    shown = {series for model in models for series in model.forecasts}
    every = inputs.forecast["series"] if inputs.forecast else {}
    return View(
        models=tuple(sorted(models, key=lambda model: (model.shortage <= 0, model.name))),
        hosts=_host_views(plan),
        stray_series=tuple(sorted(set(every) - shown)),
    )


def _model_view(
    plan: Mapping[str, Any],
    name: str,
    *,
    number: int,
    planned: Records,
    stops: int,
    shortage: float,
    forecasts: Mapping[str, Mapping[str, Any]],
) -> ModelView:
    def of(key: str, default: Any = None) -> Any:
        value = (plan.get(key) or {}).get(name)
        return default if value is None else value

    record, demand, capacity = of("models", {}), of("demand", {}), of("capacity", {})
    levels = {level: value for level, value in (demand.get("levels") or {}).items() if value is not None}
    level = max(levels, key=float) if levels else ""
    return ModelView(
        name=name,
        number=number,
        version=str(record.get("version") or (planned[0].get("version") if planned else "") or ""),
        engine=str(record.get("engine") or ""),
        accelerators=float(record.get("accelerators") or 0.0),
        replicas_now=stops + sum(1 for replica in planned if not replica.get("wave")),
        replicas_planned=len(planned),
        level=level,
        target=levels.get(level),
        observed=demand.get("observed"),
        source=str(demand.get("source") or ""),
        reason=str(demand.get("reason") or ""),
        planned=capacity.get("planned_requests_per_second"),
        running=capacity.get("running_requests_per_second"),
        lead_time_seconds=float(of("lead_time_seconds", 0.0)),
        response_time_seconds=of("expected_response_time_seconds"),
        latency_slo_seconds=record.get("latency_slo_seconds"),
        served_share=of("fairness"),
        shortage=shortage,
        forecasts=forecasts,
        expected=_expected(plan, name, record),
    )


def _expected(plan: Mapping[str, Any], name: str, record: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Capacity period by period; a kind of host is its accelerator type, perhaps with an example behind it."""
    outlook = plan.get("outlook")
    capacity = record.get("capacity") or {}
    steps: list[tuple[float, float]] = []
    for period in (outlook or {}).get("periods") or ():
        rates = [
            float((capacity.get(kind.split(" like ")[0]) or {}).get("requests_per_second") or 0.0) * int(count)
            for kind, count in (period["replicas"].get(name) or {}).items()
        ]
        steps.append((float(period["begins_after_seconds"]), sum(rates)))
    return [*steps, (steps[-1][0] + float(outlook["period_seconds"]), steps[-1][1])] if outlook and steps else []


def _by_model(records: Records | None) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records or ():
        groups.setdefault(record["model"], []).append(record)
    return groups


def _forecasts_by_model(
    forecast: Mapping[str, Any] | None, names: list[str]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Series by model: ``chat-8b`` and ``chat-8b|eu`` both belong to ``chat-8b``."""
    known = set(names)
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for series, record in sorted((forecast or {"series": {}})["series"].items()):
        name = series if series in known else series.split("|", maxsplit=1)[0]
        if name in known:
            found.setdefault(name, {})[series] = record
    return found


def _by_size(planned: Mapping[str, Records], names: list[str]) -> dict[str, int]:
    """Ranks by accelerators held, then by replicas, then by name."""
    held = {name: sum(len(replica.get("accelerators") or ()) for replica in planned.get(name, ())) for name in names}
    ranked = sorted(names, key=lambda name: (-held[name], -len(planned.get(name, ())), name))
    return {name: position + 1 for position, name in enumerate(ranked)}


def _host_views(plan: Mapping[str, Any]) -> tuple[HostView, ...]:
    records: dict[str, Mapping[str, Any]] = {record["name"]: record for record in plan.get("hosts") or ()}
    planned: dict[str, list[Mapping[str, Any]]] = {}
    leaving: dict[str, list[Mapping[str, Any]]] = {}
    moves = {
        (action["host"], action["slot"]): action.get("move")
        for action in plan["actions"]
        if action["action"] == "start"
    }
    for replica in plan["placements"]:
        move = moves.get((replica["host"], replica["slot"])) if replica.get("wave") else None
        planned.setdefault(replica["host"], []).append({**replica, "move": move})
    for action in plan["actions"]:
        if action["action"] == "stop":
            leaving.setdefault(action["host"], []).append(action)
    hosts = [
        HostView(
            name=name,
            record=records.get(name, {}),
            planned=tuple(sorted(planned.get(name, ()), key=_slot)),
            leaving=tuple(sorted(leaving.get(name, ()), key=_slot)),
        )
        for name in {*records, *planned, *leaving}
    ]
    return tuple(sorted(hosts, key=lambda host: (host.zone, _natural(host.name))))


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts gpu-9 before gpu-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _slot(replica: Mapping[str, Any]) -> tuple[int, str]:
    return int(replica["slot"]), str(replica["model"])
