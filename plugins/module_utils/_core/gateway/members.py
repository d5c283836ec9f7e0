# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The servers behind a gateway: who they are and whether they get new requests.

A member is one replica: its server's name is ``HOST-SLOT``, its backend the model. A slot is
unique on its host, so is the name.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import check_name

FULL_WEIGHT = 100
MOST_WEIGHT = 256

Resolve = Callable[[str], str]


@dataclass(frozen=True, order=True)
class Member:
    """``out``: kept from new requests (drained), until the members are made anew. ``weight`` 1 to 256."""

    model: str
    host: str
    slot: int
    address: str = ""
    port: int = 0
    weight: int = FULL_WEIGHT
    out: bool = False

    @property
    def server(self) -> str:
        return f"{self.host}-{self.slot}"

    @property
    def key(self) -> tuple[str, str]:
        """Backend and server."""
        return self.model, self.server

    def as_record(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "host": self.host,
            "slot": self.slot,
            "address": self.address,
            "port": self.port,
            "weight": self.weight,
            "out": self.out,
        }


def parse_members(records: Any, *, what: str) -> list[Member]:
    """Members from replica records or from what was stored; sorted.

    Raises:
        InputError: a record without model, host or slot, two in one slot, or a name HAProxy does not take.
    """
    if isinstance(records, (str, Mapping)) or not isinstance(records, Iterable):
        raise InputError(f"{what} must be a list of replicas, not {records!r}")
    members: dict[tuple[str, int], Member] = {}
    for entry in records:
        fields = expect_mapping(entry, what="replica", where=what)
        missing = [key for key in ("model", "host", "slot") if fields.get(key) in (None, "")]
        if missing:
            raise InputError(f"a replica has no {' and no '.join(missing)}: {dict(fields)!r}", where=what)
        where = f"{what}, {fields['host']} slot {fields['slot']}"
        member = Member(
            model=str(fields["model"]),
            host=str(fields["host"]),
            slot=int(expect_number(fields["slot"], what="slot", where=where, minimum=0)),
            address=str(fields.get("address") or ""),
            port=int(expect_number(fields.get("port") or 0, what="port", where=where, minimum=0, maximum=65535)),
            weight=int(
                expect_number(
                    fields.get("weight") or FULL_WEIGHT, what="weight", where=where, minimum=1, maximum=MOST_WEIGHT
                )
            ),
            out=fields.get("out") is True,
        )
        check_name(member.server, what="server")
        if (member.host, member.slot) in members:
            raise InputError("two replicas in one slot", where=where, remedy="Plan again, or mend modelops.fact there")
        members[(member.host, member.slot)] = member
    return sorted(members.values())


def wanted_members(
    running: Sequence[Member],
    *,
    known: Sequence[Member] = (),
    keep_out: Sequence[Member] = (),
    shares: Iterable[tuple[Member, float]] = (),
    unknown_hosts: Iterable[str] = (),
) -> list[Member]:
    """What the backends shall hold: what runs, less what is kept out.

    A host that does not answer says nothing of what it runs: its members stay as they are,
    and the gateway's own checks decide whether they get requests.

    Args:
        running: what runs now on hosts that answer.
        known: members so far.
        keep_out: replicas that shall not be members.
        shares: weight of single members as a share (0, 1] of the full weight.
        unknown_hosts: hosts that did not answer.
    """
    silent = set(unknown_hosts)
    kept = [member for member in known if member.host in silent]
    away = {member.key for member in keep_out}
    share_of = {member.key: share for member, share in shares}
    wanted = []
    for member in [*(one for one in running if one.host not in silent), *kept]:
        if member.key in away:
            continue
        share = share_of.get(member.key)
        weight = FULL_WEIGHT if share is None else max(1, min(FULL_WEIGHT, round(FULL_WEIGHT * share)))
        wanted.append(replace(member, weight=weight, out=member.out and member.host in silent))
    return sorted(wanted)


def resolved(
    members: Sequence[Member], *, known: Sequence[Member] = (), resolve: Resolve | None = None
) -> list[Member]:
    """The members with numeric addresses, since servers cannot be added by name while HAProxy runs.

    A name that cannot be looked up now keeps the address it had.

    Raises:
        InputError: a new member without a port, or whose name is not known.
    """
    look_up = resolve or numeric_address
    cache: dict[str, str] = {}
    before = {member.key: member for member in known}
    found = []
    for member in members:
        if not member.port:
            raise InputError("has no port", where=f"replica {member.server} of {member.model}")
        name = member.address or member.host
        if name not in cache:
            try:
                cache[name] = look_up(name)
            except OSError as error:
                held = before.get(member.key)
                if held is None:
                    raise InputError(
                        f"the address {name!r} of host {member.host} is not known here ({error})",
                        where="gateway",
                        remedy="Set modelops_address on that host to an address this gateway reaches",
                    ) from error
                cache[name] = held.address
        found.append(replace(member, address=cache[name]))
    return found


def numeric_address(name: str) -> str:
    """An IP address of ``name``, IPv4 first.

    Raises:
        OSError: not known.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return str(min(found, key=lambda one: (one[0] != socket.AF_INET, str(one[4][0])))[4][0])
