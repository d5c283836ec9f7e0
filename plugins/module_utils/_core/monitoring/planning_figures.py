# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Plan and forecast as metrics: one text in Prometheus' format, for node_exporter's textfile collector.

Equal documents give equal bytes. A figure that a document does not have has no sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping

Sample = tuple[str, dict[str, str], Optional[float]]

HELP = {
    "modelops_plan_created_seconds": "When the plan was made.",
    "modelops_plan_cost_per_hour": "What the planned replicas cost.",
    "modelops_plan_replicas": "Planned replicas.",
    "modelops_plan_capacity_requests_per_second": "What the planned replicas sustain.",
    "modelops_plan_replica_capacity_requests_per_second": "What one planned replica sustains.",
    "modelops_plan_demand_requests_per_second": "Demand the plan is for, by quantile.",
    "modelops_plan_shortage_requests_per_second": "The largest shortage of the plan, now or in its outlook; 0 for none.",
    "modelops_forecast_upper_requests_per_second": "Demand at the highest quantile that was planned for.",
    "modelops_forecast_requests_per_second": "Quantiles of the largest demand within the planning window.",
    "modelops_forecast_realised_coverage": "Share of past demand at or below the forecast's quantile.",
    "modelops_forecast_quantile_level": "The share that should be.",
    "modelops_forecast_feedback_samples": "How many past samples that share is of.",
    "modelops_forecast_skill": "1 - error / error of repeating the last season, in the backtest.",
    "modelops_forecast_usable": "0 when the history is too short or broken to forecast from.",
}


def planning_text(plan: Any, forecast: Any = None) -> str:
    """The metrics of plan.json and forecast.json, each inline or as a path.

    Raises:
        InputError: a file that is not there or is not what it should be.
    """
    samples = list(_plan_samples(_document(plan, "plan")))
    if forecast is not None:
        samples += _forecast_samples(_document(forecast, "forecast"))
    return exposition(samples)


def _document(value: Any, kind: str) -> Mapping[str, Any]:
    return expect_mapping(documents.load(value, what=kind), what=kind)


def exposition(samples: list[Sample], says_of: Mapping[str, str] | None = None) -> str:
    """Samples with a value, grouped by name in the order of ``says_of`` (name to what it is; HELP), sorted by labels."""
    lines = []
    for name, says in (HELP if says_of is None else says_of).items():
        own = sorted(
            (sorted(labels.items()), value) for found, labels, value in samples if found == name and value is not None
        )
        if own:
            lines += [f"# HELP {name} {says}", f"# TYPE {name} gauge"]
        for labels, value in own:
            inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            lines.append(f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}")
    return "\n".join(lines) + "\n" if lines else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _plan_samples(plan: Mapping[str, Any]) -> Iterator[Sample]:
    yield "modelops_plan_created_seconds", {}, clock.parse_moment(str(plan.get("created_at")), where="plan")
    yield "modelops_plan_cost_per_hour", {}, _number(plan.get("cost_per_hour"))
    placements = plan.get("placements") or []
    types = {host.get("name"): host.get("accelerator_type") for host in plan.get("hosts") or []}
    models: Mapping[str, Any] = plan.get("models") or {}
    shortages = _shortages(plan)
    for model in sorted({*models, *(plan.get("demand") or {})}):
        own = [one for one in placements if one.get("model") == model]
        yield "modelops_plan_replicas", {"model": model}, float(len(own))
        yield "modelops_plan_shortage_requests_per_second", {"model": model}, shortages.get(model, 0.0)
        capacity = (plan.get("capacity") or {}).get(model) or {}
        planned = _number(capacity.get("planned_requests_per_second"))
        yield "modelops_plan_capacity_requests_per_second", {"model": model}, planned
        for one in own:
            rate = ((models.get(model) or {}).get("capacity") or {}).get(types.get(one.get("host"))) or {}
            labels = {"model": model, "host": str(one.get("host")), "slot": str(one.get("slot"))}
            name = "modelops_plan_replica_capacity_requests_per_second"
            yield name, labels, _number(rate.get("requests_per_second"))
        yield from _demand_samples(model, (plan.get("demand") or {}).get(model) or {})


def _demand_samples(model: str, demand: Mapping[str, Any]) -> Iterator[Sample]:
    levels: Mapping[str, Any] = demand.get("levels") or {}
    for level in levels:
        labels = {"model": model, "quantile": level}
        yield "modelops_plan_demand_requests_per_second", labels, _number(levels[level])
    # What was only held, or given by hand, is no forecast that demand could be above.
    if levels and demand.get("source") in ("forecast", "observed"):
        highest = max(levels, key=float)
        yield "modelops_forecast_upper_requests_per_second", {"model": model}, _number(levels[highest])


def _shortages(plan: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in plan.get("shortages") or []:
        model = str(one.get("model"))
        found[model] = found.get(model, 0.0) + float(one.get("requests_per_second") or 0.0)
    for period in (plan.get("outlook") or {}).get("periods") or []:
        for model, amount in (period.get("shortages") or {}).items():
            found[str(model)] = max(found.get(str(model), 0.0), float(amount))
    return found


def _forecast_samples(forecast: Mapping[str, Any]) -> Iterator[Sample]:
    for name, series in sorted((forecast.get("series") or {}).items()):
        # A series is a model, or MODEL|REGION.
        model, _bar, region = str(name).partition("|")
        labels = {"model": model, **({"region": region} if region else {})}
        yield "modelops_forecast_usable", labels, float(bool(series.get("usable")))
        yield "modelops_forecast_skill", labels, _number((series.get("backtest") or {}).get("skill"))
        for level, value in (series.get("window_maximum") or {}).items():
            yield "modelops_forecast_requests_per_second", {**labels, "quantile": level}, _number(value)
        feedback = series.get("feedback") or {}
        yield "modelops_forecast_feedback_samples", labels, _number(feedback.get("samples"))
        for level, share in (feedback.get("realised") or {}).items():
            yield "modelops_forecast_realised_coverage", {**labels, "quantile": level}, _number(share)
            yield "modelops_forecast_quantile_level", {**labels, "quantile": level}, float(level)
