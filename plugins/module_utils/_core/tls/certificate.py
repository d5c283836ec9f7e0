# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Is this certificate fit to be served? Asked of OpenSSL itself, by a handshake in memory.

A server that has the file and a client that trusts the CA talk over two buffers, once for each name. So expiry, chain, names,
purpose and strength are judged by the rules that real clients have, and nothing but Python's own library is needed on a host.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

MAX_PEM_BYTES = 1 << 20
BEGIN_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
NEW_ONE = "Have a new one made by your CA"
# Codes of X509_verify_cert, from OpenSSL's x509_vfy.h.
EXPIRED, NOT_YET_VALID = (10,), (9,)
UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
OTHER_NAME = (62, 64)
PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN: what is trusted need not be a root


@dataclass(frozen=True)
class Certificate:
    """The first certificate of a file. Moments are epoch seconds."""

    not_before: float
    not_after: float
    names: tuple[str, ...]
    fingerprint: str  # SHA-256 of its DER, hexadecimal

    def as_record(self) -> dict[str, Any]:
        return {
            "not_before": format_moment(self.not_before),
            "not_after": format_moment(self.not_after),
            "names": list(self.names),
            "fingerprint": self.fingerprint,
        }


def examine(
    path: str, *, where: str = "", ca: str = "", names: Sequence[str] = (), valid_seconds: float = 0.0, now: float
) -> Certificate:
    """The certificate in a file with chain and key, if it may be served.

    Args:
        path: the file, in PEM: certificate first, then the rest of its chain, and the private key.
        where: what to call it in errors; the path by default.
        ca: certificates in PEM that must have issued it; empty to take its issuer on trust.
        names: host names and addresses it must hold for.
        valid_seconds: for how long it must still hold.
        now: epoch seconds.

    Raises:
        InputError: what is wrong with it, and what to do. The key is never repeated.
    """
    where = where or path
    server = _server(path, where)
    found = describe(path, where)
    if found.not_after <= now:
        raise InputError(f"the certificate expired at {format_moment(found.not_after)}", where=where, remedy=NEW_ONE)
    if found.not_before > now:
        raise InputError(
            f"the certificate holds from {format_moment(found.not_before)} on", where=where,
            remedy="Set the clock of this host, or wait until then",
        )  # fmt: skip
    client = _client(path, ca, where)
    for name in names or ("",):
        _shake_hands(server, client, name, found, where)
    left = found.not_after - now
    if left < valid_seconds:
        raise InputError(
            f"the certificate ends at {format_moment(found.not_after)}, in {left / 3600:.1f} hours; "
            f"at least {valid_seconds / 3600:g} are wanted",
            where=where,
            remedy=NEW_ONE,
        )
    return found


def describe(path: str, where: str = "") -> Certificate:
    """The first certificate of a file, fit or not.

    Raises:
        InputError: there is none.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            text = stream.read(MAX_PEM_BYTES)
        der = ssl.PEM_cert_to_DER_cert(first_certificate(text))
        # The parser of the ssl module for its own tests; it has been there, unchanged, since Python 2.6.
        decoded: Mapping[str, Any] = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]
        return Certificate(
            float(ssl.cert_time_to_seconds(decoded["notBefore"])),
            float(ssl.cert_time_to_seconds(decoded["notAfter"])),
            tuple(str(value) for _kind, value in decoded.get("subjectAltName", ())),
            hashlib.sha256(der).hexdigest(),
        )
    except OSError as error:  # an SSLError is one too
        raise InputError(f"cannot read the certificate ({error.strerror})", where=where or path) from error
    except (ValueError, KeyError) as error:
        raise InputError("there is no certificate in PEM", where=where or path, remedy=NEW_ONE) from error


def read_pem(path: str, *, what: str) -> str:
    """The text of a PEM file.

    Args:
        path: of the file.
        what: is in it, for errors.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read(MAX_PEM_BYTES)
    except OSError as error:
        raise InputError(f"cannot read the {what} ({error.strerror})", where=path) from error


def first_certificate(text: str) -> str:
    """The first certificate of a PEM text.

    Raises:
        ValueError: there is none.
    """
    begin = text.index(BEGIN_CERTIFICATE)
    end = text.index("-----END CERTIFICATE-----", begin)
    return text[begin:end] + "-----END CERTIFICATE-----\n"


def _server(path: str, where: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked: list[bool] = []

    def no_passphrase() -> str:  # it would otherwise be asked for at the terminal
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(path, password=no_passphrase)
    except ssl.SSLError as error:
        raise _refused(error, where, locked=bool(asked)) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read certificate and key ({error})", where=where) from error
    return context


def _refused(error: ssl.SSLError, where: str, *, locked: bool) -> InputError:
    reason = str(getattr(error, "reason", "") or "")
    if "VALUES_MISMATCH" in reason or "TYPE_MISMATCH" in reason:
        return InputError(
            "the private key is not that of the certificate", where=where,
            remedy="Put together the key that the certificate was asked for with, and the certificate itself first",
        )  # fmt: skip
    if locked:
        return InputError(
            "the private key has a passphrase", where=where,
            remedy="Take it away (openssl pkey -in KEY -out KEY) and keep the key in a vault",
        )  # fmt: skip
    return InputError(
        f"there is no certificate chain with its private key in PEM ({reason or 'unreadable'})", where=where,
        remedy="Put the certificate first, then the rest of its chain, then the key",
    )  # fmt: skip


def _client(path: str, ca: str, where: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca:
            context.load_verify_locations(cadata=ca)
        else:
            context.load_verify_locations(path)
            context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)
    except (ssl.SSLError, ValueError, UnicodeEncodeError) as error:
        raise InputError("the CA holds no certificate in PEM", where=where, remedy="Give it as PEM text") from error
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str, found: Certificate, where: str) -> None:
    """One handshake; the client looks for ``name`` unless it is empty."""
    client.check_hostname = bool(name)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname=name or None),
        server.wrap_bio(there, back, server_side=True),
    ]
    try:
        for _round in range(8):
            done = [_step(side) for side in sides]  # both, since each waits for the other
            if all(done):
                return
    except ssl.SSLCertVerificationError as error:
        raise _not_believed(error, name, found, where) from error
    except ssl.SSLError as error:
        raise InputError(f"OpenSSL cannot serve it ({error.reason})", where=where, remedy=NEW_ONE) from error
    raise InputError("OpenSSL came to no end with it", where=where, remedy=NEW_ONE)


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _not_believed(error: ssl.SSLCertVerificationError, name: str, found: Certificate, where: str) -> InputError:
    code = error.verify_code
    if code in OTHER_NAME:
        return InputError(
            f"the certificate holds for {', '.join(found.names) or 'no name'}, not for {name}", where=where,
            remedy=f"Have one made that names {name} as an alternative name",
        )  # fmt: skip
    if code in UNKNOWN_ISSUER:
        return InputError(
            "the certificate does not come from the CA that is given", where=where,
            remedy="Give the CA that issued it, and put certificates between the two behind the certificate",
        )  # fmt: skip
    if code in (*EXPIRED, *NOT_YET_VALID):
        return InputError(f"a certificate of its chain does not hold now ({error.verify_message})", where=where)
    return InputError(f"no client would believe it: {error.verify_message}", where=where, remedy=NEW_ONE)
