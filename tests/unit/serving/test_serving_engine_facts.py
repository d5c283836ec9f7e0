"""Every flag, variable, route and metric that the collection uses exists in a named version of the engine.

The names lie in ``engine_facts/``, one file an engine, each with its version and where it was read.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import (
    engines,
    readiness,
    server_metrics,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.http_client import Answer
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.service import build_service

FACTS = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "engine_facts").glob("*.json"))
}
PLACEMENTS: dict[str, dict[str, Any]] = {
    "one card": {"accelerators": [0]},
    "four cards": {"accelerators": [0, 1, 2, 3]},
    "half a card": {"accelerators": [1]},
    "no card": {"accelerators": []},
}
SHARES = {"one card": 1, "four cards": 4, "half a card": 0.5, "no card": 0}
# Read by libraries that engines use, not by the engines: CUDA, ROCm, Hugging Face Hub.
OF_LIBRARIES = {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "HF_HUB_OFFLINE"}
# Names of older versions, kept behind the new ones so that a mixed fleet is read: who had them last.
OLDER = {
    "vllm:gpu_cache_usage_perc": "vLLM before PR 29330 (2025-11)",
    "vllm:time_per_output_token_seconds": "vLLM before 0.13 (PR 32661)",
    "sglang:time_per_output_token_seconds": "SGLang before 0.5; its documentation still lists it",
    "llamacpp:kv_cache_usage_ratio": "llama.cpp of 2024 and 2025",
}
PREFIX = {"vllm": "vllm:", "sglang": "sglang:", "tgi": "tgi_", "triton": "nv_", "llama_cpp": "llamacpp:"}


# argparse takes a flag by its beginning where no other begins so.
ABBREVIATIONS = {"--tp": "--tp-size"}


def services(engine: str) -> list[Any]:
    keyed = {"api_key_file": "/etc/keys/one"} if engine not in ("triton", "sglang") else {}
    made = []
    for name, placement in PLACEMENTS.items():
        for executable in (None, ["python3", "-m", "vllm.entrypoints.openai.api_server"]):
            if executable and engine != "vllm":
                continue
            made.append(
                build_service(
                    {"model": "chat", "slot": 3, "port": 8103, **placement},
                    {
                        "engine": engine,
                        "executable": executable,
                        "resources": {"accelerators": SHARES[name], "cpu_cores": 4},
                        **keyed,
                    },
                    paths={"model_path": "/models/chat", "cache_dir": "/cache"},
                    accelerator_type="cpu" if name == "no card" else "h100-80gb",
                )
            )
    return made


def test_there_are_facts_for_every_engine_but_the_command() -> None:
    assert set(FACTS) == set(engines.PROFILES) - {"command"}
    assert all(fact["version"] and fact["source"] and len(fact["flags"]) > 40 for fact in FACTS.values())


@pytest.mark.parametrize("engine", FACTS)
def test_every_flag_exists(engine: str) -> None:
    words = [word.split("=", 1)[0] for service in services(engine) for word in service.argv if word.startswith("--")]
    assert len(set(words)) >= 5
    assert set(words) <= set(FACTS[engine]["flags"])


@pytest.mark.parametrize("engine", FACTS)
def test_every_other_spelling_of_a_flag_exists(engine: str) -> None:
    aliases = engines.PROFILES[engine].style.aliases
    known = set(FACTS[engine]["flags"])
    known |= {
        short for short, flag in ABBREVIATIONS.items() if [one for one in known if one.startswith(short)] == [flag]
    }
    assert set(aliases) | {name for names in aliases.values() for name in names} <= known


@pytest.mark.parametrize("engine", FACTS)
def test_every_variable_exists(engine: str) -> None:
    named = {name for service in services(engine) for name in (*service.environment, *service.secret_environment)}
    assert named - OF_LIBRARIES <= set(FACTS[engine]["environment"])


@pytest.mark.parametrize(("engine", "flag"), [("vllm", "--shutdown-timeout"), ("triton", "--exit-timeout-secs")])
def test_the_drain_is_bounded_where_the_engine_can_be_told(engine: str, flag: str) -> None:
    assert flag in FACTS[engine]["flags"]
    assert all(any(word.split("=")[0] == flag for word in service.argv) for service in services(engine))


def test_sglang_still_has_no_flag_for_its_drain() -> None:
    # Once it has one, the profile should use it.
    assert not [flag for flag in FACTS["sglang"]["flags"] if re.search("shutdown|graceful|^--drain", flag)]


@pytest.mark.parametrize("engine", FACTS)
def test_every_route_that_is_asked_exists(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(url: str, **_options: Any) -> Answer:
        asked.append(re.sub(r"^http://[^/]*", "", url))
        body = '{"data": [{"id": "chat"}], "choices": [{"text": "x"}], "generated_text": "x", "version": "1"}'
        return Answer(url=url, status=200, body=body, seconds=0.01)

    monkeypatch.setattr(readiness, "ask", answer)
    target = readiness.Target(url="http://h", engine=engine, model="chat")
    assert readiness.look(target).ready
    readiness.version_of(target)
    for service in services(engine):
        asked += [service.health_path, service.ready_path, service.metrics_url.rsplit("/", 1)[0] and "/metrics"]
    known = {re.sub(r"\{[^}]*\}", "chat", path) for path in FACTS[engine]["paths"]}
    assert set(asked) <= known


def metric_names() -> set[str]:
    tables = [server_metrics.GAUGES, server_metrics.COUNTERS, server_metrics.HISTOGRAMS]
    found = {source.name for table in tables for sources in table.values() for source in sources}
    found |= {source.name for source in server_metrics.KV_CACHE}
    found |= {source.name for pairs in server_metrics.MEANS.values() for pair in pairs for source in pair}
    return found


@pytest.mark.parametrize("engine", FACTS)
def test_every_metric_that_is_read_exists(engine: str) -> None:
    names = {name for name in metric_names() if name.startswith(PREFIX[engine])} - set(OLDER)
    assert names
    known = set(FACTS[engine]["metrics"])
    # prometheus_client writes a counter with _total; a histogram is read by its _sum too.
    assert {
        name for name in names if not {name, name.removesuffix("_total"), name.removesuffix("_sum")} & known
    } == set()


def test_older_names_are_really_gone_from_the_named_versions() -> None:
    everything = {name for fact in FACTS.values() for name in fact["metrics"]}
    assert not set(OLDER) & everything
    assert set(OLDER) <= metric_names()
