# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator may ask of an upgrade, under load: pause it, abort it, refuse it, add replicas for it.

    python tests/benchmarks/rollout/ways.py

Four replicas on two hosts behind a gateway. Brings its lab up where it is not, and leaves it up. Writes ways.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import threading
import time
from pathlib import Path
from typing import Any

from rig import MODEL, Rig, entry, replicas, what_runs

# Four replicas give 120 requests/s; 80 seen make 110 with factor and margin, so none may be away.
FULL = {"upgrade_observed": "80", "upgrade_reserve": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="ways")
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--stream-rate", type=float, default=0.3)
    parser.add_argument("--soak", type=float, default=8)
    parser.add_argument("--prepared", action="store_true", help="the lab is up and serves version 1")
    options = parser.parse_args()
    rig = Rig(options.lab)
    if not options.prepared:
        prepare(rig)
    load = rig.start_load("ways", seconds=3600, rate=options.rate, stream_rate=options.stream_rate, seed=5)
    rows = []
    try:
        for title, wishes, pause in (
            ("paused after the canary", {}, True),
            ("aborted", {"upgrade_abort": True}, False),
            ("refused, since none may be away", {**FULL, "upgrade_when_full": "refuse"}, False),
            ("a replica added for it", {**FULL, "upgrade_when_full": "surge"}, False),
        ):
            rows.append(one_way(rig, title, wishes, options, pause=pause))
            print(json.dumps(rows[-1]), flush=True)
    finally:
        found = load.finish()
    result = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "ways": rows,
        "load": found,
    }
    Path(__file__).with_name("ways.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


def prepare(rig: Rig) -> None:
    rig.prepare(2, 1, 2)
    rig.serve(replicas(2, 2))


def one_way(
    rig: Rig, title: str, wishes: dict[str, Any], options: argparse.Namespace, *, pause: bool
) -> dict[str, Any]:
    """An upgrade to version 2 with these wishes: how it ended, its steps, what runs where then."""
    rig.catalogue_is(entry("2", 2))
    file = rig.directory / f"upgrade-{MODEL}.pause"
    watch = threading.Thread(target=pause_after_the_canary, args=(rig, file), daemon=True)
    if pause:
        watch.start()
    flags = rig.upgrade_flags(soak=options.soak, observed=options.rate)
    run = rig.playbook("upgrade", *flags, "-e", json.dumps(wishes))
    file.unlink(missing_ok=True)
    (rig.directory / f"way-{title.split()[0]}.log").write_text(run.output, encoding="utf-8")
    return {
        "way": title,
        "exit_code": run.code,
        "seconds": round(run.seconds, 1),
        "steps": re.findall(r"^ +msg: '?([A-Z_]{4,}): ", run.output, re.MULTILINE),
        "versions_by_slot": {host: [one[:2] for one in held] for host, held in what_runs(rig).items()},
    }


def pause_after_the_canary(rig: Rig, file: Path) -> None:
    """As an operator would: once the journal speaks of the canary."""
    journal, began = rig.directory / f"upgrade-{MODEL}.json", time.time()
    while time.time() - began < 600:
        written = journal.exists() and journal.stat().st_mtime > began
        events = json.loads(journal.read_text(encoding="utf-8"))["events"] if written else []
        if any(one["what"] == "canary" for one in events):
            file.touch()
            return
        time.sleep(1)


if __name__ == "__main__":
    main()
