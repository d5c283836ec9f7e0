# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""JSON documents on disk: canonical bytes, atomic writes, clear errors.

Same content, same bytes: keys are sorted and numbers are written by ``repr``, so
two files are equal exactly when what they say is equal.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
FILE_MODE = 0o640
# What a document says it was written by; the version is that of galaxy.yml.
GENERATOR = "modelops.datacenter 0.1.0"


def canonical_bytes(document: Any) -> bytes:
    """The one way a document is written: sorted keys, one-space indent, UTF-8, final newline.

    Raises:
        InputError: the document holds NaN or infinity, which JSON cannot say.
    """
    try:
        text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InputError(f"a result holds a number JSON cannot write ({error})") from error
    return (text + "\n").encode("utf-8")


def digest(document: Any) -> str:
    """``sha256:<hex>`` over the compact canonical form of ``document``."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_digest(path: str) -> str:
    """``sha256:<hex>`` over the bytes of a file; of one that is sealed, over what it says, where that can be read."""
    state = hashlib.sha256()
    with open(os.path.expanduser(path), "rb") as stream:
        first = stream.read(1 << 20)
        if sealing.is_sealed(first) and sealing.can_open():
            return "sha256:" + hashlib.sha256(sealing.opened(first + stream.read(), where=path)).hexdigest()
        state.update(first)
        for block in iter(lambda: stream.read(1 << 20), b""):
            state.update(block)
    return "sha256:" + state.hexdigest()


def write_atomically(path: str, content: bytes, *, mode: int = FILE_MODE) -> bool:
    """Replace ``path`` by ``content`` in one step; a reader sees the old file or the new one.

    What the seal in force covers is written encrypted.

    Returns:
        True when what the file says, or how it is sealed, differs from before.

    Raises:
        InputError: the directory is missing or not writable.
    """
    path = os.path.abspath(os.path.expanduser(path))
    try:
        with open(path, "rb") as stream:
            if sealing.says(stream.read(), content, path=path):
                return False
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"cannot read the file to replace ({error.strerror})", where=path) from error
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".modelops-", dir=os.path.dirname(path))
        with os.fdopen(handle, "wb") as stream:
            stream.write(sealing.closed(content, path=path))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise InputError(
            f"cannot write here ({error.strerror})",
            where=path,
            remedy="Create the directory and let the user that runs this write to it",
        ) from error
    return True


def write_document(path: str, document: Any, *, mode: int = FILE_MODE) -> bool:
    """Write ``document`` as canonical JSON, atomically. Returns whether the bytes changed."""
    return write_atomically(path, canonical_bytes(document), mode=mode)


def read_document(path: str, *, what: str) -> Any:
    """Parse a JSON file.

    Args:
        path: the file.
        what: what it should be, in words ("forecast", "list of hosts").

    Raises:
        InputError: absent, unreadable, too large, or not JSON; NaN is not JSON.
    """
    path = os.path.expanduser(path)
    try:
        if os.path.getsize(path) > MAX_DOCUMENT_BYTES:
            raise InputError(f"the {what} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB", where=path, remedy="Split it")
        with open(path, "rb") as stream:
            content = sealing.opened(stream.read(), where=path)
            return parse_json(content.decode("utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise InputError(
            f"the {what} file does not exist", where=path, remedy="Check the path, or run the step that writes it"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read the {what} ({error.strerror})", where=path) from error
    except ValueError as error:
        raise InputError(
            f"the {what} is not valid JSON ({error})", where=path, remedy="Write it again with the step that makes it"
        ) from error


def parse_json(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """``json.loads`` whose every refusal is a ``ValueError``: what is nested too deeply is no other fault than a bad comma."""
    try:
        return json.loads(text, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def load(value: Any, *, what: str) -> Any:
    """A big input given inline or as the path of a JSON file.

    A string is a path; anything else is the document itself.
    """
    return read_document(value, what=what) if isinstance(value, str) else value


def expect_mapping(value: Any, *, what: str, where: str = "") -> Mapping[str, Any]:
    """``value`` as a mapping, or an error that says what it was instead."""
    if not isinstance(value, Mapping):
        raise InputError(f"the {what} must be a mapping, not {_kind(value)}", where=where)
    return value


def expect_number(
    value: Any, *, what: str, where: str = "", minimum: float = -math.inf, maximum: float = math.inf
) -> float:
    """``value`` as a finite float within bounds; numeric strings are taken, since Jinja makes them.

    Raises:
        InputError: not a number, NaN, infinite, or out of bounds.
    """
    if isinstance(value, bool) or value is None:
        raise InputError(f"{what} must be a number, not {value!r}", where=where)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be a number, not {value!r}", where=where) from error
    if not math.isfinite(number):
        raise InputError(f"{what} must be finite, not {value!r}", where=where)
    if number < minimum or number > maximum:
        bounds = f"at least {minimum:g}" if maximum == math.inf else f"between {minimum:g} and {maximum:g}"
        raise InputError(f"{what} must be {bounds}, not {number:g}", where=where)
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
