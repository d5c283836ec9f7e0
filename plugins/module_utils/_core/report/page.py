# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The report page, put together: one file, no request to anywhere.

The content security policy lets run exactly the two scripts written here (by
their SHA-256) and fetches nothing; a name that smuggles markup past the escaping
would still not run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import (
    incidents,
    jobs,
    models,
    outlook,
    tables,
    words,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.figures import figure, point_limit
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.inputs import ReportInputs
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    bullets,
    element,
    escape,
    paragraphs,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.placement import placement_picture
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.script import SCRIPT
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.style import STYLE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import ModelView, View, view_of

SECTIONS = (
    ("attention", "Shortages and warnings"),
    ("actions", "Actions"),
    ("placement", "Placement"),
    ("models", "Models"),
    ("outlook", "Outlook"),
    ("jobs", "Jobs"),
    ("incidents", "Incidents"),
    ("why", "Why"),
    ("fleet", "Fleet"),
    ("provenance", "Provenance"),
)
NO_SCRIPT = "The figures need JavaScript. Every number of the plan is in the tables."


def render(inputs: ReportInputs, *, plotly_js: str, says: str = "") -> str:
    """The whole page.

    Args:
        inputs: the checked files.
        plotly_js: the text of plotly.js, embedded once.
        says: :func:`content_digest`, to be found again by :func:`has_digest`.
    """
    view = view_of(inputs)
    bodies = {
        "attention": _attention(inputs, view),
        "actions": tables.actions(inputs.plan, view),
        "placement": placement_picture(view),
        "models": _models(inputs, view),
        "outlook": outlook.section(inputs.plan, view, _as_of(inputs)) if inputs.plan.get("outlook") else "",
        "jobs": jobs.section(inputs.schedule) if inputs.schedule else "",
        "incidents": incidents.section(inputs.incidents, inputs.plan) if inputs.incidents is not None else "",
        "why": bullets(inputs.plan.get("reasons") or ["The plan gives no further reasons."]),
        "fleet": tables.fleet(view),
        "provenance": tables.provenance(inputs),
    }
    sections = [(name, title) for name, title in SECTIONS if bodies[name]]
    links = "".join(element("a", escape(title), href=f"#{name}") for name, title in sections)
    main = "".join(
        element(
            "section",
            element("h2", escape(title), id=f"{name}-title") + bodies[name],
            id=name,
            aria_labelledby=f"{name}-title",
        )
        for name, title in sections
    )
    body = (
        element("a", "Skip to the content", href="#main", class_="skip")
        + _header(inputs, view)
        + element("nav", links, aria_label="Sections")
        + element("main", main, id="main")
        + element("noscript", element("p", NO_SCRIPT))
        + element("script", plotly_js)
        + element("script", SCRIPT)
    )
    head = _head(inputs.title, plotly_js, says)
    return "<!DOCTYPE html>\n" + element("html", head + element("body", body), lang="en") + "\n"


def content_digest(inputs: ReportInputs, *, plotly_js: str) -> str:
    """Of the page without the moments at which its files were written: equal for a plan that was only made again."""
    files = {name: value for name, value in inputs.digests.items() if name == "history"}
    undated = replace(
        inputs,
        plan={**inputs.plan, "created_at": format_moment(0)},
        forecast=_undated(inputs.forecast),
        schedule=_undated(inputs.schedule),
        digests=files,
    )
    return hashlib.sha256(render(undated, plotly_js=plotly_js).encode("utf-8")).hexdigest()


def has_digest(page: bytes, digest: str) -> bool:
    """Whether a page that was written earlier says the same as the one of this digest."""
    return _says(digest).encode("utf-8") in page


def _undated(document: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return document and {**document, "created_at": format_moment(0)}


def _says(digest: str) -> str:
    return element("meta", name_="modelops-content", content_=digest)


def summary(inputs: ReportInputs) -> str:
    """What was decided, in the sentences that head the page."""
    return " ".join(_sentences(inputs.plan, view_of(inputs)))


def _head(title: str, plotly_js: str, says: str) -> str:
    scripts = " ".join(_script_source(text) for text in (plotly_js, SCRIPT))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8")
        + element("meta", http_equiv="Content-Security-Policy", content_=policy)
        + element("meta", name_="viewport", content_="width=device-width, initial-scale=1")
        + element("meta", name_="color-scheme", content_="light dark")
        + (_says(says) if says else "")
        + element("title", escape(title))
        + element("style", STYLE),
    )


def _script_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _header(inputs: ReportInputs, view: View) -> str:
    plan = inputs.plan
    dates = " · ".join(
        element("span", escape(f"{word} {words.moment(plan.get(key))}"))
        for word, key in (("As of", "as_of"), ("written", "created_at"))
    )
    theme = element("button", "Theme: auto", type="button", id="theme", title="Automatic, light or dark")
    top = element("div", element("h1", escape(inputs.title)) + theme, class_="top")
    sentences = _sentences(plan, view)
    return element(
        "header",
        top
        + element("p", dates, class_="dates")
        + paragraphs(sentences[:1], class_="lead")
        + paragraphs([" ".join(sentences[1:])])
        + _tiles(inputs, view),
    )


def _sentences(plan: Mapping[str, Any], view: View) -> list[str]:
    models_running = len({replica["model"] for replica in plan["placements"]})
    decision = words.decision(plan, hosts_in_use=view.hosts_in_use, hosts=len(view.hosts), models=models_running)
    return [decision, words.changes(plan), words.shortage(plan), words.demand_sources(plan)]


def _tiles(inputs: ReportInputs, view: View) -> str:
    plan = inputs.plan
    short = sum(entry.get("requests_per_second") or 0.0 for entry in plan.get("shortages") or ())
    tiles = (
        ("Hosts in use", f"{view.hosts_in_use:,}", f"of {len(view.hosts):,}", ""),
        ("Replicas", f"{len(plan['placements']):,}", words.plural(len(view.models), "model"), ""),
        ("Cost", words.money(plan.get("cost_per_hour")), "per hour", ""),
        ("Starts", f"{plan.get('starts') or 0:,}", "", ""),
        ("Stops", f"{plan.get('stops') or 0:,}", "", ""),
        ("Moves", f"{plan.get('moves') or 0:,}", "", ""),
        ("Short", words.number(short), "requests/s", "bad" if short > 0 else "good"),
    )
    return element(
        "dl",
        "".join(
            element(
                "div",
                element("dt", escape(term)) + element("dd", escape(value) + element("small", escape(f" {unit}"))),
                class_=kind or None,
            )
            for term, value, unit, kind in tiles
        ),
        class_="tiles",
    )


def _attention(inputs: ReportInputs, view: View) -> str:
    warnings = [
        *inputs.warnings,
        *(inputs.plan.get("warnings") or ()),
        *((inputs.forecast or {}).get("warnings") or ()),
    ]
    if view.stray_series:
        warnings.append(
            f"{words.plural(len(view.stray_series), 'forecast series', 'forecast series')} without a model in the plan:"
            f" {', '.join(view.stray_series[:10])}{' …' if len(view.stray_series) > 10 else ''}"
        )
    noted = bullets(warnings, class_="warnings") if warnings else ""
    found = tables.shortages(inputs.plan) + tables.violations(inputs.plan)
    calm = "" if found else element("p", "Nothing is short and every limit is kept.", class_="calm")
    return calm + found + (element("h3", "Warnings") + noted if noted else "")


def _models(inputs: ReportInputs, view: View) -> str:
    as_of = _as_of(inputs)
    drawings = {model.name: _figures(inputs, model, as_of) for model in view.models}
    ranges = (
        '<span class="ranges" role="group" aria-label="Time shown in all figures">'
        '<button type="button" data-range="near" aria-pressed="true">Around now</button>'
        '<button type="button" data-range="whole" aria-pressed="false">Whole history</button></span>'
    )
    tools = element(
        "div",
        '<label>Find a model <input type="search" id="find" autocomplete="off"></label>'
        '<span id="found" role="status"></span>' + ranges,
        class_="tools",
    )
    cards = "".join(models.card(model, drawings[model.name]) for model in view.models)
    return models.overview(view) + tools + cards


def _figures(inputs: ReportInputs, model: ModelView, as_of: float) -> dict[str, dict[str, Any] | None]:
    """Figure by series; capacity is drawn where one series is the whole model."""
    names = sorted({*model.forecasts, *_history_names(inputs.history, model.name)})
    limit = point_limit(max(len(inputs.history), len(inputs.plan["demand"])))
    return {
        name: figure(
            model,
            model.forecasts.get(name),
            inputs.history.get(name),
            as_of=as_of,
            history_days=inputs.history_days,
            with_capacity=name == model.name or len(names) == 1,
            points=limit,
        )
        for name in names
    }


def _history_names(history: Iterable[str], model: str) -> Sequence[str]:
    return [name for name in history if name == model or name.startswith(f"{model}|")]


def _as_of(inputs: ReportInputs) -> float:
    key = "as_of" if inputs.plan.get("as_of") else "created_at"
    return parse_moment(inputs.plan[key], what=key, where="plan")
