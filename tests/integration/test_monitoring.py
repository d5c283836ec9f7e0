# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus with the role's rules over real llama.cpp servers, a real HAProxy and node_exporter.

Every query of the dashboard is asked; a killed server fires. Loopback alone, a few requests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gateway_bench import HAPROXY, ROOT, GatewayBench, LlamaServer, free_ports, get, replica, servers, wait_until
from module_command import run_alone

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.planning_figures import planning_text
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rules import rules_text
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.targets import scrape_jobs

PROMETHEUS, NODE_EXPORTER = shutil.which("prometheus"), shutil.which("prometheus-node-exporter")
pytestmark = pytest.mark.skipif(
    not (PROMETHEUS and NODE_EXPORTER and HAPROXY), reason="prometheus, its node exporter and haproxy are not installed"
)

ROLE = ROOT / "roles/monitoring"
DASHBOARD = json.loads((ROLE / "files/modelops-fleet.json").read_text(encoding="utf-8"))
MODELS = {"chat": {"engine": "llama_cpp", "slo": {"ttft_seconds": 1.0, "inter_token_seconds": 0.5}}}
# What no part of this bench has: accelerators, an engine with histograms of its own, a forecast's past.
WITHOUT_DATA = (
    "modelops:accelerator", "modelops:ttft_seconds_bucket", "modelops:inter_token_seconds_bucket",
    "modelops:kv_cache_use", "modelops_forecast_", "modelops_certificate", "up == 0",
)  # fmt: skip


class Watched:
    """Two replicas behind a gateway, watched every second."""

    def __init__(self, directory: Path, llamas: list[LlamaServer]) -> None:
        self.directory, self.llamas, self.bench = directory, llamas, GatewayBench()
        self.port, self.node_port = free_ports(2)
        self.replicas = [replica("gpu-a1", 0, llamas[0].port), replica("gpu-b1", 0, llamas[1].port)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.bench.members(self.replicas)
        self.bench.start()
        (self.directory / "planning.prom").write_text(planning_text(PLAN))
        self._run(
            [str(NODE_EXPORTER), f"--web.listen-address=127.0.0.1:{self.node_port}",
             f"--collector.textfile.directory={self.directory}"],
        )  # fmt: skip
        settings = self.directory / "figures.json"
        settings.write_text(
            json.dumps(
                {"log": str(self.bench.sink.file), "state": str(self.directory / "state.json"),
                 "dest": str(self.directory / "figures.prom"), "interval_seconds": 0.5}
            )
        )  # fmt: skip
        self._run([sys.executable, str(ROLE / "files/host_figures.py"), str(settings)])
        self.write_targets()
        rules = self.directory / "rules.yml"
        rules.write_text(rules_text({}, MODELS, runbook_url=""))
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config(rules)))
        self._run(
            [str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={self.directory / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{self.port}"],
        )  # fmt: skip
        wait_until(lambda: get(self.port, "/-/ready")[0] == 200, 60, "Prometheus")

    def _config(self, rules: Path) -> dict[str, Any]:
        """With the role's own settings of each job, but for those that need Ansible."""
        own = yaml.safe_load((ROLE / "vars/main.yml").read_text())
        jobs = {**own["__monitoring_jobs"], "modelops-gateway": own["__monitoring_gateway_labels"]}
        files = {job: [{"files": [str(self.directory / f"{job}.json")]}] for job in jobs}
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {"job_name": job, "file_sd_configs": files[job], **(settings if isinstance(settings, dict) else {})}
                for job, settings in jobs.items()
            ],
        }

    def write_targets(self) -> dict[str, Any]:
        variables: dict[str, dict[str, Any]] = {
            host: {
                "modelops_accelerator_type": "cpu",
                "modelops_address": "127.0.0.1",
                "modelops_host_state": {
                    "kind": "host",
                    "replicas": [one for one in self.replicas if one["host"] == host],
                },
            }
            for host in ("gpu-a1", "gpu-b1")
        }
        variables["gw1"] = {"modelops_gateway": True, "modelops_monitoring": True, "modelops_address": "127.0.0.1"}
        ports = {
            "modelops-node": self.node_port, "modelops-gateway": self.bench.metrics_port, "modelops-prometheus": self.port,
        }  # fmt: skip
        jobs = scrape_jobs(list(variables), variables, MODELS, ports)
        jobs["modelops-node"] = jobs["modelops-node"][-1:]  # one machine, one node_exporter
        return run_alone("scrape_targets", {"dir": str(self.directory), "jobs": jobs})

    def _run(self, command: list[str]) -> None:
        with open(self.directory / "output.log", "ab") as stream:
            self.processes.append(subprocess.Popen(command, stdout=stream, stderr=stream))

    def ask(self, expr: str) -> list[Any]:
        query = urllib.parse.urlencode({"query": expr})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=10) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            pytest.fail(f"{expr}: {error.read().decode()}")

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)
        self.bench.close()


