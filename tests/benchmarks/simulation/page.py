# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks/policies.md and policies.svg from what policies.py, speed.py and calibration.py wrote.

    .cache/benchmark-venv/bin/python tests/benchmarks/simulation/page.py    (with requirements/benchmark.lock, for the picture)

Every sentence with a figure in it is made of the figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from page_answers import answers, as_good_sentences, not_covered, other_demand_sentences
from page_plot import draw
from page_tables import ablations, calibration, frontier, solver, speed, startups, table, tuning

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[2] / "docs" / "benchmarks"


def read(name: str) -> dict[str, Any]:
    path = HERE / name
    return dict(json.loads(path.read_text())) if path.exists() else {}


def introduction(result: dict[str, Any]) -> list[str]:
    models = "; ".join(
        f"`{name}` (peak over trough {one['peak_over_trough']:g}, profile {one['profile'][0]} on {one['profile'][1]},"
        f" {one['requests_per_second']:.3g} requests/s a replica)"
        for name, one in result["models"].items()
    )
    slo = result["slo"]
    return [
        "# Scaling policies compared",
        "",
        "What each scaling policy serves and takes on production demand: arrivals of ServeGen (Alibaba), request lengths of"
        " Mooncake's conversation trace, replicas as SageServe's table measured them. Simulated request by request; every"
        " policy starts from the same replicas and has the same stock; starting and draining replicas are counted. How it"
        " is done stands in `tests/benchmarks/simulation/traffic_world.py`.",
        "",
        f"Size `{result['size']}`: {len(result['models'])} models, up to {result['peak_replicas']} replicas each at full"
        f" rate: {models}. Peak over trough is that of the calmest day judged.",
        "",
        f"Each policy, ours included, got {result['evaluations']} evaluations on day {_and(result['days']['tuned'])} (one seed)"
        f" to find the fewest accelerator-hours with {slo['tuned_for']:.1%} of the requests inside the SLO (TTFT"
        f" {slo['ttft_seconds']:g} s, {slo['itl_seconds']:g} s a token). Days {_and(result['days']['judged'])} are judged, each with"
        " a seed of its own; no policy had been run on them before. Figures are a day's, intervals 95 % over the days.",
        "",
        f"Written by `policies.py --size {result['size']}` on {result['date']}, {result['cpu_seconds'] / 60.0:.1f} minutes"
        f" of processor time, Python {result['versions']['python']}, numpy {result['versions']['numpy']}.",
        "",
        "![Requests inside the SLO against accelerator-hours](policies.svg)",
        "",
    ]


def _and(days: list[int]) -> str:
    return " and ".join(part for part in (", ".join(map(str, days[:-1])), str(days[-1])) if part)


def _judged(result: dict[str, Any]) -> bool:
    return any(row["policy"] == "modelops" for row in result["policies"])


def main() -> None:
    result = read("policies.json")
    other = other_demand_sentences(result)
    parts: list[tuple[str, list[str]]] = [
        ("The goals, and what was found", [*answers(result), "", *as_good_sentences(result)]),
        ("All policies", table(result["policies"]) if _judged(result) else ["Not run yet."]),
        ("At the same SLO, and at the same hours", frontier(result) if _judged(result) else ["Not run yet."]),
    ]
    if other:
        parts.append(("Where a fixed fleet is the better choice", other))
    if result.get("startups"):
        parts.append(("Time to start a replica", startups(result)))
    if result.get("ablations"):
        parts.append(("What each part of ours is worth", [*ablations(result), "", *solver(HERE.parent / "allocation")]))
    parts.append(("What this run does not cover", not_covered(result)))
    parts.append(("What was tried in the search", tuning(result)))
    if measured := read("calibration.json"):
        parts.append(("Against a real server", calibration(measured)))
    if timed := read("speed.json"):
        parts.append(("Speed", speed(timed)))
    lines = introduction(result)
    # Kept in the file of results by hand, for as long as these results stand: a new run begins without.
    for caveat in result.get("caveats", []):
        lines += [f"**{caveat}**", ""]
    for title, content in parts:
        lines += [f"## {title}", "", *content, ""]
    (DOCS / "policies.md").write_text("\n".join(lines).rstrip() + "\n")
    draw(result, DOCS / "policies.svg")


if __name__ == "__main__":
    main()
