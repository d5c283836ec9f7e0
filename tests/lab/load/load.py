# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open-loop load on a gateway, with a record of every request.

    load.py --url http://10.89.0.41:8080 --model chat --seconds 60 --rate 50 --stream-rate 1 --record load.csv.gz

Arrivals are scheduled beforehand (a Poisson process of a fixed seed) and a request is sent at its
moment whatever became of those before it; latency counts from that moment, so a server that stalls
is seen to stall (no coordinated omission). Short requests use keep-alive connections; streams read
server-sent events to ``data: [DONE]`` and count as cut when that does not come.

Which version answered is read from the answer itself: greedy answers of other weights differ.
SIGTERM ends the schedule; requests in flight are waited for. A key is taken from MODELOPS_API_KEY.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import gzip
import hashlib
import json
import os
import random
import signal
import ssl
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import aiohttp

MAX_SECONDS = 7200
MAX_RATE = 500.0
PRIVATE = ("127.", "10.", "172.", "192.168.", "localhost", "[::1]")


@dataclass
class Request:
    """One request. Moments are epoch seconds, durations seconds from ``scheduled_at``; -1 is unknown."""

    id: int
    kind: str
    scheduled_at: float
    sent_after: float = -1.0
    status: int = 0
    latency: float = -1.0
    ttft: float = -1.0
    tokens: int = 0
    complete: bool = False
    problem: str = ""
    answer: str = ""
    replica: str = ""


def schedule(
    seconds: float, rate: float, stream_rate: float, seed: int, steps: list[tuple[float, float]]
) -> list[tuple[float, str]]:
    """Arrivals of both kinds: (seconds from the start, kind), in order.

    ``steps``: (second, share of the rates from then on), in order; thinned, so a process of the same seed without
    steps holds them all.
    """
    thinning = random.Random(f"{seed} thinning")

    def share(moment: float) -> float:
        return next((of for begin, of in reversed(steps) if begin <= moment), 1.0)

    arrivals = []
    for kind, per_second in (("short", rate), ("stream", stream_rate)):
        source, moment = random.Random(f"{seed} {kind}"), 0.0
        while per_second > 0:
            moment += source.expovariate(per_second)
            if moment >= seconds:
                break
            if thinning.random() < share(moment):
                arrivals.append((moment, kind))
    return sorted(arrivals)


class Load:
    """Sends what was scheduled and keeps what came back."""

    def __init__(self, options: argparse.Namespace, session: aiohttp.ClientSession, record: Any) -> None:
        self._options = options
        self._session = session
        self._record = record
        self._stop = asyncio.Event()
        self.done: list[Request] = []

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        began, clock_began = time.time(), time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        given = self._options
        arrivals = schedule(given.seconds, given.rate, given.stream_rate, given.seed, given.steps)
        for number, (moment, kind) in enumerate(arrivals):
            wait = clock_began + moment - time.monotonic()
            if wait > 0:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait)
            if self._stop.is_set():
                break
            task = asyncio.create_task(self._send(Request(number, kind, began + moment), clock_began + moment))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.gather(*tasks)

    async def _send(self, request: Request, due: float) -> None:
        request.sent_after = round(time.monotonic() - due, 4)
        stream = request.kind == "stream"
        body = {
            "model": self._options.model,
            "prompt": "Once upon a time",
            "max_tokens": self._options.stream_tokens if stream else self._options.tokens,
            "temperature": 0,
            "stream": stream,
        }
        try:
            async with self._session.post(f"{self._options.url}/v1/completions", json=body) as response:
                request.status = response.status
                request.replica = response.headers.get("X-ModelOps-Replica", "")
                text = await (self._read_stream(request, response, due) if stream else self._read(request, response))
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            text = ""
            request.problem = f"{type(error).__name__}: {error}"[:160]
        request.latency = round(time.monotonic() - due, 4)
        if text:
            request.answer = hashlib.sha256(text[: self._options.version_characters].encode()).hexdigest()[:8]
        self.done.append(request)
        self._record.writerow(asdict(request))

    async def _read(self, request: Request, response: aiohttp.ClientResponse) -> str:
        body = await response.read()
        if response.status != 200:
            request.problem = body[:160].decode(errors="replace")
            return ""
        answer = json.loads(body)
        request.tokens = int((answer.get("usage") or {}).get("completion_tokens") or 0)
        request.complete = True
        return str(answer["choices"][0]["text"])

    async def _read_stream(self, request: Request, response: aiohttp.ClientResponse, due: float) -> str:
        text = ""
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            if request.ttft < 0:
                request.ttft = round(time.monotonic() - due, 4)
            if line.strip() == b"data: [DONE]":
                request.complete = True
                continue  # To the end of the response: the connection stays usable.
            request.tokens += 1
            text += str(json.loads(line[6:])["choices"][0].get("text") or "")
        if not request.complete:
            request.problem = request.problem or "the stream was cut"
        return text


