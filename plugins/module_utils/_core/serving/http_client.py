# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A small HTTP client for servers that may be slow, broken or gone.

Every outcome is an :class:`Answer`: a server that is down is a finding, not a failure.
No proxy is used: a model server is asked on its own address, never through one.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import parse_json

MAX_BODY_BYTES = 32 * 1024 * 1024
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """What came back; ``status`` 0 and a ``problem`` in words when nothing did."""

    url: str
    status: int
    body: str
    seconds: float
    problem: str = ""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON, ``None`` when it is not."""
        try:
            return parse_json(self.body)
        except ValueError:
            return None

    def says(self) -> str:
        """The answer in one line, for a reason an operator reads."""
        if self.problem:
            return f"{self.url}: {self.problem}"
        text = " ".join(self.body.split())[:160]
        return f"{self.url} answered {self.status}" + (f": {text}" if text else "")


def ask(url: str, *, timeout_seconds: float, api_key: str = "", document: Any = None) -> Answer:
    """GET ``url``, or POST ``document`` as JSON when one is given.

    Args:
        url: full address; only http and https are asked.
        timeout_seconds: for each step of the exchange (connect, each read).
        api_key: sent as a bearer token when not empty.
        document: the body of a POST.
    """
    started = time.monotonic()
    headers = {"Accept": "application/json, text/plain", "User-Agent": "modelops.datacenter"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    data = None
    if document is not None:
        data = json.dumps(document).encode("utf-8")
        headers["Content-Type"] = "application/json"

    def answer(status: int, body: bytes = b"", problem: str = "") -> Answer:
        return Answer(url, status, body.decode("utf-8", "replace"), time.monotonic() - started, problem)

    if not url.startswith(("http://", "https://")):
        return answer(0, problem="not an http or https address")
    try:
        request = urllib.request.Request(url, data=data, headers=headers)
        with _OPENER.open(request, timeout=timeout_seconds) as response:
            return answer(response.status, response.read(MAX_BODY_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return answer(error.code, _read_error(error))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return answer(0, problem=_in_words(error, timeout_seconds))


def _read_error(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(65536)
    except (OSError, http.client.HTTPException):
        return b""


def _in_words(error: Exception, timeout_seconds: float) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, (socket.timeout, TimeoutError)):
        return f"no answer within {timeout_seconds:g} s"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused, nothing listens there"
    if isinstance(reason, socket.gaierror):
        return "the host name is not known"
    if isinstance(reason, (ConnectionError, http.client.RemoteDisconnected)):
        return "the connection was closed without an answer"
    return str(reason) or type(reason).__name__
