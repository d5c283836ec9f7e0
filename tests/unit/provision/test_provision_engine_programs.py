"""The words that start an engine out of its environment, and the lock file that the collection brings."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.lock import parse_lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.engine_programs import engine_executable

ROOT = Path(__file__).resolve().parents[3]
ENGINES = [
    {"name": "vllm", "version": "0.32.0"},
    {"name": "vllm", "version": "0.31.0"},
    {"name": "tgi", "version": "3"},
]


def program(**model: str) -> list[str]:
    return engine_executable(model, ENGINES, engines_dir="/e", launcher="/l.py", where="model m")


def test_the_first_of_a_name_is_used_unless_the_model_says_which() -> None:
    module = ["-m", "vllm.entrypoints.openai.api_server"]
    assert program(engine="vllm") == ["/e/vllm-0.32.0/bin/python", *module]
    assert program(engine="vllm", engine_version="0.31.0") == ["/e/vllm-0.31.0/bin/python", *module]


def test_an_engine_without_an_environment_is_left_to_its_own_program() -> None:
    assert program(engine="sglang") == program(engine="tgi") == program() == []


def test_a_version_the_host_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"no vllm 0.30.0, only 0.32.0, 0.31.0"):
        program(engine="vllm", engine_version="0.30.0")


def test_the_lock_file_of_the_role_says_what_the_project_s_own_says() -> None:
    (shipped,) = (ROOT / "roles/provision/files").glob("llama_cpp-*.lock")
    own = (ROOT / "requirements/demo.lock").read_text(encoding="utf-8")
    lock, whole = (
        parse_lock(shipped.read_text(encoding="utf-8"), where=shipped.name),
        parse_lock(own, where="demo.lock"),
    )
    assert lock.lines["xllamacpp"] == whole.lines["xllamacpp"]
    assert shipped.name == f"llama_cpp-{next(iter(lock.versions['xllamacpp']))}.lock"
