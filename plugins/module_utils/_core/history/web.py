# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""One JSON question to a metrics server: bounded in time, size and attempts.

Credentials are read from files at the moment of use and stand in a request header
only: never in an address, a result or an error. Redirects are not followed, since
they could carry the header to another host.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import parse_json
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    SourceUnavailableError,
)

MAX_ANSWER_BYTES = 256 * 1024 * 1024
LONGEST_ADDRESS = 4000
PASSING_STATUS = frozenset((429, 502, 503, 504))
FIRST_PAUSE_SECONDS = 0.5
TEXT_IN_MESSAGE = 300


@dataclass(frozen=True)
class Server:
    """Where the metrics are and how to get in.

    Args:
        url: base address, without ``/api/v1``.
        token_file: file with a bearer token.
        username: for basic authentication, with ``password_file``.
        password_file: file with the password.
        ca_file: certificates to trust instead of the system's.
        validate_certs: whether the server's certificate is checked.
        timeout_seconds: longest one attempt may take.
        retries: attempts after the first, on failures that may pass.
    """

    url: str
    token_file: str | None = None
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    validate_certs: bool = True
    timeout_seconds: float = 30.0
    retries: int = 3


class _RefusedError(Exception):
    """One attempt failed; ``passing`` says whether another may succeed."""

    def __init__(self, what: str, remedy: str, *, passing: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.passing = passing


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def ask(server: Server, path: str, parameters: Mapping[str, str]) -> Any:
    """The JSON answer to ``path`` with ``parameters``.

    Asks by GET, by POST when the address would be too long for some servers. Waits 0.5, 1, 2, ... seconds between attempts.

    Raises:
        InputError: the address or a credential file cannot be used.
        SourceUnavailableError: no usable answer after the last attempt.
    """
    base = _checked_url(server.url)
    address, body = f"{base}{path}", urllib.parse.urlencode(parameters)
    headers = {"Accept": "application/json", **_credentials(server)}
    if len(address) + len(body) < LONGEST_ADDRESS:
        request = urllib.request.Request(f"{address}?{body}", headers=headers)
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        request = urllib.request.Request(address, data=body.encode("ascii"), headers=headers)
    opener = urllib.request.build_opener(_NoRedirect(), urllib.request.HTTPSHandler(context=_tls(server)))
    attempt = 0
    while True:
        attempt += 1
        answer, refusal = _attempt(opener, request, server.timeout_seconds)
        if refusal is None:
            return answer
        if not refusal.passing or attempt > server.retries:
            tries = f" ({attempt} attempts)" if attempt > 1 else ""
            raise SourceUnavailableError(f"{refusal.what}{tries}", where=base, remedy=refusal.remedy)
        time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))


def _attempt(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float
) -> tuple[Any, _RefusedError | None]:
    """The answer, or why there is none this time."""
    try:
        return _parsed(_content(opener, request, timeout)), None
    except _RefusedError as refusal:
        return None, refusal


def _content(opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    slow = _RefusedError(
        f"the metrics server did not answer within {timeout:g} s",
        "Ask for less (a coarser step_seconds, a shorter lookback), or raise timeout_seconds",
        passing=True,
    )
    try:
        with opener.open(request, timeout=timeout) as answer:
            content = bytearray()
            while block := answer.read1(1 << 16):
                content += block
                if time.monotonic() > deadline:
                    raise slow
                if len(content) > MAX_ANSWER_BYTES:
                    raise _RefusedError(
                        f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB",
                        "Aggregate in the query, so that one series is left",
                    )
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
            return bytes(content)
    except urllib.error.HTTPError as error:
        with error:
            raise _status(error) from None
    except urllib.error.URLError as error:
        raise slow if isinstance(error.reason, TimeoutError) else _unreachable(error.reason) from None
    except TimeoutError:
        raise slow from None
    except (http.client.HTTPException, OSError) as error:
        raise _RefusedError(
            f"the connection broke ({one_line(error) or type(error).__name__})",
            "Check that the address is a Prometheus server",
            passing=True,
        ) from None


def _status(error: urllib.error.HTTPError) -> _RefusedError:
    """What an HTTP status says, with the server's own words when it gives them."""
    body = error.read(1 << 16)
    try:
        words = parse_json(body)["error"]
    except (ValueError, KeyError, TypeError):
        words = body.decode("utf-8", "replace")
    text = one_line(words) or str(error.reason)
    remedies = {
        400: "Correct the query",
        401: "Give token_file, or username and password_file",
        403: "Check that the credentials may read metrics",
        404: "Give the base address in url, without /api/v1 and with the path prefix the server has, if any",
        422: "Correct the query, or ask for less",
    }
    if error.code in (301, 302, 303, 307, 308):
        return _RefusedError(
            f"the server redirects elsewhere (HTTP {error.code})", "Set url to the address it redirects to"
        )
    return _RefusedError(
        f"the metrics server refused with HTTP {error.code}: {text}",
        remedies.get(error.code, "Look at the server's own log"),
        passing=error.code in PASSING_STATUS,
    )


def _unreachable(reason: Any) -> _RefusedError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _RefusedError(
            f"the server's certificate is not trusted ({reason.verify_message})", "Name its authority in ca_file"
        )
    return _RefusedError(
        f"the metrics server cannot be reached ({getattr(reason, 'strerror', None) or reason})",
        "Check that it runs, that url is right, and that this machine may connect to it",
        passing=True,
    )


def _parsed(content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError:
        raise _RefusedError(
            f"the answer is not JSON but begins {one_line(content[:80].decode('utf-8', 'replace'))!r}",
            "Check that url is a Prometheus server, not its proxy's login page",
        ) from None


def one_line(text: Any) -> str:
    """Text of the server, short enough and safe for a message."""
    line = " ".join(str(text).split()).rstrip(".")
    line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= TEXT_IN_MESSAGE else line[:TEXT_IN_MESSAGE] + "..."


def _checked_url(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if usable and (parts.username is not None or parts.password is not None):
        raise InputError(
            "the url holds credentials",
            where="prometheus.url",
            remedy="Remove them and give username and password_file, or token_file",
        )
    if not usable or parts.query or parts.fragment:
        raise InputError(
            f"{url.split('?')[0]!r} is not the base address of a server",
            where="prometheus.url",
            remedy="Write it like http://prometheus.example:9090",
        )
    return url.rstrip("/")


def _credentials(server: Server) -> dict[str, str]:
    if server.token_file and (server.username or server.password_file):
        raise InputError("token_file and username exclude each other", where="prometheus")
    if bool(server.username) != bool(server.password_file):
        raise InputError("username and password_file belong together", where="prometheus")
    if server.token_file:
        return {"Authorization": f"Bearer {_secret(server.token_file)}"}
    if server.username and server.password_file:
        pair = f"{server.username}:{_secret(server.password_file)}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")}
    return {}


def _secret(path: str) -> str:
    """The one line a credential file holds; the error never shows it."""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            text = stream.read(1 << 16).strip()
    except OSError as error:
        raise InputError(f"cannot read the credential file ({error.strerror})", where=path) from error
    except UnicodeDecodeError:
        raise InputError("the credential file is not text", where=path) from None
    if not text or not text.isprintable() or not text.isascii():
        raise InputError("the credential file must hold one line of printable ASCII characters", where=path)
    return text


def _tls(server: Server) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=os.path.expanduser(server.ca_file) if server.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"cannot read certificates from it ({error.strerror or error})", where=str(server.ca_file)
        ) from error
    if not server.validate_certs:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
