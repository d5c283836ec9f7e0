# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of the fault table: four small serving hosts in two zones, a gateway, a monitoring host, load, a rulebook."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "rollout"))

from listening import PORT, TOKEN, Alerts, Listener, get  # noqa: E402
from rig import BIN, MODEL, ROOT, LoadRun, Rig, entry, replicas, what_runs  # noqa: E402
from small_hosts import SmallHosts  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import write_plan  # noqa: E402

HOSTS = ("lab-a1", "lab-b1", "lab-a2", "lab-b2")
GATEWAY, MONITOR = "lab-gw1", "lab-mon1"
EVERYBODY = (*HOSTS, GATEWAY, MONITOR)
WANTED, REPLICA_RATE, RATE, STREAM_RATE = 4, 4.5, 8.0, 0.2
MEBIBYTES, STATES_PORT, EXPORTER_PORT = 768, 9797, 9400
LOCK = Path(os.environ.get("MODELOPS_LAB_LOCK", "/tmp/lab.lock"))
BASE = replicas(4, 1)
# Said in the results: what differs from the role's defaults. Shorter holds, so that a table is made in an evening; low
# objectives, since an hour with dozens of faults uses up the budget of any real one; and a short memory for servers that go
# down again and again, since each fault here is on the same host and is meant to be the first in a long time.
SETTINGS: dict[str, Any] = {
    "gateway_slow_start_seconds": 5,
    "monitoring_rules": {
        "cpu_hold_seconds": 60,
        "queue_hold_seconds": 60,
        "flapping_window_seconds": 300,
        "availability_objective": 0.9,
        "completeness_objective": 0.9,
    },
}
# Such alerts say nothing of a host or a server, and may fire in a lab that was made a moment ago.
NO_FAULT = {"MonitoringHeartbeat", "RemediationEscalation", "PlanStale", "ForecastQualityLow"}
EXPORTER = f"""[Unit]
Description=Metrics of accelerators that are only pretended
[Service]
ExecStart=/usr/bin/python3 /srv/lab/pretended_accelerators.py {EXPORTER_PORT}
[Install]
WantedBy=multi-user.target
"""
# A unit, since a search for the process by its name would find the shell that searches.
START_STATES = (
    "systemctl is-active -q lab-states || systemd-run -q --collect --unit lab-states"
    f" python3 /srv/lab/gateway_states.py {MODEL} {STATES_PORT} 14400"
)
BLOCKED = (
    "nft add table inet cut; nft add chain inet cut out '{ type filter hook output priority 0; }';"
    f" nft add rule inet cut out tcp dport {PORT} reject with tcp reset"
)


def model() -> dict[str, Any]:
    door = ["/usr/bin/python3", "/srv/lab/faulty.py", "--seconds", "0.4", "--at-once", "2", "--"]
    return entry(
        "1", 1,
        executable=[*door, "/opt/llama/bin/python", "/opt/modelops/llama_server.py"],
        engine_args={"ctx-size": 2048, "parallel": 2, "threads": 1},
        capacity={"l40s-48gb": {"requests_per_second": REPLICA_RATE, "service_time_seconds": 0.4}},
        min_replicas=WANTED,
    )  # fmt: skip


