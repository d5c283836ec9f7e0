# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The backtest page: one file that needs no network, in the look of the report.

As in the report, the content security policy lets run exactly the scripts written
here, by their SHA-256, and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import words
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_figures import (
    chosen_figure,
    course_figure,
    coverage_figure,
    lead_figure,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_script import CHARTS
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.backtest_tables import (
    candidate_table,
    coverage_table,
    level_words,
    series_table,
    untested_table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    bullets,
    element,
    embedded_json,
    escape,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.script import SCRIPT
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.style import STYLE

if TYPE_CHECKING:
    from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.backtest_courses import Course

Document = Mapping[str, Any]

NO_SCRIPT = "The figures need JavaScript. The numbers are in the tables."
# Beside the report's style: how high the figures are, and a line that leads through a long page.
CHART_STYLE = """
.chart { height: 270px; margin: 0 -.4rem }
.swatch.naive { border-color: var(--planned); border-top-style: dashed }
.swatch.start { width: 0; height: .9rem; border-top: 0; border-left: 2px dotted var(--soft) }
.swatch.target { border-color: var(--soft); border-top-style: dashed }
.swatch.dot, .swatch.ring { width: .65rem; height: .65rem; border: 2px solid var(--median); border-radius: 50% }
.swatch.dot { background: var(--median) }
.badge.kind { color: var(--accent) }
#series .scroll { max-height: 40rem; overflow-y: auto }
@media (max-width: 640px) { .chart { height: 240px; margin: 0 -.5rem } }
@media print { .chart { height: 250px } #series .scroll { max-height: none } }
"""
HOW = (
    "Every forecast tested is of the future: candidates are fitted to what lies before the first origin alone, and"
    " then asked from each origin for the whole horizon. The combination is weighted, at each origin, by the errors of"
    " the other folds; the weights shown are the final ones, of all folds together.",
    "MASE is the mean absolute error divided by that of repeating the last season over the whole history: below 1 is"
    " good. Skill is the share by which the error is smaller than that of repeating the last season in this test.",
    "Coverage is the share of demand at or below a quantile, which should be the level of that quantile. Where demand"
    " is often exactly the quantile, as with zeros, it is right when the level lies between the share below and the"
    " share at or below.",
    "A candidate forecasts one number a step. Its own coverage and pinball loss (in the JSON file) are those of the"
    " quantiles its errors give, learned for each half of the origins from the other half.",
)


def render(
    document: Document,
    courses: Sequence[Course],
    reasons: Mapping[str, Sequence[str]],
    *,
    title: str,
    summary: str,
    plotly_js: str,
) -> str:
    """The whole page.

    Args:
        document: as docs/schemas/backtest.schema.json says; ``created_at`` is not shown.
        courses: the series to draw.
        reasons: why each of them was chosen.
        title: of the page.
        summary: the sentence it opens with.
        plotly_js: the text of plotly.js, embedded once.
    """
    sections = [
        (name, heading, content)
        for name, heading, content in (
            ("warnings", "Warnings", bullets(document["warnings"], class_="warnings") if document["warnings"] else ""),
            ("calibration", "Coverage", _coverage(document)),
            ("lead", "Error by lead time", _lead(document)),
            ("candidates", "Candidates", _candidates(document)),
            ("series", "Series", _series(document, courses)),
            ("courses", "Courses", _courses(document, courses, reasons)),
            ("untested", "Not tested", untested_table(document)),
            ("method", "How this was measured", _method(document)),
        )
        if content
    ]
    links = "".join(element("a", escape(heading), href=f"#{name}") for name, heading, _content in sections)
    main = "".join(
        element("section", element("h2", escape(heading), id=f"{name}-title") + content, id=name)
        for name, heading, content in sections
    )
    body = (
        element("a", "Skip to the content", href="#main", class_="skip")
        + _header(document, title, summary)
        + element("nav", links, aria_label="Sections")
        + element("main", main, id="main")
        + element("noscript", element("p", NO_SCRIPT))
        + "".join(element("script", text) for text in (plotly_js, SCRIPT, CHARTS))
    )
    head = _head(title, (plotly_js, SCRIPT, CHARTS))
    return "<!DOCTYPE html>\n" + element("html", head + element("body", body), lang="en") + "\n"


def _head(title: str, scripts: Sequence[str]) -> str:
    allowed = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
        for text in scripts
    )
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        element("meta", charset="utf-8")
        + element("meta", http_equiv="Content-Security-Policy", content_=policy)
        + element("meta", name_="viewport", content_="width=device-width, initial-scale=1")
        + element("meta", name_="color-scheme", content_="light dark")
        + element("title", escape(title))
        + element("style", STYLE + CHART_STYLE),
    )


def _header(document: Document, title: str, summary: str) -> str:
    ends = sorted({fields["history_end"] for fields in document["series"].values()})
    known = f"History to {words.moment(ends[-1])}" if ends else ""
    theme = element("button", "Theme: auto", type="button", id="theme", title="Automatic, light or dark")
    sentence = (summary[:1].upper() + summary[1:] + ".").replace(" %", "\u00a0%")
    return element(
        "header",
        element("div", element("h1", escape(title)) + theme, class_="top")
        + (element("p", element("span", escape(known)), class_="dates") if known else "")
        + element("p", escape(sentence), class_="lead")
        + _tiles(document),
    )


