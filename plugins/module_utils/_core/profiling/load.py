# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Open-loop load on one model server: requests are sent at their moments whatever became of those before.

Arrivals are a Poisson process of a fixed seed. Answers are streamed (server-sent events), so that
the first token and the pace are seen. Standard library only: it runs on serving hosts.
"""

from __future__ import annotations

import http.client
import itertools
import json
import math
import random
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import Sample
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.credentials import read_key

_WORDS = [
    "time",
    "river",
    "stone",
    "quiet",
    "letter",
    "green",
    "music",
    "window",
    "paper",
    "north",
    "seven",
    "garden",
    "table",
    "morning",
    "voice",
    "road",
]


@dataclass(frozen=True)
class Target:
    """Whom to ask, and what. Where no prompts are given, each request has its own of ``prompt_words`` words,
    so that a cache of prefixes does not answer for the model."""

    url: str
    model: str
    output_tokens: int = 64
    prompt_words: int = 64
    prompts: Sequence[str] = ()
    api_key: str = ""
    timeout_seconds: float = 60.0

    def prompt(self, number: int) -> str:
        if self.prompts:
            return self.prompts[number % len(self.prompts)]
        source = random.Random(number)
        return " ".join([str(number), *(source.choice(_WORDS) for _word in range(max(0, self.prompt_words - 1)))])


def target_of(params: Mapping[str, Any]) -> Target:
    """The target that a module's options of the same names describe; its key is read from ``api_key_file``."""
    return Target(
        url=params["url"],
        model=params["model"],
        output_tokens=params["output_tokens"],
        prompt_words=params["prompt_words"],
        prompts=params["prompts"],
        api_key=read_key(params["api_key_file"]),
        timeout_seconds=params["timeout_seconds"],
    )


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds from the start at which requests are due."""
    source, moment = random.Random(seed), 0.0
    found: list[float] = []
    while True:
        moment += source.expovariate(rate)
        if moment >= seconds:
            return found
        found.append(moment)


class Sender:
    """Sends requests from threads of its own, each with a connection it keeps."""

    def __init__(self, target: Target, most_at_once: int) -> None:
        self._target = target
        self._parts = urlsplit(target.url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise InputError(
                f"{target.url!r} is no address of a server", where="url", remedy="Like http://127.0.0.1:8100"
            )
        self._local = threading.local()
        self._numbers = itertools.count(1)
        self._pool = ThreadPoolExecutor(max_workers=most_at_once)

    def close(self) -> None:
        self._pool.shutdown(wait=True)

    def alone(self, count: int) -> list[Sample]:
        """One request after the other."""
        return [self._pool.submit(self._send, self._next(), time.monotonic()).result() for _request in range(count)]

    def level(
        self, rate: float, seconds: float, seed: int, settle_seconds: float = 0.0, most_waiting: float = math.inf
    ) -> list[Sample]:
        """What became of the requests due within ``seconds``, all of them waited for; those due before
        ``settle_seconds`` only fill the queue and are left out. When more than ``most_waiting`` wait for their
        answer, no more are sent, and those that were still due count as not answered."""
        due, began = arrivals(rate, seconds, seed), time.monotonic()
        futures: list[Future[Sample]] = []
        answered = 0
        for moment in due:
            time.sleep(max(0.0, began + moment - time.monotonic()))
            while answered < len(futures) and futures[answered].done():
                answered += 1
            if len(futures) - answered > most_waiting:
                break
            futures.append(self._pool.submit(self._send, self._next(), began + moment))
        answers = [future.result() for future in futures]
        answers += [Sample(0, False) for _unsent in due[len(answers) :]]
        return [answer for moment, answer in zip(due, answers) if moment >= settle_seconds]

    def closed(
        self, at_once: int, seconds: float, settle_seconds: float = 0.0
    ) -> tuple[list[tuple[float, Sample]], float]:
        """``at_once`` clients that each send the next request when the last is answered.

        Returns:
            What became of each request that was under way between ``settle_seconds`` and ``seconds``, with the share
            of its time that lies there, and that many seconds. An answer that is counted where it ends comes with all
            others of its batch or with none: the sum of shares does not jump so.
        """
        began = time.monotonic()

        def client() -> list[tuple[float, float, Sample]]:
            found = []
            while (sent := time.monotonic() - began) < seconds:
                sample = self._send(self._next(), time.monotonic())
                found.append((sent, time.monotonic() - began, sample))
                if sample.status == 0:
                    time.sleep(0.2)
            return found

        futures = [self._pool.submit(client) for _client in range(at_once)]
        kept = []
        for sent, ended, sample in (one for future in futures for one in future.result()):
            inside = min(ended, seconds) - max(sent, settle_seconds)
            if inside > 0:
                kept.append((inside / (ended - sent), sample))
        return kept, seconds - settle_seconds

    def _next(self) -> int:
        # Shared by all threads; next() of a count is one step of the interpreter.
        return next(self._numbers)

    def _send(self, number: int, due: float) -> Sample:
        for attempt in (0, 1):
            fresh = getattr(self._local, "connection", None) is None
            connection = self._connection()
            try:
                return self._exchange(connection, number, due)
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                self._local.connection = None
                if fresh or attempt:
                    break
                # A server may close a connection that was idle; that says nothing of the model.
        return Sample(0, False, latency=time.monotonic() - due)

    def _exchange(self, connection: http.client.HTTPConnection, number: int, due: float) -> Sample:
        target = self._target
        body = {"model": target.model, "prompt": target.prompt(number), "max_tokens": target.output_tokens}
        headers = {"Content-Type": "application/json"}
        if target.api_key:
            headers["Authorization"] = f"Bearer {target.api_key}"
        connection.request("POST", "/v1/completions", json.dumps({**body, "temperature": 0, "stream": True}), headers)
        response = connection.getresponse()
        if response.status != 200:
            response.read()
            return Sample(response.status, False, latency=time.monotonic() - due)
        first, tokens, complete = -1.0, 0, False
        for line in response:
            if not line.startswith(b"data:"):
                continue
            if line.strip().endswith(b"[DONE]"):
                complete = True
            elif b'"error"' in line[:24]:
                break
            else:
                tokens += 1
                first = time.monotonic() - due if first < 0 else first
        return Sample(200, complete, first, time.monotonic() - due, tokens)

    def _connection(self) -> http.client.HTTPConnection:
        held: Any = getattr(self._local, "connection", None)
        if held is None:
            host, seconds = self._parts.hostname or "", self._target.timeout_seconds
            if self._parts.scheme == "http":
                held = http.client.HTTPConnection(host, self._parts.port or 80, timeout=seconds)
            else:
                context = ssl.create_default_context()
                held = http.client.HTTPSConnection(host, self._parts.port or 443, timeout=seconds, context=context)
            self._local.connection = held
        connection: http.client.HTTPConnection = held
        return connection
