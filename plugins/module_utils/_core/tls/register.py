# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a CA keeps: its certificate and key, another's while one replaces the other, and what holds that it signed.

All of it is one file for its owner alone, replaced in one step, so there is no state in between and one thing to back up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

KIND, SCHEMA_VERSION = "authority", 1
# Signs; will sign, and is trusted already; has signed, and is trusted yet.
SIGNING, NEXT, BEFORE = "signing", "next", "before"
TRUST, SIGN, DROP = "trust", "sign", "drop"
REPLACEMENTS = ("", TRUST, SIGN, DROP)
MODE, DIRECTORY_MODE = 0o600, 0o700


@dataclass(frozen=True)
class Authority:
    """One CA. ``certificate`` and ``key`` are PEM."""

    certificate: str
    key: str
    standing: str
    fingerprint: str


@dataclass(frozen=True)
class Issued:
    """The latest certificate for one use on one host; ``authority`` is the fingerprint of the CA that signed it."""

    host: str
    use: str
    serial: str
    names: tuple[str, ...]
    not_after: float
    authority: str


@dataclass(frozen=True)
class Register:
    authorities: tuple[Authority, ...] = ()
    issued: tuple[Issued, ...] = ()

    def with_standing(self, standing: str) -> Authority | None:
        return next((one for one in self.authorities if one.standing == standing), None)

    @property
    def trust(self) -> str:
        """Whom to trust, in PEM: who signs first, then the others in the order of their standing."""
        order = (SIGNING, NEXT, BEFORE)
        return "".join(one.certificate for one in sorted(self.authorities, key=lambda one: order.index(one.standing)))

    def issue(self, one: Issued, now: float) -> Register:
        """With one more; what it takes the place of, and what has ended, is forgotten."""
        kept = [old for old in self.issued if (old.host, old.use) != (one.host, one.use) and old.not_after > now]
        return Register(self.authorities, tuple(sorted([*kept, one], key=lambda entry: (entry.host, entry.use))))

    def forget(self, hosts: Sequence[str]) -> Register:
        return Register(self.authorities, tuple(one for one in self.issued if one.host not in hosts))


def replaced(register: Register, step: str, fresh: Authority | None, *, where: str, now: float) -> Register:
    """The register after a step of the replacement of its CA; done twice, it is as done once.

    Args:
        register: as it is.
        step: ``trust``: another CA is made and trusted. ``sign``: it signs, both are trusted. ``drop``: the one before is
            trusted no more. Empty for none.
        fresh: the CA to begin with, with the standing ``next``; used by ``trust`` alone.
        where: for errors.
        now: epoch seconds.

    Raises:
        InputError: the step cannot be next, with what would be.
    """
    following, before = register.with_standing(NEXT), register.with_standing(BEFORE)
    if step == TRUST and following is None:
        if before is not None:
            raise InputError("the CA before is trusted yet, a third would be too many", where=where,
                             remedy="Drop it first: modelops_ca_replacement=drop")  # fmt: skip
        return register if fresh is None else Register((*register.authorities, fresh), register.issued)
    if step == SIGN and following is not None:
        standing = {NEXT: SIGNING, SIGNING: BEFORE}
        moved = [Authority(**{**vars(one), "standing": standing[one.standing]}) for one in register.authorities]
        return Register(tuple(sorted(moved, key=lambda one: one.standing == BEFORE)), register.issued)
    if step == SIGN and before is None:
        raise InputError("there is no CA to sign from now on", where=where,
                         remedy="Let it be trusted first: modelops_ca_replacement=trust")  # fmt: skip
    if step == DROP and following is not None:
        raise InputError("the next CA does not sign yet", where=where,
                         remedy="Let it sign first: modelops_ca_replacement=sign")  # fmt: skip
    if step == DROP and before is not None:
        _nothing_rests_on(before, register, where, now)
        return Register(tuple(one for one in register.authorities if one is not before), register.issued)
    return register


def _nothing_rests_on(before: Authority, register: Register, where: str, now: float) -> None:
    left = [one for one in register.issued if one.authority == before.fingerprint and one.not_after > now]
    if left:
        last = max(one.not_after for one in left)
        raise InputError(
            f"{', '.join(f'{one.use} of {one.host}' for one in left)} would be believed no more, "
            "since the CA before signed it",
            where=where,
            remedy=f"Run the playbook certificates with these hosts up, or wait until {format_moment(last)}; "
            "name hosts that are gone for good in certificates_forget",
        )


def read_register(path: str) -> Register | None:
    """The register of a file; None where there is none.

    Raises:
        InputError: it cannot be read. No other CA is made then.
    """
    if not os.path.exists(path):
        return None
    found = documents.expect_mapping(
        documents.read_document(path, what="register of the CA"), what="register", where=path
    )
    if found.get("kind") != KIND or found.get("schema_version") != SCHEMA_VERSION:
        raise _damaged(path)
    try:
        authorities = tuple(Authority(**one) for one in found["authorities"])
        issued = tuple(_issued(one, path) for one in found["issued"])
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error
    if [one.standing for one in authorities].count(SIGNING) != 1 or len(authorities) > 2:
        raise _damaged(path)
    return Register(authorities, issued)


def is_private(path: str) -> bool:
    """Whether the file and its directory are for their owner alone."""
    modes = [stat.S_IMODE(os.stat(one).st_mode) for one in (path, os.path.dirname(path))]
    return modes == [MODE, DIRECTORY_MODE]


def make_directory(path: str) -> None:
    """The directory of the file, for its owner alone. One that holds other things is not closed.

    Raises:
        InputError: it cannot be made, or is one of others.
    """
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, mode=DIRECTORY_MODE, exist_ok=True)
        if stat.S_IMODE(os.stat(directory).st_mode) == DIRECTORY_MODE:
            return
        ours = {path, f"{path}.lock"}
        others = [name for name in sorted(os.listdir(directory)) if os.path.join(directory, name) not in ours]
        if others:
            raise InputError(
                f"the directory is open to others and holds {', '.join(others[:3])} besides the CA", where=directory,
                remedy="Name a file in a directory of its own, such as /etc/modelops/ca/authority.json",
            )  # fmt: skip
        os.chmod(directory, DIRECTORY_MODE)
    except OSError as error:
        raise InputError(f"cannot make the directory of the CA ({error.strerror})", where=directory) from error


def write_register(path: str, register: Register) -> None:
    """Replace the file in one step."""
    make_directory(path)
    issued = [{**asdict(one), "not_after": format_moment(one.not_after)} for one in register.issued]
    authorities = [vars(one) for one in register.authorities]
    documents.write_document(
        path, {"kind": KIND, "schema_version": SCHEMA_VERSION, "authorities": authorities, "issued": issued}, mode=MODE
    )
    os.chmod(path, MODE)


def _issued(entry: Mapping[str, Any], path: str) -> Issued:
    fields = {**entry, "names": tuple(entry["names"])}
    return Issued(**{**fields, "not_after": parse_moment(entry["not_after"], what="not_after", where=path)})


def _damaged(path: str) -> InputError:
    return InputError("this is no register of a CA, or a damaged one", where=path, remedy="Bring it back from a backup")
