# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Accelerators that somebody else holds while a plan is made: serving is placed around them.

They are said beside the inventory, by host and holder, since they come and go while the fleet stays what
it is: a plan stays valid for it when they change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host

Reserved = Mapping[str, Mapping[str, Sequence[int]]]


def parse_reserved(given: Any, hosts: Sequence[Host]) -> dict[str, dict[str, list[int]]]:
    """Accelerator indexes by host and holder, sorted; hosts and holders of none are left out.

    Raises:
        InputError: an unknown host, an accelerator that it does not have, or that two hold.
    """
    stock = {host.name: host for host in hosts}
    found: dict[str, dict[str, list[int]]] = {}
    for name, holders in sorted(expect_mapping(given or {}, what="reserved").items()):
        where = f"reserved, host {name}"
        if name not in stock:
            raise InputError("the host is not in the fleet", where=where, remedy="Leave it out, or add it to hosts")
        count = stock[name].accelerator_count
        taken: dict[int, str] = {}
        own: dict[str, list[int]] = {}
        for holder, indexes in sorted(expect_mapping(holders, what="holders", where=where).items()):
            own[str(holder)] = _indexes(indexes, where=f"{where}, {holder}")
            for index in own[str(holder)]:
                if index >= count:
                    raise InputError(
                        f"accelerator {index} is reserved for {holder}, but the host has {count}"
                        + (f", 0 to {count - 1}" if count else ""),
                        where=where,
                        remedy="Correct the reservation, or modelops_accelerator_count of the host",
                    )
                if index in taken:
                    raise InputError(
                        f"accelerator {index} is reserved for {taken[index]} and for {holder}", where=where
                    )
                taken[index] = str(holder)
        own = {holder: indexes for holder, indexes in own.items() if indexes}
        if own:
            found[str(name)] = own
    return found


def with_reserved(hosts: Iterable[Host], reserved: Reserved) -> list[Host]:
    """The hosts, each with what is reserved on it."""
    return [
        replace(host, reserved=tuple(sorted(index for own in reserved[host.name].values() for index in own)))
        if host.name in reserved
        else host
        for host in hosts
    ]


def reserved_lines(reserved: Reserved) -> list[str]:
    """A line a host for a person."""
    return [
        f"Reserved on {host}: "
        + ", ".join(
            f"accelerator{'s' if len(own) > 1 else ''} {_words(own)} for {holder}"
            for holder, own in sorted(held.items())
        )
        for host, held in sorted(reserved.items())
    ]


def _indexes(given: Any, *, where: str) -> list[int]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InputError("a reservation is a list of accelerator indexes", where=where)
    numbers = [expect_number(one, what="accelerator index", where=where, minimum=0) for one in given]
    for number in numbers:
        if number != int(number):
            raise InputError(f"an accelerator index is a whole number, not {number:g}", where=where)
    return sorted({int(number) for number in numbers})


def _words(indexes: Sequence[int]) -> str:
    return ", ".join(str(index) for index in indexes)
