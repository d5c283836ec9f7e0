# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes from elsewhere may be nested a hundred thousand deep: it is refused in the project's own words."""

from __future__ import annotations

import json
import struct
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
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources import gguf_header, safetensors_header
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


HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
KEY = struct.pack("<Q", 1) + b"a"
GGUF: dict[str, bytes] = {
    "a key longer than any file": HEAD + struct.pack("<Q", 1 << 60),
    "a text longer than any file": HEAD + KEY + struct.pack("<IQ", 8, 1 << 63),
    "an array longer than any file": HEAD + KEY + struct.pack("<IIQ", 9, 0, 1 << 62),
    "arrays in arrays in arrays": HEAD + KEY + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100_000,
    "a place that is a text": HEAD + struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<IQ", 8, 1) + b"x",
    "parts that are a text": HEAD + struct.pack("<Q", 11) + b"split.count" + struct.pack("<IQ", 8, 1) + b"x",
    "more tensors than any model": b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
}


@pytest.mark.parametrize("name", GGUF)
def test_a_header_of_a_gguf_file_that_cannot_be_meant_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelOpsError):
        gguf_header.read_gguf(file_of(tmp_path, GGUF[name]))


def test_a_document_larger_than_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(ModelOpsError, match="is larger than"):
        documents.read_document(file_of(tmp_path, b" " * 1001), what="plan")
