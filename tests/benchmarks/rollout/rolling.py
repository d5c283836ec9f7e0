# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling upgrades under load: six replicas on three hosts, back and forth, every request on record.

    python tests/benchmarks/rollout/rolling.py --upgrades 2 --rate 50 --stream-rate 1

Brings its lab up where it is not, applies version 1, and leaves the lab up. Writes rolling.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from rig import MODEL, Rig, entry, replicas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="rollout")
    parser.add_argument("--upgrades", type=int, default=2)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--stream-rate", type=float, default=1.0)
    parser.add_argument("--stream-tokens", type=int, default=400)
    parser.add_argument("--soak", type=float, default=20)
    parser.add_argument("--before-seconds", type=float, default=30)
    parser.add_argument("--limit-seconds", type=float, default=3600)
    parser.add_argument("--prepared", action="store_true", help="the lab is up and serves version 1")
    options = parser.parse_args()
    rig = Rig(options.lab)
    if not options.prepared:
        prepare(rig)
    load = {"rate": options.rate, "stream_rate": options.stream_rate, "stream_tokens": options.stream_tokens}
    before = rig.start_load("before", seconds=options.before_seconds, **load).finish(stop=False)
    during = rig.start_load("during", seconds=options.limit_seconds, seed=2, **load)
    runs: list[dict[str, Any]] = []
    try:
        for number in range(options.upgrades):
            seed = 2 if number % 2 == 0 else 1
            rig.catalogue_is(entry(str(seed), seed))
            run = rig.playbook("upgrade", *rig.upgrade_flags(soak=options.soak, observed=options.rate))
            (rig.directory / f"upgrade-{number}.log").write_text(run.output, encoding="utf-8")
            runs.append({"to": str(seed), "exit_code": run.code, "seconds": round(run.seconds, 1)})
            print(runs[-1], flush=True)
            if run.code:
                print(run.output[-3000:])
                break
    finally:
        found = during.finish()
    result = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "model": MODEL,
        "load": load,
        "upgrades": runs,
        "before": before,
        "during": found,
    }
    Path(__file__).with_name("rolling.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1, sort_keys=True))


def prepare(rig: Rig) -> None:
    rig.share.mkdir(parents=True, exist_ok=True)
    rig.prepare(3, 1, 2)
    rig.plan(replicas(3, 2))
    for name in ("gateway", "apply", "gateway"):
        run = rig.playbook(name)
        if run.code:
            raise SystemExit(run.output[-3000:])


if __name__ == "__main__":
    main()
