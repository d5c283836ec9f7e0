# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault table: each fault on a lab under load, mended by alert, rulebook and playbook, or by systemd alone.

    MODELOPS_LAB=fault .venv/bin/python tests/benchmarks/remediation/fault_table.py
        [--only FAULT,...] [--times 3] [--arm ours|systemd|both] [--more] [--hold-minutes 10] [--down]

Prometheus and Alertmanager on a monitoring host, their webhook to a real ansible-rulebook on this machine, whose
playbook is the collection's own answer_alerts; HAProxy and four llama.cpp servers on hosts in two zones; eight
requests a second and a few streams all the time. In the arm ``systemd`` nobody hears the alerts, and the units' own
Restart=always is all that mends. Works under the lab's lock in portions and stands still in between. Writes
fault_table.json after each fault; ``--more`` keeps what is there and does what is missing. The lab stays up for the next run.
Needs root, podman, Java and `make eda` once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from episodes import done, harmful, requests_between, seconds_until_full, seconds_until_out, summary, up, was_lost
from fault_lab import EVERYBODY, FLOOR_REPLICAS, MEBIBYTES, RATE, REPLICA_RATE, STREAM_RATE, FaultLab, standing_lab
from faults import FAULTS, Fault
from listening import RULEBOOK

RESULT = Path(__file__).with_suffix(".json")
ARMS = ("ours", "systemd")
LEAST_SECONDS = {"ours": 50.0, "systemd": 20.0}
AFTERWARDS_SECONDS = 6.0


def episode(lab: FaultLab, fault: Fault, arm: str) -> dict[str, Any]:
    """Inject the fault once and look on until it is over, or the arm's time is."""
    lab.settle()
    lab.forget()
    before = lab.pids()
    lab.deaf(arm == "systemd")
    lab.mark_states()
    lab.alerts.forget()
    time.sleep(3)
    try:
        fault.prepare(lab)
        runs, began = lab.listener.runs()[0], time.time()
        fault.inject(lab)
        closed = look_on(lab, fault, arm, began)
        time.sleep(AFTERWARDS_SECONDS)
        return {**seen(lab, fault, arm, began, closed, before), "playbook_runs": lab.listener.runs()[0] - runs}
    finally:
        fault.undo(lab)
        lab.deaf(False)


def seen(
    lab: FaultLab, fault: Fault, arm: str, began: float, closed: float | None, before: dict[str, int]
) -> dict[str, Any]:
    """What became of the fault, from what was recorded since."""
    ended, states, rows, after = time.time(), lab.states(), lab.rows(began - 5), lab.pids()
    events = lab.events(began) if arm == "ours" else []
    alert = lab.alerts.first(fault.alerts, began)
    did = done(events, began)
    full = seconds_until_full(states, rows, began, fault.wanted)
    lost = was_lost(states, began, fault.wanted)
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "out_seconds": seconds_until_out(states, began, fault.hurt),
        "alert": alert[0] if alert else None,
        "alert_seconds": round(alert[1] - began, 1) if alert else None,
        **did,
        "capacity_lost": lost,
        "full_capacity_seconds": full if lost else 0.0,
        # Where replicas were lost it is over with the answer of the last of them.
        "closed_seconds": None if closed is None else max(closed, full or 0.0) if lost else closed,
        "closed": closed is not None and full is not None,
        "person": bool(did["told"]) or closed is None or full is None,
        "requests": requests_between(rows, began, ended),
        "looked_on_seconds": round(ended - began, 1),
        "harmful": harmful(
            before, after, hurt=fault.hurt, states=states, floor_replicas=int(FLOOR_REPLICAS),
            actions=[event for event in events if event["event"] == "intent"],
        ),
        "replicas_in": sorted(up(states[-1][1])) if states else [],
        "load_average": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def look_on(lab: FaultLab, fault: Fault, arm: str, began: float) -> float | None:
    """Seconds until it was first seen to be over and stayed so; a playbook that works is waited for."""
    limit = began + fault.limits[ARMS.index(arm)]
    first: float | None = None
    while time.time() < limit + (120 if lab.listener.busy and arm == "ours" else 0):
        over = len(lab.servers_in()) >= fault.wanted and fault.over(lab)
        first = (first or time.time()) if over else None
        firing = arm == "ours" and any(key[0] in fault.alerts for key in lab.alerts.now)
        waits = firing and not lab.events(began) and time.time() < began + 120
        if (
            first
            and time.time() - began > LEAST_SECONDS[arm]
            and not waits
            and not (arm == "ours" and lab.listener.busy)
        ):
            break
        time.sleep(0.7)
    return round(first - began, 1) if first else None


def write(rows: dict[str, dict[str, list[dict[str, Any]]]], settings: dict[str, Any]) -> None:
    document = {
        "what": "seconds from the fault; capacity is full when each wanted replica has given a good answer",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": versions(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "lab": {
            "hosts": len(EVERYBODY), "memory_mib": MEBIBYTES, "requests_per_second": RATE, "streams_per_second": STREAM_RATE,
            "replica_requests_per_second": REPLICA_RATE, "settings_that_differ": settings,
        },
        "faults": {
            name: {
                "words": FAULTS[name].words, "row": FAULTS[name].row, "goals": dict(zip(("out", "alert"), FAULTS[name].goals)),
                **{arm: {"summary": summary(own), "times": own} for arm, own in arms.items() if own},
            }
            for name, arms in rows.items() if any(arms.values())
        },
    }  # fmt: skip
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    part = RESULT.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(RESULT)


def versions() -> dict[str, str]:
    def first_line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).splitlines()[0].strip()

    return {
        "python": platform.python_version(),
        "ansible": first_line(str(Path(sys.executable).parent / "ansible"), "--version"),
        "ansible_rulebook": first_line(str(RULEBOOK), "--version"),
    }


def kept() -> dict[str, dict[str, list[dict[str, Any]]]]:
    document = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"faults": {}}
    return {
        name: {arm: (found.get(arm) or {}).get("times", []) for arm in ARMS}
        for name, found in document["faults"].items()
        if name in FAULTS
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(FAULTS), help="names, with commas between")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--arm", choices=[*ARMS, "both"], default="both")
    parser.add_argument("--more", action="store_true", help="keep what fault_table.json has and do what is missing")
    parser.add_argument("--hold-minutes", type=float, default=10, help="that the lab's lock is held at most at a time")
    parser.add_argument("--down", action="store_true", help="take the lab down at the end")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = sorted(set(options.only) - set(FAULTS))
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}. Known are {', '.join(FAULTS)}")
    return options


def main() -> int:
    options = parse()
    rows = kept() if options.more else {}
    arms = ARMS if options.arm == "both" else (options.arm,)
    missing = [
        (name, arm)
        for number in range(options.times)
        for name in options.only
        for arm in arms
        if len(rows.get(name, {}).get(arm, [])) <= number
    ]
    lab = standing_lab()
    while missing:
        with lab.portion():
            until = time.time() + 60 * options.hold_minutes
            while missing and time.time() + 100 < until:
                name, arm = missing.pop(0)
                found = episode(lab, FAULTS[name], arm)
                rows.setdefault(name, {one: [] for one in ARMS})[arm].append(found)
                print(name, arm, json.dumps(found, indent=1), flush=True)
                write(rows, lab.settings_in_force())
        time.sleep(15)
    if options.down:
        lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
