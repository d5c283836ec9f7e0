# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a worker says of its servers: states, weights, and who has how much in flight."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

# Bits of srv_admin_state in `show servers state`.
FORCED_MAINTENANCE = 0x01
INHERITED_MAINTENANCE = 0x02
CONFIGURED_MAINTENANCE = 0x04
FORCED_DRAIN = 0x08
INHERITED_DRAIN = 0x10
MAINTENANCE = FORCED_MAINTENANCE | INHERITED_MAINTENANCE
DRAIN = FORCED_DRAIN | INHERITED_DRAIN


@dataclass(frozen=True)
class ServerState:
    """One server of a worker, as ``show servers state`` has it."""

    backend: str
    server: str
    address: str
    port: int
    admin: int
    weight: int
    initial_weight: int

    @property
    def key(self) -> tuple[str, str]:
        return self.backend, self.server

    @property
    def in_maintenance(self) -> bool:
        return bool(self.admin & MAINTENANCE)

    @property
    def is_out(self) -> bool:
        """Whether it gets no new requests because somebody said so."""
        return bool(self.admin & (MAINTENANCE | DRAIN))


def parse_servers_state(printed: str) -> list[ServerState]:
    """From ``show servers state``.

    Raises:
        ModelOpsError: not such a document.
    """
    header: list[str] = []
    servers = []
    for line in printed.splitlines():
        if line.startswith("# "):
            header = line[2:].split()
        elif header and line and not line.startswith("#"):
            row = dict(zip(header, line.split()))
            try:
                servers.append(
                    ServerState(
                        backend=row["be_name"],
                        server=row["srv_name"],
                        address=row["srv_addr"],
                        port=int(row["srv_port"]),
                        admin=int(row["srv_admin_state"]),
                        weight=int(row["srv_uweight"]),
                        initial_weight=int(row["srv_iweight"]),
                    )
                )
            except (KeyError, ValueError) as error:
                raise ModelOpsError(f"'show servers state' has a line that cannot be read ({error}): {line}") from error
    return servers


@dataclass(frozen=True)
class Load:
    """What a worker has in flight, from ``show stat``.

    ``servers``: by backend and server, requests being answered or queued for it.
    ``queued``: by backend, requests that wait for any of its servers.
    ``idle``: connections of clients that are open without a request being worked on; each may
    still bring one.
    """

    servers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    queued: Mapping[str, int] = field(default_factory=dict)
    idle: int = 0
    status: Mapping[tuple[str, str], str] = field(default_factory=dict)


def parse_load(printed: str) -> Load:
    """From the CSV of ``show stat``.

    Raises:
        ModelOpsError: not such a table.
    """
    servers: dict[tuple[str, str], int] = {}
    queued: dict[str, int] = {}
    status: dict[tuple[str, str], str] = {}
    clients = active = 0
    text = printed.lstrip()
    if not text.startswith("# pxname"):
        raise ModelOpsError(f"'show stat' gave no table: {text[:80]!r}")
    for row in csv.DictReader(io.StringIO(text[2:])):
        name, kind = row["pxname"], row["svname"]
        current, waiting = int(row["scur"] or 0), int(row["qcur"] or 0)
        if kind == "FRONTEND":
            # The scraper's connection brings no request to a replica.
            clients += current if name != "metrics" else 0
        elif kind == "BACKEND":
            queued[name] = waiting
            active += current if name != "metrics" else 0
        else:
            servers[(name, kind)] = current + waiting
            status[(name, kind)] = row["status"]
    return Load(servers, queued, max(0, clients - active), status)


def without_changed(printed: str, changed: set[tuple[str, str]]) -> str:
    """A state file without these servers, so that the configuration decides about them."""
    kept = []
    for line in printed.strip().splitlines():
        words = line.split()
        if line[:1].isdigit() and len(words) > 3 and (words[1], words[3]) in changed:
            continue
        kept.append(line)
    return "\n".join(kept) + "\n"
