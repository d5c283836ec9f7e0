# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scale out and in under load, by plan and apply, and beside it by a play that stops and starts units.

    python tests/benchmarks/rollout/scaling.py

Two hosts and a gateway. A plan takes one of two replicas from each host, the next one brings them back.
Then a play of the kind found in many places does the same to the units of the replicas on the same hosts:
it stops them, and starts them again. Every request is on record. Brings its lab up where it is not, and
leaves it up. Writes scaling.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from record import counted, read_record
from rig import Rig, entry, gateway_servers, replicas, what_runs

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica

NAIVE = """---
- name: Scale in and out, and restart what is left
  hosts: all
  gather_facts: false
  serial: 1
  tasks:
    - name: Restart the first replica
      ansible.builtin.systemd_service: {name: modelops-chat-0.service, state: restarted}
      when: modelops_accelerator_type is defined
    - name: Stop the second
      ansible.builtin.systemd_service: {name: modelops-chat-1.service, state: stopped}
      when: modelops_accelerator_type is defined
    - name: Start it again
      ansible.builtin.systemd_service: {name: modelops-chat-1.service, state: started}
      when: modelops_accelerator_type is defined
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="kill")
    parser.add_argument("--rate", type=float, default=8)
    parser.add_argument("--stream-rate", type=float, default=0.5)
    parser.add_argument("--prepared", action="store_true", help="the lab is up and serves with a gateway")
    options = parser.parse_args()
    rig = Rig(options.lab)
    version = "1"
    if options.prepared:
        version = str(next(iter(what_runs(rig).values()))[0][1])
    else:
        prepare(rig)
    rig.catalogue_is(entry(version, int(version), min_replicas=2))
    load = rig.start_load("scaling", seconds=3000, rate=options.rate, stream_rate=options.stream_rate, seed=8)
    phases: dict[str, dict[str, Any]] = {}
    try:
        time.sleep(10)
        rig.running = replicas(2, 2, version)
        for name, per_host in (("in", 1), ("out", 2)):
            phases[name] = scale(rig, name, replicas(2, per_host, version))
            print(json.dumps({name: phases[name]}), flush=True)
        phases["naive"] = naive(rig)
        time.sleep(10)
    finally:
        total = load.finish()
    found = read_record(load.record)
    for phase in phases.values():
        phase["requests"] = counted(found, *phase.pop("times"))
    result = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "load": {"rate": options.rate, "stream_rate": options.stream_rate},
        "plan_and_apply": {name: phases[name] for name in ("in", "out")},
        "stop_and_start": phases["naive"],
        "all_requests": total,
    }
    Path(__file__).with_name("scaling.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1, sort_keys=True))


def prepare(rig: Rig) -> None:
    rig.prepare(2, 1)
    rig.serve(replicas(2, 2))


def scale(rig: Rig, name: str, target: list[Replica]) -> dict[str, Any]:
    """A plan for exactly these replicas, in the order the planner gives its waves, and apply."""
    rig.plan(target)
    began = time.time()
    run = rig.playbook("apply")
    ended = time.time()
    (rig.directory / f"scale-{name}.log").write_text(run.output, encoding="utf-8")
    rig.running = list(target)
    return {
        "exit_code": run.code,
        "seconds": round(run.seconds, 1),
        "replicas": sum(len(host) for host in what_runs(rig).values()),
        "wanted": len(target),
        "gateway": gateway_servers(rig),
        "times": (began, ended),
    }


def naive(rig: Rig) -> dict[str, Any]:
    play = rig.directory / "naive.yml"
    play.write_text(NAIVE, encoding="utf-8")
    began = time.time()
    run = rig.playbook(str(play))
    (rig.directory / "naive.log").write_text(run.output, encoding="utf-8")
    return {"exit_code": run.code, "seconds": round(run.seconds, 1), "times": (began - 10, time.time() + 10)}


if __name__ == "__main__":
    main()
