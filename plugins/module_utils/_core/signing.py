# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Signatures with Ed25519 (RFC 8032) by the library cryptography; keys are PEM.

Keys are made by ``openssl genpkey -algorithm ed25519``, their public part by ``openssl pkey -pubout``. A key never stands
in an error.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

MAX_KEY_BYTES = 64 * 1024
MAKE_ONE = "Make one with: openssl genpkey -algorithm ed25519"


def load_private(pem: bytes, *, purpose: str, where: str) -> Any:
    """The private key in a PEM text without a passphrase.

    Args:
        pem: the text.
        purpose: what is signed, for who lacks the library.
        where: the file or option it came from.

    Raises:
        InputError: not such a text, or not Ed25519.
    """
    require("cryptography", purpose=purpose)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError("this is not an unencrypted private key in PEM", where=where, remedy=MAKE_ONE) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("the key is not Ed25519", where=where, remedy=MAKE_ONE)
    return key


def load_public(pem: bytes, *, purpose: str, where: str) -> Any:
    """The public key in a PEM text.

    Raises:
        InputError: not such a text, or not Ed25519.
    """
    require("cryptography", purpose=purpose)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            "this is not a public key in PEM", where=where, remedy="Its public part: openssl pkey -in KEY -pubout"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("the key is not Ed25519", where=where, remedy=MAKE_ONE)
    return key


def signature_of(body: bytes, private: Any) -> str:
    """The signature over ``body`` in base64."""
    return base64.b64encode(private.sign(body)).decode("ascii")


def is_signed(body: bytes, signature: str, public: Any) -> bool:
    """Whether ``signature`` (base64) is that of ``body`` by the key."""
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(base64.b64decode(signature, validate=True), body)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_name(public: Any) -> str:
    """A public key by the first half of the SHA-256 of its bytes, to tell keys apart."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:32]


def read_key(path: str) -> bytes:
    """The bytes of a key file.

    Raises:
        InputError: absent, unreadable, or far too large for a key.
    """
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            content = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the key ({error.strerror})", where=path) from error
    if len(content) > MAX_KEY_BYTES:
        raise InputError(f"the file is larger than {MAX_KEY_BYTES >> 10} KiB, which no key is", where=path)
    return content
