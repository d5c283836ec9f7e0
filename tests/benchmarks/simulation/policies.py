# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies on production demand, request by request: what each serves and what it takes.

    .venv/bin/python tests/benchmarks/simulation/policies.py [--size small|waves|whole]

What they get is told in traffic_world.py, which settings are tried in contenders.py. Every policy is tuned on days 6 and
7 (counted from 0) with one seed for the fewest accelerator-hours with an SLO attainment of 98.5 %, else for the highest
attainment, and then judged on five later days with a seed each. Ours and perfect foresight are judged
at several settings, so that a rival is compared at its own SLO attainment and at its own hours. The sweep over
the time a replica takes to start has the settings tuned at 120 s. Each row is written when it is there and is not
run again by the next call, so a run may be stopped at any time; the file is begun anew when ``--anew`` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from contenders import CONTENDERS, EVALUATIONS, FRONTIER, PUBLISHED
from traffic_world import DEADLINE, ITL, JUDGED, SHAPES, SIZES, STARTUP, TTFT, TUNING, World, run

from ansible_collections.modelops.datacenter.plugins.module_utils._core.simulation.measures import over_seeds

STARTUPS = (30.0, 300.0, 0.0, 60.0, 180.0)
OVER_STARTUPS = ("modelops", "Dynamo-like planner", "HPA on utilisation")
SLOW = ("SageServe-like",)  # its fits take longer than all else together
WANTED_SLO = 0.985
ABLATIONS: dict[str, dict[str, Any]] = {
    "the forecast": {"use_forecast": False},
    "the interval: the median": {"quantile": 0.5},
    "the median: the quantile 0.9": {"quantile": 0.9},
    "the reactive guard": {"use_guard": False},
    "the hold before scale-in": {"hold_seconds": 0.0},
}
KEPT = (
    "requests",
    "lost",
    "mean_response_seconds",
    "p50_response_seconds",
    "p99_response_seconds",
    "deadline_share",
    "mean_ttft_seconds",
    "p50_ttft_seconds",
    "p99_ttft_seconds",
    "slo_share",
    "accelerator_hours",
    "starts",
    "stops",
    "worst_shortfall_per_second",
    "longest_shortfall_seconds",
)
Settings = dict[str, Any]
Tried = list[dict[str, Any]]


class Results:
    """The file, and what it holds already."""

    def __init__(self, path: Path, size: str, anew: bool) -> None:
        self.path = path
        self.begun = 0.0
        self.content: dict[str, Any] = {}
        if path.exists() and not anew:
            self.content = json.loads(path.read_text())
            self.begun = self.content.get("cpu_seconds", 0.0)
        if self.content.get("size", size) != size:
            raise SystemExit(f"{path} is of another size: give --anew")
        self.content["size"] = size

    def write(self) -> None:
        self.content["date"] = datetime.now(tz=timezone.utc).strftime("%Y-%m-%d")
        self.content["cpu_seconds"] = round(self.begun + time.process_time(), 1)
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")


def tune(world: World, name: str, tried: Tried, results: Results) -> Settings:
    """The best settings after :data:`EVALUATIONS`; those in ``tried`` are not run again."""
    maker, knob, grid = CONTENDERS[name]

    def attempt(settings: Settings) -> None:
        if not any(one["settings"] == settings for one in tried):
            figures = run(world, maker(world, 0, settings), 0, TUNING)
            tried.append(
                {
                    "settings": settings,
                    "slo": round(figures["slo_share"], 5),
                    "hours": round(figures["accelerator_hours"], 1),
                }
            )
            print(f"{time.process_time():7.1f} {name} {tried[-1]}", flush=True)
            results.write()

    for settings in grid:
        attempt(settings)
    while len(tried) < EVALUATIONS:
        attempt(between(tried, knob))
    return best_of(tried)["settings"]


def best_of(tried: Tried) -> dict[str, Any]:
    good = [one for one in tried if one["slo"] >= WANTED_SLO]
    return min(good, key=lambda one: one["hours"]) if good else max(tried, key=lambda one: one["slo"])


