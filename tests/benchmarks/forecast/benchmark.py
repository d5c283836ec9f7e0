# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecast the same series with the collection and with its peers, in one run, and write down who did what.

    tests/benchmarks/forecast/run [--tasks m4,servegen] [--peers mstl_arima,auto_ets] [--sample 5] [--reuse-peers]

Prints one line a method, and writes results.json, forecast.md and forecast.svg to
.cache/benchmark-results. With --official they go where they are published: results.json
beside this file, the other two to docs/benchmarks.

The collection forecasts every case. Dear peers forecast a sample of them, the same in
every run, and are compared with the collection on that sample. --sample takes fewer.
--reuse-peers reads forecasts of peers (and their CPU seconds) made by earlier runs from
.cache/benchmark-forecasts and makes only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import contest
import naive2
import numpy as np
import ours
import peers
import scores
import table
import tasks
from arena import Arena, cpu_now

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import GENERATOR

HERE = Path(__file__).resolve().parent
OFFICIAL_DOCS = tasks.ROOT / "docs" / "benchmarks"
UNOFFICIAL = tasks.ROOT / ".cache" / "benchmark-results"
RATIOS = ("mase", "smape", "msis95", "pinball0.95", "over95", "cpu_ms")


def main() -> int:
    options = _parse()
    try:
        names = tasks.chosen(options.tasks)
        chosen_peers = _chosen_peers(options.peers)
        tasks.data_folder()
    except (ValueError, FileNotFoundError) as error:
        print(f"forecast benchmark: {error}", file=sys.stderr)
        return 1
    began = cpu_now()
    with Arena(options.limit) as arena:
        measured = {name: measure_task(tasks.TASKS[name](), arena, chosen_peers, options) for name in names}
    result = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "generator": GENERATOR,
        "python": platform.python_version(),
        "processor": _processor(),
        "versions": {package: version(package) for package in sorted({peer.package for peer in chosen_peers})},
        "limit_cpu_seconds": options.limit,
        "cpu_minutes": round((cpu_now() - began) / 60.0, 1),
        "peers_reused": options.reuse_peers,
        "tasks": measured,
    }
    _publish(result, HERE if options.official else UNOFFICIAL, OFFICIAL_DOCS if options.official else UNOFFICIAL)
    return 0


def measure_task(
    task: tasks.Task, arena: Arena, chosen_peers: list[peers.Peer], options: argparse.Namespace
) -> dict[str, Any]:
    """Every segment of a task: the collection on all cases, then each peer on its sample."""
    reference = scores.per_case(task, naive2.forecast_task(task))
    made = ours.forecast_task(task)
    mine = scores.per_case(task, made)
    segments = {}
    for segment in task.segments:
        rows = np.array([case.segment == segment for case in task.cases])
        segments[segment] = {"ours": scores.summarise(mine, rows, reference), "peers": {}}
        print(table.line(task.name, segment, "modelops.datacenter", segments[segment]["ours"]), flush=True)
    longest = max(case.history.size for case in task.cases)
    for peer in chosen_peers:
        size = peer.cases(task.name, longest)
        sample = contest.sample_rows(task, min(size, options.sample or size))
        theirs = contest.compete(arena, task, peer, sample, reuse=options.reuse_peers)
        measures = scores.per_case(task, theirs)
        for segment, entry in segments.items():
            asked = np.array([row in set(sample) and case.segment == segment for row, case in enumerate(task.cases)])
            entry["peers"][peer.name] = _compare(peer, measures, mine, reference, theirs, asked)
            print(table.peer_line(task.name, segment, entry["peers"][peer.name]), flush=True)
    return {"title": task.title, "horizon": task.horizon, "seasons": task.seasons, "segments": segments}


def _compare(
    peer: peers.Peer,
    theirs: dict[str, Any],
    mine: dict[str, Any],
    reference: dict[str, Any],
    forecasts: scores.Forecasts,
    asked: Any,
) -> dict[str, Any]:
    """The peer and the collection on the cases the peer could do, and how many times ours the peer's figure is."""
    done = asked & forecasts.made
    failures = sorted(why for row, why in forecasts.failures.items() if asked[row])
    entry: dict[str, Any] = {"title": peer.title, "asked": int(asked.sum()), "done": int(done.sum())}
    if failures:
        entry["failed"] = {"cases": len(failures), "first": failures[0]}
    if done.any():
        entry["peer"] = scores.summarise(theirs, done, reference)
        entry["ours"] = scores.summarise(mine, done, reference)
        entry["ratio"] = {
            name: entry["peer"][name] / entry["ours"][name] for name in RATIOS if entry["ours"][name] > 0.0
        }
    elif not failures:
        entry["failed"] = {"cases": 0, "first": "given up after the task's other cases"}
    return entry


def _publish(result: dict[str, Any], data: Path, docs: Path) -> None:
    import plot  # matplotlib takes a second, and every peer's process imports this file

    for folder in (data, docs):
        folder.mkdir(parents=True, exist_ok=True)
    stored = json.loads(
        json.dumps(result), parse_float=lambda text: float(f"{float(text):.5g}"), parse_constant=lambda _name: None
    )
    (data / "results.json").write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (docs / "forecast.md").write_text(table.page(stored), encoding="utf-8")
    plot.draw(stored, docs / "forecast.svg")
    print(f"\n{table.verdict(stored)}\nWritten: {data}/results.json, {docs}/forecast.md, {docs}/forecast.svg")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _chosen_peers(names: str | None) -> list[peers.Peer]:
    if names is None:
        return list(peers.PEERS.values())
    unknown = [name for name in names.split(",") if name not in peers.PEERS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no peer; there are {', '.join(peers.PEERS)}")
    return [peers.PEERS[name] for name in names.split(",")]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/forecast/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(tasks.TASKS), help=f"of {', '.join(tasks.TASKS)}; default: all")
    parser.add_argument("--peers", help=f"of {', '.join(peers.PEERS)}; default: all")
    parser.add_argument("--sample", type=int, help="at most this many cases of each segment for a peer")
    parser.add_argument("--limit", type=float, default=100.0, help="CPU seconds a peer may take for one case")
    parser.add_argument("--reuse-peers", action="store_true", help="take peers' forecasts of earlier runs")
    parser.add_argument("--official", action="store_true", help="write the published files")
    return parser.parse_args()


if __name__ == "__main__":
    # Numpy is imported by now; the peers' processes inherit one thread from the command `run`.
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        sys.exit("forecast benchmark: start it with tests/benchmarks/forecast/run, which sets one thread for everyone")
    sys.exit(main())
