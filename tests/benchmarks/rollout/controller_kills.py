# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades under load whose controller is killed at ten moments, each ended by one more run.

    python tests/benchmarks/rollout/controller_kills.py

Four replicas on two hosts behind a gateway. One upgrade runs through, which says how long one takes; then
each round begins one, sends SIGKILL to its process group at a moment drawn from a fixed seed, one in each
tenth of an upgrade, and runs the playbook once more. ansible-core puts what it runs on hosts into sessions
of their own: in every second round these are killed too, in the others they end when they end, beside the
next run. Brings its lab up where it is not, and leaves it up. Writes controller_kills.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from record import Answered, counted, read_record
from rig import Rig, entry, gateway_servers, replicas, what_runs

SERVERS = 4
RESULT = Path(__file__).with_name("controller_kills.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", default="kill")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--rate", type=float, default=6)
    parser.add_argument("--stream-rate", type=float, default=0.3)
    parser.add_argument("--soak", type=float, default=8)
    parser.add_argument("--settle", type=float, default=5, help="seconds between the kill and the next run")
    parser.add_argument("--prepared", action="store_true", help="the lab is up and all its replicas are the same")
    parser.add_argument("--seconds", type=float, default=0, help="among which kills are spread; 0: those of an upgrade")
    parser.add_argument("--minutes", type=float, default=90, help="no round begins later")
    parser.add_argument("--more", action="store_true", help="go on after the rounds that controller_kills.json has")
    options = parser.parse_args()
    rig = Rig(options.lab)
    if not options.prepared:
        prepare(rig)
    flags, until = upgrade_flags(options), time.monotonic() + 60 * options.minutes
    done = json.loads(RESULT.read_text(encoding="utf-8")) if options.more else {}
    whole = done.get("runs_through") or through(rig, flags, options)
    rounds: list[dict[str, Any]] = done.get("rounds") or []
    for number, share in list(enumerate(kill_shares(options.rounds, options.seed)))[len(rounds) :]:
        if time.monotonic() > until:
            break
        after = share * (options.seconds or whole["seconds"])
        load = rig.start_load(
            f"kills-{number}", seconds=7000, rate=options.rate, stream_rate=options.stream_rate, seed=number
        )
        try:
            found = kill_and_run_again(rig, number, after, flags, options.settle)
        finally:
            load.finish()
        rounds.append(with_requests(found, read_record(load.record)))
        print(json.dumps(rounds[-1]), flush=True)
        write(options, whole, rounds)


def with_requests(found: dict[str, Any], rows: list[Answered]) -> dict[str, Any]:
    """A round with what became of its requests in place of its moments."""
    times = found.pop("times")
    return {**found, "requests": {name: counted(rows, *span) for name, span in times.items()}}


def write(options: argparse.Namespace, whole: dict[str, Any], rounds: list[dict[str, Any]]) -> None:
    counts = [span for one in rounds for span in one["requests"].values()]
    result = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "load": {"rate": options.rate, "stream_rate": options.stream_rate},
        "runs_through": whole,
        "kills": len(rounds),
        "kills_wanted": options.rounds,
        "ended_as_wanted": sum(one["as_wanted"] for one in rounds),
        "requests": {key: sum(one[key] for one in counts) for key in ("count", "streams", "failed", "cut")},
        "rounds": rounds,
    }
    RESULT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def kill_shares(rounds: int, seed: int) -> list[float]:
    """Moments as shares of an upgrade: one drawn in each of as many equal parts, in a drawn order."""
    source = random.Random(seed)
    shares = [(number + source.random()) / rounds for number in range(rounds)]
    source.shuffle(shares)
    return shares


def other_version(rig: Rig) -> str:
    """1 where replicas run 2, else 2."""
    return "1" if "2" in versions_of(rig) else "2"


def versions_of(rig: Rig) -> list[str]:
    return [version for host in what_runs(rig).values() for _slot, version, _release in host]


