# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second look at a restart, on the lab of the fault table under its load: at one that holds, and at one that does not.

    MODELOPS_LAB=fault nice -n -10 .venv/bin/python tests/benchmarks/remediation/second_look.py [--down]

A server is stopped, and restarted by alert, rulebook and playbook. It then works as before; or, in the second story,
answers four times slower than before, which no alert of this fleet looks at. Seven minutes after the alert a run
must come by itself and say that it holds, or that it does not and tell a person. Nothing may be done to the other hosts,
and no alert may fire about them. (Both at once would be two of four servers within ten minutes: the breaker opens, and
nothing is restarted.) Writes second_look.json. Twenty minutes on a lab that stands.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from episodes import requests_between
from fault_lab import HOSTS, NO_FAULT, RATE, STREAM_RATE, UNIT, FaultLab, standing_lab, until
from fault_table import versions

RESULT = Path(__file__).with_suffix(".json")
STORIES = {"as before": ("lab-a1", True), "four times slower": ("lab-b2", False)}  # where it is, and whether it holds
LIMIT_SECONDS = 900


def reviewed(lab: FaultLab, since: float) -> list[dict[str, Any]]:
    return [event for event in lab.events(since) if event["event"] == "review"]


def story(lab: FaultLab, host: str, holds: bool) -> dict[str, Any]:
    lab.settle()
    lab.forget()
    lab.alerts.forget()
    before, began = lab.pids(), time.time()
    lab.sh(host, f"systemctl stop {UNIT}")
    try:
        until(lambda: mended(lab, began), 300, "the restart")
        full = time.time()
        if not holds:
            lab.sh(host, f"systemctl kill --kill-whom=main --signal=USR2 {UNIT}")
        until(lambda: reviewed(lab, began), LIMIT_SECONDS, "the second look")
        until(lambda: not lab.listener.busy, 300, "the end of the run")
        found = seen(lab, host, before, began, full)
        return {**found, "wrong": wrong(found, host, holds)}
    finally:
        if not holds:
            lab.sh(host, f"systemctl restart {UNIT}", check=False)


def mended(lab: FaultLab, since: float) -> bool:
    helped = [event for event in lab.events(since) if event["event"] == "result" and event["effect"] == "effective"]
    return bool(helped) and len(lab.servers_in()) == len(HOSTS)


def seen(lab: FaultLab, host: str, before: dict[str, int], began: float, full: float) -> dict[str, Any]:
    events, after = lab.events(began), lab.pids()
    others = [one for one in HOSTS if one != host]
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "restarted_seconds": round(full - began, 1),
        "reviews": [
            {"target": one["target"], "holds": one["holds"], "evidence": one["evidence"], "after_seconds": round(one["at"] - full, 1)}
            for one in reviewed(lab, began)
        ],
        "actions": [f"{one['step']} {one['target']}" for one in events if one["event"] == "intent"],
        "told": [f"{one['target']}: {one['reason']}" for one in events if one["event"] == "escalation"],
        "alerts_about_others": sorted({key[0] for key in lab.alerts.seen if key[1] in others and key[0] not in NO_FAULT}),
        "others_touched": sorted(name for name, pid in before.items() if pid and name.partition("/")[0] in others and after.get(name) != pid),
        "requests": requests_between(lab.rows(began - 5), began, time.time()),
        "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def wrong(found: dict[str, Any], host: str, holds: bool) -> list[str]:
    """What is not as the guide says."""
    reviews = [(one["target"], one["holds"]) for one in found["reviews"]]
    checks = {
        f"reviews {reviews}": reviews == [(f"replica {host}-0", holds)],
        f"actions {found['actions']}": found["actions"] == [f"restart replica {host}-0"],
        f"told {found['told']}": [text.partition(":")[0] for text in found["told"]] == ([] if holds else [f"replica {host}-0"]),
        f"alerts about other hosts: {found['alerts_about_others']}": not found["alerts_about_others"],
        f"touched on other hosts: {found['others_touched']}": not found["others_touched"],
    }  # fmt: skip
    return [text for text, fine in checks.items() if not fine]


def main() -> int:
    lab = standing_lab()
    with lab.portion():
        found = {name: story(lab, host, holds) for name, (host, holds) in STORIES.items()}
    document = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": versions(), "cores": os.cpu_count(),
        "requests_per_second": RATE, "streams_per_second": STREAM_RATE, "stories": found,
    }  # fmt: skip
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    if "--down" in sys.argv:
        lab.down()
    return 1 if any(one["wrong"] for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
