# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a monitoring server: the playbook ``watch`` once a minute, and faults on the lab of the fault table.

    MODELOPS_LAB=fault nice -n -10 .venv/bin/python tests/benchmarks/remediation/by_the_clock.py [TIMES] [--down]

Nobody hears Alertmanager meanwhile. A run begins a minute after the last one ended, as a systemd timer with
OnUnitInactiveSec=60 would have it; the fault comes at another moment of that minute each time. Seconds from the fault to
the first action, and until all replicas answer again. Only servers are looked at: the load that a host of this lab sees is
that of the whole machine. Writes by_the_clock.json. A quarter of an hour on a lab that stands.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

from episodes import done, requests_between, seconds_until_full
from fault_lab import RATE, STREAM_RATE, WANTED, FaultLab, standing_lab
from fault_table import versions
from faults import FAULTS, Fault

RESULT = Path(__file__).with_suffix(".json")
KINDS, EVERY_SECONDS, LIMIT_SECONDS = ("server_stopped", "server_frozen"), 60.0, 420.0


class Timer:
    """The playbook again and again, until it is told to stop."""

    def __init__(self, lab: FaultLab) -> None:
        self.lab, self.seconds, self.codes = lab, [], []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            run = self.lab.playbook("watch", "-e", json.dumps({"watch_sets": ["server"]}))
            self.seconds.append(round(run.seconds, 1))
            self.codes.append(run.code)
            if self._over.wait(EVERY_SECONDS):
                return

    def stop(self) -> None:
        self._over.set()
        self._thread.join(600)


def episode(lab: FaultLab, fault: Fault, timer: Timer, phase: float) -> dict[str, Any]:
    """One fault, so long after the end of a run."""
    runs = len(timer.seconds)
    while len(timer.seconds) == runs:
        time.sleep(0.2)
    lab.forget()
    lab.mark_states()
    time.sleep(phase)
    began = time.time()
    fault.inject(lab)
    try:
        while time.time() < began + LIMIT_SECONDS:
            if time.time() > began + 10 and len(lab.servers_in()) >= WANTED and lab.events(began):
                break
            time.sleep(1)
        time.sleep(6)
        events, rows = lab.events(began), lab.rows(began - 5)
        did = done(events, began)
        return {
            "fault": fault.name,
            "phase_seconds": round(phase, 1),
            **{key: did[key] for key in ("action_seconds", "actions", "told")},
            "full_capacity_seconds": seconds_until_full(lab.states(), rows, began, WANTED),
            "requests": requests_between(rows, began, time.time()),
        }  # fmt: skip
    finally:
        fault.undo(lab)


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    times = int(words[0]) if words else 2
    lab = standing_lab()
    found = []
    with lab.portion():
        lab.settle()
        lab.deaf(True)
        timer = Timer(lab)
        try:
            for number in range(times):
                for place, name in enumerate(KINDS):
                    phase = EVERY_SECONDS * (0.2 + 0.6 * (number * len(KINDS) + place) / (times * len(KINDS)))
                    found.append(episode(lab, FAULTS[name], timer, phase))
                    print(json.dumps(found[-1], indent=1), flush=True)
        finally:
            timer.stop()
            lab.deaf(False)
    document = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": versions(), "cores": os.cpu_count(),
        "requests_per_second": RATE, "streams_per_second": STREAM_RATE, "every_seconds": EVERY_SECONDS,
        "runs": len(timer.seconds), "run_seconds": {"median": statistics.median(timer.seconds), "worst": max(timer.seconds)},
        "exits": sorted(set(timer.codes)), "faults": found,
    }  # fmt: skip
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: document[key] for key in ("runs", "run_seconds", "exits")}))
    if "--down" in sys.argv:
        lab.down()
    return 1 if any(one["full_capacity_seconds"] is None for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
