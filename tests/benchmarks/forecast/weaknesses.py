# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where forecasts break in practice, measured one by one, so that a change can be seen before and after.

    tests/benchmarks/forecast/run weaknesses [--baseline FILE] [--out FILE] [--sample 150]

Prints a table as JSON: each row a weakness, its figure, the goal, and with --baseline the
figure of an earlier run. Errors are in units of the undisturbed history's seasonal change.
"""

from __future__ import annotations

import argparse
import json
import operator
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import contest
import disturbances
import naive2
import numpy as np
import ours
import peers
import scores
import tasks
from arena import Arena

LIMIT_CPU_SECONDS = 100.0
COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


def row(weakness: str, figure: str, value: float, goal: str = "", note: str = "") -> dict[str, Any]:
    """One line of the table; the goal reads ``<= 1.25``, ``>= 1.05`` or ``0.93..0.97``."""
    met = None
    if ".." in goal:
        low, high = (float(part) for part in goal.split(".."))
        met = low <= value <= high
    elif goal:
        sign, limit = goal.split()
        met = COMPARE[sign](value, float(limit))
    entry = {"weakness": weakness, "figure": figure, "value": round(value, 4), "goal": goal or None, "met": met}
    return {**entry, "note": note} if note else entry


def _segment(task: tasks.Task, segment: str) -> tasks.Task:
    return replace(task, cases=tuple(case for case in task.cases if case.segment == segment))


def _figures(task: tasks.Task, forecasts: scores.Forecasts) -> dict[str, Any]:
    every = np.ones(len(task.cases), dtype=bool)
    measures = scores.per_case(task, forecasts)
    return scores.summarise(measures, every, measures)


def _against(task: tasks.Task, names: tuple[str, ...], per_segment: int) -> tuple[dict[str, float], dict[str, Any]]:
    """P95 loss of each peer, and the collection's figures, on the same cases."""
    rows = contest.sample_rows(task, per_segment)
    part = replace(task, cases=tuple(task.cases[index] for index in sorted(rows)))
    theirs = {}
    with Arena(LIMIT_CPU_SECONDS) as arena:
        for name in names:
            made = contest.compete(arena, part, peers.PEERS[name], list(range(len(rows))), reuse=True)
            theirs[name] = _figures(part, made)["pinball0.95"]
    return theirs, _figures(part, ours.forecast_task(part))


def sparse(task: tasks.Task) -> list[dict[str, Any]]:
    theirs, mine = _against(_segment(task, "sparse"), peers.SIMPLE, 10_000)
    best = min(theirs, key=lambda name: theirs[name])
    figure = f"P95 loss of the best simple method / ours, {task.name}"
    return [
        row("sparse series", figure, theirs[best] / mine["pinball0.95"], ">= 1.05", f"best: {peers.PEERS[best].title}")
    ]


def coverage(task: tasks.Task, segment: str) -> list[dict[str, Any]]:
    part = _segment(task, segment)
    mine = _figures(part, ours.forecast_task(part))
    title = f"{task.name} {segment}".strip()
    return [
        row("P95 under-covers", f"share of actuals <= P95, {title}", mine["below95"], "0.93..0.97"),
        row("P95 under-covers", f"over-provision at P95, {title}", mine["over95"]),
    ]


def monthly(task: tasks.Task, sample: int) -> list[dict[str, Any]]:
    theirs, mine = _against(task, ("auto_ets",), sample)
    ratio = theirs["auto_ets"] / mine["pinball0.95"]
    return [row("few seasons", f"P95 loss of AutoETS / ours, {sample} of M3 monthly", ratio, ">= 1.0")]


