# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Encryption at rest, in the format of Ansible Vault (1.1, AES256): ``ansible-vault view`` reads what is written here.

The format, from Ansible's documentation: a password and 32 random bytes of salt give 80 bytes by PBKDF2 (HMAC-SHA256, 10,000
rounds): a key for AES-256 in counter mode over the padded text, a key for HMAC-SHA256 over what comes out, and the counter's
first value. Salt, HMAC and text in hexadecimal, together in hexadecimal again, four times the size of the text.

One thing differs, and no reader notices: the salt is no random number but an HMAC of the text under a key that is derived from
the password alone (as in SIV, RFC 5297). So the same text under the same password gives the same bytes, as everywhere in this
project, and two texts never share a counter. Whoever sees the files learns which of them are equal, and no more.

A :class:`Seal` is in force for the length of a ``with``: it says with which passwords files are read, and which files shall
never lie here in plain. It is the one thing in the core that is set around a call and not handed to it, since everything that
reads or writes a file, however deep, has to keep to it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import Error as HexError
from binascii import hexlify, unhexlify
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

MAGIC = b"$ANSIBLE_VAULT;"
HEADER = b"$ANSIBLE_VAULT;1.1;AES256\n"
KNOWN_HEADERS = (b"$ANSIBLE_VAULT;1.1;AES256", b"$ANSIBLE_VAULT;1.2;AES256;")
ROUNDS, KEY_BYTES, BLOCK_BYTES, LINE = 10_000, 32, 16, 80
LEAST_CHARACTERS, MOST_PASSWORD_BYTES = 16, 4096
PURPOSE = "Encryption at rest"
GIVE_ONE = "Set modelops_encryption_passwords (from a vault) or modelops_encryption_password_files"


@dataclass(frozen=True)
class Seal:
    """``passwords``: the first closes, any opens. ``paths``: absolute, of files that are never plain."""

    passwords: tuple[bytes, ...]
    paths: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        return _absolute(path) in self.paths


_in_force: ContextVar[Seal | None] = ContextVar("modelops_seal", default=None)


@contextmanager
def using(seal: Seal | None) -> Iterator[None]:
    """``seal`` holds for what is read and written within."""
    token = _in_force.set(seal)
    try:
        yield
    finally:
        _in_force.reset(token)


def make_seal(passwords: Sequence[str], files: Sequence[str], paths: Sequence[str]) -> Seal | None:
    """The seal that options ask for; None where no password is given.

    Args:
        passwords: themselves, the first closes.
        files: with a password each, for their owner alone; they come after ``passwords``.
        paths: of the documents that shall be sealed.

    Raises:
        InputError: a file that others may read or that holds none, or a password that could be guessed.
    """
    given = [str(one).encode("utf-8") for one in passwords] + [_password_in(path) for path in files]
    for number, password in enumerate(given, start=1):
        if len(password) < LEAST_CHARACTERS:
            raise InputError(
                f"password {number} for encryption at rest is shorter than {LEAST_CHARACTERS} characters",
                remedy="Make one with: openssl rand -base64 32",
            )
    return Seal(tuple(given), frozenset(_absolute(path) for path in paths)) if given else None


def can_open() -> bool:
    """Whether there are passwords to open anything with."""
    return _in_force.get() is not None


def is_sealed(content: bytes) -> bool:
    return content.startswith(MAGIC)


def opened(content: bytes, *, where: str) -> bytes:
    """What a file says, whose bytes are ``content``: themselves, or what is sealed in them.

    Raises:
        InputError: sealed and no password opens it, or plain where the seal in force covers it.
    """
    seal = _in_force.get()
    if is_sealed(content):
        return open_with(content, seal.passwords if seal else (), where=where)
    if seal and seal.covers(where):
        raise InputError(
            "this is not encrypted, and encryption at rest is asked for",
            where=where,
            remedy=f"If it is yours: ansible-vault encrypt {where} (with the same password), or take it away",
        )
    return content


def opened_base64(content: str, passwords: Sequence[str], files: Sequence[str], *, where: str) -> bytes:
    """What a file says that a task has read, in Base64; never a plain one where a password is given.

    Raises:
        InputError: no Base64, or what :func:`make_seal` and :func:`opened` refuse.
    """
    with using(make_seal(passwords, files, [where])):
        try:
            stored = b64decode(content, validate=True)
        except Base64Error as error:
            raise InputError(f"this is not Base64 ({error})", where=where) from error
        return opened(stored, where=where)