def _tiles(document: Document) -> str:
    overall = document["overall"]
    tested, beating = overall["series_tested"], overall["beating_seasonal_naive"]
    better = overall["mase"] is not None and overall["mase"] < overall["mase_seasonal_naive"]
    tiles = [
        ("Series tested", f"{tested:,}", f"{len(document['untested']):,} not tested", ""),
        ("MASE", words.number(overall["mase"]), "mean over series", "good" if better else "bad" if tested else ""),
        ("Seasonal naive", words.number(overall["mase_seasonal_naive"]), "MASE", ""),
        ("Beat naive", f"{beating:,}", f"of {tested:,}", ""),
    ]
    for level in sorted(overall["coverage"], key=float)[-1:]:
        share = overall["coverage"][level]["share"]
        tiles.append((f"Below {level_words(level)}", words.percent(share), f"target {_percent(level)}", ""))
    tiles.append(("Horizon", f"{document['horizon_steps']:,}", "steps ahead", ""))
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


def _coverage(document: Document) -> str:
    figure = coverage_figure(document["overall"])
    if figure is None:
        return ""
    key = (
        ("target", "Where it should be"),
        ("dot", "Share of demand at or below the quantile"),
        ("ring", "Share below it"),
    )
    said = "Share of demand at or below each quantile over the level of the quantile"
    return element("div", _chart(figure, said, key, height=300), class_="card") + coverage_table(document)


def _lead(document: Document) -> str:
    figure = lead_figure(document["overall"])
    if figure is None:
        return ""
    key = (("median", "Combination"), ("naive", "Seasonal naive"))
    note = "Mean absolute error at each step ahead, scaled as MASE is, mean over series."
    if figure["bucket"] > 1:
        note += f" Each point is the mean of {figure['bucket']} steps."
    card = element("p", escape(note), class_="why") + _chart(figure, "Scaled error over steps ahead", key)
    return element("div", card, class_="card")


def _candidates(document: Document) -> str:
    figure = chosen_figure(document["overall"])
    if figure is None:
        return ""
    note = element("p", "For which share of the series each candidate is part of the combination.", class_="why")
    chart = _chart(figure, "Share of series each candidate is chosen for", (), height=90 + 26 * len(figure["names"]))
    return element("div", note + chart, class_="card") + candidate_table(document)


def _series(document: Document, courses: Sequence[Course]) -> str:
    if not document["series"]:
        return ""
    tools = element(
        "div",
        '<label>Find a series <input type="search" id="find" autocomplete="off"></label>'
        '<span id="found" role="status"></span>',
        class_="tools",
    )
    numbers = {course.name: number for number, course in enumerate(courses)}
    return tools + series_table(document, numbers)


def _courses(document: Document, courses: Sequence[Course], reasons: Mapping[str, Sequence[str]]) -> str:
    return "".join(
        _course(document["series"][course.name], course, number, reasons.get(course.name) or ())
        for number, course in enumerate(courses)
    )


def _course(fields: Mapping[str, Any], course: Course, number: int, reasons: Sequence[str]) -> str:
    test = fields["backtest"]
    key = [("observed", "Observed"), ("median", "Combination, weighted by the other folds")]
    if course.interval is not None:
        low, high = (f"{100 * level:g}" for level, _values in course.interval)
        key.append(("interval_high", f"{low}{words.DASH}{high} % of demand"))
    key.append(("start", "A forecast starts"))
    facts = (
        f"MASE {words.number(test['mase'])}, seasonal naive {words.number(test['mase_seasonal_naive'])};"
        f" {words.skill(test['skill'])}"
    )
    badges = " ".join(element("span", escape(reason), class_="badge kind") for reason in reasons)
    parts = [
        element("h3", f"{escape(course.name)} {badges}", id=f"course-{number}"),
        element("p", escape(facts), class_="why"),
        _chart(course_figure(course), f"Observed demand of {course.name} and what was forecast of it", key),
    ]
    if fields["warnings"]:
        parts.append(bullets(fields["warnings"], class_="warnings"))
    return element("section", "".join(parts), class_="card", data_name=course.name.lower())


def _chart(figure: Mapping[str, Any], said: str, key: Sequence[tuple[str, str]], *, height: int | None = None) -> str:
    """A figure, its legend above it and its data beside it."""
    items = "".join(element("li", element("span", "", class_=f"swatch {role}") + escape(text)) for role, text in key)
    style = f"height: {height}px" if height else None
    return element(
        "div",
        (element("ul", items, class_="key") if items else "")
        + element("div", "", class_="chart", role="img", aria_label=said, style=style)
        + element("script", embedded_json(figure), type="application/json"),
        class_="figure",
    )


def _method(document: Document) -> str:
    facts = [("Engine", document["engine"]), ("Written by", document["generator"])]
    facts += [(f"Made from: {name}", value) for name, value in sorted((document.get("inputs") or {}).items())]
    pairs = "".join(element("div", element("dt", escape(term)) + element("dd", escape(value))) for term, value in facts)
    return "".join(element("p", escape(text)) for text in HOW) + element("dl", pairs, class_="numbers")


def _percent(level: str) -> str:
    return f"{100 * float(level):g} %"
