# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second look at two restarts, on the lab of the fault table under its load: one that holds, one that does not.

    MODELOPS_LAB=fault nice -n -10 .venv/bin/python tests/benchmarks/remediation/second_look.py [--down]

The servers of two hosts are stopped, and restarted by alert, rulebook and playbook. One then works as before; the other
answers four times slower than before, which no alert of this fleet looks at. About six minutes after the restart a run
must come by itself, say of the first that it holds and of the second that it does not, and tell a person. Nothing may
be done to the other hosts, and no alert may fire about them. Writes second_look.json. Ten minutes on a lab that stands.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from episodes import requests_between
from fault_lab import HOSTS, NO_FAULT, RATE, STREAM_RATE, UNIT, FaultLab, until
from fault_table import versions

RESULT = Path(__file__).with_suffix(".json")
GOOD, SLOW = "lab-a1", "lab-b2"
LIMIT_SECONDS = 900


def reviewed(lab: FaultLab, since: float) -> list[dict[str, Any]]:
    return [event for event in lab.events(since) if event["event"] == "review"]


def story(lab: FaultLab) -> dict[str, Any]:
    lab.settle()
    lab.forget()
    lab.alerts.forget()
    before, began = lab.pids(), time.time()
    for host in (GOOD, SLOW):
        lab.sh(host, f"systemctl stop {UNIT}")
    try:
        until(lambda: mended(lab, began), 300, "both restarts")
        full = time.time()
        lab.sh(SLOW, f"systemctl kill --kill-whom=main --signal=USR2 {UNIT}")
        until(lambda: len(reviewed(lab, began)) >= 2, LIMIT_SECONDS, "the second look")
        until(lambda: not lab.listener.busy, 300, "the end of the run")
    finally:
        lab.sh(SLOW, f"systemctl restart {UNIT}", check=False)
    return seen(lab, before, began, full)


def mended(lab: FaultLab, since: float) -> bool:
    helped = [event for event in lab.events(since) if event["event"] == "result" and event["effect"] == "effective"]
    return len(helped) >= 2 and len(lab.servers_in()) == len(HOSTS)


def seen(lab: FaultLab, before: dict[str, int], began: float, full: float) -> dict[str, Any]:
    events, after = lab.events(began), lab.pids()
    others = [host for host in HOSTS if host not in (GOOD, SLOW)]
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "both_restarted_seconds": round(full - began, 1),
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


def wrong(found: dict[str, Any]) -> list[str]:
    """What is not as the guide says."""
    holds = {one["target"].rpartition(" ")[2]: one["holds"] for one in found["reviews"]}
    expected = {f"{GOOD}-0": True, f"{SLOW}-0": False}
    return [
        text
        for text, bad in (
            (f"reviews {holds}, expected {expected}", holds != expected),
            (f"actions {found['actions']}", len(found["actions"]) != 2),
            ("nobody was told", not any(SLOW in text for text in found["told"])),
            (f"told of {found['told']}", any(GOOD in text for text in found["told"])),
            (f"alerts about other hosts: {found['alerts_about_others']}", bool(found["alerts_about_others"])),
            (f"other hosts touched: {found['others_touched']}", bool(found["others_touched"])),
        )
        if bad
    ]


def main() -> int:
    lab = FaultLab(os.environ.get("MODELOPS_LAB", "fault"))
    if not (lab.directory / "built").exists():
        with lab.building():
            lab.build()
    with lab.portion():
        found = story(lab)
    document = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": versions(), "cores": os.cpu_count(),
        "requests_per_second": RATE, "streams_per_second": STREAM_RATE, "found": found, "wrong": wrong(found),
    }  # fmt: skip
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))
    if "--down" in sys.argv:
        lab.down()
    return 1 if document["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
