# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that must not be promoted, under load: each is stopped and turned back, and says why.

    python tests/benchmarks/rollout/bad_releases.py

Four replicas on two hosts behind a gateway serve version 1, whose answer to a golden prompt is kept in
the catalogue. Then come releases that answer wrongly, answer slowly, never answer, crash two minutes after
they were started, have another checksum than declared, or cannot be fetched since the source is down (which is no fault of
theirs). What the gateway logged as failed is told by the release that failed it. Brings its lab up where it is not, and leaves
it up. Writes bad_releases.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

from record import BAD_ROWS
from rig import MODEL, Rig, entry, paced, replicas, what_runs

PROMPT = "The quick brown"


def main() -> None:
    options = parse()
    rig = Rig(options.lab)
    rig.prepare(2, 1, 3)
    rig.serve(replicas(2, 2))
    good = entry("1", 1, golden=[{"prompt": PROMPT, "expect": ask(rig.url)}])
    load = rig.start_load("bad", seconds=3600, rate=options.rate, stream_rate=options.stream_rate, seed=3)
    rows = []
    try:
        for title, release in bad_releases(good).items():
            if not options.only or options.only in title:
                rows.append(try_release(rig, title, release, options))
                print(json.dumps(rows[-1], indent=1), flush=True)
        again = rig.playbook("upgrade", *rig.upgrade_flags(soak=options.soak, observed=options.rate))
        last = {"exit_code": again.code, "said": reason(again.output), "seconds": round(again.seconds, 1)}
    finally:
        found = load.finish()
    path = Path(__file__).with_name("bad_releases.json")
    result = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "bad_releases": rows,
        "the_last_one_once_more": last,
        "load": found,
    }
    if options.only:
        result = with_rows(json.loads(path.read_text(encoding="utf-8")), result)
    result["failed_by_other_releases"] = sum(row["failed"]["by_others"] for row in result["bad_releases"])
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1, sort_keys=True))


def with_rows(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The result of a whole run, with the releases that were tried again by themselves later in the place of theirs."""
    again = {row["release"]: {**row, "measured_at": now["measured_at"]} for row in now["bad_releases"]}
    rows = [again.get(row["release"], row) for row in before["bad_releases"]]
    return {**before, "bad_releases": rows, "the_last_one_once_more": now["the_last_one_once_more"]}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="bad")
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--stream-rate", type=float, default=0.3)
    parser.add_argument("--soak", type=float, default=15)
    parser.add_argument("--only", default="", help="releases whose description has this in it")
    return parser.parse_args()


def bad_releases(good: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The catalogue entry of each bad release, by what is wrong with it."""
    weights = good["artifact"]
    server_down = {"src": "http://127.0.0.1:9/tiny-1.gguf", "checksum": f"sha256:{'1' * 64}"}
    return {
        "answers wrongly": {**good, "version": "3", "artifact": entry("3", 3)["artifact"]},
        "answers slowly": {**good, "version": "3-slow", "executable": paced("--share", "0.1")},
        "never answers": {
            **good,
            "version": "4",
            "executable": ["/bin/sh", "-c", "exec sleep 3600", "sh"],
            "ready_timeout_seconds": 15,
        },
        "crashes after two minutes": {**good, "version": "5", "executable": paced("--crash-after", "120")},
        "cannot be fetched": {**good, "version": "7", "artifact": server_down},
        "another checksum": {**good, "version": "6", "artifact": {**weights, "checksum": f"sha256:{'0' * 64}"}},
    }


def try_release(rig: Rig, title: str, release: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Upgrade to it; what was said and done, and who failed requests meanwhile."""
    before, began = what_runs(rig), time.time()
    rig.catalogue_is(release)
    run = rig.playbook("upgrade", *rig.upgrade_flags(soak=options.soak, observed=options.rate))
    (rig.directory / f"{release['version']}.log").write_text(run.output, encoding="utf-8")
    time.sleep(2)  # until the gateway has written its last lines
    bad = json.loads(rig.sh("lab-gw1", f"python3 -c '{BAD_ROWS}' {began}"))
    events = json.loads((rig.directory / f"upgrade-{MODEL}.json").read_text(encoding="utf-8"))["events"]
    had_it = {server for one in events if one["what"] in ("canary", "batch") for server in one["servers"]}
    record = json.loads((rig.directory / "releases.json").read_text(encoding="utf-8"))["models"][MODEL]
    return {
        "release": title,
        "exit_code": run.code,
        "seconds": round(run.seconds, 1),
        "said": reason(run.output),
        "steps": re.findall(r"^ +msg: '?([A-Z_]{4,}): ", run.output, re.MULTILINE),
        "servers_that_had_it": sorted(had_it),
        "failed": {
            "by_it": sum(row[1] in had_it for row in bad),
            "by_others": sum(row[1] not in had_it for row in bad),
            "how": sorted({f"{row[1]} {row[2]} {row[3]}" for row in bad}),
        },
        "refused_from_now_on": release["version"] in [one["version"] for one in record["bad"]],
        "same_releases_run_as_before": what_runs(rig) == before,
    }


def ask(url: str) -> str:
    """What the model answers to the golden prompt, without chance."""
    body = json.dumps({"model": MODEL, "prompt": PROMPT, "max_tokens": 8, "temperature": 0}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(json.load(response)["choices"][0]["text"])


def reason(output: str) -> str:
    """The message the playbook ended with."""
    said = re.findall(r"(The upgrade of [^\n]+(?:\n {4,}[^\n]+)*)", output)
    return re.sub(r"\s+", " ", said[-1])[:600] if said else output[-500:]


if __name__ == "__main__":
    main()