def disturbed(task: tasks.Task) -> list[dict[str, Any]]:
    """MASE of M4 hourly when something went wrong, against when nothing did."""
    clean = _mase(task, task)
    limit = "harm on clean data: at most 1.01 of --baseline"
    rows = [row("spikes", "MASE on clean M4 hourly", clean["mase"], note=limit)]
    for weakness, change, factor, goal in (
        ("spikes", disturbances.spikes, 1.0, "<= 1.25"),
        ("block gaps", disturbances.block_gaps, 1.0, ""),
        ("level shift", disturbances.level_shift, disturbances.SHIFT_FACTOR, ""),
        ("drift", disturbances.drift, disturbances.DRIFT_FACTOR, ""),
    ):
        changed = replace(task, cases=tuple(change(case) for case in task.cases))
        found, naive = _mase(task, changed), _mase(task, changed, ours.forecast_task(changed, engine="seasonal_naive"))
        rows.append(
            row(weakness, "MASE / clean MASE, in units of the new level", found["mase"] / factor / clean["mase"], goal)
        )
        rows.append(row(weakness, "MASE of seasonal naive / ours", naive["mase"] / found["mase"]))
        rows.append(row(weakness, "share of actuals <= P95", found["below95"]))
    return rows


def short_history(m4: tasks.Task, hourly: tasks.Task) -> list[dict[str, Any]]:
    """24 and 12 samples, alone; and next to longer histories of the same fleet."""
    rows = []
    for length in (24, 12):
        cut = replace(m4, cases=tuple(disturbances.short(case, length) for case in m4.cases))
        found, flat = _mase(m4, cut), _mase(m4, cut, naive2.forecast_task(cut))
        rows.append(row("short history", f"MASE with {length} samples, M4 hourly", found["mase"]))
        rows.append(
            row(
                "short history",
                f"MASE of the last value / ours, {length} samples",
                flat["mase"] / found["mase"],
                ">= 1.0",
            )
        )
        rows.append(row("short history", f"share of actuals <= P95, {length} samples", found["below95"], "0.93..1.0"))
    newest = max(case.origin for case in hourly.cases)
    fleet = tuple(case for case in hourly.cases if case.segment == "live" and case.origin == newest)
    mixed = tuple(disturbances.short(case, 24) if index % 2 else case for index, case in enumerate(fleet))
    made = ours.forecast_task(replace(hourly, cases=mixed))
    found = _figures_of(replace(hourly, cases=fleet), made, np.arange(len(fleet)) % 2 == 1)
    rows.append(row("short history", "MASE with 24 samples beside long siblings, ServeGen hourly", found["mase"]))
    rows.append(row("short history", "share of actuals <= P95, the same", found["below95"], "0.93..1.0"))
    return rows


def _mase(clean: tasks.Task, task: tasks.Task, made: scores.Forecasts | None = None) -> dict[str, Any]:
    """Figures of the forecasts from disturbed histories, scaled by the clean ones."""
    made = ours.forecast_task(task) if made is None else made
    judged = tuple(replace(case, actual=other.actual) for case, other in zip(clean.cases, task.cases))
    return _figures_of(replace(clean, cases=judged), made, np.ones(len(judged), dtype=bool))


def _figures_of(task: tasks.Task, made: scores.Forecasts, rows: Any) -> dict[str, Any]:
    measures = scores.per_case(task, made)
    return scores.summarise(measures, rows, measures)


def main() -> int:
    options = _parse()
    try:
        m4, m3 = tasks.m4_hourly(), tasks.m3_monthly()
        minutes, hourly, web = (tasks.TASKS[name]() for name in ("servegen_10min", "servegen_hourly", "web"))
    except FileNotFoundError as error:
        print(f"forecast benchmark: {error}", file=sys.stderr)
        return 1
    rows = sparse(minutes) + sparse(hourly)
    rows += coverage(minutes, "live") + coverage(hourly, "live") + coverage(web, "")
    rows += disturbed(m4) + short_history(m4, hourly) + monthly(m3, options.sample)
    before = json.loads(options.baseline.read_text(encoding="utf-8")) if options.baseline else []
    known = {(entry["weakness"], entry["figure"]): entry["value"] for entry in before}
    for entry in rows:
        if (entry["weakness"], entry["figure"]) in known:
            entry["before"] = known[entry["weakness"], entry["figure"]]
    text = "[\n" + ",\n".join(f" {json.dumps(entry)}" for entry in rows) + "\n]"
    print(text)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n", encoding="utf-8")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/forecast/run weaknesses",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--baseline", type=Path, help="weaknesses.json of an earlier run")
    parser.add_argument("--out", type=Path, default=tasks.ROOT / ".cache" / "benchmark-results" / "weaknesses.json")
    parser.add_argument("--sample", type=int, default=150, help="M3 series that AutoETS forecasts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
