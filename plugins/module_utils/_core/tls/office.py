# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One visit to the CA of a fleet: it is there, a step of its replacement is done, requests are signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls import authority, register
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.names import alternative_names
from ansible_collections.modelops.datacenter.plugins.module_utils._core.tls.register import (
    NEXT,
    SIGNING,
    Authority,
    Issued,
    Register,
)

MAX_DAYS = 398.0  # what browsers take from a server
MAX_AUTHORITY_DAYS = 7305.0
SOON_DAYS = 365.0


@dataclass(frozen=True)
class Wish:
    """What is wanted of the CA. ``requests``: each with host, use, csr, names, purposes and days."""

    name: str = "modelops internal CA"
    days: float = 3650.0
    passphrases: tuple[str, ...] = ()
    replacement: str = ""
    make: bool = True
    forget: tuple[str, ...] = ()
    requests: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Visit:
    """What came of it. ``register`` is None where there is no CA, which only check mode leaves so."""

    register: Register | None
    done: list[str] = field(default_factory=list)
    signed: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def visit(path: str, wish: Wish, *, now: float, dry_run: bool) -> Visit:
    """Make the CA what is wanted and sign. The caller keeps others out.

    Each step is on disk before the next begins, so a run that is cut off leaves nothing half done.

    Raises:
        InputError: what is wrong, and what to do; nothing was signed then.
    """
    _check(wish)
    found = register.read_register(path)
    visit = Visit(found)
    if found is None:
        if not wish.make:
            raise InputError(
                "there is no CA on this host, though one has signed for the fleet before", where=path,
                remedy="Bring this file back from a backup, name the host that has it in modelops_ca_host, or begin "
                "anew with certificates_start_anew=true, which nobody who trusts the CA of before believes",
            )  # fmt: skip
        visit.done.append(f"a CA is made, {wish.name}, for {wish.days:g} days")
        if not dry_run:
            visit.register = _kept(path, Register((_fresh(wish, SIGNING, now),)))
    elif not register.is_private(path):
        visit.done.append("the file of the CA is for its owner alone")
        if not dry_run:
            register.write_register(path, found)
    if visit.register is not None:
        _change(path, wish, visit, now=now, dry_run=dry_run)
        _sign(path, wish, visit, now=now, dry_run=dry_run)
        _warn(visit, now)
    return visit


def _change(path: str, wish: Wish, visit: Visit, *, now: float, dry_run: bool) -> None:
    before = visit.register or Register()
    wanted = before.forget(wish.forget)
    begins = wish.replacement == register.TRUST and wanted.with_standing(NEXT) is None
    fresh = _fresh(wish, NEXT, now) if begins else None
    wanted = register.replaced(wanted, wish.replacement, fresh, where=path, now=now)
    if wanted != before:
        said = {
            register.TRUST: "another CA is made and trusted beside the one that signs",
            register.SIGN: "the next CA signs from now on",
            register.DROP: "the CA before is trusted no more",
        }
        visit.done.append(said[wish.replacement] if wanted.authorities != before.authorities else "hosts are forgotten")
    locked = tuple(_locked_as_wanted(one, wish.passphrases, path) for one in wanted.authorities)
    if locked != wanted.authorities:
        visit.done.append("the key is encrypted with the passphrase that is first now")
        wanted = Register(locked, wanted.issued)
    if wanted != before and not dry_run:
        visit.register = _kept(path, wanted)


def _sign(path: str, wish: Wish, visit: Visit, *, now: float, dry_run: bool) -> None:
    current = visit.register or Register()
    signing = current.with_standing(SIGNING)
    if signing is None or not wish.requests:
        return
    key, _right = authority.open_key(signing.key, wish.passphrases, where=path)
    for number, request in enumerate(wish.requests):
        one, issued = _signed(request, number, signing, key, now)
        visit.done.append(f"{issued.use} of {issued.host} is signed until {format_moment(issued.not_after)}")
        visit.signed.append({
            "host": issued.host, "use": issued.use, "names": list(issued.names), "chain": one.chain,
            "not_after": format_moment(one.not_after),
        })  # fmt: skip
        current = current.issue(issued, now)
    if dry_run:
        visit.signed.clear()
    else:
        visit.register = _kept(path, current)


def _signed(
    request: Mapping[str, Any], number: int, signing: Authority, key: Any, now: float
) -> tuple[authority.Signed, Issued]:
    where = f"requests[{number}]"
    host, use = str(request.get("host") or ""), str(request.get("use") or "")
    if not host or not use:
        raise InputError("a request needs host and use", where=where)
    where = f"{where}, {use} of {host}"
    days = documents.expect_number(request.get("days"), what="days", where=where, minimum=1e-6, maximum=MAX_DAYS)
    purposes = list(request.get("purposes") or [authority.SERVER])
    wrong = [one for one in purposes if one not in authority.PURPOSES]
    if wrong:
        raise InputError(
            f"{wrong[0]!r} is no purpose", where=where, remedy=f"Choose from {', '.join(authority.PURPOSES)}"
        )
    names = alternative_names(request.get("names") or (), where=where)
    signed = authority.sign(
        signing.certificate, key, str(request.get("csr") or ""),
        names=names, purposes=purposes, days=days, now=now, where=where,
    )  # fmt: skip
    return signed, Issued(host, use, signed.serial, names, signed.not_after, signing.fingerprint)


def _fresh(wish: Wish, standing: str, now: float) -> Authority:
    passphrase = wish.passphrases[0] if wish.passphrases else ""
    certificate, key = authority.make_authority(wish.name, days=wish.days, passphrase=passphrase, now=now)
    loaded = authority.load_certificate(certificate, where="the CA")
    return Authority(certificate, key, standing, authority.fingerprint_of(loaded))


def _locked_as_wanted(one: Authority, passphrases: Sequence[str], path: str) -> Authority:
    """With its key under the first passphrase; one that is encrypted is never made plain."""
    if "ENCRYPTED" in one.key and not passphrases:
        return one  # whoever only asks for the certificates needs no passphrase; signing does
    key, right = authority.open_key(one.key, passphrases, where=path)
    return one if right else Authority(**{**vars(one), "key": authority.key_text(key, passphrases[0])})


def _kept(path: str, wanted: Register) -> Register:
    register.write_register(path, wanted)
    return wanted


def _warn(visit: Visit, now: float) -> None:
    for one in visit.register.authorities if visit.register else ():
        end = authority.end_of(authority.load_certificate(one.certificate, where="the CA"))
        if one.standing == SIGNING and end - now < SOON_DAYS * authority.DAY_SECONDS:
            visit.warnings.append(
                f"the CA ends at {format_moment(end)}, and what it signs not later; replace it: see guide_security"
            )


def _check(wish: Wish) -> None:
    documents.expect_number(wish.days, what="days of the CA", minimum=1e-6, maximum=MAX_AUTHORITY_DAYS)
    if not wish.name.strip() or len(wish.name) > 50:
        raise InputError("the CA needs a name of 1 to 50 characters", where="name")
    if any(len(one) < authority.MIN_PASSPHRASE for one in wish.passphrases):
        raise InputError(
            f"a passphrase has fewer than {authority.MIN_PASSPHRASE} characters", where="passphrases",
            remedy="openssl rand -base64 32 makes a good one",
        )  # fmt: skip