def between(tried: Tried, knob: str) -> Settings:
    """Half way between the thriftiest that keeps the SLO and the next that does not, or on beyond the end.

    The other settings are those of the best.
    """
    best = best_of(tried)
    others = {key: value for key, value in best["settings"].items() if key != knob}
    row = [one for one in tried if others.items() <= one["settings"].items()]
    kept = [one["settings"][knob] for one in row if one["slo"] >= WANTED_SLO]
    missed = [
        one["settings"][knob] for one in row if one["slo"] < WANTED_SLO and one["settings"][knob] > max(kept, default=0)
    ]
    if not kept:
        value = min(missed) / 1.25
    elif not missed:
        value = max(kept) * 1.25
    else:
        value = (max(kept) + min(missed)) / 2.0
    return {**best["settings"], knob: round(value, 4)}


def judged(world: World, name: str, settings: Mapping[str, Any], startup: float) -> dict[str, Any]:
    maker = CONTENDERS[name][0]
    runs = [run(world, maker(world, seed, settings), seed, days, startup) for seed, days in JUDGED.items()]
    found = over_seeds(runs)
    row: dict[str, Any] = {"policy": name, "settings": dict(settings), "startup_seconds": startup}
    for key in KEPT:
        row[key] = [round(found[key]["mean"], 4), round(found[key]["half_width"], 4)]
    row["by_day"] = {key: [round(one[key], 4) for one in runs] for key in ("accelerator_hours", "slo_share")}
    print(f"{time.process_time():7.1f}", json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SIZES), default="whole")
    parser.add_argument("--anew", action="store_true")
    asked = parser.parse_args()
    results = Results(Path(__file__).with_suffix(".json"), asked.size, asked.anew)
    world = World(SIZES[asked.size])
    content = results.content
    content["versions"] = {"python": platform.python_version(), "numpy": version("numpy")}
    content["models"] = {
        name: {
            "profile": list(world.size.models[name]),
            "requests_per_second": round(full, 4),
            "peak_over_trough": round(_peak_over_trough(world, name), 1),
        }
        for name, full in world.full.items()
    }
    content["peak_replicas"] = world.size.peak_replicas
    content["slo"] = {"ttft_seconds": TTFT, "itl_seconds": ITL, "deadline_seconds": DEADLINE, "tuned_for": WANTED_SLO}
    content["days"] = {"tuned": list(range(*TUNING)), "judged": [first for first, _last in JUDGED.values()]}
    content["figures"] = "[mean over the days judged, half width of the 95 % confidence interval]"
    content["evaluations"] = EVALUATIONS
    tuning = content.setdefault("tuning", {})
    tuned: dict[str, Settings] = {}

    def row(part: str, name: str, settings: Settings, startup: float, where: World = world, **more: Any) -> None:
        known = content.setdefault(part, [])
        key = {**more, "policy": name, "settings": settings, "startup_seconds": startup}
        if not any(key.items() <= one.items() for one in known):
            known.append({**more, **judged(where, name, settings, startup)})
            results.write()

    def settle(name: str) -> None:
        tuned[name] = tune(world, name, tuning.setdefault(name, []), results)
        row("policies", name, tuned[name], STARTUP)

    for name in CONTENDERS:
        if name not in SLOW:
            settle(name)
            for share in FRONTIER.get(name, ()):
                row("frontier", name, {**tuned[name], "share": share}, STARTUP)
    for startup in STARTUPS[:2]:
        row("startups", "modelops", tuned["modelops"], startup)
    for name in SLOW:
        settle(name)
    for shape in SHAPES[1:]:
        other = World(SIZES[asked.size], shape)
        for name in ("modelops", "best static", "Dynamo-like planner"):
            row("other_demand", name, tuned[name], STARTUP, other, demand=shape)
    for name in OVER_STARTUPS:
        for startup in STARTUPS:
            row("startups", name, tuned[name], startup)
    for name, settings in PUBLISHED.items():
        row("published", name, settings, STARTUP)
    for words, change in ABLATIONS.items():
        if not change.items() <= tuned["modelops"].items():
            row("ablations", "modelops", {**tuned["modelops"], **change}, STARTUP, without=words)


def _peak_over_trough(world: World, name: str) -> float:
    """Of the hours of a day that is judged, the greatest over the least: the least of all these days."""
    days = [world.demand[name][first * 144 : last * 144].reshape(-1, 6).mean(axis=1) for first, last in JUDGED.values()]
    return min(float(hours.max() / max(hours.min(), 1e-9)) for hours in days)


if __name__ == "__main__":
    main()
