# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit trail costs: CPU time of a playbook with the callback and without, in alternation.

Run: ``.venv/bin/python tests/benchmarks/audit/cost.py [--hosts 10] [--tasks 20] [--rounds 4]``. The playbook writes a file
on every host in every task (local connection), the smallest real change there is and a line of the trail each, so that the
share is an upper bound. CPU time is that of the playbook's process and all its children; neighbours on the machine do not
count in it. Each round runs without, with, and with ``required``; the share is of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from ansible.release import __version__ as ansible_version

RESULT = Path(__file__).with_name("cost.json")
WAYS = ("without", "with", "required")


def write_playbook(work: Path, hosts: int, tasks: int) -> None:
    names = {f"host-{number}": {} for number in range(hosts)}
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (work / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": names, "vars": variables}}))
    steps = [
        {
            "name": f"Write file {number}",
            "ansible.builtin.copy": {
                "content": "{{ inventory_hostname }}",
                "dest": f"{{{{ out }}}}/{{{{ inventory_hostname }}}}-{number}",
                "mode": "0600",
            },
        }
        for number in range(tasks)
    ]
    (work / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": steps}]))


def cpu_seconds(work: Path, way: str, changes: int) -> tuple[float, int]:
    """CPU seconds of one run into an empty folder, and the lines of its trail."""
    with tempfile.TemporaryDirectory(dir=work) as out:
        trail = Path(out) / "trail" / "audit.jsonl"
        environment = {
            **os.environ,
            "MODELOPS_AUDIT_PATH": str(trail),
            "MODELOPS_AUDIT_REQUIRED": str(way == "required"),
        }
        environment["MODELOPS_AUDIT_HEADS"] = f"{out}/heads"
        if way != "without":
            environment["ANSIBLE_CALLBACKS_ENABLED"] = "modelops.datacenter.audit_log"
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(work / "hosts.yml")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*command, str(work / "play.yml"), "-e", f"out={out}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        lines = len(trail.read_text().splitlines()) if trail.exists() else 0
    if (lines < changes) == (way != "without"):
        raise SystemExit(
            f"{lines} lines for {changes} changes in a run {way}: the callback ran when it should not, or not"
        )
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    lines: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_playbook(work, options.hosts, options.tasks)
        for _round in range(options.rounds):
            for way in WAYS:
                used, lines[way] = cpu_seconds(work, way, options.hosts * options.tasks)
                seconds[way].append(round(used, 3))
                print(f"{way}: {used:.2f} CPU seconds, {lines[way]} lines", flush=True)
    median = {way: statistics.median(found) for way, found in seconds.items()}
    result: dict[str, Any] = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "ansible_core": ansible_version,
        "hosts": options.hosts,
        "tasks": options.tasks,
        "lines": lines,
        "cpu_seconds": seconds,
        "goal_percent": 3.0,
        "added_percent": {way: round(100 * (median[way] / median["without"] - 1), 2) for way in WAYS[1:]},
        "spread_without_percent": round(100 * (max(seconds["without"]) / min(seconds["without"]) - 1), 2),
    }
    RESULT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