def quantile(values: list[float], share: float) -> float | None:
    """The value at a share of the sorted values."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else None


def summary(requests: list[Request]) -> dict[str, Any]:
    """Counts and latencies by kind; ``versions``: answers by their hash; ``late_sends``: when the generator itself was slow."""
    found: dict[str, Any] = {
        "requests": len(requests),
        "ids_answered_twice": len(requests) - len({one.id for one in requests}),
    }
    for kind in ("short", "stream"):
        own = [one for one in requests if one.kind == kind]
        good = [one for one in own if one.complete and one.status == 200]
        statuses = {
            str(code): sum(1 for one in own if one.status == code) for code in sorted({one.status for one in own})
        }
        found[kind] = {
            "count": len(own),
            "failed": sum(1 for one in own if one.status != 200),
            "cut": sum(1 for one in own if one.status == 200 and not one.complete),
            "statuses": statuses,
            "latency_p50": quantile([one.latency for one in good], 0.5),
            "latency_p99": quantile([one.latency for one in good], 0.99),
            "ttft_p50": quantile([one.ttft for one in good if one.ttft >= 0], 0.5),
            "ttft_p99": quantile([one.ttft for one in good if one.ttft >= 0], 0.99),
        }
    answers = [one.answer for one in requests if one.kind == "short" and one.answer]
    found["answers"] = {answer: answers.count(answer) for answer in sorted(set(answers))}
    found["send_delay_p99"] = quantile([one.sent_after for one in requests], 0.99)
    found["problems"] = sorted({one.problem for one in requests if one.problem})[:10]
    return found


def steps(text: str) -> list[tuple[float, float]]:
    """``0:0.3,600:1`` as pairs."""
    pairs = [one.partition(":")[::2] for one in text.split(",") if one]
    return sorted((float(second), float(share)) for second, share in pairs)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="of the gateway; loopback or a private network")
    parser.add_argument("--model", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="short requests a second")
    parser.add_argument("--stream-rate", type=float, default=0.0, help="streams a second")
    parser.add_argument(
        "--steps", type=steps, default=[], help="SECOND:SHARE,...: from then on only this share of the rates"
    )
    parser.add_argument("--tokens", type=int, default=2)
    parser.add_argument("--stream-tokens", type=int, default=400)
    parser.add_argument("--version-characters", type=int, default=8, help="of an answer that tell versions apart")
    parser.add_argument("--ca", type=Path, help="certificate of who signed the gateway's; else the system's trust")
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, required=True, help="CSV, gzipped where its name ends in .gz")
    parser.add_argument("--summary", type=Path, help="JSON; also printed")
    options = parser.parse_args()
    if not (urlsplit(options.url).hostname or "").startswith(tuple(one.strip("[]") for one in PRIVATE)):
        parser.error("--url must be on loopback or a private network: this is a lab tool")
    if options.seconds > MAX_SECONDS or options.rate + options.stream_rate > MAX_RATE:
        parser.error(f"at most {MAX_SECONDS} seconds and {MAX_RATE:g} requests a second")
    return options


def record_file(path: Path) -> IO[str]:
    """Packed where its name says so; else each line is there at once, for who reads along."""
    if path.suffix == ".gz":
        return gzip.open(path, "wt", encoding="utf-8", newline="", compresslevel=3)
    return open(path, "w", encoding="utf-8", newline="", buffering=1)


async def main() -> int:
    options = parse()
    with record_file(options.record) as stream:
        record = csv.DictWriter(stream, [one.name for one in fields(Request)])
        record.writeheader()
        trust = ssl.create_default_context(cafile=options.ca)
        connector = aiohttp.TCPConnector(limit=0, ssl=trust)
        key = os.environ.get("MODELOPS_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = aiohttp.ClientTimeout(total=options.timeout)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
            load = Load(options, session, record)
            for signum in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(signum, load.stop)
            await load.run()
    text = json.dumps(summary(load.done), indent=1, sort_keys=True)
    if options.summary:
        options.summary.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
