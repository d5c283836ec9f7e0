# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that must not be promoted, under load: each is stopped and turned back, and says why.

    python tests/benchmarks/rollout/bad_releases.py

Four replicas on two hosts behind a gateway serve version 1, whose answer to a golden prompt is kept in
the catalogue. Then come a release with other weights (answers wrongly), one that never answers, and one
whose artefact has another checksum than declared. Brings its lab up where it is not, and leaves it up.
Writes bad_releases.json.
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

from rig import MODEL, Rig, entry, replicas, what_runs

PROMPT = "The quick brown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="bad")
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--stream-rate", type=float, default=0.3)
    parser.add_argument("--soak", type=float, default=15)
    options = parser.parse_args()
    rig = Rig(options.lab)
    rig.share.mkdir(parents=True, exist_ok=True)
    rig.prepare(2, 1, 3)
    rig.plan(replicas(2, 2))
    for name in ("gateway", "apply", "gateway"):
        must(rig.playbook(name))
    good = entry("1", 1, golden=[{"prompt": PROMPT, "expect": ask(rig.url)}])
    before = what_runs(rig)
    load = rig.start_load("bad", seconds=3600, rate=options.rate, stream_rate=options.stream_rate, seed=3)
    rows = []
    try:
        for title, release in bad_releases(good).items():
            rig.catalogue_is(release)
            run = rig.playbook("upgrade", *rig.upgrade_flags(soak=options.soak, observed=options.rate))
            (rig.directory / f"{release['version']}.log").write_text(run.output, encoding="utf-8")
            rows.append(
                {
                    "release": title,
                    "exit_code": run.code,
                    "seconds": round(run.seconds, 1),
                    "said": reason(run.output),
                    "steps": re.findall(r"^ +msg: '?([A-Z_]{4,}): ", run.output, re.MULTILINE),
                    "same_releases_run_as_before": what_runs(rig) == before,
                }
            )
            print(json.dumps(rows[-1], indent=1), flush=True)
        rig.catalogue_is(release)
        again = rig.playbook("upgrade", *rig.upgrade_flags(soak=options.soak, observed=options.rate))
        refused = {"exit_code": again.code, "said": reason(again.output), "seconds": round(again.seconds, 1)}
    finally:
        found = load.finish()
    result = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "bad_releases": rows,
        "the_last_one_once_more": refused,
        "load": found,
    }
    Path(__file__).with_name("bad_releases.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1, sort_keys=True))


def bad_releases(good: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The catalogue entry of each bad release, by what is wrong with it."""
    wrong_weights = {**good, "version": "3", "artifact": entry("3", 3)["artifact"]}
    silent = {**good, "version": "4", "executable": ["/bin/sleep", "3600"], "ready_timeout_seconds": 15}
    forged = {**good, "version": "6", "artifact": {**good["artifact"], "checksum": f"sha256:{'0' * 64}"}}
    return {"answers wrongly": wrong_weights, "never answers": silent, "another checksum": forged}


def ask(url: str) -> str:
    """What the model answers to the golden prompt, without chance."""
    body = json.dumps({"model": MODEL, "prompt": PROMPT, "max_tokens": 8, "temperature": 0}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(json.load(response)["choices"][0]["text"])


def reason(output: str) -> str:
    """The message the playbook ended with."""
    said = re.findall(r"(The upgrade of [^\n]+(?:\n {4,}[^\n]+)*)", output)
    return re.sub(r"\s+", " ", said[-1]) if said else output[-500:]


def must(run: Any) -> None:
    if run.code:
        raise SystemExit(run.output[-3000:])


if __name__ == "__main__":
    main()
