# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as text: one line a method while the run goes on, and the page of the documentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

HEAD = """\
# Forecast benchmark

The collection's forecast against the packages one could install instead: the same series, the same origins, one
run on one machine, one thread. CPU time is measured inside the process, without imports.

Written by `tests/benchmarks/forecast/run --official` on {date}, Python {python}, {processor}: {versions}.

![Error and CPU time of each package, relative to the collection](forecast.svg)

{verdict}

{calibration}

## The collection, on every case

A case is one series forecast from one origin. MASE is the mean absolute error in units of the seasonal naive error
within the history; OWA compares MASE and sMAPE with those of Naive2, as in the M4 competition; MSIS is the M4
interval score at 95 %; P95 loss is the pinball loss of the 0.95 quantile, in units of MASE; coverage is the share of
actual values at or below the 0.95 quantile (0.95 is right); over-provision is what a capacity of that quantile keeps
idle, per unit of demand. Lower is better in all others.

{ours}

Where the history is mostly zero (sparse) sMAPE and OWA say nothing, as a single zero forecast wrongly counts 200 %.

## The packages, each against the collection on the same cases

A ratio above 1 means that the package's figure is that many times the collection's. Dear packages forecast a seeded
sample of the cases ("cases"), and the collection's figures are then of that sample too. Negative forecasts of the
packages count as zero, and gaps in the history are interpolated for them. A case may take {limit:g} CPU seconds.

{peers}
"""
# Yardsticks, not packages: they are in the tables, not in the verdict.
RULES_OF_THUMB = ("history_quantiles", "recent_quantiles", "zero")
LEAST_COVERED, MOST_COVERED = 0.93, 0.97
OURS = (
    ("mase", "MASE", "{:.3f}"),
    ("smape", "sMAPE", "{:.2f}"),
    ("owa", "OWA", "{:.3f}"),
    ("msis95", "MSIS", "{:.2f}"),
    ("pinball0.95", "P95 loss", "{:.3f}"),
    ("below95", "coverage", "{:.3f}"),
    ("over95", "over-provision", "{:.2f}"),
    ("cpu_ms", "CPU ms", "{:.1f}"),
)


def line(task: str, segment: str, title: str, figures: dict[str, Any]) -> str:
    """One line for the terminal."""
    values = "  ".join(f"{head} {form.format(figures[key])}" for key, head, form in OURS)
    return f"{task + ' ' + segment:<23} {title:<28} n={figures['cases']:<5} {values}"


def peer_line(task: str, segment: str, entry: dict[str, Any]) -> str:
    if "peer" not in entry:
        return f"{task + ' ' + segment:<23} {entry['title']:<28} failed: {entry['failed']['first']}"
    ratios = ", ".join(
        f"{name} {entry['ratio'].get(name, math.nan):.3g}x" for name in ("mase", "pinball0.95", "cpu_ms")
    )
    failed = f"  ({entry['failed']['cases']} failed: {entry['failed']['first']})" if "failed" in entry else ""
    return f"{line(task, segment, entry['title'], entry['peer'])}  | of ours: {ratios}{failed}"


def page(result: dict[str, Any]) -> str:
    return HEAD.format(
        date=result["date"],
        versions=", ".join(f"{name} {number}" for name, number in result["versions"].items()),
        python=result["python"],
        processor=result["processor"],
        limit=result["limit_cpu_seconds"],
        verdict=verdict(result),
        calibration=calibration(result),
        ours=_grid(["task", "cases", *(head for _key, head, _form in OURS)], _our_rows(result)),
        peers="\n\n".join(_peer_section(task) for task in result["tasks"].values()),
    )


def verdict(result: dict[str, Any]) -> str:
    """Who is more accurate, and whose P95 costs less, where: sentences that hold whatever the figures are."""
    said = [_verdict(result, "mase", "MASE"), _verdict(result, "pinball0.95", "P95 loss")]
    return " ".join(words for words in said if words) or "No package was compared."


