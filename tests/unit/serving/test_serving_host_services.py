"""All services of a host at once: the same as one by one, their files as the role's templates say."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.modelops.datacenter.plugins.filter.host_services import host_services
from ansible_collections.modelops.datacenter.plugins.filter.replica_service import replica_service
from ansible_collections.modelops.datacenter.plugins.filter.undeployable_replicas import undeployable_replicas
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.release import release_digest

TEMPLATES = Path(__file__).resolve().parents[3] / "roles" / "deploy" / "templates"
VARIABLES = {
    "deploy_config_dir": "/etc/modelops",
    "deploy_group": "modelops",
    "deploy_log_dir": "/var/log/modelops",
    "deploy_manage_user": True,
    "deploy_protect_home": "yes",
    "deploy_service_properties": {"CPUAffinity": "0-7"},
    "deploy_state_dir": "/var/lib/modelops",
    "deploy_user": "modelops",
}
MODELS: dict[str, Any] = {
    "chat": {
        "engine": "vllm",
        "version": "1",
        "resources": {"accelerators": 2, "accelerator_memory_gib": 60, "memory_gib": 16},
        "engine_args": {"max-num-seqs": 64},
    },
    "half": {"engine": "vllm", "version": "1", "resources": {"accelerators": 0.5, "accelerator_memory_gib": 20}},
    "tiny": {"engine": "llama_cpp", "version": 2, "environment": {"ODD": '100% "$x"'}},
}
REPLICAS = [
    {"host": "gpu-a1", "slot": 0, "model": "chat", "version": "1", "port": 8100, "accelerators": [0, 1]},
    {"host": "gpu-a1", "slot": 1, "model": "half", "version": "1", "port": 8101, "accelerators": [2]},
    {"host": "gpu-a1", "slot": 2, "model": "tiny", "version": "2", "port": 8102, "accelerators": []},
]
ARTIFACTS = [{"item": name, "path": f"/opt/models/{name}", "checksum": f"sha256:{name}"} for name in MODELS]


def file(suffix: str, **fields: Any) -> dict[str, Any]:
    text = (TEMPLATES / f"replica.{suffix}.j2").read_text()
    return {"path": f"/etc/x/{{name}}.{suffix}", "template": text, "mode": "0640", **fields}


def render(*files: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return host_services(
        REPLICAS,
        MODELS,
        list(files),
        VARIABLES,
        artifacts=ARTIFACTS,
        accelerator_type="h100-80gb",
        **options,
    )


def test_each_service_is_what_the_filter_for_one_makes() -> None:
    for replica, entry in zip(REPLICAS, render(file("env", secret=True, group="modelops"))):
        name = str(replica["model"])
        alone = replica_service(
            replica, MODELS[name], paths={"model_path": f"/opt/models/{name}"}, accelerator_type="h100-80gb"
        )
        assert {key: entry[key] for key in ("name", "url", "engine", "probe", "stop_timeout_seconds")} == {
            key: alone[key] for key in ("name", "url", "engine", "probe", "stop_timeout_seconds")
        }
        expected = {"service": alone["name"], "checksum": f"sha256:{name}", "release": release_digest(MODELS[name])}
        assert entry["record"] == {**replica, **expected}
        (environment,) = entry["files"]
        assert environment["secret_content"].endswith(alone["environment_file"] + "\n")
        assert (environment["path"], environment["group"]) == (f"/etc/x/{alone['name']}.env", "modelops")
        assert "content" not in environment


def test_memory_is_needed_on_each_accelerator() -> None:
    chat, half, tiny = render()
    assert (chat["accelerator_memory_gib"], chat["memory_gib"], chat["shares_accelerators"]) == (30.0, 16.0, False)
    assert (half["accelerator_memory_gib"], half["shares_accelerators"]) == (20.0, True)
    assert (tiny["accelerator_memory_gib"], tiny["shares_accelerators"]) == (0.0, False)


def test_units_and_programs_hold_the_command() -> None:
    chat, _half, tiny = render(file("service"), file("ini", secret=True))
    unit, program = (entry.get("content") or entry["secret_content"] for entry in chat["files"])
    assert "--max-num-seqs 64" in unit and "\nUser=modelops\n" in unit
    assert "PrivateDevices" not in unit
    assert "PrivateDevices=yes" in tiny["files"][0]["content"]
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(program)
    assert parser.get("program:modelops-chat-0", "user") == "modelops"
    assert "{{" not in unit + program and "{%" not in unit + program


def test_programs_stand_behind_the_catalogue_and_the_host_s_environments() -> None:
    words = {"llama_cpp": ["/usr/bin/python3", "/opt/modelops/llama_server.py"]}
    environments = [{"name": "llama_cpp", "version": "7"}]
    launcher = "/opt/modelops/llama_server.py"

    def command(**options: Any) -> str:
        text = render(file("service"), **options)[2]["files"][0]["content"]
        return next(line for line in text.splitlines() if line.startswith("ExecStart="))

    assert command().startswith("ExecStart=llama-server ")
    assert command(programs=words).startswith("ExecStart=/usr/bin/python3 /opt/modelops/llama_server.py ")
    own = command(programs=words, engines=environments, engines_dir="/opt/engines", launcher=launcher)
    assert own.startswith("ExecStart=/opt/engines/")


def test_what_cannot_be_deployed_is_said_in_sentences() -> None:
    assert undeployable_replicas(REPLICAS, MODELS) == []
    wanted = [*REPLICAS, {"model": "gone", "version": "1"}, {"model": "chat", "version": "9"}]
    unknown, stale = undeployable_replicas(wanted, MODELS)
    assert "gone" in unknown and "modelops_models" in unknown
    assert stale == "The plan wants chat 9, the catalogue has 1. Plan again, or set the version back."


def test_a_wrong_entry_or_template_is_one_message() -> None:
    with pytest.raises(AnsibleFilterError, match="model chat"):
        host_services(REPLICAS, {**MODELS, "chat": {**MODELS["chat"], "engine": "abacus"}}, [])
    with pytest.raises(AnsibleFilterError, match="template"):
        render({"path": "/x", "mode": "0644", "template": "{{ nobody }}"})
