# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling upgrades under load: six replicas on three hosts, back and forth, every request on record.

    python tests/benchmarks/rollout/rolling.py --requests 100000 --streams 1000

Version 1 to 2 to 1 and so on, until as many requests have been sent. The servers are slowed down to a
sixth of their speed (paced.py), so that a stream of a tiny model takes seconds, as a large one's does.
Brings its lab up where it is not, applies version 1, and leaves the lab up. Writes rolling.json and the picture.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from plot_rolling import draw_rolling
from record import COUNT_LOG, Answered, read_record, stretch, timeline
from rig import MODEL, ROOT, Rig, entry, paced, replicas

PICTURES = ROOT / "docs/docsite/rst/images"


def main() -> None:
    options = parse()
    rig = Rig(options.lab)
    if not options.prepared:
        prepare(rig, options.share)
    load = {
        "rate": options.rate,
        "stream_rate": options.stream_rate,
        "stream_tokens": options.stream_tokens,
        "tokens": 4,
        "version_characters": 4,
    }
    rig.start_load("before", seconds=options.before_seconds, **load).finish(stop=False)
    before = read_record(rig.directory / "before.csv.gz")
    began, first_version = time.time(), good_version(rig)
    during = rig.start_load("during", seconds=options.limit_seconds, seed=2, **load)
    enough = max(options.requests / options.rate, options.streams / options.stream_rate) * 1.02
    runs: list[dict[str, Any]] = []
    try:
        while time.time() - began < enough and (not options.upgrades or len(runs) < options.upgrades):
            runs.append(one_upgrade(rig, len(runs), options))
            print(json.dumps({key: value for key, value in runs[-1].items() if key != "steps"}), flush=True)
    finally:
        during.finish()
    time.sleep(2)  # until the gateway has written its last lines
    log = json.loads(rig.sh("lab-gw1", f"python3 -c '{COUNT_LOG}' {began}"))
    result = results(first_version, before, read_record(rig.directory / "during.csv.gz"), runs, log)
    result.update({"load": load, "server_share": options.share})
    Path(__file__).with_name(f"{options.name}.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    draw_rolling(result, PICTURES / f"{options.name}.svg")
    print(json.dumps({key: value for key, value in result.items() if key not in ("timeline", "upgrades")}, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="rollout")
    parser.add_argument("--name", default="rolling", help="of the result and the picture")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--upgrades", type=int, default=0, help="at most as many; 0 for no limit")
    parser.add_argument("--rate", type=float, default=54)
    parser.add_argument("--stream-rate", type=float, default=0.56)
    parser.add_argument("--stream-tokens", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.16, help="of the time that a server runs")
    parser.add_argument("--soak", type=float, default=15)
    parser.add_argument("--before-seconds", type=float, default=120)
    parser.add_argument("--limit-seconds", type=float, default=3600)
    parser.add_argument("--prepared", action="store_true", help="the lab is up and serves version 1")
    return parser.parse_args()


def paced_entry(version: str, share: float) -> dict[str, Any]:
    slots = {"ctx-size": 16384, "parallel": 8, "threads": 1}
    return entry(version, int(version), executable=paced("--share", str(share)), engine_args=slots)


def prepare(rig: Rig, share: float) -> None:
    rig.prepare(3, 1, 2)
    rig.catalogue_is(paced_entry("1", share))
    rig.serve(replicas(3, 2))


def one_upgrade(rig: Rig, number: int, options: argparse.Namespace) -> dict[str, Any]:
    """To the other version; what the playbook said and when each step was."""
    version = "2" if good_version(rig) == "1" else "1"
    rig.catalogue_is(paced_entry(version, options.share))
    began = time.time()
    flags = rig.upgrade_flags(soak=options.soak, observed=options.rate)
    run = rig.playbook("upgrade", *flags, "-e", "upgrade_force=true")
    (rig.directory / f"upgrade-{number}.log").write_text(run.output, encoding="utf-8")
    if run.code:
        print(run.output[-3000:], flush=True)
    journal = json.loads((rig.directory / f"upgrade-{MODEL}.json").read_text(encoding="utf-8"))
    shown = ("at", "what", "servers", "reasons")
    return {
        "to": version,
        "exit_code": run.code,
        "began": began,
        "seconds": round(run.seconds, 1),
        "steps": [{key: event[key] for key in shown if key in event} for event in journal["events"]],
    }


def good_version(rig: Rig) -> str:
    record = json.loads((rig.directory / "releases.json").read_text(encoding="utf-8"))
    return str(record["models"][MODEL]["good"]["version"])


def results(
    first_version: str, before: list[Answered], during: list[Answered], runs: list[dict[str, Any]], log: dict[str, Any]
) -> dict[str, Any]:
    """What is kept: totals, latency before, in and between upgrades, the gateway's own count, answers over time."""
    first = min(one.at for one in during)
    spans = [(run["began"], run["began"] + run["seconds"]) for run in runs]
    inside = [one for one in during if any(low <= one.at <= high for low, high in spans)]
    old = next(one.answer for one in before if one.good)
    other = {"1": "2", "2": "1"}[first_version]
    versions = {old: first_version, **{one.answer: other for one in during if one.good and one.answer != old}}
    for run in runs:
        run["began"] = round(run["began"] - first, 1)
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "model": MODEL,
        "upgrades": runs,
        "upgrades_done": sum(not run["exit_code"] for run in runs),
        "before": stretch(before),
        "during": stretch(during),
        "while_upgrading": stretch(inside),
        "gateway_log": {**log, "sent": len(during)},
        "answers": {
            version: sum(one.answer == answer and one.good for one in during) for answer, version in versions.items()
        },
        "timeline": timeline(during, versions),
    }


if __name__ == "__main__":
    main()
