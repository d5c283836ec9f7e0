# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A CA that signs certificates of servers and their clients, and nothing else (RFC 5280).

The CA may not make other CAs (path length 0). A certificate holds for what the CA is told, whatever its request says: from a
request comes the public key alone, once it is shown that who asks has the private one.
"""

from __future__ import annotations

import datetime
import ipaddress
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.names import is_address

PURPOSE = "a CA of one's own"
BACKDATED_SECONDS = 300.0  # clocks differ
DAY_SECONDS = 86400.0
MAX_CSR_BYTES = 64 * 1024
MIN_PASSPHRASE = 16
SERVER, CLIENT = "server", "client"
PURPOSES = (SERVER, CLIENT)
COMMON_NAME_LENGTH = 64  # ub-common-name, RFC 5280


@dataclass(frozen=True)
class Signed:
    """A certificate that was just made. ``not_after``: epoch seconds."""

    chain: str
    serial: str
    not_after: float


def make_authority(name: str, *, days: float, passphrase: str, now: float) -> tuple[str, str]:
    """A new CA: its certificate and its key in PEM, the latter encrypted where there is a passphrase."""
    require("cryptography", purpose=PURPOSE)
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP384R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # A part of its own in the name: clients that know two CAs find the right one by it.
    subject = _subject(f"{name[:50]} {identifier.digest.hex()[:12]}")
    usage = _usage(signs_certificates=True)
    builder = (
        _builder(subject, subject, key.public_key(), now - BACKDATED_SECONDS, now + days * DAY_SECONDS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return pem_of(builder.sign(key, hashes.SHA384())), key_text(key, passphrase)


def sign(
    certificate: str,
    key: Any,
    csr: str,
    *,
    names: Sequence[str],
    purposes: Sequence[str],
    days: float,
    now: float,
    where: str,
) -> Signed:
    """A certificate for the key of a request.

    Args:
        certificate: of the CA, in PEM.
        key: of the CA, as :func:`open_key` gives it.
        csr: the request in PEM.
        names: as :func:`.names.alternative_names` gives them; the first host name among them is the subject.
        purposes: some of ``PURPOSES``.
        days: how long it holds; never longer than the CA does.
        now: epoch seconds.
        where: who asks, for errors.

    Raises:
        InputError: no request, one whose sender has not the key, a weak key, or a CA that holds no more.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = load_certificate(certificate, where=where)
    if end_of(issuer) <= now:
        raise InputError(
            f"the CA ended at {format_moment(end_of(issuer))}", where=where, remedy="Replace it: see guide_security"
        )
    public = _key_of_request(csr, where)
    common = next((name for name in names if not is_address(name)), names[0])
    subject = _subject(common) if len(common) <= COMMON_NAME_LENGTH else x509.Name([])
    end = min(now + days * DAY_SECONDS, end_of(issuer))
    kinds = {SERVER: ExtendedKeyUsageOID.SERVER_AUTH, CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}
    alternative = x509.SubjectAlternativeName([_general(name) for name in names])
    begin = max(now - BACKDATED_SECONDS, beginning_of(issuer))
    builder = (
        _builder(subject, issuer.subject, public, begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([kinds[one] for one in purposes]), critical=False)
        .add_extension(alternative, critical=len(common) > COMMON_NAME_LENGTH)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    made = builder.sign(key, hashes.SHA384())
    return Signed(pem_of(made), f"{made.serial_number:x}", end_of(made))


def open_key(text: str, passphrases: Sequence[str], *, where: str) -> tuple[Any, bool]:
    """The CA's key, and whether it is kept as it shall be: with the first passphrase, or none when there is none.

    Raises:
        InputError: no passphrase opens it.
    """
    require("cryptography", purpose=PURPOSE)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    def opened(passphrase: bytes | None) -> Any:
        try:
            return load_pem_private_key(text.encode("ascii", "replace"), password=passphrase)
        except (ValueError, TypeError):
            return None

    if "ENCRYPTED" not in text:
        key = opened(None)
        if key is None:
            raise InputError(
                "the key of the CA cannot be read", where=where, remedy="Bring the file back from a backup"
            )
        return key, not passphrases
    for number, passphrase in enumerate(passphrases):
        key = opened(passphrase.encode("utf-8"))
        if key is not None:
            return key, number == 0
    raise InputError(
        "the key of the CA is encrypted, and no passphrase that was given opens it"
        if passphrases
        else "the key of the CA is encrypted, and no passphrase was given",
        where=where,
        remedy="Give it in modelops_ca_passphrases, from a vault",
    )


def key_text(key: Any, passphrase: str) -> str:
    """The key in PEM (PKCS #8), encrypted where there is a passphrase."""
    from cryptography.hazmat.primitives import serialization

    hidden: Any = (
        serialization.BestAvailableEncryption(passphrase.encode("utf-8"))
        if passphrase
        else serialization.NoEncryption()
    )
    text: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
    return text.decode("ascii")


def load_certificate(text: str, *, where: str) -> Any:
    """A certificate from PEM.

    Raises:
        InputError: it is none.
    """
    require("cryptography", purpose=PURPOSE)
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(text.encode("ascii", "replace"))
    except (ValueError, x509.InvalidVersion) as error:
        raise InputError("there is no certificate in PEM", where=where) from error


def pem_of(certificate: Any) -> str:
    from cryptography.hazmat.primitives import serialization

    text: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return text.decode("ascii")


def fingerprint_of(certificate: Any) -> str:
    """SHA-256 of its DER, hexadecimal."""
    from cryptography.hazmat.primitives import hashes

    digest: bytes = certificate.fingerprint(hashes.SHA256())
    return digest.hex()


def end_of(certificate: Any) -> float:
    """Until when it holds, epoch seconds."""
    return _moment(certificate, "not_valid_after")


def beginning_of(certificate: Any) -> float:
    return _moment(certificate, "not_valid_before")


def _moment(certificate: Any, name: str) -> float:
    # Before version 42 of the library moments were UTC without saying so.
    found: datetime.datetime | None = getattr(certificate, f"{name}_utc", None)
    if found is None:
        found = getattr(certificate, name).replace(tzinfo=datetime.timezone.utc)
    return found.timestamp()


def _builder(subject: Any, issuer: Any, public: Any, begin: float, end: float) -> Any:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.fromtimestamp(math.floor(begin), datetime.timezone.utc))
        .not_valid_after(datetime.datetime.fromtimestamp(math.floor(end), datetime.timezone.utc))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _subject(common: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> Any:
    from cryptography import x509

    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)


def _key_of_request(csr: str, where: str) -> Any:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec

    if len(csr) > MAX_CSR_BYTES:
        raise InputError(f"the request is larger than {MAX_CSR_BYTES >> 10} KiB, which none is", where=where)
    try:
        request = x509.load_pem_x509_csr(csr.encode("ascii", "replace"))
        proven = request.is_signature_valid
        public = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise InputError("this is no request for a certificate in PEM", where=where) from error
    if not proven:
        raise InputError("who sent the request for a certificate has not its private key", where=where)
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.key_size < 256:
        raise InputError(
            "the key of the request is not of an elliptic curve of 256 bits or more", where=where,
            remedy="Let the module tls_request make it",
        )  # fmt: skip
    return public
