# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The models section: one row a model to compare them, then one card a model with its figure and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.figures import interval_levels
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    bullets,
    element,
    embedded_json,
    escape,
    table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.placement import chip
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import ModelView, View

OVERVIEW = (
    Column("Model"),
    Column("Replicas now", numeric=True),
    Column("Replicas planned", numeric=True),
    Column("Observed, requests/s", numeric=True),
    Column("Planned for, requests/s", numeric=True),
    Column("Capacity planned, requests/s", numeric=True),
    Column("Capacity in use", numeric=True),
    Column("Response time", numeric=True),
    Column("Demand from"),
)


def overview(view: View) -> str:
    """All models in one table; its titles sort it."""
    return table("Models: demand, capacity and replicas", OVERVIEW, map(_overview_row, view.models), sortable=True)


def _overview_row(model: ModelView) -> tuple[str, list[Cell | str]]:
    name = element("a", escape(model.name), href=f"#model-{model.number}")
    short = element("span", "short", class_="badge bad") if model.shortage > 0 else ""
    change = model.replicas_planned - model.replicas_now
    planned = f"{model.replicas_planned:,}" + (
        element("small", f" {change:+d}".replace("-", words.MINUS)) if change else ""
    )
    cells: list[Cell | str] = [
        f"{chip(model.number)}{name} {short}",
        Cell(f"{model.replicas_now:,}", model.replicas_now),
        Cell(planned, model.replicas_planned),
        Cell(words.number(model.observed), model.observed),
        Cell(words.number(model.target), model.target),
        Cell(words.number(model.planned), model.planned),
        Cell(_meter(model.use), model.use),
        Cell(words.duration(model.response_time_seconds), model.response_time_seconds),
        escape(model.source or words.UNKNOWN),
    ]
    return f' data-name="{escape(model.name.lower())}"', cells


def _meter(use: float | None) -> str:
    if use is None:
        return words.UNKNOWN
    width = element("span", "", class_=f"bar p{max(0, min(20, round(20 * use)))}" + (" over" if use > 1.0005 else ""))
    return f"{words.percent(use)} {element('span', width, class_='meter', aria_hidden='true')}"


def card(model: ModelView, drawn: Mapping[str, dict[str, Any] | None]) -> str:
    """One model: why this demand, the figures, the numbers.

    Args:
        model: the model.
        drawn: figure by series name; None where there is nothing to draw.
    """
    parts = [_heading(model)]
    if model.reason:
        parts.append(element("p", escape(model.reason), class_="why"))
    for series, record in model.forecasts.items():
        said = words.trust(record, model.source)
        if said:
            where = f"{series}: " if len(model.forecasts) > 1 else ""
            parts.append(element("p", escape(where + said), class_="note"))
    parts += [_plot(model, series, figure) for series, figure in drawn.items() if figure]
    if not any(drawn.values()):
        parts.append(element("p", "No history and no forecast of this model was given, so there is nothing to draw."))
    parts.append(_numbers(model))
    noted = [text for record in model.forecasts.values() for text in record.get("warnings") or ()]
    if noted:
        parts.append(bullets(noted, class_="warnings"))
    return element(
        "section",
        "".join(parts),
        class_="card model",
        id=f"model-{model.number}",
        data_name=model.name.lower(),
        aria_labelledby=f"name-{model.number}",
    )


def _heading(model: ModelView) -> str:
    facts = [model.engine, f"version {model.version}" if model.version else ""]
    if model.accelerators:
        facts.append(
            f"{words.number(model.accelerators)} accelerator{'' if model.accelerators == 1 else 's'} a replica"
        )
    facts.append(f"{model.replicas_now:,} → {words.plural(model.replicas_planned, 'replica')}")
    small = element("small", escape(" · ".join(fact for fact in facts if fact)))
    return element("h3", f"{chip(model.number)}{escape(model.name)} {small}", id=f"name-{model.number}")


