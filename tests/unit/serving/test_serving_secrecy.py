# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay out of the catalogue: found by their names, never repeated; what replicas need is read from files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.secrecy import plain_secrets
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.service import as_record, build_service

VALUE = "zq1f0c9a"


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"environment": {"HF_TOKEN": VALUE}}, "HF_TOKEN"),
        ({"environment": {"AWS_SECRET_ACCESS_KEY": VALUE}}, "AWS_SECRET_ACCESS_KEY"),
        ({"environment": {"OPENAI_APIKEY": VALUE}}, "OPENAI_APIKEY"),
        ({"environment": {"wandb_api_key": VALUE}}, "wandb_api_key"),
        ({"engine_args": {"api-key": VALUE}}, "--api-key"),
        ({"engine_args": {"hf_token": VALUE}}, "--hf-token"),
        ({"engine_args": [f"--api-key={VALUE}"]}, "--api-key"),
        ({"artifact": {"src": f"https://me:{VALUE}@example.org/m.gguf"}}, "src holds a login"),
    ],
)
def test_a_secret_is_named_and_not_repeated(entry: dict[str, Any], named: str) -> None:
    (sentence,) = plain_secrets({"chat": entry})
    assert sentence.startswith("Model chat: ") and named in sentence
    assert VALUE not in sentence


@pytest.mark.parametrize(
    "entry",
    [
        {"environment": {"MAX_TOKENS": "4096", "HF_TOKEN": "/etc/modelops/secrets/hf-token", "API_KEY": ""}},
        {"environment": {"HF_TOKEN": None, "TOKEN": "{api_key_file}", "VLLM_TOKEN_FILE": "/x"}},
        {"engine_args": {"max-model-len": 8192}, "artifact": {"src": "https://example.org/m.gguf"}},
        {"artifact": {"src": "/models/a@b.gguf"}, "environment": "no mapping", "engine_args": None},
        "no mapping",
    ],
)
def test_what_is_no_secret_is_left_alone(entry: Any) -> None:
    assert plain_secrets({"chat": entry}) == []


def test_a_replica_reads_its_secrets_when_it_starts(tmp_path: Path) -> None:
    """The wrapper is run for real: the engine is ``env``, and says what it was told."""
    files = {"HF_TOKEN": tmp_path / "hf token", "OTHER": tmp_path / "it's"}
    for path in files.values():
        path.write_text(f"{VALUE}-{path.name}\n")
    model = {
        "engine": "command", "executable": ["env"], "secret_environment": {k: str(v) for k, v in files.items()},
        "health_path": "/", "probe": {"path": "/"},
    }  # fmt: skip
    service = build_service({"model": "chat", "slot": 0, "port": 8100, "version": "1"}, model)
    assert not any(VALUE in word for word in service.argv)
    assert VALUE not in as_record(service)["exec_start"]
    said = subprocess.run(service.argv, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    assert {f"{name}={VALUE}-{path.name}" for name, path in files.items()} <= set(said.stdout.splitlines())


@pytest.mark.parametrize("given", [{"HF_TOKEN": VALUE}, {"HF_TOKEN": ""}, {"HF_TOKEN": f"/x\n{VALUE}"}])
def test_a_value_in_place_of_a_file_is_refused_and_not_repeated(given: dict[str, str]) -> None:
    model = {"engine": "vllm", "secret_environment": given}
    with pytest.raises(InputError) as refused:
        build_service({"model": "chat", "slot": 0, "port": 8100, "version": "1"}, model, paths={"model_path": "/m"})
    assert "secret_environment HF_TOKEN" in str(refused.value) and VALUE not in str(refused.value)
