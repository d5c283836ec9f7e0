# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes from elsewhere may be nested a hundred thousand deep: it is refused in the project's own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.accelerators import amd
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit import chain, heads
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.events import parse_event
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history import web
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import parse_plan
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation import history
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources import safetensors_header
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.http_client import Answer

DEEP = "[" * 100_000 + "]" * 100_000


def file_of(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "given"
    path.write_bytes(content)
    return str(path)


def test_python_itself_would_end_in_a_traceback() -> None:
    with pytest.raises(RecursionError):
        json.loads(DEEP)


REFUSED: dict[str, Callable[[Path], Any]] = {
    "a document": lambda path: documents.read_document(file_of(path, DEEP.encode()), what="plan"),
    "a plan": lambda path: parse_plan(DEEP.encode(), where="plan.json"),
    "a history of actions": lambda path: history.read_history(file_of(path, DEEP.encode() + b"\n")),
    "heads of a trail": lambda path: heads.read_heads(file_of(path, DEEP.encode() + b"\n")),
    "a header of weights": lambda path: safetensors_header.read_headers(
        [file_of(path, len(DEEP).to_bytes(8, "little") + DEEP.encode())]
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_nested_too_deeply_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelOpsError):
        REFUSED[name](tmp_path)


def test_lines_and_answers_that_are_nested_too_deeply_say_nothing() -> None:
    assert parse_event(DEEP.encode()) is None
    assert chain.parse_line(DEEP.encode()) == (None, "is not JSON")
    assert Answer("http://x", 200, DEEP, 0.1).json() is None
    with pytest.raises(web._RefusedError):
        web._parsed(DEEP.encode())
    with pytest.raises(amd.ToolError):
        amd._json(DEEP, "amd-smi")