def _plot(model: ModelView, series: str, figure: dict[str, Any]) -> str:
    region = series.split("|", maxsplit=1)[1] if "|" in series and series != model.name else ""
    title = element("h4", escape(f"Region {region}")) if region else ""
    data = element("script", embedded_json(figure), type="application/json")
    plot = element("div", "", class_="plot", role="img", aria_label=_plot_words(model, series, figure))
    details = element("details", element("summary", "The same as a table"), class_="data")
    if figure["thinned_seconds"]:
        bucket = words.duration(2 * figure["thinned_seconds"])
        details += element(
            "p", f"Older history shows the smallest and the largest value of every {bucket}.", class_="thin"
        )
    return element("div", f"{title}{_key(model, series, figure)}{plot}{details}{data}", class_="figure")


def _key(model: ModelView, series: str, figure: Mapping[str, Any]) -> str:
    """The legend, with the value each line has where it is one number."""
    record = model.forecasts.get(series, {})
    levels = interval_levels(record)
    entries = {
        "observed": ("Observed", ""),
        "median": ("Forecast median" if "0.5" in (record.get("quantiles") or {}) else "Forecast", ""),
        "interval_high": (f"Forecast {levels[0]} to {levels[1]}" if levels else "", ""),
        "running": ("Runs now", words.number(model.running)),
        "planned": ("Planned capacity", words.number(model.planned)),
        "expected": ("Expected later", ""),
        "level": (f"Planned for ({model.basis})" if model.basis else "Planned for", words.number(model.target)),
    }
    roles = {trace["meta"] for trace in figure["data"]}
    items = "".join(
        element(
            "li",
            element("span", "", class_=f"swatch {role}") + escape(text) + (f" {element('b', value)}" if value else ""),
        )
        for role, (text, value) in entries.items()
        if role in roles
    )
    return element("ul", items, class_="key")


def _plot_words(model: ModelView, series: str, figure: Mapping[str, Any]) -> str:
    """The figure for those who cannot see it."""
    text = f"Demand of {series} in requests per second over time"
    medians = [
        value for trace in figure["data"] if trace["meta"] == "median" for value in trace["y"] if value is not None
    ]
    if medians:
        text += f"; the forecast median lies between {words.number(min(medians))} and {words.number(max(medians))}"
    if model.target is not None:
        text += f"; planned for {words.number(model.target)}"
    if model.planned is not None:
        text += f"; planned capacity {words.number(model.planned)}"
    if model.running is not None:
        text += f"; running capacity {words.number(model.running)}"
    return text + "."


def _numbers(model: ModelView) -> str:
    """The numbers under the figure, as terms and values."""
    facts: list[tuple[str, str]] = [
        ("Last observed", words.rate(_last_observed(model))),
        ("Planned for", words.rate(model.target) + (f" ({model.basis})" if model.basis else "")),
        ("Planned capacity", words.rate(model.planned)),
        ("Served share of the demand planned for", words.percent(model.served_share)),
        ("Expected response time", _response_time(model)),
        ("Time to start a replica", words.duration(model.lead_time_seconds or None)),
    ]
    for series, record in model.forecasts.items():
        prefix = f"{series}: " if len(model.forecasts) > 1 else ""
        facts.append((f"{prefix}Forecast by", str(record.get("model") or words.UNKNOWN)))
        backtest = record.get("backtest") or {}
        if not backtest:
            facts.append((f"{prefix}Backtest", "none, the history is too short"))
            continue
        facts += [
            (f"{prefix}MASE (scaled error, below 1 is good)", words.number(backtest.get("mase"))),
            (f"{prefix}Skill over seasonal naive", words.skill(backtest.get("skill"))),
            (f"{prefix}Coverage in the backtest", words.coverage(backtest, interval_levels(record))),
        ]
    pairs = "".join(
        element("div", element("dt", escape(term)) + element("dd", escape(value)))
        for term, value in facts
        if value != words.UNKNOWN
    )
    return element("dl", pairs, class_="numbers")


def _last_observed(model: ModelView) -> float | None:
    record = model.forecasts.get(model.name)
    return model.observed if record is None or record.get("last_observed") is None else record["last_observed"]


def _response_time(model: ModelView) -> str:
    text = words.duration(model.response_time_seconds)
    if model.response_time_seconds is None or model.latency_slo_seconds is None:
        return text
    return f"{text} (objective {words.duration(model.latency_slo_seconds)})"
