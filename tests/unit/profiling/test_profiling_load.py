# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load itself, against a server of known slowness: what it counts, and that it never piles up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.load import Sender, Target, arrivals
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.measure_load import Load, measure_load
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.slo import Slo, longest_seconds
from ansible_collections.modelops.datacenter.plugins.module_utils._core.profiling.sweep import Bounds, sweep

FIRST, BETWEEN, TOKENS = 0.10, 0.02, 4


class Slow(BaseHTTPRequestHandler):
    """One request at a time: a first token after FIRST seconds, the others BETWEEN apart."""

    protocol_version = "HTTP/1.1"
    turn: AbstractContextManager[Any] = threading.Lock()
    first = FIRST

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") == "Bearer wrong":
            self.send_error(401)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        with self.turn:
            for number in range(TOKENS):
                time.sleep(BETWEEN if number else self.first)
                self.wfile.write(b'data: {"choices": [{"text": "x"}]}\n\n')
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_words: Any) -> None:
        pass


class Batch(Slow):
    """All requests at once, 0.9 s each: the answers of clients in a loop come together."""

    turn = nullcontext()
    first = 0.84


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), getattr(request, "param", Slow))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def target(url: str, **options: Any) -> Target:
    return Target(url, "m", output_tokens=TOKENS, timeout_seconds=20, **options)


def test_arrivals_are_a_poisson_process_of_the_seed() -> None:
    moments = arrivals(100, 100, 7)
    assert arrivals(100, 100, 7) == moments
    assert len(moments) == pytest.approx(10000, rel=0.03)
    gaps = [b - a for a, b in zip(moments, moments[1:])]
    assert sum(gap > 0.01 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)


def test_first_token_pace_and_length_are_seen(url: str) -> None:
    sender = Sender(target(url), 2)
    (sample,) = sender.alone(1)
    sender.close()
    assert (sample.status, sample.complete, sample.tokens) == (200, True, TOKENS)
    assert FIRST <= sample.ttft < FIRST + 0.3
    assert BETWEEN <= sample.inter_token < BETWEEN + 0.1


def test_under_overload_no_more_is_sent_than_may_wait(url: str) -> None:
    """Six a second are served, sixty are due: what is not sent counts as not answered."""
    sender, began = Sender(target(url), 64), time.monotonic()
    samples = sender.level(60, 4, 1, most_waiting=8)
    sender.close()
    assert time.monotonic() - began < 4
    assert len(samples) == len(arrivals(60, 4, 1))
    answered = sum(one.status == 200 for one in samples)
    assert 8 <= answered <= 16


def test_clients_in_a_loop_wait_for_their_answers(url: str) -> None:
    found = measure_load(target(url), Load(seconds=3, at_once=3))
    assert found["requests_per_second"] == pytest.approx(1 / (FIRST + 3 * BETWEEN), rel=0.35)
    assert found["ttft_seconds"] > 2 * FIRST


@pytest.mark.parametrize("url", [Batch], indirect=True)
@pytest.mark.parametrize("seconds", [1.5, 1.7, 2.2])
def test_answers_that_come_together_do_not_make_the_rate_jump(url: str, seconds: float) -> None:
    """Wherever the measurement ends between two batches; counting answers says 3.3, 2.9 or 4.5 a second."""
    found = measure_load(target(url), Load(seconds=seconds, at_once=4))
    assert found["requests_per_second"] == pytest.approx(4 / 0.9, rel=0.1)
    assert found["output_tokens_per_second"] == pytest.approx(TOKENS * 4 / 0.9, rel=0.1)


def test_a_sweep_finds_what_such_a_server_sustains(url: str) -> None:
    found = sweep(
        target(url), Slo(latency_seconds=0.8, quantile=0.9), Bounds(seconds=18, level_seconds=2, most_at_once=64)
    )
    assert found.capacity is not None
    # It serves 6.25 a second; levels of two seconds say so roughly.
    assert 1.5 < found.capacity.rate < 12.5
    assert found.lone_seconds == pytest.approx(FIRST + 3 * BETWEEN, abs=0.1)


def test_a_server_that_refuses_or_is_not_there_is_said_so(url: str) -> None:
    with pytest.raises(SourceUnavailableError, match="refuses a completion with status 401"):
        sweep(target(url, api_key="wrong"), Slo(latency_seconds=1), Bounds(seconds=5))
    with pytest.raises(SourceUnavailableError, match="does not answer"):
        sweep(target("http://127.0.0.1:9"), Slo(latency_seconds=1), Bounds(seconds=5))
    with pytest.raises(SourceUnavailableError, match="were not answered"):
        measure_load(target("http://127.0.0.1:9"), Load(seconds=0.5, at_once=1))
    with pytest.raises(InputError, match="no address of a server"):
        Sender(target("chat"), 1)


def test_how_long_a_good_answer_may_take() -> None:
    assert longest_seconds(Slo(latency_seconds=3), 100) == 3
    assert longest_seconds(Slo(ttft_seconds=1, inter_token_seconds=0.1), 100) == pytest.approx(11)
    assert longest_seconds(Slo(ttft_seconds=1), 100) == float("inf")
