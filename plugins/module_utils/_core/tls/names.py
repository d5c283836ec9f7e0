# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a certificate holds for: host names and addresses, each in the one way it is written."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

MAX_NAMES = 100
# RFC 1123, with the underscore that inventory names have; a star stands for the first part alone.
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)


def normal_name(name: str) -> str:
    """A name in lower case without its last dot, an address in its shortest form."""
    text = name.strip().rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return text


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def alternative_names(given: Iterable[object], *, where: str) -> tuple[str, ...]:
    """The names, each once, in order.

    Raises:
        InputError: none, too many, or one that is no name.
    """
    names = sorted({normal_name(str(name)) for name in given})
    if not names:
        raise InputError("a certificate must hold for a name or an address at least", where=where)
    if len(names) > MAX_NAMES:
        raise InputError(f"{len(names)} names are more than the {MAX_NAMES} a certificate may hold for", where=where)
    for name in names:
        if not is_address(name) and not HOST_NAME.match(name):
            raise InputError(
                f"{name!r} is neither a host name nor an address", where=where,
                remedy="Write it like models.example.org or 192.0.2.10; a name of another script in its xn-- form",
            )  # fmt: skip
    return tuple(names)
