# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The comparison of policies as one page: the verdict, the table, capacity against demand.

It has no script: the curves are drawn in the page itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import (
    Cell,
    Column,
    bullets,
    element,
    escape,
    paragraphs,
    table,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.style import STYLE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.verdict import NAMES

WIDTH, HEIGHT, MOST_POINTS = 900, 150, 600
ROOM = 1.6  # of the largest demand: capacity beyond is cut off, so that the others can be read
DASH = "\u2014"
CURVES = """
svg { width: 100%; height: 150px; display: block; border-bottom: 1px solid var(--line) }
svg path { fill: none; vector-effect: non-scaling-stroke; stroke-width: 1.5 }
svg .demand { fill: var(--interval); stroke: var(--median) }
svg .capacity { stroke: var(--planned); stroke-dasharray: 6 3 }
"""
COLUMNS = (
    Column("Policy"),
    Column("Accelerator-hours", True),
    Column("In time", True),
    Column("Frontier"),
    Column("Mean response", True),
    Column("P99 response", True),
    Column("Lost", True),
    Column("Starts", True),
    Column("Stops", True),
    Column("Worst shortfall", True),
    Column("Longest shortfall", True),
)
HOW = (
    "All policies start from the same replicas and count on the same rate of a replica, the catalogue's."
    " Accelerator-hours include starting and draining.",
    "The policies of Kubernetes, Knative and the planner run with the defaults that their documentation gives. A fleet"
    " that is tuned to its demand does better than these.",
    "On the frontier is a policy that no other beats at accelerator-hours without answering fewer in time.",
    "A shortfall is demand beyond what the ready replicas sustain, summed over models, by the minute.",
)


def render(document: Mapping[str, Any], verdict: Sequence[str], *, title: str) -> str:
    """The whole page."""
    parts = [
        element("section", element("h2", "Policies") + _table(document), id="policies"),
        element("section", element("h2", "Capacity against demand") + _curves(document), id="capacity"),
    ]
    if document["warnings"]:
        parts.append(element("section", element("h2", "Warnings") + bullets(document["warnings"], class_="warnings")))
    parts.append(element("section", element("h2", "How this was simulated") + paragraphs(_how(document))))
    days = len(document["demand"]) * document["step_seconds"] / 86_400.0
    header = element("h1", escape(title)) + element(
        "p", escape(f"{days:g} days from {document['start']}, {document['requests']:,.0f} requests"), class_="dates"
    )
    body = element("header", header + paragraphs(verdict, class_="lead")) + element("main", "".join(parts), id="main")
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8")
        + element("meta", http_equiv="Content-Security-Policy", content_=policy)
        + element("meta", name_="viewport", content_="width=device-width, initial-scale=1")
        + element("meta", name_="color-scheme", content_="light dark")
        + element("title", escape(title))
        + element("style", STYLE + CURVES),
    )
    return "<!DOCTYPE html>\n" + element("html", head + element("body", body), lang="en") + "\n"


def _table(document: Mapping[str, Any]) -> str:
    rows = []
    best = _frontier(document["policies"])
    for name, figures in document["policies"].items():
        cells: list[Cell | str] = [
            escape(NAMES[name]),
            _with_interval(figures["accelerator_hours"], "", 1),
            _with_interval(figures["deadline_share"], " %", 2, 100.0),
            ("the limit" if name == "foresight" else "yes" if name in best else DASH),
            _with_interval(figures["mean_response_seconds"], " s", 2),
            _with_interval(figures.get("p99_response_seconds"), " s", 2),
            _with_interval(figures.get("lost"), "", 0),
            _with_interval(figures["starts"], "", 1),
            _with_interval(figures["stops"], "", 1),
            _with_interval(figures["worst_shortfall_per_second"], "/s", 2),
            _with_interval(figures["longest_shortfall_seconds"], " min", 1, 1.0 / 60.0),
        ]
        rows.append(("", cells))
    note = f"In time is within {document['deadline_seconds']:.4g} s. Behind \u00b1 is half of the 95 % interval over seeds."
    return table("What each policy served and what it took", COLUMNS, rows, note=note)


def _frontier(policies: Mapping[str, Any]) -> set[str]:
    """Those that no other beats at hours or share in time without losing at the other; foresight is out of the contest."""
    places = {
        name: (one["accelerator_hours"]["mean"], -one["deadline_share"]["mean"])
        for name, one in policies.items()
        if name != "foresight"
    }
    return {
        name
        for name, place in places.items()
        if not any(other != place and other[0] <= place[0] and other[1] <= place[1] for other in places.values())
    }


def _with_interval(figure: Mapping[str, float] | None, unit: str, digits: int, factor: float = 1.0) -> Cell | str:
    if figure is None or not math.isfinite(figure["mean"]):
        return DASH
    text = f"{figure['mean'] * factor:,.{digits}f}{unit}"
    if figure["half_width"] > 0:
        text += f" \u00b1 {figure['half_width'] * factor:,.{digits}f}"
    return Cell(escape(text), figure["mean"])


def _curves(document: Mapping[str, Any]) -> str:
    demand = document["demand"]
    width = max(1, math.ceil(len(demand) / MOST_POINTS))
    most = max([max(demand), *(max(course) for course in document["capacity"].values())]) or 1.0
    top = min(most, ROOM * max(demand)) or most
    drawn = []
    for name, course in document["capacity"].items():
        paths = _path(_thinned(demand, width), top, closed=True) + _path(_thinned(course, width), top, closed=False)
        said = f"Demand and capacity under {NAMES[name]}, up to {top:.4g} requests/s"
        chart = element(
            "svg", paths, viewBox=f"0 0 {WIDTH} {HEIGHT}", preserveAspectRatio="none", role="img", aria_label=said
        )
        drawn.append(element("section", element("h3", escape(NAMES[name])) + chart, class_="card course"))
    legend = f"Filled: demand. Dashed: what the ready replicas sustain. The top is {top:.4g} requests/s"
    legend += "." if top == most else f"; what lies above it, up to {most:.4g}, is cut off."
    return element("p", escape(legend), class_="why") + "".join(drawn)


def _thinned(values: Sequence[float], width: int) -> list[float]:
    """The largest of each ``width`` neighbours: a peak is never lost."""
    return [max(values[first : first + width]) for first in range(0, len(values), width)]


def _path(values: Sequence[float], top: float, *, closed: bool) -> str:
    across = WIDTH / len(values)
    heights = [HEIGHT - min(value / top, 1.0) * (HEIGHT - 6) for value in values]
    steps = "".join(f"V{height:.1f}H{(number + 1) * across:.1f}" for number, height in enumerate(heights))
    line = f"M0 {HEIGHT}{steps}V{HEIGHT}Z" if closed else f"M0 {heights[0]:.1f}{steps}"
    return element("path", d=line, class_="demand" if closed else "capacity")


def _how(document: Mapping[str, Any]) -> list[str]:
    if document["fidelity"] == "requests":
        first = "Request by request: Poisson arrivals within a step of the history, exponential service times, a queue at the gateway."
    else:
        first = "As a fluid: the mean number of requests in the system follows demand and capacity; no single request is known."
    stock = f"There are {document['accelerators']:g} accelerators; no policy can have more."
    return [first, stock, *HOW]
