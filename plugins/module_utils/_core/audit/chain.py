# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One line of the audit trail: canonical JSON that holds the hash of the line before it.

With H = SHA-256 and || putting bytes behind each other, line n says

    hash(n) = H(canonical JSON of the line without ``hash``),   previous(n) = hash(n - 1),   previous(1) = 64 zeros,

so that a line that is changed, removed, added or moved breaks the chain at its place. A chain says nothing of lines cut
off at its end, nor of one that was made anew from some line on: for that its head is kept elsewhere (``heads``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

SCHEMA_VERSION = 1
KIND = "audit"
NOTHING = "sha256:" + "0" * 64
OWN_FIELDS = frozenset({"schema_version", "kind", "sequence", "previous", "hash"})


class AuditError(ModelOpsError):
    """What is to be done could not be put on record."""


@dataclass(frozen=True)
class Head:
    """The last line of a chain: its number, from 1, and its hash. Number 0 is a chain without a line."""

    sequence: int = 0
    hash: str = NOTHING


def canonical(record: Mapping[str, Any]) -> bytes:
    """The one way a record is written, without the end of the line: sorted keys, no spaces, ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def line_after(head: Head, event: Mapping[str, Any]) -> tuple[bytes, Head]:
    """The line that puts ``event`` behind ``head``, with its end, and the new head.

    Raises:
        AuditError: the event holds what JSON cannot say, or a field that is the chain's own.
    """
    record = {**event, "schema_version": SCHEMA_VERSION, "kind": KIND, "sequence": head.sequence + 1}
    record["previous"] = head.hash
    if OWN_FIELDS & event.keys():
        raise AuditError(f"an event may not set {', '.join(sorted(OWN_FIELDS & event.keys()))}")
    try:
        sealed = hash_of(record)
    except (TypeError, ValueError) as error:
        raise AuditError(f"an event cannot be written as JSON ({error})") from error
    return canonical({**record, "hash": sealed}) + b"\n", Head(head.sequence + 1, sealed)


def hash_of(record: Mapping[str, Any]) -> str:
    """``sha256:<hex>`` over the canonical record without its own ``hash``."""
    return "sha256:" + hashlib.sha256(canonical({k: v for k, v in record.items() if k != "hash"})).hexdigest()


def parse_line(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The record of a line without its end, and what is wrong with it (empty when nothing is)."""
    try:
        record = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None, "is not JSON"
    if not isinstance(record, dict) or record.get("kind") != KIND or record.get("schema_version") != SCHEMA_VERSION:
        return None, "is not a line of an audit trail"
    sequence = record.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool) or sequence < 1:
        return None, "has no number"
    try:
        whole = canonical(record) == line
    except ValueError:
        whole = False
    if not whole:
        return record, "was written by another hand (its bytes are not canonical)"
    if record.get("hash") != hash_of(record):
        return record, "was changed (it does not match its hash)"
    return record, ""


def head_of(record: Mapping[str, Any]) -> Head:
    return Head(int(record["sequence"]), str(record["hash"]))
