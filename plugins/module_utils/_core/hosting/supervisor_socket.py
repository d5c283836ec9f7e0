# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Asks a supervisord over its socket, a hundred times cheaper than a ``supervisorctl`` a question.

supervisord speaks XML-RPC over HTTP on the Unix socket that its own configuration file
names (supervisord.org, XML-RPC API). Only questions are asked here; changes go through
``supervisorctl``, whose ``update`` works out what a changed file means.
"""

from __future__ import annotations

import configparser
import http.client
import socket
import xmlrpc.client
from typing import Any

TIMEOUT_SECONDS = 10.0


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)


def ask(configuration: str, question: str, *arguments: Any) -> Any:
    """The answer to ``supervisor.<question>``; None when there is none.

    None stands for: no configuration file yet, nobody on the socket, or a program that
    supervisord does not know. Whoever asks starts supervisord in the first two cases and
    the program in the third.
    """
    path = socket_path(configuration)
    if not path:
        return None
    server = xmlrpc.client.ServerProxy("http://localhost", transport=_SocketTransport(path))
    try:
        return getattr(server.supervisor, question)(*arguments)
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return None


def socket_path(configuration: str) -> str:
    """The socket named in a configuration file; empty when there is none."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    try:
        if not parser.read(configuration):
            return ""
    except configparser.Error:
        return ""
    return parser.get("unix_http_server", "file", fallback="")
