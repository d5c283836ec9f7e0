# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The signature of a plan, for where another machine or person applies it than planned it.

A plan's own digest finds accidents; whoever edits the file can also compute the digest anew. The signature says who
planned. It is a document of its own beside the plan (``plan.json.sig``), so the plan's bytes stay what they are:

==============  =====================================================================
``content``     SHA-256 of the plan file, every byte of it
``inputs``      digest of what the plan was made from, as the plan names it
``fleet``       fingerprint of the inventory's stock and the catalogue
``signed_at``   and ``expires_at``: the plan may begin between these moments
``nonce``       128 random bits, so that a plan can be used up (see ``plan_use.py``)
``key``         name of the public key
``signature``   Ed25519 over the canonical document without this field, base64
==============  =====================================================================
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents, signing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError

SCHEMA_VERSION = 1
KIND = "plan_signature"
SUFFIX = ".sig"
NONCE_BYTES = 16
CLOCK_SKEW_SECONDS = 60.0
MAX_SIGNATURE_BYTES = 16 * 1024
FIELDS = ("content", "inputs", "fleet", "signed_at", "expires_at", "nonce", "key", "signature")
PURPOSE = "The signature of a plan"


@dataclass(frozen=True)
class Signed:
    """What a valid signature says. Moments are epoch seconds."""

    nonce: str
    key: str
    signed_at: float
    expires_at: float

    def as_record(self) -> dict[str, str]:
        return {
            "nonce": self.nonce,
            "key": self.key,
            "signed_at": format_moment(self.signed_at),
            "expires_at": format_moment(self.expires_at),
        }


def sign(
    content: bytes, plan: Mapping[str, Any], private: Any, *, now: float, valid_seconds: float, nonce: str = ""
) -> dict[str, Any]:
    """The signature of a plan.

    Args:
        content: the plan file's bytes.
        plan: the same, read.
        private: key by :func:`.signing.load_private`.
        now: epoch seconds.
        valid_seconds: how long the plan may begin.
        nonce: random by default.
    """
    record = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        **_statement(content, plan),
        "signed_at": format_moment(now),
        "expires_at": format_moment(now + valid_seconds),
        "nonce": nonce or secrets.token_hex(NONCE_BYTES),
        "key": signing.key_name(private.public_key()),
    }
    return {**record, "signature": signing.signature_of(documents.canonical_bytes(record), private)}


def verify(
    signature: bytes | None, content: bytes, plan: Mapping[str, Any], trusted: Sequence[Any], *, now: float
) -> Signed:
    """What the signature of a plan says, if it may be believed now.

    Args:
        signature: bytes of the signature file; None where there is none.
        content: the plan file's bytes.
        plan: the same, read.
        trusted: public keys by :func:`.signing.load_public`; one of them must have signed.
        now: epoch seconds.

    Raises:
        RefusedPlanError: ``unsigned`` (no signature, or of no trusted key), ``altered`` (the plan or its signature is not
            what was signed), ``expired`` (too late, or signed in the future).
    """
    if signature is None:
        raise _refused(
            "it is not signed", "unsigned", "Sign it where it is planned: plan_signing_file of the role plan"
        )
    record = _parse(signature)
    keys = {signing.key_name(key): key for key in trusted}
    if record["key"] not in keys:
        raise _refused(
            f"it is signed by the key {record['key']}, which is not trusted here", "unsigned",
            f"Trusted are {', '.join(sorted(keys))}: give the public part of the other key to apply_trusted_keys, or plan again",
        )  # fmt: skip
    body = documents.canonical_bytes({name: value for name, value in record.items() if name != "signature"})
    if not signing.is_signed(body, record["signature"], keys[record["key"]]):
        raise _refused("its signature was changed, or made by another key of this name", "altered", "Plan again")
    _check_statement(record, _statement(content, plan))
    return _check_moment(record, now)


def read_signature(path: str) -> bytes | None:
    """The bytes of a signature file, or None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return stream.read(MAX_SIGNATURE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read the signature of the plan ({error.strerror})", where=path) from error


def _statement(content: bytes, plan: Mapping[str, Any]) -> dict[str, str]:
    return {
        "content": "sha256:" + hashlib.sha256(content).hexdigest(),
        "inputs": documents.digest(plan.get("inputs") or {}),
        "fleet": str(plan.get("fleet_fingerprint")),
    }


def _parse(signature: bytes) -> dict[str, str]:
    try:
        record = json.loads(signature.decode("utf-8")) if len(signature) <= MAX_SIGNATURE_BYTES else None
    except (ValueError, RecursionError):
        record = None
    if (
        not isinstance(record, dict)
        or record.get("kind") != KIND
        or record.get("schema_version") != SCHEMA_VERSION
        or not all(isinstance(record.get(name), str) for name in FIELDS)
    ):
        raise _refused("what should be its signature is none", "altered", "Sign it again where it was planned")
    return dict(record)


def _check_statement(record: Mapping[str, str], statement: Mapping[str, str]) -> None:
    words = {"content": "file", "inputs": "inputs", "fleet": "fleet"}
    other = [words[name] for name, value in statement.items() if record[name] != value]
    if other:
        raise _refused(
            f"it is not the plan that was signed: another {' and '.join(other)}", "altered",
            "Take plan and signature of one run, or plan again",
        )  # fmt: skip


def _check_moment(record: Mapping[str, str], now: float) -> Signed:
    try:
        signed = Signed(
            record["nonce"],
            record["key"],
            parse_moment(record["signed_at"], what="moment of signing"),
            parse_moment(record["expires_at"], what="moment of expiry"),
        )
    except InputError as error:
        raise _refused(f"its signature holds no moments ({error.what})", "altered", "Plan again") from error
    if signed.signed_at > now + CLOCK_SKEW_SECONDS:
        raise _refused(
            f"it was signed in the future, at {record['signed_at']}", "expired",
            "Set the clock of the machine that plans and of this one, then plan again",
        )  # fmt: skip
    if now >= signed.expires_at:
        raise _refused(f"its signature ran out at {record['expires_at']}", "expired", "Plan again")
    return signed


def _refused(what: str, because: str, remedy: str) -> RefusedPlanError:
    return RefusedPlanError(what, because=because, where="plan", remedy=remedy)