def _verdict(result: dict[str, Any], measure: str, title: str) -> str:
    pairs = [
        (entry["ratio"][measure], f"{entry['title']} on {name} {segment}".strip())
        for name, task in result["tasks"].items()
        for segment, part in task["segments"].items()
        for peer, entry in part["peers"].items()
        if peer not in RULES_OF_THUMB and "ratio" in entry and entry["ratio"].get(measure) is not None
    ]
    if not pairs:
        return ""
    ahead = sorted(pair for pair in pairs if pair[0] < 1.0)
    behind = len(pairs) - len(ahead)
    said = f"Of {len(pairs)} comparisons in {title}, the collection is at least as good in {behind}."
    if ahead:
        said += " Better than the collection: " + ", ".join(f"{words} ({ratio:.2f}x)" for ratio, words in ahead) + "."
    return said


def calibration(result: dict[str, Any]) -> str:
    """What a P95 that holds costs: of the packages whose share at or below it is right, the one that keeps least idle."""
    said = []
    for name, task in result["tasks"].items():
        for segment, part in task["segments"].items():
            right = [
                (entry["ratio"]["over95"], entry["title"], entry["done"])
                for peer, entry in part["peers"].items()
                if peer not in RULES_OF_THUMB
                and entry.get("ratio", {}).get("over95") is not None
                and LEAST_COVERED <= entry["peer"]["below95"] <= MOST_COVERED
            ]
            if right:
                ratio, title, cases = min(right)
                said.append(f"{name} {segment}".strip() + f" {ratio:.2f}x ({title}, {cases} cases)")
            else:
                said.append(f"{name} {segment}".strip() + " none")
    least, most = f"{LEAST_COVERED:g}", f"{MOST_COVERED:g}"
    return (
        f"Over-provision at the 0.95 quantile of the best calibrated package, the least among those whose coverage is "
        f"{least} to {most}, in units of the collection's on the same cases: " + ", ".join(said) + "."
    )


def _our_rows(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for task in result["tasks"].values():
        for segment, part in task["segments"].items():
            figures = part["ours"]
            cells = [_number(figures[key], form) for key, _head, form in OURS]
            if segment == "sparse":
                cells[1] = cells[2] = ""
            rows.append([_title(task, segment), str(figures["cases"]), *cells])
    return rows


def _peer_section(task: dict[str, Any]) -> str:
    parts = []
    heads = [
        "package",
        "cases",
        "MASE",
        "ratio",
        "P95 loss ratio",
        "coverage",
        "ours",
        "over-provision ratio",
        "CPU ms",
    ]
    for segment, part in task["segments"].items():
        rows = [_peer_row(entry, len(heads) + 1) for entry in part["peers"].values()]
        parts.append(f"### {_title(task, segment)}\n\n{_grid([*heads, 'CPU ratio'], rows)}")
    return "\n\n".join(parts)


def _peer_row(entry: dict[str, Any], width: int) -> list[str]:
    if "peer" not in entry:
        return [entry["title"], f"0 of {entry['asked']}", f"failed: {entry['failed']['first']}", *[""] * (width - 3)]
    cases = str(entry["done"]) if "failed" not in entry else f"{entry['done']} of {entry['asked']}"
    peer, ours, ratio = entry["peer"], entry["ours"], entry["ratio"]
    return [
        entry["title"],
        cases,
        _number(peer["mase"], "{:.3f}"),
        _number(ratio.get("mase"), "{:.2f}"),
        _number(ratio.get("pinball0.95"), "{:.2f}"),
        _number(peer["below95"], "{:.3f}"),
        _number(ours["below95"], "{:.3f}"),
        _number(ratio.get("over95"), "{:.2f}"),
        _number(peer["cpu_ms"], "{:.3g}"),
        _number(ratio.get("cpu_ms"), "{:.3g}"),
    ]


def _title(task: dict[str, Any], segment: str) -> str:
    return f"{task['title']}, {segment} series" if segment else str(task["title"])


def _number(value: float | None, form: str) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    text = form.format(value)
    return f"{float(text):.0f}" if "e" in text else text


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(heads) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows))
