# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures of policies.json say, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SHORT = 0.005  # so much of the SLO attainment may be missing on other days than those of the search
BEYOND = 0.002  # so far below the lowest attainment judged the line to the next one is drawn on
NEAR_HOURS = 1.02
LIMIT = "perfect foresight"
NOT_ADAPTIVE = ("modelops", "best static", LIMIT, "a person")
EVERYBODY = (
    "modelops",
    "best static",
    LIMIT,
    "Dynamo-like planner",
    "HPA on utilisation",
    "KPA on concurrency",
    "KEDA on queue length",
    "a person",
    "SageServe-like",
)
PEAK_OVER_TROUGH = 3.0
PARTS = {
    "ablations": "what each part of ours is worth",
    "startups": "other times to start",
    "other_demand": "flat demand, and bursts that nothing announces",
    "published": "the rivals with their published settings",
}
SHAPES = {
    "flat": "The same models with their mean demand all day long",
    "bursts": "The same mean in bursts that nothing announces (ten minutes at three times the rest, in one of twelve steps by"
    " chance)",
}
Row = Mapping[str, Any]


def mean(row: Row, key: str) -> float:
    return float(row[key][0])


def curve(result: Mapping[str, Any], name: str) -> list[tuple[float, float, float]]:
    """(SLO attainment, accelerator-hours, mean response) of what was judged of ours or of the limit, dearest last.

    A setting that takes more hours for a lower attainment than another is left out.
    """
    rows = [row for row in (*result.get("frontier", ()), *result["policies"]) if row["policy"] == name]
    points = sorted(
        (mean(row, "accelerator_hours"), mean(row, "slo_share"), mean(row, "mean_response_seconds")) for row in rows
    )
    kept: list[tuple[float, float, float]] = []
    for hours, slo, response in points:
        if not kept or slo > kept[-1][0]:
            kept.append((slo, hours, response))
    return kept


def between(points: Sequence[tuple[float, ...]], known: int, value: float, wanted: int) -> float | None:
    """The wanted figure where the known one has that value, on straight lines; None beyond what was judged."""
    for lower, upper in zip(points, points[1:]):
        if lower[known] <= value <= upper[known]:
            part = (value - lower[known]) / (upper[known] - lower[known]) if upper[known] > lower[known] else 0.0
            return lower[wanted] + part * (upper[wanted] - lower[wanted])
    return None


def hours_at(result: Mapping[str, Any], name: str, row: Row) -> float | None:
    """What ours, or the limit, takes for the attainment of this row."""
    points, slo = curve(result, name), mean(row, "slo_share")
    if len(points) > 1 and points[0][0] - BEYOND <= slo < points[0][0]:  # the first line goes on a little
        (lower, hours), (upper, more) = (point[:2] for point in points[:2])
        return hours - (lower - slo) * (more - hours) / (upper - lower)
    return between(points, 0, slo, 1)


def saved(result: Mapping[str, Any], row: Row) -> float | None:
    """The share of a policy's hours that ours does without at that policy's own attainment."""
    hours = hours_at(result, "modelops", row)
    return None if hours is None else 1.0 - hours / mean(row, "accelerator_hours")


def answers(result: Mapping[str, Any]) -> list[str]:
    """Each goal of the project, what was found, and whether it is met."""
    rows = {row["policy"]: row for row in result["policies"]}
    missing = [name for name in result.get("tuning", rows) if name not in rows]
    if missing or len(curve(result, "modelops")) < 2:
        waiting = ", ".join(missing) or "modelops at several settings"
        return [f"Tuned, but not judged yet, so nothing is said of the goals: {waiting}."]
    lines = ["| goal | found | |", "| --- | --- | --- |"]

    def add(goal: str, found: str, met: bool) -> None:
        lines.append(f"| {goal} | {found} | {'met' if met else 'missed'} |")

    add(
        "25 % fewer accelerator-hours than the best static fleet, at its SLO",
        _fewer(result, rows["best static"]),
        (saved(result, rows["best static"]) or 0.0) >= 0.25,
    )
    rival = _best_rival(result)
    if rival is None:
        add("10 % fewer than the best tuned policy that adapts, at its SLO", "none of them keeps the SLO", True)
    else:
        add(
            "10 % fewer than the best tuned policy that adapts, at its SLO",
            f"{rival}: {_fewer(result, rows[rival])}",
            (saved(result, rows[rival]) or 0.0) >= 0.10,
        )
    limit = rows[LIMIT]
    ours_hours = hours_at(result, "modelops", limit)
    beyond = math.inf if ours_hours is None else ours_hours / mean(limit, "accelerator_hours") - 1.0
    add("within 15 % of a hindsight schedule, at its SLO", f"{beyond:+.1%} (SLO {_slo(limit)})", beyond <= 0.15)
    _against_person(result, rows, add)
    ours_by = {row["startup_seconds"]: row for row in result.get("startups", []) if row["policy"] == "modelops"}
    if {30.0, 300.0} <= set(ours_by):
        ratio = mean(ours_by[300.0], "mean_ttft_seconds") / mean(ours_by[30.0], "mean_ttft_seconds")
        add("mean TTFT at 300 s start-up at most 1.5 times that at 30 s", f"{ratio:.2f} times", ratio <= 1.5)
    return lines