def closed(content: bytes, *, path: str) -> bytes:
    """The bytes to write for ``content`` at ``path``: sealed where the seal in force covers it."""
    seal = _in_force.get()
    return close_with(content, seal.passwords[0]) if seal and seal.covers(path) else content


def says(stored: bytes, content: bytes, *, path: str) -> bool:
    """Whether a file with the bytes ``stored`` says ``content``, and is sealed as it would be now."""
    return _currently_says(stored, path) == content


def is_current(stored: bytes, *, path: str) -> bool:
    """Whether the bytes of a file are sealed as they would be now; plain ones are, where nothing covers them."""
    return _currently_says(stored, path) is not None


def _currently_says(stored: bytes, path: str) -> bytes | None:
    """What the bytes of a file say; None where the seal in force covers it and would close it otherwise."""
    seal = _in_force.get()
    if not seal or not seal.covers(path):
        return stored
    try:
        return open_with(stored, seal.passwords[:1], where=path)
    except InputError:
        return None


def close_with(content: bytes, password: bytes) -> bytes:
    """``content`` as a vault."""
    secret = hashlib.pbkdf2_hmac("sha256", password, b"modelops.datacenter sealing", ROUNDS, KEY_BYTES)
    salt = hmac.digest(secret, content, "sha256")
    text_key, tag_key, counter = _keys(password, salt)
    missing = BLOCK_BYTES - len(content) % BLOCK_BYTES
    text = _counted(content + bytes([missing]) * missing, text_key, counter)
    inner = b"\n".join(hexlify(part) for part in (salt, hmac.digest(tag_key, text, "sha256"), text))
    body = hexlify(inner)
    return HEADER + b"".join(body[first : first + LINE] + b"\n" for first in range(0, len(body), LINE))


def open_with(content: bytes, passwords: Sequence[bytes], *, where: str) -> bytes:
    """What is sealed in a vault.

    Raises:
        InputError: no vault of a known format, damaged, or closed with another password.
    """
    if not passwords:
        raise InputError("this is encrypted, and no password for it was given", where=where, remedy=GIVE_ONE)
    header, _newline, body = content.partition(b"\n")
    if not header.strip().startswith(KNOWN_HEADERS):
        raise InputError(
            "this is not encrypted as Ansible Vault 1.1 or 1.2 with AES256", where=where, remedy="Encrypt it again"
        )
    try:
        salt, tag, text = (unhexlify(part) for part in unhexlify(b"".join(body.split())).split(b"\n", 2))
    except (HexError, ValueError) as error:
        raise InputError(
            "this is encrypted, and damaged", where=where, remedy="Take it from a backup, or make it anew"
        ) from error
    for password in passwords:
        text_key, tag_key, counter = _keys(password, salt)
        if hmac.compare_digest(hmac.digest(tag_key, text, "sha256"), tag):
            padded = _counted(text, text_key, counter)
            return padded[: -padded[-1]] if padded else padded
    raise InputError(
        "this is encrypted with another password, or was changed since",
        where=where,
        remedy="Give the password it was encrypted with (an old one after the new one), or take it from a backup",
    )


def _keys(password: bytes, salt: bytes) -> tuple[bytes, bytes, bytes]:
    made = hashlib.pbkdf2_hmac("sha256", password, salt, ROUNDS, 2 * KEY_BYTES + BLOCK_BYTES)
    return made[:KEY_BYTES], made[KEY_BYTES : 2 * KEY_BYTES], made[2 * KEY_BYTES :]


def _counted(content: bytes, key: bytes, counter: bytes) -> bytes:
    """AES in counter mode, which is its own reverse."""
    require("cryptography", purpose=PURPOSE)
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return bytes(cipher.update(content) + cipher.finalize())


def _password_in(path: str) -> bytes:
    path = os.path.expanduser(path)
    try:
        with open(path, "rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(MOST_PASSWORD_BYTES + 1).strip()
    except OSError as error:
        raise InputError(f"cannot read the password ({error.strerror})", where=path, remedy=GIVE_ONE) from error
    if mode & 0o077:
        raise InputError("others than its owner may read this password", where=path, remedy=f"chmod 600 {path}")
    if not content or len(content) > MOST_PASSWORD_BYTES or is_sealed(content):
        raise InputError("this file holds no password", where=path, remedy="It holds the password itself, on one line")
    return content


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
