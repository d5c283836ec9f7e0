# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Heads of an audit trail kept elsewhere, so that lines cut off at its end are missed.

A head is one line of JSON: the trail's name, the number and hash of its last line, the moment, and a signature (Ed25519,
RFC 8032, over the canonical head without it) where a key is given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import signing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.chain import AuditError, Head, canonical
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import parse_json
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

KIND = "audit_head"


def head_line(head: Head, *, trail: str, at: float, private_key: str = "") -> bytes:
    """The head as a line with its end, signed with the key (path of an unencrypted PEM file) if one is given.

    Raises:
        InputError: the key cannot be read or is not Ed25519.
    """
    record = {"schema_version": 1, "kind": KIND, "trail": trail, "at": at}
    record.update(sequence=head.sequence, hash=head.hash)
    if private_key:
        key = signing.load_private(
            signing.read_key(private_key), purpose="Signing the head of an audit trail", where=private_key
        )
        record["signature"] = signing.signature_of(canonical(record), key)
    return canonical(record) + b"\n"


def append_head(path: str, line: bytes) -> None:
    """Add a head to a file of heads, on disk before this returns.

    Raises:
        AuditError: it could not be written.
    """
    try:
        handle = os.open(os.path.expanduser(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise AuditError(
            f"the head of the audit trail cannot be written ({error.strerror})",
            where=path,
            remedy="Mend the disk, the mount or the rights there, then run again",
        ) from error


def read_heads(path: str, *, public_key: str = "") -> list[Head]:
    """The heads of a file; a cut last line is left out.

    Raises:
        InputError: unreadable, not heads, or not signed by the key.
    """
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            lines = stream.read().split(b"\n")[:-1]
    except OSError as error:
        raise InputError(f"cannot read the heads of the audit trail ({error.strerror})", where=path) from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_json(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or record.get("kind") != KIND or not isinstance(record.get("sequence"), int):
            raise InputError("this is not the head of an audit trail", where=f"{path}, line {number}")
        records.append(record)
    if public_key:
        _check_signatures(records, path, public_key)
    return [Head(record["sequence"], str(record.get("hash"))) for record in records]


def _check_signatures(records: Iterable[Mapping[str, Any]], path: str, public_key: str) -> None:
    key = signing.load_public(
        signing.read_key(public_key), purpose="Checking the signature of an audit trail", where=public_key
    )
    for number, record in enumerate(records, start=1):
        body = canonical({name: value for name, value in record.items() if name != "signature"})
        if not signing.is_signed(body, str(record.get("signature", "")), key):
            raise InputError(
                "the head is not signed by this key",
                where=f"{path}, line {number}",
                remedy="It was changed, or signed by another controller: find out which before trusting the trail",
            )
