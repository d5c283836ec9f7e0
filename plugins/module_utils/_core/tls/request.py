# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The side of the host that uses a certificate: whether it needs another one, and the request for it.

The key is made here and never leaves. It waits beside the certificate until that comes; a run that was cut off in between is
followed by one that asks with the same key.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.certificate import (
    Certificate,
    describe,
    examine,
    read_pem,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.names import is_address, normal_name

PURPOSE = "a request for a certificate"
WAITING = ".key-waiting"


@dataclass(frozen=True)
class Standing:
    """``reason``: why another certificate is needed; empty when none is. ``found``: the one that is there, if any."""

    reason: str
    found: Certificate | None

    @property
    def line(self) -> str:
        """The certificate that is there, in words."""
        if self.found is None:
            return ""
        return f"{', '.join(self.found.names)} until {format_moment(self.found.not_after)} ({self.found.fingerprint})\n"


def waiting_key(path: str) -> str:
    """Where the key waits for the certificate that will be at ``path``."""
    return path + WAITING


def look(path: str, *, names: Sequence[str], ca: str, renew_share: float, now: float) -> Standing:
    """What is to be said of a certificate and its key.

    Args:
        path: the file with both.
        names: what it shall hold for, and nothing else, as :func:`.names.alternative_names` gives them.
        ca: in PEM, who must have signed it; empty when that is not known.
        renew_share: of its life; with less left another one is needed.
        now: epoch seconds.
    """
    if not os.path.exists(path):
        return Standing("there is none", None)
    found = None
    with contextlib.suppress(InputError):
        found = describe(path)
    try:
        found = examine(path, ca=ca, now=now)
    except InputError as error:
        return Standing(error.what, found)
    holds = sorted({normal_name(name) for name in found.names})
    if holds != sorted(names):
        return Standing(f"it holds for {', '.join(holds) or 'no name'}", found)
    left, life = found.not_after - now, found.not_after - found.not_before
    if left < renew_share * life:
        return Standing(f"{left / 86400:.3g} of its {life / 86400:.3g} days are left", found)
    return Standing("", found)


def ask(path: str, names: Sequence[str]) -> str:
    """A request in PEM for a certificate at ``path``, with the key that waits there or a new one.

    Raises:
        InputError: the key cannot be kept.
    """
    require("cryptography", purpose=PURPOSE)
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = _waiting(waiting_key(path)) or _new(waiting_key(path))
    common = next((name for name in names if not is_address(name)), names[0])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    text: bytes = request.public_bytes(Encoding.PEM)
    return text.decode("ascii")


def read_waiting(path: str) -> str:
    """The key that waits, in PEM.

    Raises:
        InputError: none waits.
    """
    return read_pem(path, what="private key")


def forget_waiting(path: str) -> None:
    """Take the key that waits away; what it waited for has come, or is not needed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _waiting(path: str) -> Any:
    """The key, if one that nobody else could read waits there."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            return None
        key = load_pem_private_key(read_waiting(path).encode("ascii", "replace"), password=None)
    except (OSError, ValueError, TypeError, InputError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _new(path: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the directory ({error.strerror})", where=os.path.dirname(path)) from error
    documents.write_atomically(path, text, mode=0o600)
    os.chmod(path, 0o600)
    return key