def upgrade_flags(options: argparse.Namespace) -> list[str]:
    """Short looks and little evidence: what is judged here is the run, not the release."""
    judge = {"minimum_requests": 10, "warmup_seconds": 2, "warmup_requests": 2, "budget": 0.4, "soak_seconds": 4}
    extra = {"upgrade_judge_settings": judge, "upgrade_drain_timeout_seconds": 60, "upgrade_reserve": False}
    return [*Rig.upgrade_flags(soak=options.soak, observed=options.rate), "-e", json.dumps(extra)]


def prepare(rig: Rig) -> None:
    rig.prepare(2, 1, 2)
    rig.serve(replicas(2, 2))


def through(rig: Rig, flags: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """An upgrade that nobody disturbs, and the run after it; under load, since no canary is judged without requests."""
    version = other_version(rig)
    rig.catalogue_is(entry(version, int(version)))
    load = rig.start_load(
        "through", seconds=7000, rate=options.rate, stream_rate=options.stream_rate, seed=options.seed
    )
    try:
        run = rig.playbook("upgrade", *flags)
    finally:
        load.finish()
    (rig.directory / "through.log").write_text(run.output, encoding="utf-8")
    if run.code:
        raise SystemExit(run.output[-3000:])
    return {"seconds": round(run.seconds, 1), "changed_by_the_run_after": rig.playbook("upgrade", *flags).changed}


def kill_and_run_again(rig: Rig, number: int, after: float, flags: list[str], settle: float) -> dict[str, Any]:
    """One round; ``times`` are moments between which requests are counted."""
    version = other_version(rig)
    rig.catalogue_is(entry(version, int(version)))
    workers_too = number % 2 == 1
    log = rig.directory / f"killed-{number}.log"
    began = time.time()
    killed, still_running = kill_after(rig, after, flags, log, workers_too=workers_too)
    time.sleep(settle)
    again = rig.playbook("upgrade", *flags)
    (rig.directory / f"again-{number}.log").write_text(again.output, encoding="utf-8")
    ended = time.time()
    versions = versions_of(rig)
    gateway = gateway_servers(rig)
    up = [one for one in gateway if one.endswith("=UP")]
    changed = None
    if number % 3 == 0:
        further = rig.playbook("upgrade", *flags)
        (rig.directory / f"further-{number}.log").write_text(further.output, encoding="utf-8")
        changed = further.changed + further.code
    as_wanted = again.code == 0 and versions == [version] * SERVERS and len(up) == len(gateway) == SERVERS
    return {
        "killed_after_seconds": round(after, 1),
        "was_still_running": still_running,
        "workers_killed_too": workers_too,
        "killed_in": last_task(log),
        "exit_code": again.code,
        "seconds": round(again.seconds, 1),
        "changed_by_the_run_after": changed,
        "versions": versions,
        "gateway": gateway,
        "as_wanted": as_wanted and not changed,
        "times": {
            "until_the_kill": (began, killed),
            "until_the_next_run": (killed, killed + settle),
            "during_it": (killed + settle, ended),
        },
    }


def kill_after(rig: Rig, seconds: float, flags: list[str], log: Path, *, workers_too: bool) -> tuple[float, bool]:
    """When the process group was killed, and whether there was still something to kill."""
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            rig.command("upgrade", *flags),
            cwd=rig.root,
            env=rig.settings(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        running = process.poll() is None
        sessions = {process.pid, *(descendants(process.pid) if workers_too else ())}
        moment = time.time()
        for one in sessions if running else ():
            kill(one)
        process.wait()
    return moment, running


def descendants(pid: int) -> list[int]:
    """Processes below one of ours, the connections that SSH shares between tasks left out: they have no parent."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    found = list(children.get(pid, ()))
    for one in found:
        found += children.get(one, ())
    return found


def kill(pid: int) -> None:
    """The process and its group; which may be gone by now."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def last_task(log: Path) -> str:
    """The task that was running, and the step of the upgrade."""
    text = log.read_text(encoding="utf-8")
    tasks = re.findall(r"^TASK \[([^]]+)\]", text, re.MULTILINE)
    steps = re.findall(r"msg: '?([A-Z_]{4,}): ", text)
    return (
        f"{steps[-1].lower() if steps else 'before the first step'}: {tasks[-1].split(' : ')[-1] if tasks else 'start'}"
    )


if __name__ == "__main__":
    main()
