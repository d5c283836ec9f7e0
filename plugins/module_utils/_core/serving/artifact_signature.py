# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Detached OpenPGP signatures of artifacts, checked by ``gpgv`` against keys the operator gives.

``gpgv`` is part of every Debian and RHEL host, asks nobody and keeps nothing. It gets one key at a time in a directory of its
own, so no keyring of a user has a say, and its status lines decide (doc/DETAILS of GnuPG): one good signature, none that is bad,
of a key that has neither expired nor been revoked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
from collections.abc import Mapping, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    ArtifactRefusedError,
    InputError,
    SourceUnavailableError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_source import (
    Source,
    open_address,
    shown,
)

MAX_SIGNATURE_BYTES = 64 * 1024
MAX_KEY_BYTES = 256 * 1024
MOST_KEYS = 20
SUFFIX = ".sig"
BLOCK = re.compile(r"-----BEGIN PGP ([A-Z ]+)-----(.*?)-----END PGP \1-----", re.DOTALL)
# Of each, the first word that is found is told.
FAULTS = {
    "BADSIG": "it is not the signature of this content: one of them was changed",
    "EXPKEYSIG": "the key it was made with has expired",
    "REVKEYSIG": "the key it was made with was revoked",
    "EXPSIG": "it has expired",
}
GOOD = ("GOODSIG", "VALIDSIG")


def check_keys(keys: Sequence[str], *, where: str) -> None:
    """Raises:
    InputError: one of them is no public key in ASCII armor, or they are too many.
    """
    if len(keys) > MOST_KEYS:
        raise InputError(f"more than {MOST_KEYS} keys for signatures", where=where)
    for number, key in enumerate(keys, start=1):
        _key_bytes(key, where=f"{where}, key {number}")


def key_digest(key: str) -> str:
    """By what a version remembers the key that vouched for it."""
    return hashlib.sha256(_key_bytes(key, where="signature_keys")).hexdigest()


def fetch(source: Source, address: str, headers: Mapping[str, str], timeout_seconds: float) -> bytes:
    """The signature at ``address``: a path on the host, or http(s); empty for beside the artifact.

    Request headers, a token perhaps, go to the artifact's own host only.

    Raises:
        ArtifactRefusedError: there is none, or what is there is far too large for one.
        SourceUnavailableError: the server does not answer.
    """
    address = address or _beside(source)
    where = shown(address)
    try:
        content = _read(source, address, headers, timeout_seconds)
    except FileNotFoundError as error:
        raise _refused("it is not signed: there is no signature", where) from error
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (403, 404, 410):
                raise _refused(f"it is not signed: the server answered {error.code} {error.reason}", where) from error
            raise SourceUnavailableError(f"the server answered {error.code} {error.reason}", where=where) from error
    except OSError as error:
        raise SourceUnavailableError(
            f"cannot fetch the signature ({getattr(error, 'reason', error)})", where=where
        ) from error
    if len(content) > MAX_SIGNATURE_BYTES:
        raise _refused(f"its signature is larger than {MAX_SIGNATURE_BYTES >> 10} KiB, which none is", where)
    return content


def verify(path: str, signature: bytes, keys: Sequence[str], *, where: str) -> str:
    """The :func:`key_digest` of the key that vouches for the file at ``path``.

    Args:
        path: what was signed.
        signature: detached, binary or armored.
        keys: public keys in ASCII armor.
        where: for messages.

    Raises:
        ArtifactRefusedError: none of the keys does.
        InputError: no gpgv on this host.
    """
    program = shutil.which("gpgv")
    if program is None:
        raise InputError(
            "a signature is asked for, and gpgv is not installed",
            where=where,
            remedy="Install gpgv (Debian), gnupg2 (RHEL)",
        )
    faults = []
    with tempfile.TemporaryDirectory(prefix="modelops-gpgv-") as scratch:
        _write(os.path.join(scratch, "artifact.sig"), _binary(signature, "SIGNATURE"))
        for key in keys:
            _write(os.path.join(scratch, "key.gpg"), _key_bytes(key, where=where))
            fault = _fault(program, scratch, path)
            if not fault:
                return key_digest(key)
            faults.append(fault)
    telling = [fault for fault in faults if fault in FAULTS.values()]
    raise _refused((telling or ["it is signed by none of the keys given"])[0], where)


def _fault(program: str, scratch: str, path: str) -> str:
    """Why the one key in ``scratch`` does not vouch for the file; empty when it does."""
    command = [program, "--homedir", scratch, "--status-fd", "1", "--weak-digest", "SHA1"]
    command += ["--keyring", os.path.join(scratch, "key.gpg"), os.path.join(scratch, "artifact.sig"), path]
    done = subprocess.run(
        command, capture_output=True, timeout=3600, check=False, env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    words = [line.split()[1] for line in lines if line.startswith("[GNUPG:] ")]
    for word, says in FAULTS.items():
        if word in words:
            return says
    # One signature that is good is not enough where another is not.
    good = done.returncode == 0 and all(word in words for word in GOOD) and "ERRSIG" not in words
    return "" if good else "unknown"


def _read(source: Source, address: str, headers: Mapping[str, str], timeout_seconds: float) -> bytes:
    if not address.startswith(("http://", "https://")):
        with open(address.replace("file://", "", 1) if address.startswith("file://") else address, "rb") as stream:
            return stream.read(MAX_SIGNATURE_BYTES + 1)
    same = urllib.parse.urlsplit(address)[:2] == urllib.parse.urlsplit(source.location)[:2]
    with open_address(address, headers if same else {}, timeout_seconds) as answer:
        content: bytes = answer.read(MAX_SIGNATURE_BYTES + 1)
    return content


def _beside(source: Source) -> str:
    if source.kind != "http":
        return source.location + SUFFIX
    parts = urllib.parse.urlsplit(source.location)
    return urllib.parse.urlunsplit(parts._replace(path=parts.path + SUFFIX))


def _key_bytes(key: str, *, where: str) -> bytes:
    content = key.encode("utf-8", "replace")
    binary = _binary(content, "PUBLIC KEY BLOCK") if len(content) <= MAX_KEY_BYTES else content
    if binary == content:
        raise InputError(
            "this is no public key in ASCII armor", where=where, remedy="Make it with: gpg --armor --export KEY"
        )
    return binary


def _binary(content: bytes, kind: str) -> bytes:
    """Without ASCII armor (RFC 9580, section 6); as it is where there is none of this kind."""
    blocks = [body for found, body in BLOCK.findall(content.decode("latin-1")) if found == kind]
    parts = []
    for block in blocks:
        # Headers end with an empty line; the checksum at the end begins with =.
        _headers, _empty, body = block.replace("\r\n", "\n").partition("\n\n")
        lines = [line for line in body.split("\n") if line and not line.startswith("=")]
        try:
            parts.append(base64.b64decode("".join(lines), validate=True))
        except binascii.Error:
            return content
    return b"".join(parts) or content


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def _refused(what: str, where: str) -> ArtifactRefusedError:
    return ArtifactRefusedError(
        f"{what}; nothing was installed",
        where=where,
        remedy="Have it signed by a key in signature_keys (gpg --detach-sign FILE), or find out who changed it",
    )
