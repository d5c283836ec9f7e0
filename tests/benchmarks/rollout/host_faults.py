# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host hangs and a host dies under load; one run of site puts the capacity elsewhere.

    python tests/benchmarks/rollout/host_faults.py

Four replicas on two hosts behind a gateway. First every process of a host stands still for a while
(``podman pause``), then the other host is killed. What is lost is read from the record of every request,
when the gateway stopped sending from its own states. Then ``site`` with the demand that the four served
starts two replicas on the host that is left; the dead host comes back with its old ones, and ``site``
runs again. Brings its lab up where it is not, and leaves it up. Writes host_faults.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from record import counted, read_record
from rig import CAPACITY, MODEL, SERVERS_NOW, Rig, entry, gateway_servers, replicas, what_runs

HUNG, DEAD = "lab-a1", "lab-b1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="kill")
    parser.add_argument("--rate", type=float, default=8)
    parser.add_argument("--stream-rate", type=float, default=0.5)
    parser.add_argument("--hang-seconds", type=float, default=60)
    parser.add_argument("--without-return", action="store_true", help="end before the dead host comes back")
    parser.add_argument("--prepared", action="store_true", help="the lab is up and serves with a gateway")
    options = parser.parse_args()
    rig = Rig(options.lab)
    version = "1"
    if options.prepared:
        version = str(next(iter(what_runs(rig).values()))[0][1])
    else:
        prepare(rig)
    rig.catalogue_is(entry(version, int(version), min_replicas=2))
    load = {"rate": options.rate, "stream_rate": options.stream_rate, "timeout": 60}
    running = rig.start_load("faults", seconds=3000, seed=6, **load)
    phases: dict[str, dict[str, Any]] = {}
    try:
        time.sleep(15)
        phases["hung"] = fault(rig, "pause", HUNG, options.hang_seconds)
        back = time.time()
        rig.podman("unpause", HUNG)
        phases["hung"]["seconds_until_back_in"] = round(until(rig, HUNG, "UP") - back, 1)
        say(phases, "hung")
        phases["dead"] = fault(rig, "kill", DEAD, 20)
        say(phases, "dead")
        phases["site_without_the_host"] = site(rig, "site_without_the_host")
        say(phases, "site_without_the_host")
        if not options.without_return:
            rig.podman("start", DEAD)
            until(rig, DEAD, "UP")
            phases["site_after_its_return"] = site(rig, "site_after_its_return", both=True)
            say(phases, "site_after_its_return")
    finally:
        total = running.finish()
        rows = read_record(running.record)
        for phase in phases.values():
            phase["requests"] = counted(rows, *phase.pop("times"))
        result = {
            "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
            "load": load,
            "phases": phases,
            "all_requests": total,
        }
        Path(__file__).with_name("host_faults.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
        print(json.dumps(result, indent=1, sort_keys=True))


def say(phases: dict[str, dict[str, Any]], name: str) -> None:
    print(json.dumps({name: phases[name]}), flush=True)


def prepare(rig: Rig) -> None:
    rig.prepare(2, 1)
    rig.serve(replicas(2, 2))


def fault(rig: Rig, verb: str, host: str, seconds: float) -> dict[str, Any]:
    """Do it to the host and look on for so long."""
    began = time.time()
    rig.podman(verb, host)
    out = until(rig, host, "DOWN")
    time.sleep(max(0.0, began + seconds - time.time()))
    return {"seconds_until_out": round(out - began, 1), "times": (began - 10, time.time())}


def until(rig: Rig, host: str, state: str, limit: float = 150) -> float:
    """The moment at which the gateway has all replicas of the host in a state."""
    script = f"""
import subprocess, sys, time
end = time.time() + {limit}
while time.time() < end:
    found = subprocess.run([sys.executable, "-c", {SERVERS_NOW!r}], capture_output=True, text=True).stdout.split()
    own = [one for one in found if one.startswith("{host}-")]
    if own and all(one.split("=")[1].startswith("{state}") for one in own):
        break
    time.sleep(0.2)
print(time.time())
"""
    return float(
        rig.sh("lab-gw1", f"cat > /tmp/until.py <<'END'\n{script}\nEND\npython3 /tmp/until.py", seconds=limit + 60)
    )


def site(rig: Rig, name: str, *, both: bool = False) -> dict[str, Any]:
    """One run of plan and apply for the demand that four replicas serve."""
    settings = {"plan_observed": {MODEL: CAPACITY * 3.5}, "plan_headroom": 1.0, "plan_max_unreachable_share": 0.5}
    began = time.time()
    run = rig.playbook("site", "-e", json.dumps(settings))
    (rig.directory / f"{name}.log").write_text(run.output, encoding="utf-8")
    runs = what_runs(rig, (HUNG, DEAD) if both else (HUNG,))
    return {
        "exit_code": run.code,
        "seconds": round(run.seconds, 1),
        "changed": run.changed,
        "replicas": {host: len(found) for host, found in runs.items()},
        "gateway": gateway_servers(rig),
        "said_of_the_host": sorted(set(re.findall(rf"^.*{DEAD}.*answer.*$", run.output, re.MULTILINE))),
        "times": (began, time.time()),
    }


if __name__ == "__main__":
    main()
