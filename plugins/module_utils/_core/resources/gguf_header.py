# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The header of a GGUF file: its metadata and its list of tensors, without any weights.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic ``GGUF``, version,
number of tensors, number of metadata pairs; the pairs; for each tensor name, shape, type and
offset; padding to ``general.alignment``; the weights.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from math import prod
from typing import Any, BinaryIO

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import GGUF_TYPES

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
# Arrays longer than this are vocabularies and merges: only their length is kept.
_KEPT_ARRAY = 4096
_MOST = 1 << 24


@dataclass
class GgufFile:
    """Metadata, and of the weights their ``values``, ``stored_bytes`` and types; ``names`` of the tensors."""

    metadata: dict[str, Any] = field(default_factory=dict)
    values: int = 0
    stored_bytes: int = 0
    types: dict[str, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class _CutOffError(Exception):
    """The file ended inside its header."""


def read_gguf(path: str) -> GgufFile:
    """The header of the file, and of its further parts where it is split.

    Raises:
        InputError: no GGUF file, cut off, a part missing, or a type that is not known.
    """
    found = _read_one(path)
    parts = found.metadata.get("split.count") or 1
    if not isinstance(parts, int):
        raise InputError("the file does not say in how many parts it is", where=path, remedy="Fetch it again")
    ending = f"-00001-of-{parts:05d}.gguf"
    if parts > 1:
        if not path.endswith(ending):
            raise InputError(
                f"the file is one of {parts} parts", where=path, remedy=f"Give the one that ends in {ending}"
            )
        for number in range(2, parts + 1):
            other = _read_one(f"{path[: -len(ending)]}-{number:05d}-of-{parts:05d}.gguf")
            found.values += other.values
            found.stored_bytes += other.stored_bytes
            found.names |= other.names
            for name, count in other.types.items():
                found.types[name] = found.types.get(name, 0) + count
    return found


def _read_one(path: str) -> GgufFile:
    remedy = "Fetch the file again and compare its checksum"
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            return _read(stream, size, path, remedy)
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", where=path) from error
    except (_CutOffError, UnicodeDecodeError, struct.error, RecursionError) as error:
        raise InputError("the file is cut off inside its header, or damaged", where=path, remedy=remedy) from error


def _read(stream: BinaryIO, size: int, path: str, remedy: str) -> GgufFile:
    if stream.read(4) != b"GGUF":
        raise InputError("this is no GGUF file", where=path, remedy="Give a file that begins with GGUF")
    version = _number(stream, "<I")
    if version not in (2, 3):
        raise InputError(f"GGUF version {version} is not known, only 2 and 3", where=path)
    tensors, pairs = _number(stream, "<Q"), _number(stream, "<Q")
    if tensors > _MOST or pairs > _MOST:
        raise _CutOffError
    found = GgufFile()
    for _pair in range(pairs):
        key = _text(stream)
        found.metadata[key] = _value(stream, _number(stream, "<I"))
    end = 0
    for _tensor in range(tensors):
        name, dimensions = _text(stream), _number(stream, "<I")
        values = prod(_number(stream, "<Q") for _dimension in range(min(dimensions, 8)))
        kind, offset = _number(stream, "<I"), _number(stream, "<Q")
        if kind not in GGUF_TYPES:
            raise InputError(f"tensor {name!r} has the type {kind}, which is not known", where=path)
        label, block, block_bytes = GGUF_TYPES[kind]
        stored = values // block * block_bytes
        found.names.add(name)
        found.values += values
        found.stored_bytes += stored
        found.types[label] = found.types.get(label, 0) + values
        end = max(end, offset + stored)
    alignment = found.metadata.get("general.alignment") or 32
    if not isinstance(alignment, int) or alignment < 1:
        raise _CutOffError
    start = -(-stream.tell() // alignment) * alignment
    if size < start + end:
        missing = start + end - size
        raise InputError(f"the file is cut off: {missing} bytes of its weights are missing", where=path, remedy=remedy)
    return found


def _bytes(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise _CutOffError
    return data


def _number(stream: BinaryIO, layout: str) -> Any:
    return struct.unpack(layout, _bytes(stream, struct.calcsize(layout)))[0]


def _text(stream: BinaryIO) -> str:
    length = _number(stream, "<Q")
    if length > _MOST:
        raise _CutOffError
    return _bytes(stream, length).decode("utf-8", "replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(stream)
    if kind != _ARRAY:
        if kind not in _SCALARS:
            raise _CutOffError
        return _number(stream, _SCALARS[kind])
    of, count = _number(stream, "<I"), _number(stream, "<Q")
    if count > _MOST:
        raise _CutOffError
    kept = []
    for _entry in range(count):
        one = _value(stream, of)
        if count <= _KEPT_ARRAY:
            kept.append(one)
    return kept if count <= _KEPT_ARRAY else {"count": count}