PLAN = {
    "created_at": "2026-11-26T18:00:00Z",
    "cost_per_hour": 8.0,
    "hosts": [{"name": "gpu-a1", "accelerator_type": "cpu"}],
    "models": {"chat": {"capacity": {"cpu": {"requests_per_second": 50.0}}}},
    "placements": [{"model": "chat", "host": "gpu-a1", "slot": 0}],
    "capacity": {"chat": {"planned_requests_per_second": 50.0}},
    "demand": {"chat": {"levels": {"0.95": 20.0}, "source": "forecast"}},
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with servers(2, tmp_path_factory.mktemp("model"), parallel=4, context=4 * 512) as llamas:
        made = Watched(tmp_path_factory.mktemp("watched"), llamas)
        try:
            made.start()
            # First shown as nothing, then counted.
            for _number in range(20):
                for _more in range(5):
                    assert made.bench.ask({"model": "chat", "prompt": "Hello", "max_tokens": 8})[0] == 200
                time.sleep(0.5)
            yield made
        finally:
            made.stop()


def queries() -> list[tuple[str, str]]:
    found = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets") or ():
            expr = target["expr"].replace("$model", ".+").replace("$host", ".+").replace("$__rate_interval", "15s")
            found.append((panel["title"], expr))
    return found


def test_every_query_of_the_dashboard_works_and_those_with_something_to_see_see_it(watched: Watched) -> None:
    assert len(queries()) > 40
    wait_until(lambda: bool(watched.ask("modelops:unavailable:ratio_1h")), 60, "the recorded ratios")
    empty = []
    for title, expr in queries():
        assert "$" not in expr, expr
        if not watched.ask(expr) and not any(part in expr for part in WITHOUT_DATA):
            empty.append(f"{title}: {expr}")
    # The first alert of a healthy fleet is the heartbeat, which the table leaves out.
    assert [line for line in empty if "What fires" not in line and "ttft_slow" not in line] == []


def test_variables_of_the_dashboard_find_something(watched: Watched) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            series = variable["definition"].removeprefix("label_values(").rpartition(",")[0]
            assert watched.ask(series), series


def test_all_targets_answer_and_carry_our_labels(watched: Watched) -> None:
    up = {(one["metric"]["job"], one["metric"]["host"]): one["value"][1] for one in watched.ask("up")}
    assert up[("modelops-engine", "gpu-a1")] == up[("modelops-gateway", "gw1")] == up[("modelops-node", "gw1")] == "1"
    running = watched.ask('modelops:running{host="gpu-b1"}')[0]["metric"]
    assert (running["model"], running["slot"], running["engine"]) == ("chat", "0", "llama_cpp")
    servers_up = watched.ask('haproxy_server_status{state="UP", proxy="chat"} == 1')
    assert {(one["metric"]["host"], one["metric"]["slot"], one["metric"]["model"]) for one in servers_up} == {
        ("gpu-a1", "0", "chat"), ("gpu-b1", "0", "chat"),
    }  # fmt: skip


def test_normalised_figures_are_the_servers_own(watched: Watched) -> None:
    said = sum(float(line.split()[1]) for port in (one.port for one in watched.llamas)
               for line in get(port, "/metrics")[2].splitlines() if line.startswith("llamacpp:tokens_predicted_total"))  # fmt: skip
    wait_until(lambda: float(watched.ask("sum(modelops:tokens_total)")[0]["value"][1]) == said, 20, "the same number")
    logged = len([one for one in watched.bench.sink.events() if one["model"] == "chat"])
    # The log is read every half second and scraped every second: the last requests come a moment later.
    counted = 'sum(modelops_gateway_requests_total{outcome="good"})'
    wait_until(lambda: float(watched.ask(counted)[0]["value"][1]) == logged, 20, f"{logged} requests")


def test_the_targets_are_written_only_when_they_change(watched: Watched) -> None:
    assert watched.write_targets()["changed"] is False


def test_a_killed_server_fires_and_its_return_ends_it(watched: Watched) -> None:
    firing = 'ALERTS{alertname="ModelServerDown", alertstate="firing", host="gpu-b1"}'
    assert watched.ask(firing) == []
    watched.llamas[1].stop()
    took = wait_until(lambda: bool(watched.ask(firing)), 60, "the alert")
    assert took >= 9  # its hold time
    assert watched.ask(firing)[0]["metric"]["slot"] == "0"
    watched.llamas[1].start()
    wait_until(lambda: not watched.ask(firing), 30, "its end")