def _against_person(result: Mapping[str, Any], rows: Mapping[str, Row], add: Any) -> None:
    """With the person's hours spent, for one who was tuned and for one with the usual settings."""
    usual = [row for row in result.get("published", ()) if row["policy"] == "a person"]
    for person, words in [(rows["a person"], "the tuned person"), *((row, "a person as usual") for row in usual)]:
        hours, theirs = mean(person, "accelerator_hours"), mean(person, "mean_response_seconds")
        ours = between(curve(result, "modelops"), 1, hours, 2)
        if ours is None:
            dearest = curve(result, "modelops")[-1]
            ours, hours = dearest[2], dearest[1]
        faster = 1.0 - ours / theirs
        add(
            f"mean response 30 % below that of {words}, at those hours or fewer",
            f"{ours:.1f} s to {theirs:.1f} s, {abs(faster):.1%} {'below' if faster >= 0 else 'above'}, with {hours:,.0f}"
            f" to {mean(person, 'accelerator_hours'):,.0f} hours (the person keeps {_slo(person)})",
            faster >= 0.30,
        )


def as_good_sentences(result: Mapping[str, Any]) -> list[str]:
    """Who is as good or cheaper than ours at the same attainment, and what foresight leaves to win."""
    rows = {row["policy"]: row for row in result["policies"]}
    if len(curve(result, "modelops")) < 2:
        return []
    found = []
    for name, row in rows.items():
        less = saved(result, row)
        if name not in ("modelops", LIMIT) and less is not None and less <= 1.0 - 1.0 / NEAR_HOURS:
            found.append(f"{name} ({-less:+.1%} accelerator-hours of ours to its at SLO {_slo(row)})")
    said = [
        f"As good as ours here, or cheaper: {'; '.join(found)}."
        if found
        else f"No rival is within {NEAR_HOURS - 1.0:.0%} of ours at its own SLO."
    ]
    rival = _best_rival(result)
    best = None if rival is None else hours_at(result, LIMIT, rows[rival])
    if rival is not None and best is not None:
        most = 1.0 - best / mean(rows[rival], "accelerator_hours")
        said += [
            "",
            f"Perfect foresight takes {most:.1%} fewer accelerator-hours than {rival} at its SLO of {_slo(rows[rival])}: that"
            " is what is left for any forecast to win against it on these days with this sizing.",
        ]
    wanted = result["slo"]["tuned_for"]
    short = [f"{name} ({_slo(row)})" for name, row in rows.items() if mean(row, "slo_share") < wanted]
    if short:
        said += ["", f"Below the {wanted:.1%} they were tuned for, on the days that are judged: {', '.join(short)}."]
    return said


def not_covered(result: Mapping[str, Any]) -> list[str]:
    """What a reader must not take this run for."""
    judged = {row["policy"] for row in result["policies"]}
    lines = [
        f"- {name}: {'tuned, not judged' if name in result['tuning'] else 'not run'}"
        for name in EVERYBODY
        if name not in judged
    ]
    lines += [f"- {words}: not run" for part, words in PARTS.items() if not result.get(part)]
    known = {row["without"] for row in result.get("ablations", [])}
    if known and not {"the reactive guard", "the hold before scale-in"} <= known:
        lines.append("- all parts of ours: the ablations have not been run to their end")
    lines += [
        f"- `{name}` has a peak of {one['peak_over_trough']:g} times the trough on one of the days, less than three"
        for name, one in result["models"].items()
        if one["peak_over_trough"] < PEAK_OVER_TROUGH
    ]
    if result["size"] != "whole":
        lines.append("- four models with up to five replicas each: `policies.py --size whole --anew`")
    return lines or ["- nothing that was planned"]


def other_demand_sentences(result: Mapping[str, Any]) -> list[str]:
    """Demand on which a fixed fleet is the better choice, or may be."""
    said = []
    for shape, words in SHAPES.items():
        rows = {row["policy"]: row for row in result.get("other_demand", []) if row["demand"] == shape}
        if {"modelops", "best static"} <= set(rows):
            each = [
                f"{name} {mean(row, 'accelerator_hours'):,.0f} accelerator-hours at an SLO of {_slo(row)} with"
                f" {mean(row, 'starts'):.0f} starts"
                for name, row in rows.items()
            ]
            said += [f"{words}, the settings as tuned: {'; '.join(each)}.", ""]
    if said:
        said.append(
            "`simulate` says of an operator's own demand in its first sentence when a fixed fleet is the better choice: when"
            " capacity that changes would have saved less than 5 % of the accelerator-hours, or answers clearly fewer in time."
        )
    return said


def _best_rival(result: Mapping[str, Any]) -> str | None:
    """Of those that adapt and keep the SLO, the one that ours saves least against."""
    found = {
        row["policy"]: saved(result, row)
        for row in result["policies"]
        if row["policy"] not in NOT_ADAPTIVE and mean(row, "slo_share") >= result["slo"]["tuned_for"] - SHORT
    }
    known = {name: less for name, less in found.items() if less is not None}
    return min(known, key=lambda name: known[name], default=None)


def _fewer(result: Mapping[str, Any], other: Row) -> str:
    less = saved(result, other)
    if less is None:
        return f"its SLO of {_slo(other)} is not among what was judged of ours"
    hours = mean(other, "accelerator_hours")
    return (
        f"{abs(less):.1%} {'fewer' if less >= 0 else 'more'} hours ({(1.0 - less) * hours:,.0f} to {hours:,.0f} at SLO"
        f" {_slo(other)})"
    )


def _slo(row: Row) -> str:
    return f"{mean(row, 'slo_share'):.2%}"
