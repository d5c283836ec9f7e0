# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""replica_check on real llama.cpp servers: golden prompts kept and broken, another release, silence, a wrong name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gateway_bench import ROOT, LlamaServer, free_ports, post, servers
from module_command import run_alone

PROMPT = "The quick brown"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with servers(1, tmp_path_factory.mktemp("model")) as running:
        yield running[0]


def check(port: int, **options: Any) -> dict[str, Any]:
    record = {"host": "a1", "slot": 0, "port": port, "service": "modelops-chat-0", "release": "sha256:two"}
    settings = {"engine": "llama_cpp", "served_name": "chat", "systemd": False, "release": "sha256:two", **options}
    return run_alone("replica_check", {"replicas": [record], "request_timeout_seconds": 5, **settings})


def golden_of(port: int) -> dict[str, Any]:
    body = {"model": "chat", "prompt": PROMPT, "max_tokens": 16, "temperature": 0}
    return {"prompt": PROMPT, "expect": json.loads(post(port, "/v1/completions", body)[2])["choices"][0]["text"]}


def test_the_right_answer_of_the_right_release_is_no_failure(llama: LlamaServer) -> None:
    found = check(llama.port, golden=[golden_of(llama.port)])
    assert (found["changed"], found["failures"], found["silent"]) == (False, [], [])


def test_other_weights_answer_the_golden_prompt_otherwise(llama: LlamaServer, tmp_path: Path) -> None:
    model, (port,) = tmp_path / "other.gguf", free_ports(1)
    tool = ROOT / "inventories/demo/tiny_model.py"
    subprocess.run([sys.executable, str(tool), "--dest", str(model), "--seed", "7"], check=True, capture_output=True)
    other = LlamaServer(model, port)
    other.start()
    try:
        (said,) = check(port, golden=[golden_of(llama.port)])["failures"]
    finally:
        other.stop()
    assert said.startswith("a1-0: golden prompt 1 was answered ")


def test_another_release_and_another_name_are_told(llama: LlamaServer) -> None:
    assert check(llama.port, release="sha256:three")["failures"] == [
        "a1-0: the host says it runs another release (sha256:two)"
    ]
    found = check(llama.port, served_name="code")
    assert found["silent"] == ["a1-0"] and "code" in found["failures"][0], found


def test_silence_is_told_and_named() -> None:
    (port,) = free_ports(1)
    found = check(port, golden=[{"prompt": "a", "expect": "b"}])
    assert found["silent"] == ["a1-0"]
    assert len(found["failures"]) == 1 and found["failures"][0].startswith("a1-0: it does not answer: ")
