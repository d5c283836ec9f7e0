# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/benchmarks/policies.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from page_answers import LIMIT, between, curve, hours_at, mean

Row = Mapping[str, Any]
HEAD = (
    "| policy | settings found | SLO kept | accelerator-hours | to ours | mean TTFT s | P99 TTFT s"
    " | mean response s | P50 | P99 | by the deadline | lost | starts | longest shortfall min |"
)
RULE = "| --- | --- | " + " | ".join(["---:"] * 12) + " |"


def spread(row: Row, key: str, digits: int, factor: float = 1.0) -> str:
    value, half = row[key]
    return f"{value * factor:,.{digits}f} ± {half * factor:,.{digits}f}"


def words(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in settings.items()
    )


def table(rows: Sequence[Row], title: str = "policy") -> list[str]:
    ours = next(row for row in rows if row["policy"] == "modelops")
    lines = [HEAD, RULE]
    for row in rows:
        name = str(row["policy"])
        cells = [
            f"**{name}**" if name == "modelops" else name,
            words(row["settings"]),
            spread(row, "slo_share", 2, 100.0) + " %",
            spread(row, "accelerator_hours", 0),
            f"{mean(row, 'accelerator_hours') / mean(ours, 'accelerator_hours'):.2f}x",
            spread(row, "mean_ttft_seconds", 2),
            f"{mean(row, 'p99_ttft_seconds'):,.1f}",
            f"{mean(row, 'mean_response_seconds'):,.1f}",
            f"{mean(row, 'p50_response_seconds'):,.1f}",
            f"{mean(row, 'p99_response_seconds'):,.1f}",
            f"{mean(row, 'deadline_share'):.2%}",
            f"{mean(row, 'lost'):,.0f}",
            f"{mean(row, 'starts'):,.0f}",
            f"{mean(row, 'longest_shortfall_seconds') / 60.0:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def frontier(result: Mapping[str, Any]) -> list[str]:
    """Each policy beside ours at its attainment, and at its hours."""
    lines = [
        "Hours only compare at the same SLO, and response at the same hours. Ours and perfect foresight were therefore judged at"
        " several settings, and stand between them on straight lines, which go on for 0.2 points below the lowest SLO.",
        "",
        "| policy | SLO kept | accelerator-hours | ours at that SLO | theirs to ours | foresight at that SLO | mean response s"
        " | ours at those hours s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    tuned = [(row, str(row["policy"])) for row in result["policies"] if row["policy"] != "modelops"]
    usual = [(row, f"{row['policy']}, {words(row['settings'])}") for row in result.get("published", [])]
    for row, name in [*tuned, *usual]:
        hours = mean(row, "accelerator_hours")
        ours, best = hours_at(result, "modelops", row), hours_at(result, LIMIT, row)
        response = between(curve(result, "modelops"), 1, hours, 2)
        lines.append(
            f"| {name} | {mean(row, 'slo_share'):.2%} | {hours:,.0f} | {_number(ours)} | {_ratio(hours, ours)} |"
            f" {_number(best)} | {mean(row, 'mean_response_seconds'):.1f} | {'' if response is None else f'{response:.1f}'} |"
        )
    lines += [
        "",
        "| | settings | SLO kept | accelerator-hours | mean response s | P99 s |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['policy']} | {words(row['settings'])} | {spread(row, 'slo_share', 2, 100.0)} %"
        f" | {spread(row, 'accelerator_hours', 0)} | {mean(row, 'mean_response_seconds'):.1f}"
        f" | {mean(row, 'p99_response_seconds'):.1f} |"
        for row in result.get("frontier", [])
    ]
    return lines


def _number(hours: float | None) -> str:
    return "" if hours is None else f"{hours:,.0f}"


def _ratio(hours: float, ours: float | None) -> str:
    return "" if ours is None else f"{hours / ours:.2f}x"


def startups(result: Mapping[str, Any]) -> list[str]:
    rows = [*result["startups"], *(row for row in result["policies"] if _swept(result, row["policy"]))]
    lines = [
        "The same days and seeds; the settings are those tuned at 120 s.",
        "",
        "| policy | start-up s | SLO kept | accelerator-hours | mean TTFT s | P99 TTFT s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    ordered = sorted(rows, key=lambda row: (row["policy"] != "modelops", row["policy"], row["startup_seconds"]))
    lines += [
        f"| {row['policy']} | {row['startup_seconds']:g} | {spread(row, 'slo_share', 2, 100.0)} %"
        f" | {spread(row, 'accelerator_hours', 0)} | {spread(row, 'mean_ttft_seconds', 2)}"
        f" | {mean(row, 'p99_ttft_seconds'):,.1f} |"
        for row in ordered
    ]
    return lines


def _swept(result: Mapping[str, Any], name: str) -> bool:
    return any(row["policy"] == name for row in result["startups"])


def ablations(result: Mapping[str, Any]) -> list[str]:
    whole = next(row for row in result["policies"] if row["policy"] == "modelops")
    lines = [
        "Without a forecast nothing is known of the demand to come, and what is not known stops no replica: they are only"
        " started then.",
        "",
        "| modelops without | SLO kept | accelerator-hours | to the whole | mean TTFT s | starts |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.get('without', 'nothing')} | {spread(row, 'slo_share', 2, 100.0)} %"
        f" | {spread(row, 'accelerator_hours', 0)}"
        f" | {mean(row, 'accelerator_hours') / mean(whole, 'accelerator_hours'):.2f}x"
        f" | {spread(row, 'mean_ttft_seconds', 2)} | {mean(row, 'starts'):,.0f} |"
        for row in [whole, *result["ablations"]]
    ]
    return lines


def solver(folder: Path) -> list[str]:
    """What the solver and the price of churn are worth, from the benchmarks of the allocation."""
    lines = [
        "All replicas of a model are alike in this simulation, so the solver has nothing to choose in it and no start has a"
        " price. What the two are worth was measured on fleets where they matter (`tests/benchmarks/allocation`):",
        "",
        "| instead of ours | fleet | found |",
        "| --- | --- | --- |",
    ]
    greedy = json.loads((folder / "greedy.json").read_text())["rows"]
    largest = max(row["hosts"] for row in greedy)
    lines += [
        f"| {row['way']} instead of the solver | {row['hosts']:,} hosts, {row['models']:,} models, demand"
        f" {row['demand_factor']:g} | ours costs {row['cost_ours_over_this']:.2f}x, unserved {row['unserved_share']:.1%} |"
        for row in greedy
        if row["hosts"] == largest and row["way"] != "ours" and "cost_ours_over_this" in row
    ]
    starts = json.loads((folder / "starts.json").read_text())
    lines += [
        f"| no price of churn | {starts['hosts']:,} hosts, {starts['models']:,} models,"
        f" {'with' if row['zones'] else 'without'} zones | with it {row['starts_over_no_price']:.2f}x the starts for"
        f" {row['cost_over_no_price']:+.2%} cost |"
        for row in starts["rows"]
        if row["way"] == "0.05 h a start"
    ]
    return lines


def tuning(result: Mapping[str, Any]) -> list[str]:
    lines = ["| policy | settings | SLO kept | accelerator-hours |", "| --- | --- | ---: | ---: |"]
    for name, tried in result["tuning"].items():
        lines += [f"| {name} | {words(one['settings'])} | {one['slo']:.2%} | {one['hours']:,.0f} |" for one in tried]
    return lines


def speed(found: Mapping[str, Any]) -> list[str]:
    lines = [
        f"Seconds of processor time of one process, written by `speed.py` on {found['date']} on a shared, busy machine.",
        "",
        "| request by request: replicas | batch | requests | requests a second |",
        "| ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one['replicas']} | {one['batch']} | {one['requests']:,} | {one['requests_a_second']:,} |"
        for one in found["requests"]
    ]
    lines += ["", "| as a fluid: policy | models | days | seconds |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {one['policy']} | {one['models']} | {one['days']} | {one['seconds']:.1f} |" for one in found["fluid"]]
    return lines


def calibration(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "One llama.cpp server with one slot and a model of random weights, on loopback, and the simulator with the profile"
        " measured before and after each round, the same arrivals and lengths in both (`calibration.py`,"
        f" {found['date']}). Other processes took {found['processor_share_of_others']:.0%} of the machine. The goal of"
        f" {found['goal']:.0%} is {'met' if found['goal_met'] else 'missed'}.",
        "",
        "| load | requests | P50 real s | simulated s | error | P95 real s | simulated s | error |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found["loads"]:
        pairs = [
            f"{one[f'p{p}_seconds']['real']:.3f} | {one[f'p{p}_seconds']['simulated']:.3f} | {one[f'p{p}_error']:+.1%}"
            for p in (50, 95)
        ]
        lines.append(f"| {one['load']:.0%} | {one['requests']} | {pairs[0]} | {pairs[1]} |")
    return [*lines, "", _left_out(found), *_why(found)]


def _left_out(found: Mapping[str, Any]) -> str:
    """How many rounds were judged, and what all of them would have given."""
    kept, of = found["steady_rounds_of"]
    worst = max((abs(one[f"p{p}_error"]), one["load"], p) for one in found["of_all_rounds"] for p in (50, 95))
    change = found["change_of_speed"]
    return (
        f"These are {kept} of {of} rounds. In the others the server's own speed, measured before and after, changed by more than a"
        f" tenth (up to {change['most']:.0%}): the machine is a virtual one among others. With all rounds the largest error is"
        f" {worst[0]:.1%}, of P{worst[2]} at {worst[1]:.0%} load."
    )


def _why(found: Mapping[str, Any]) -> list[str]:
    """What small errors of the profile make of the response."""
    rows = found.get("why", [])
    if not rows:
        return []
    errors = [key for key in rows[0] if key != "load"]
    step = found["profiles"]["step_seconds"]
    lines = [
        "",
        "What an error of the profile makes of the response, simulated with the profile that was found (`calibration.py --why`)."
        " Near full load the response says less of the simulator than of a few percent of the server's speed, and the seconds"
        f" of a token, found anew around each round, went from {1000.0 * step['least']:.2g} to {1000.0 * step['most']:.2g} ms.",
    ]
    if "scatter" not in found["profiles"]:
        lines += [
            "",
            "In these figures all requests of one size take the same time in the simulator. Since then each has the scatter of"
            " those that met no other; that was not measured yet.",
        ]
    lines += [
        "",
        "| load | " + " | ".join(f"{words}: P50 | P95" for words in errors) + " |",
        "| ---: | " + " | ".join("---: | ---:" for _words in errors) + " |",
    ]
    lines += [
        f"| {row['load']:.0%} | "
        + " | ".join(f"{row[words][0]:+.1%} | {row[words][1]:+.1%}" for words in errors)
        + " |"
        for row in rows
    ]
    return lines
