# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a module leaves in ``dest``: written only where it says something new, told alone in check mode."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    canonical_bytes,
    read_document,
    write_atomically,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError


def store_content(path: str, content: bytes, *, dry: bool) -> bool:
    """Write the bytes unless the file holds them already; with ``dry`` only tell. Returns whether it differs."""
    if not dry:
        return write_atomically(path, content)
    return not sealing.says(stored_bytes(path), content, path=path)


def stored_bytes(path: str) -> bytes:
    """What the file holds; nothing where it cannot be read."""
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def store_dated(path: str, document: Mapping[str, Any], *, now: float, dry: bool) -> bool:
    """Write the document with ``created_at``, unless the file says the same already.

    Args:
        path: destination.
        document: without ``created_at``.
        now: epoch seconds.
        dry: only tell.

    Returns:
        Whether the file changed, or would.
    """
    found = stored_content(path)
    if found is not None and canonical_bytes(found) == canonical_bytes(document):
        return False
    if not dry:
        write_atomically(path, canonical_bytes({**document, "created_at": format_moment(now)}))
    return True


def stored_content(path: str) -> dict[str, Any] | None:
    """The document at ``path`` without ``created_at``; None when there is none to compare."""
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(path) or not sealing.is_current(stored_bytes(path), path=path):
        return None
    try:
        found = read_document(path, what="document")
    except InputError:
        return None  # whatever it is, it is not this document, and dest says to replace it
    return {key: value for key, value in found.items() if key != "created_at"} if isinstance(found, dict) else None
