# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The headers of safetensors files: what is stored, as what, without loading any of it.

A file begins with eight bytes, the length of its header (little endian), and the header: a JSON
object of tensor name to ``dtype``, ``shape`` and ``data_offsets`` (safetensors format,
https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import parse_json
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.resources.precision import SAFETENSORS_BYTES

_LONGEST_HEADER = 100 * 1024 * 1024


@dataclass
class StoredWeights:
    """``values`` by stored type and ``stored_bytes`` over all files; ``count`` tensors."""

    stored_bytes: int = 0
    count: int = 0
    values: dict[str, int] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        return sum(self.values.values())


def read_headers(paths: Iterable[str]) -> StoredWeights:
    """What the files hold together.

    Raises:
        InputError: a file is cut off, is no safetensors file, or cannot be read.
    """
    found = StoredWeights()
    for path in paths:
        _add(found, path)
    return found


def _add(found: StoredWeights, path: str) -> None:
    remedy = "Fetch the file again and compare its checksum"
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise InputError("the file is cut off, or no safetensors file", where=path, remedy=remedy)
            header = parse_json(stream.read(length).decode("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", where=path) from error
    except ValueError as error:
        raise InputError("the header is no JSON", where=path, remedy=remedy) from error
    end = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        try:
            kind, values = str(tensor["dtype"]), prod(tensor["shape"])
            end = max(end, int(tensor["data_offsets"][1]))
        except (KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"the header's entry {name!r} is not one of a tensor", where=path, remedy=remedy
            ) from error
        if kind not in SAFETENSORS_BYTES:
            raise InputError(f"tensor {name!r} is stored as {kind}, which is not known", where=path)
        found.values[kind] = found.values.get(kind, 0) + values
        found.stored_bytes += int(values * SAFETENSORS_BYTES[kind])
        found.count += 1
    if size < 8 + length + end:
        missing = 8 + length + end - size
        raise InputError(f"the file is cut off: {missing} bytes of its weights are missing", where=path, remedy=remedy)
