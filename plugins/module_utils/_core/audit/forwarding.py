# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Audit lines sent on as they are written: to journald or to syslog, each with the whole line.

A line that cannot be sent is not lost, it stands in the file; the sender says how many were not sent.
"""

from __future__ import annotations

import socket
import struct

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
# RFC 5424: facility 13 is the audit log; severity 6 is informational. <13 * 8 + 6>
PRIORITY = 13 * 8 + 6
IDENTIFIER = "modelops-audit"
TARGETS = ("none", "journald", "syslog")


class Sender:
    """Sends lines to ``journald`` or ``syslog``; with ``none`` it does nothing.

    Args:
        target: one of TARGETS.
        address: socket instead of the usual one: a path, or for syslog ``HOST:PORT`` for UDP.

    Raises:
        InputError: an unknown target or a port that is none.
    """

    def __init__(self, target: str, address: str = "") -> None:
        if target not in TARGETS:
            raise InputError(f"lines can be forwarded to {', '.join(TARGETS)}, not to {target!r}")
        self.target = target
        self.failed = 0
        self._address: str | tuple[str, int] = address or (JOURNAL if target == "journald" else SYSLOG)
        self._family = socket.AF_UNIX
        if target == "syslog" and address and not address.startswith("/"):
            host, _colon, port = address.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise InputError(f"the syslog address {address!r} is neither a path nor HOST:PORT")
            self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._address = (host.strip("[]"), int(port))
        self._socket: socket.socket | None = None

    def send(self, line: bytes) -> None:
        """Send one line; never raises, never waits."""
        if self.target == "none":
            return
        body = line.rstrip(b"\n")
        message = _journal(body) if self.target == "journald" else f"<{PRIORITY}>{IDENTIFIER}: ".encode() + body
        try:
            if self._socket is None:
                self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(message, self._address)
        except OSError:
            self.failed += 1

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _journal(body: bytes) -> bytes:
    """systemd's native protocol: ``NAME=value`` lines, or the name, a length of 64 bits and the bytes."""
    head = f"SYSLOG_IDENTIFIER={IDENTIFIER}\nPRIORITY=6\nMESSAGE\n".encode()
    return head + struct.pack("<Q", len(body)) + body + b"\n"