class FaultLab(Rig):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        # Here, not where the lab is built: one that stands already is planned for by its own catalogue too.
        self.catalogue = {MODEL: model()}
        self.inventory = self.directory / "inventory"
        self.loads: list[LoadRun] = []
        self.number = 0
        self._held: Any = None

    # Building.

    def build(self) -> None:
        self.share.mkdir(parents=True, exist_ok=True)
        self._lab("up", "4", "--gateway", "--monitoring", timeout=900)
        for name in ("faulty", "gateway_states", "pretended_accelerators"):
            shutil.copy(ROOT / f"tests/lab/load/{name}.py", self.share / f"{name}.py")
        tool = ROOT / "inventories/demo/tiny_model.py"
        subprocess.run(
            [sys.executable, str(tool), "--dest", str(self.share / "tiny-1.gguf"), "--seed", "1", "--context", "2048"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.write_inventory()
        self.watch_hosts()
        for host in EVERYBODY:
            self.show_figures(host)
        for host in HOSTS:
            self.sh(
                host,
                f"cat > /etc/systemd/system/lab-accelerators.service <<'END'\n{EXPORTER}END\nsystemctl enable -q --now lab-accelerators",
            )
        self.play_to_the_end("provision")
        self.play_to_the_end("gateway")
        self.apply_base()
        self.play_to_the_end("monitoring")
        (self.directory / "built").write_text("")

    def play_to_the_end(self, name: str, *flags: str) -> None:
        run = self.playbook(name, *flags)
        (self.directory / f"{name}.log").write_text(run.output)
        print(f"{name}: exit {run.code}, {run.seconds:.0f} s", flush=True)
        if run.code:
            raise SystemExit(run.output[-4000:])

    def write_inventory(self) -> None:
        self.catalogue_is(model())
        document = yaml.safe_load((self.directory / "hosts.yml").read_text())
        for host in HOSTS:
            document["all"]["hosts"][host]["modelops_accelerator_exporter_port"] = EXPORTER_PORT
            document["all"]["hosts"][host]["modelops_accelerator_exporter_service"] = "lab-accelerators.service"
        variables = {
            **SETTINGS,
            "modelops_models": self.catalogue,
            "modelops_output_dir": str(self.directory),
            "deploy_memory_gate": False,
            "provision_accelerators": 0,
            "provision_memory_gib": 0.5,
            "plan_observed": {MODEL: RATE},
            "monitoring_remediation_url": f"http://{self.own_address}:{PORT}/alerts",
            "monitoring_remediation_token": TOKEN,
        }
        (self.inventory / "group_vars").mkdir(parents=True, exist_ok=True)
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump(document))
        (self.inventory / "group_vars/all.yml").write_text(yaml.safe_dump(variables))

    def settings_in_force(self) -> dict[str, Any]:
        """As this lab was built, which may have been with other ones than those of now."""
        own = yaml.safe_load((self.inventory / "group_vars/all.yml").read_text())
        return {key: own[key] for key in SETTINGS if key in own}

    def command(self, name: str, *flags: str) -> list[str]:
        return [str(BIN / "ansible-playbook"), "-i", str(self.inventory), f"modelops.datacenter.{name}", *flags]

    def settings(self) -> dict[str, str]:
        return {**super().settings(), "ANSIBLE_FORKS": "6"}

    def address(self, host: str) -> str:
        return (self.directory / f"{host.removeprefix('lab-')}.address").read_text().strip()

    @property
    def own_address(self) -> str:
        return self.address(MONITOR).rsplit(".", 1)[0] + ".1"

    def container(self, host: str) -> str:
        return f"modelops-{self.environment['MODELOPS_LAB']}-{host.removeprefix('lab-')}"

    def watch_hosts(self) -> None:
        names = [self.container(host) for host in EVERYBODY]
        ids = self._lab("podman", "inspect", "--format", "{{.Id}}", *names, timeout=60).split()
        self.small = SmallHosts(self.share / "hosts", dict(zip(EVERYBODY, ids)), MEBIBYTES)
        self.small.start()

    def show_figures(self, host: str) -> None:
        self.small.show(host, self.container(host), ["podman"])

    def start_host(self, host: str) -> None:
        self._lab("podman", "start", self.container(host), timeout=60)
        self.show_figures(host)

    # The state to begin from.

    def apply_base(self) -> None:
        """One replica on each host, by the playbook; with the floor of the demand in the plan."""
        runs = what_runs(self, HOSTS) if (self.directory / "built").exists() else {}
        self.running = [
            Replica(host, slot, MODEL, str(version), 8100 + slot, (slot,)) for host, own in runs.items() for slot, version, _release in own
        ]  # fmt: skip
        self.plan(BASE)
        self.play_to_the_end("apply")
        self.running = list(BASE)
        path = self.directory / "plan.json"
        floors = {"floors_requests_per_second": {MODEL: RATE}, "dips": []}
        write_plan(str(path), {**json.loads(path.read_text()), "rollout": floors})

    def base_stands(self) -> bool:
        expected = {host: [(0, "1")] for host in HOSTS}
        found = {host: [one[:2] for one in own] for host, own in what_runs(self, HOSTS).items()}
        return {host: [(slot, str(version)) for slot, version in own] for host, own in found.items()} == expected

    def settle(self, seconds: float = 480) -> None:
        """Until all replicas are in, nothing fires and no playbook runs; by apply where they do not come by themselves."""
        deadline, applied, began = time.time() + seconds, False, time.time()
        while self.listener.busy and time.time() < deadline:
            time.sleep(1)
        # A host that the last fault set aside would be kept out of the plan.
        self.forget()
        if not self.base_stands():
            self.apply_base()
            applied = True
        quiet = 0
        while quiet < 4:
            missing = self.servers_in() != {f"{host}-0" for host in HOSTS}
            if missing and not applied and time.time() - began > 45:
                for host in HOSTS:
                    self.sh(
                        host,
                        f"systemctl reset-failed {UNIT} 2>/dev/null; systemctl start --no-block {UNIT}",
                        check=False,
                    )
                self.apply_base()
                applied = True
            alerts = {key for key in self.alerts.now if key[0] not in NO_FAULT}
            quiet = 0 if missing or alerts or self.listener.busy else quiet + 1
            if time.time() > deadline:
                raise SystemExit(
                    f"the lab does not come to rest: {self.servers_in()}, {alerts}, busy {self.listener.busy}"
                )
            time.sleep(1)

    def forget(self) -> None:
        """The next fault finds no record of actions, as if the last one were long ago."""
        kept = f"/var/lib/modelops/remediation-{time.time():.0f}.jsonl"
        self.sh(
            GATEWAY, f"cd /var/lib/modelops && mv remediation.jsonl {kept} 2>/dev/null; rm -f remediation.jsonl.failed"
        )

    # What is seen.

    def states(self) -> list[tuple[float, Any]]:
        found = get(f"http://{self.address(GATEWAY)}:{STATES_PORT}/{self._seen_from}")
        return [tuple(one) for one in found or []]

    def mark_states(self) -> None:
        """Later calls of states() begin with the state of now."""
        self._seen_from = 0
        self._seen_from = max(0, len(self.states()) - 1)

    def servers_in(self) -> set[str]:
        states = get(f"http://{self.address(GATEWAY)}:{STATES_PORT}/-1") or [[0, None]]
        return {server for server, word in (states[-1][1] or {}).items() if word == "UP"}

    def rows(self, since: float) -> list[dict[str, str]]:
        found = []
        for load in self.loads:
            with open(load.record, encoding="utf-8", newline="") as stream:
                found += [row for row in csv.DictReader(stream) if row["replica"] is not None]
        return [row for row in found if None not in row.values() and float(row["scheduled_at"]) >= since]

    def events(self, since: float) -> list[dict[str, Any]]:
        text = self.sh(GATEWAY, "cat /var/lib/modelops/remediation.jsonl 2>/dev/null || true")
        return [event for event in map(json.loads, text.splitlines()) if event["at"] >= since]

    def pids(self) -> dict[str, int]:
        found = {}
        for host in EVERYBODY:
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                found.update(self.pids_of([host]))
        return found

    # A portion of work under the lab's lock.

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        with open(LOCK, "a", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield
            self.small.stop()
            for host in EVERYBODY:
                self._lab("podman", "pause", self.container(host), timeout=60)

    @contextlib.contextmanager
    def portion(self) -> Iterator[None]:
        with open(LOCK, "a", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            self.resume()
            try:
                yield
            finally:
                self.rest()

    def resume(self) -> None:
        for host in EVERYBODY:
            self._lab("podman", "unpause", self.container(host), timeout=60, check=False)
        self.watch_hosts()
        self.sh(GATEWAY, START_STATES)
        until(
            lambda: get(f"http://{self.address(GATEWAY)}:{STATES_PORT}/-1"), 60, "the states of the gateway's servers"
        )
        self.alerts = Alerts(self.address(MONITOR))
        self.listener = Listener(self.directory, self.inventory, self.own_address, self.settings())
        until(self.listener.ready, 120, "the rulebook")
        self.more_load(RATE, STREAM_RATE)

    def rest(self) -> None:
        """Nothing of the lab uses the machine while others measure."""
        for load in self.loads:
            with contextlib.suppress(subprocess.TimeoutExpired, OSError, ValueError):
                load.finish(seconds=60)
        self.loads = []
        self.listener.stop()
        self.alerts.stop()
        self.small.stop()
        for host in EVERYBODY:
            self._lab("podman", "pause", self.container(host), timeout=60, check=False)

    def more_load(self, rate: float, stream_rate: float) -> LoadRun:
        self.number += 1
        stem = self.directory / f"load-{os.getpid()}-{self.number}"
        command = [sys.executable, str(ROOT / "tests/lab/load/load.py"), "--url", self.url, "--model", MODEL]
        command += ["--seconds", "3600", "--rate", str(rate), "--stream-rate", str(stream_rate), "--timeout", "60"]
        command += ["--stream-tokens", "100", "--seed", str(self.number)]
        command += ["--record", f"{stem}.csv", "--summary", f"{stem}.json"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        load = LoadRun(process, Path(f"{stem}.csv"), Path(f"{stem}.json"))
        until(load.record.exists, 30, "the load")
        self.loads.append(load)
        return load

    def deaf(self, on: bool) -> None:
        """In the arm of systemd alone nobody hears the alerts."""
        for host in (MONITOR, GATEWAY):
            self.sh(host, BLOCKED if on else "nft delete table inet cut", check=False)


UNIT = f"modelops-{MODEL}-0.service"
FLOOR_REPLICAS = -(-RATE // REPLICA_RATE)


def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            raise SystemExit(f"{what}: not within {seconds:g} s")
        time.sleep(0.5)


def standing_lab() -> FaultLab:
    """The lab that MODELOPS_LAB names, built where it does not stand yet. Whoever ends the run, what it began is undone."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    lab = FaultLab(os.environ.get("MODELOPS_LAB", "fault"))
    if not (lab.directory / "built").exists():
        with lab.building():
            lab.build()
    return lab
