"""A real vLLM 0.32 as an ordinary replica: started, asked, measured, changed, broken, mended, drained.

`make test-vllm` runs it; it is no part of `make test`. The tests are one story and run in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "integration")]

from lab_fleet import write_exact_plan  # noqa: E402
from loop_fleet import Fleet, Run  # noqa: E402

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Replica  # noqa: E402
from ansible_collections.modelops.datacenter.plugins.modules import model_server_info  # noqa: E402

VLLM = ROOT / ".cache" / "vllm" / "venv" / "bin" / "python"
PORT = 21160
URL = f"http://127.0.0.1:{PORT}"
CHAT = Replica("alpha", 0, "chat", "1", PORT, ())
DRAIN_SECONDS = 60
READY_SECONDS = 1500
HOST = {
    "modelops_zone": "zone-a",
    "modelops_accelerator_type": "cpu",
    "modelops_accelerator_count": 0,
    "modelops_accelerator_memory_gib": 0,
    "modelops_cpu_cores": 8,
    "modelops_memory_gib": 32,
    "modelops_cost_per_hour": 1.0,
    "modelops_base_port": PORT,
}

pytestmark = pytest.mark.skipif(not VLLM.exists(), reason="make test-vllm installs vLLM")


def model(archive: Path, **engine_args: Any) -> dict[str, Any]:
    return {
        "engine": "vllm",
        "version": "1",
        "artifact": {"src": str(archive), "unarchive": "always"},
        "executable": [str(VLLM), "-m", "vllm.entrypoints.openai.api_server"],
        "engine_args": {"enforce-eager": True, "dtype": "bfloat16", "max-model-len": 512, **engine_args},
        "environment": {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_NUM_OF_RESERVED_CPU": "1",
            # 40 s of computing until it answers, which on a machine shared with other work has taken 11 minutes.
            "VLLM_ENGINE_READY_TIMEOUT_S": str(READY_SECONDS),
        },
        "ready_timeout_seconds": READY_SECONDS,
        "resources": {"cpu_cores": 2, "memory_gib": 2},
        "capacity": {"cpu": {"requests_per_second": 1.0, "service_time_seconds": 1.0}},
        "drain_seconds": DRAIN_SECONDS,
    }


class Scenario:
    """One host with one real vLLM, and what was measured of it."""

    def __init__(self, root: Path) -> None:
        self.archive = root / "tiny.tar"
        subprocess.run([str(VLLM), str(Path(__file__).parent / "random_model.py"), str(self.archive)], check=True)
        self.fleet = Fleet(root, Path("/tmp") / f"mo-vllm-{os.getpid()}")
        self.fleet.run_dir.mkdir()
        self.running: list[Replica] = []
        self.figures: dict[str, Any] = {}

    def apply(self, target: list[Replica], **engine_args: Any) -> Run:
        catalogue = {"chat": model(self.archive, **engine_args)}
        hosts = self.fleet.write_inventory(
            hosts={"alpha": HOST}, modelops_models=catalogue, apply_plan_max_age_seconds=0
        )
        inventory = yaml.safe_load(hosts.read_text())["all"]["hosts"]
        self.fleet.plan_path.parent.mkdir(exist_ok=True)
        write_exact_plan(self.fleet.plan_path, inventory, catalogue, self.running, target)
        run = self.fleet.play("apply", seconds=1800)
        assert run.code == 0, run.output
        self.running = target
        return run

    def state(self) -> dict[str, Any]:
        return json.loads((self.fleet.root / "alpha" / "facts.d" / "modelops.fact").read_text())

    def pid(self) -> int:
        return self.fleet.running()["alpha/modelops-chat-0"]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    made = Scenario(tmp_path_factory.mktemp("vllm"))
    yield made
    made.fleet.stop()
    print("\nfigures of vLLM on this machine:", json.dumps(made.figures))


def complete(tokens: int, timeout: float = 60) -> dict[str, Any]:
    body = {"model": "chat", "prompt": "Once", "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request(
        URL + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)


def info(**options: Any) -> dict[str, Any]:
    defaults = {key: spec.get("default") for key, spec in model_server_info.ARGUMENT_SPEC.items()}
    return model_server_info.execute(
        {**defaults, "url": URL, "engine": "vllm", "model": "chat", **options}, False, False
    )


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def test_it_starts_and_its_first_answer_is_awaited(scenario: Scenario) -> None:
    run = scenario.apply([CHAT], **{"max-num-seqs": 4})
    assert "started modelops-chat-0" in run.output
    assert complete(3)["usage"]["completion_tokens"] == 3
    (record,) = scenario.state()["replicas"]
    scenario.figures["start_up_seconds"] = record["startup_seconds"]
    assert 3 < record["startup_seconds"] < READY_SECONDS
    words = command_line(scenario.pid())
    assert words[words.index("--shutdown-timeout") + 1] == str(DRAIN_SECONDS)


def test_its_metrics_are_read(scenario: Scenario) -> None:
    complete(20)
    found = info(metrics=True)
    assert found["ready"] and found["version"] == "0.32.0"
    metrics = found["metrics"]
    assert metrics["generation_tokens_total"] >= 20
    assert metrics["requests_total"] >= 1 and metrics["running"] == 0 and metrics["waiting"] == 0
    assert 0 <= metrics["kv_cache_used_ratio"] <= 1
    for name in (
        "time_to_first_token_seconds",
        "inter_token_latency_seconds",
        "e2e_latency_seconds",
        "queue_time_seconds",
    ):
        assert metrics[name]["mean"] is not None, name
    scenario.figures["time_to_first_token_seconds"] = metrics["time_to_first_token_seconds"]["mean"]


def test_a_second_apply_changes_nothing(scenario: Scenario) -> None:
    before = scenario.pid()
    run = scenario.apply([CHAT], **{"max-num-seqs": 4})
    assert set(run.changed().values()) == {0}
    assert scenario.pid() == before


def test_another_setting_is_rolled(scenario: Scenario) -> None:
    before = scenario.pid()
    run = scenario.apply([CHAT], **{"max-num-seqs": 2})
    assert "restarted modelops-chat-0" in run.output
    words = command_line(scenario.pid())
    assert scenario.pid() != before and words[words.index("--max-num-seqs") + 1] == "2"
    assert complete(3)["choices"]
    scenario.figures["restart_seconds"] = scenario.state()["replicas"][0]["startup_seconds"]


def test_a_killed_engine_is_mended_by_the_next_apply(scenario: Scenario) -> None:
    main = scenario.pid()
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    engines = [
        int(pid)
        for pid in children
        if b"EngineCore" in Path(f"/proc/{pid}/comm").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert engines, [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
    os.kill(engines[0], signal.SIGKILL)
    deadline = time.monotonic() + 120
    while Path(f"/proc/{main}").exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    scenario.apply([CHAT], **{"max-num-seqs": 2})
    assert scenario.pid() != main
    assert complete(3)["choices"]


def test_a_stop_lets_running_work_finish(scenario: Scenario) -> None:
    answers: list[Any] = []
    main = scenario.pid()

    def ask() -> None:
        try:
            answers.append(complete(400, timeout=DRAIN_SECONDS + 60))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 30
    while info(metrics=True)["metrics"]["running"] != 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    began = time.monotonic()
    run = scenario.apply([])
    scenario.figures["stop_with_work_seconds"] = round(time.monotonic() - began, 1)
    thread.join(timeout=DRAIN_SECONDS)
    assert "removed modelops-chat-0" in run.output
    assert isinstance(answers[0], dict), answers
    assert answers[0]["usage"]["completion_tokens"] == 400
    assert not Path(f"/proc/{main}").exists()
    assert scenario.state()["replicas"] == []
