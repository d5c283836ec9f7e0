# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Tagged requests that fill in where too few come for a verdict.

They go through the gateway, each to one server, and are marked in its log, so the judge counts them apart. How many
and how fast is the judge's figure ``missing``: a tenth of the headroom, in turn over the arms and their servers.
Each is sent at its moment whatever became of those before it, by at most :data:`MOST_AT_ONCE` threads.
"""

from __future__ import annotations

import http.client
import json
import math
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

MOST_AT_ONCE = 16
# A completion of a few tokens is far shorter; the connection is closed after it.
MAX_ANSWER_BYTES = 1 << 20
TAG = "X-ModelOps-Synthetic"
SERVER = "X-ModelOps-Synthetic-Server"


@dataclass(frozen=True)
class Asker:
    """How a request is put."""

    url: str
    model: str
    prompts: Sequence[str]
    max_tokens: int
    api_key: str
    timeout_seconds: float


def servers_in_turn(
    missing: Mapping[str, Any], canary: Sequence[str], baseline: Sequence[str], seconds: float
) -> tuple[list[str], float]:
    """Whom to ask, in order, within ``seconds``; and how many a second. Empty when none are needed or there is no headroom.

    Args:
        missing: the figure of that name of a verdict.
        canary: servers of the arm.
        baseline: servers of the arm.
        seconds: how long to ask.
    """
    figures = expect_mapping(missing, what="missing", where="missing")
    rate = expect_number(figures.get("synthetic_requests_per_second") or 0, what="rate", where="missing", minimum=0)
    most = math.floor(rate * seconds)
    arms = []
    for name, servers in (("canary", canary), ("baseline", baseline)):
        lacks = expect_mapping(figures.get(f"{name}_with_synthetic") or {}, what=name, where="missing")
        count = int(expect_number(lacks.get("synthetic") or 0, what="synthetic", where=f"missing, {name}", minimum=0))
        if count and not servers:
            raise InputError(f"the {name} lacks requests and has no server", where=name)
        arms.append([servers[number % len(servers)] for number in range(count)])
    turns = [server for pair in zip_longest(*arms) for server in pair if server is not None]
    return turns[:most], rate


def ask(asker: Asker, servers: Sequence[str], rate: float) -> dict[str, int]:
    """Ask each server in turn, ``rate`` a second; how many were answered by the server that was meant, by another, or not."""
    if not servers:
        return {"sent": 0, "answered": 0, "by_another": 0, "failed": 0}
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, len(servers))) as pool:
        futures = []
        for number, server in enumerate(servers):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            futures.append(pool.submit(_ask_one, asker, server, asker.prompts[number % len(asker.prompts)]))
        answers = [future.result() for future in futures]
    return {
        "sent": len(servers),
        "answered": answers.count("answered"),
        "by_another": answers.count("by_another"),
        "failed": answers.count("failed"),
    }


def _ask_one(asker: Asker, server: str, prompt: str) -> str:
    body = json.dumps({"model": asker.model, "prompt": prompt, "max_tokens": asker.max_tokens, "temperature": 0})
    headers = {"Content-Type": "application/json", TAG: "1", SERVER: server, "Connection": "close"}
    if asker.api_key:
        headers["Authorization"] = f"Bearer {asker.api_key}"
    connection = _connection(asker)
    try:
        connection.request("POST", "/v1/completions", body, headers)
        response = connection.getresponse()
        response.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return "failed"
    finally:
        connection.close()
    if response.status != 200:
        return "failed"
    return "answered" if response.headers.get("X-ModelOps-Replica") == server else "by_another"


def _connection(asker: Asker) -> http.client.HTTPConnection:
    parts = urlsplit(asker.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{asker.url!r} is no address of a gateway", where="url", remedy="Like http://127.0.0.1:8080")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=asker.timeout_seconds)
    context = ssl.create_default_context()
    if parts.hostname in ("127.0.0.1", "::1", "localhost"):
        # The gateway asks itself, where its certificate's name cannot fit.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(
        parts.hostname, parts.port or 443, timeout=asker.timeout_seconds, context=context
    )
