# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures of policies.json say, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AS_GOOD = 0.002  # of the SLO attainment
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
PARTS = {"ablations": "what each part of ours is worth", "startups": "other times to start", "flat": "flat demand"}
Row = Mapping[str, Any]


def mean(row: Row, key: str) -> float:
    return float(row[key][0])


def answers(result: Mapping[str, Any]) -> list[str]:
    """Each goal of the project, what was found, and whether it is met."""
    rows = {row["policy"]: row for row in result["policies"]}
    missing = [name for name in result.get("tuning", rows) if name not in rows]
    if missing:
        return [f"Tuned, but not judged yet, so nothing is said of the goals: {', '.join(missing)}."]
    ours = rows["modelops"]
    lines = ["| goal | found | |", "| --- | --- | --- |"]

    def add(goal: str, found: str, met: bool) -> None:
        lines.append(f"| {goal} | {found} | {'met' if met else 'missed'} |")

    static = rows["best static"]
    add(
        "25 % fewer accelerator-hours than the best static fleet, at equal or better SLO",
        _fewer(ours, static),
        _saved(ours, static) >= 0.25 and _as_good(ours, static),
    )
    rival = _best_rival(rows)
    if rival is None:
        add("10 % fewer than the best tuned policy that adapts", "none of them keeps the SLO as well as ours", True)
    else:
        add(
            "10 % fewer than the best tuned policy that adapts, among those that keep the SLO as well",
            f"{rival}: {_fewer(ours, rows[rival])}",
            _saved(ours, rows[rival]) >= 0.10,
        )
    beyond = mean(ours, "accelerator_hours") / mean(rows[LIMIT], "accelerator_hours") - 1.0
    add(
        "within 15 % of a hindsight schedule",
        f"{beyond:+.1%} (SLO {_slo(ours)} to {_slo(rows[LIMIT])})",
        beyond <= 0.15,
    )
    person = rows["a person"]
    faster = 1.0 - mean(ours, "mean_response_seconds") / mean(person, "mean_response_seconds")
    add(
        "mean response 30 % below that of a person",
        f"{mean(ours, 'mean_response_seconds'):.1f} s to {mean(person, 'mean_response_seconds'):.1f} s, {abs(faster):.1%}"
        f" {'below' if faster >= 0 else 'above'}, with"
        f" {_fewer(ours, person)}",
        faster >= 0.30,
    )
    ours_by = {row["startup_seconds"]: row for row in result.get("startups", []) if row["policy"] == "modelops"}
    if {30.0, 300.0} <= set(ours_by):
        ratio = mean(ours_by[300.0], "mean_ttft_seconds") / mean(ours_by[30.0], "mean_ttft_seconds")
        add("mean TTFT at 300 s start-up at most 1.5 times that at 30 s", f"{ratio:.2f} times", ratio <= 1.5)
    return lines


def as_good_sentences(result: Mapping[str, Any]) -> list[str]:
    """Who is as good or cheaper than ours, and what foresight leaves to win."""
    rows = {row["policy"]: row for row in result["policies"]}
    if "modelops" not in rows:
        return []
    ours = rows["modelops"]
    hours = mean(ours, "accelerator_hours")
    found = [
        f"{name} ({mean(row, 'accelerator_hours') / hours - 1.0:+.1%} accelerator-hours, SLO {_slo(row)} to {_slo(ours)})"
        for name, row in rows.items()
        if name not in ("modelops", LIMIT)
        and mean(row, "accelerator_hours") <= NEAR_HOURS * hours
        and _as_good(row, ours)
    ]
    said = [
        f"As good as ours here, or cheaper: {'; '.join(found)}."
        if found
        else f"No rival keeps the SLO within {AS_GOOD:.1%} of ours for at most {NEAR_HOURS - 1.0:.0%} more accelerator-hours."
    ]
    rival = _best_rival(rows)
    if rival is not None and LIMIT in rows:
        most = 1.0 - mean(rows[LIMIT], "accelerator_hours") / mean(rows[rival], "accelerator_hours")
        said += [
            "",
            f"Perfect foresight, tuned in the same way, takes {most:.1%} fewer accelerator-hours than {rival} (SLO"
            f" {_slo(rows[LIMIT])} to {_slo(rows[rival])}): that is about what is left for any forecast to win against it on"
            " this day with this sizing.",
        ]
    wanted = result["slo"]["tuned_for"]
    short = [f"{name} ({_slo(row)})" for name, row in rows.items() if mean(row, "slo_share") < wanted]
    if short:
        said += ["", f"Below the {wanted:.1%} they were tuned for, on the day that is judged: {', '.join(short)}."]
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
        f"- `{name}` has a peak of {one['peak_over_trough']:g} times the trough on day 7, less than three"
        for name, one in result["models"].items()
        if one["peak_over_trough"] < PEAK_OVER_TROUGH
    ]
    if result["size"] != "whole":
        lines.append("- four models with up to five replicas each: `policies.py --size whole --anew`")
    return [*lines, "- more than one day"]


def flat_sentence(result: Mapping[str, Any]) -> str:
    rows = {row["policy"]: row for row in result.get("flat", [])}
    if not {"modelops", "best static"} <= set(rows):
        return ""
    ours, static = rows["modelops"], rows["best static"]
    return (
        "The same models with their mean demand all day long, the settings as tuned: modelops takes"
        f" {mean(ours, 'accelerator_hours'):,.0f} accelerator-hours at an SLO of {_slo(ours)} with"
        f" {mean(ours, 'starts'):.0f} starts, the fixed fleet {mean(static, 'accelerator_hours'):,.0f} at {_slo(static)}."
        " `simulate` says of an operator's own demand in its first sentence when a fixed fleet is the better choice: when"
        " capacity that changes would have saved less than 5 % of the accelerator-hours."
    )


def _best_rival(rows: Mapping[str, Row]) -> str | None:
    as_good = [name for name in rows if name not in NOT_ADAPTIVE and _as_good(rows[name], rows["modelops"])]
    return min(as_good, key=lambda name: mean(rows[name], "accelerator_hours"), default=None)


def _as_good(row: Row, other: Row) -> bool:
    return mean(row, "slo_share") >= mean(other, "slo_share") - AS_GOOD


def _saved(ours: Row, other: Row) -> float:
    return 1.0 - mean(ours, "accelerator_hours") / mean(other, "accelerator_hours")


def _fewer(ours: Row, other: Row) -> str:
    saved = _saved(ours, other)
    return f"{abs(saved):.1%} {'fewer' if saved >= 0 else 'more'} hours (SLO {_slo(ours)} to {_slo(other)})"


def _slo(row: Row) -> str:
    return f"{mean(row, 'slo_share'):.2%}"
