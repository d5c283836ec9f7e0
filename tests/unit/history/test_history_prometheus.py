# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a metrics server can do wrong, each by a small server of its own: one clear message, no secret in it.

A real Prometheus answers in tests/integration/test_module_demand_history_info.py.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    ModelOpsError,
    SourceUnavailableError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history import web
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.prometheus import (
    Source,
    read_prometheus,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.web import Server

Answer = Callable[[BaseHTTPRequestHandler, dict[str, str]], None]
SECRET = "s3cr3t-t0ken"


class Faulty:
    """A server that answers as its ``answer`` says and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = lambda handler, query: None
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(urlsplit(self.path).query)

            def do_POST(self) -> None:
                self.reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

            def reply(self, text: str) -> None:
                query = {key: values[0] for key, values in parse_qs(text).items()}
                outer.asked.append({**query, "method": self.command})
                outer.headers.append(dict(self.headers))
                outer.answer(self, query)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    monkeypatch.setattr(web, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Faulty()
    yield server
    server.server.shutdown()
    server.server.server_close()


def send(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        handler.send_response(status)
        for key, value in (headers or {}).items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def matrix(*rows: tuple[dict[str, str], list[tuple[float, str]]], **fields: Any) -> dict[str, Any]:
    result = [{"metric": metric, "values": [list(pair) for pair in pairs]} for metric, pairs in rows]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}, **fields}


def read(url: str, source: Source | None = None, *, end: float = 3000, step: int = 600, **options: Any) -> Any:
    invalid = options.pop("invalid_values", "refuse")
    server = Server(url=url, **{"timeout_seconds": 5, **options})
    return read_prometheus(
        server, {"chat-8b": source or Source("up")}, start=600, end=end, step_seconds=step, invalid_values=invalid
    )


def refused(url: str, kind: type[ModelOpsError] = SourceUnavailableError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        read(url, **options)
    message = caught.value.message
    assert SECRET not in message
    assert "\n" not in message
    assert len(message) < 900
    if kind is SourceUnavailableError:
        assert message.startswith(url)
        assert caught.value.remedy
    return message


def test_a_query_without_numbers_may_be_skipped_as_long_as_another_has_some(faulty: Faulty) -> None:
    full, empty = send(200, matrix(({}, [(600, "1"), (1200, "2")]))), send(200, matrix())
    faulty.answer = lambda handler, query: (full if query["query"] == "up" else empty)(handler, query)
    sources = {"novel": Source("novel"), "chat-8b": Source("up")}
    options: dict[str, Any] = {"start": 600, "end": 1200, "step_seconds": 600}
    series, warnings = read_prometheus(Server(url=faulty.url), sources, absent_series="skip", **options)
    assert [one.name for one in series] == ["chat-8b"]
    assert warnings == ["novel: the history has no series of that name, or no number in it; left out"]
    with pytest.raises(SourceUnavailableError, match="series novel: the query gave no number"):
        read_prometheus(Server(url=faulty.url), sources, **options)
    with pytest.raises(SourceUnavailableError, match="gave no number"):
        read_prometheus(Server(url=faulty.url), {"novel": Source("novel")}, absent_series="skip", **options)
    faulty.answer = send(503, {"status": "error", "error": "query timed out"})
    with pytest.raises(SourceUnavailableError, match="HTTP 503"):  # a server that fails is no absent series
        read_prometheus(Server(url=faulty.url, retries=0), sources, absent_series="skip", **options)


def test_gaps_stay_gaps(faulty: Faulty) -> None:
    faulty.answer = send(200, matrix(({}, [(600, "1"), (1200, "NaN"), (2400, "0"), (3000, "2.5")])))
    series, warnings = read(faulty.url)
    np.testing.assert_array_equal(series[0].values, [1, np.nan, np.nan, 0, 2.5])
    assert (series[0].name, series[0].start, series[0].step_seconds, warnings) == ("chat-8b", 600, 600, [])


def test_a_counter_is_asked_for_one_step_earlier(faulty: Faulty) -> None:
    faulty.answer = send(200, matrix(({}, [(0, "0"), (600, "600"), (1200, "60"), (2400, "1260"), (3000, "1260")])))
    series, _unused = read(faulty.url, Source("requests_total", kind="counter"))
    assert (faulty.asked[0]["start"], faulty.asked[0]["end"]) == ("0", "3000")
    np.testing.assert_allclose(series[0].values, [1, 0.1, np.nan, 1, 0])


def test_counters_are_rated_before_they_are_summed(faulty: Faulty) -> None:
    # Replica b restarts; the sum of the counts falls from 12600 to 7200, which is no restart of both.
    steady = ({"instance": "a"}, [(moment, str(moment * 10)) for moment in (0, 600, 1200)])
    restarted = ({"instance": "b"}, [(0, "6000"), (600, "6600"), (1200, "600")])
    faulty.answer = send(200, matrix(steady, restarted))
    series, _unused = read(faulty.url, Source("requests_total", kind="counter", combine="sum"), end=1200)
    assert series[0].values.tolist() == [11, 11]


def test_several_series_name_the_labels_that_differ(faulty: Faulty) -> None:
    rows = [({"job": "vllm", "instance": f"host-{number}"}, [(600, "1")]) for number in range(9)]
    faulty.answer = send(200, matrix(*rows))
    message = refused(faulty.url)
    assert 'leaves 9 series, {instance="host-0"}, {instance="host-1"}' in message
    assert "job" not in message
    assert "sum(rate(" in message
    series, _unused = read(faulty.url, Source("up", combine="sum"))
    assert series[0].values[0] == 9
    assert np.isnan(series[0].values[1:]).all()


def test_long_windows_come_in_pieces_below_the_limit(faulty: Faulty) -> None:
    def answer(handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        moments = range(int(query["start"]), int(query["end"]) + 1, int(query["step"]))
        assert len(moments) < 11_000
        send(200, matrix(({}, [(moment, str(moment)) for moment in moments])))(handler, query)

    faulty.answer = answer
    series, _unused = read(faulty.url, end=60 * 25_000, step=60)
    assert len(faulty.asked) == 3
    assert series[0].values.tolist() == [60.0 * number for number in range(10, 25_001)]


def test_a_long_query_goes_by_post(faulty: Faulty) -> None:
    faulty.answer = send(200, matrix(({}, [(600, "1")])))
    query = "sum(" + " + ".join(["up"] * 2000) + ")"
    read(faulty.url, Source(query))
    assert (faulty.asked[0]["method"], faulty.asked[0]["query"]) == ("POST", query)
    read(faulty.url)
    assert faulty.asked[1]["method"] == "GET"


def test_a_passing_failure_is_tried_again(faulty: Faulty) -> None:
    answers = iter([send(503, b"busy"), send(429, b"slow down"), send(200, matrix(({}, [(600, "1")])))])

    def next_answer(handler: Any, query: Any) -> None:
        next(answers)(handler, query)

    faulty.answer = next_answer
    assert read(faulty.url)[0][0].values[0] == 1
    assert len(faulty.asked) == 3


def test_attempts_are_bounded_and_counted(faulty: Faulty) -> None:
    faulty.answer = send(503, {"status": "error", "errorType": "timeout", "error": "query timed out"})
    message = refused(faulty.url, retries=2)
    assert "HTTP 503: query timed out (3 attempts)" in message
    assert len(faulty.asked) == 3


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"status": "error", "error": 'parse error: unexpected "}"'}, 'HTTP 400: parse error: unexpected "}"'),
        (401, b"Unauthorized", "HTTP 401: Unauthorized. Give token_file"),
        (404, b"<html>\n not here</html>", "HTTP 404: <html> not here</html>. Give the base address"),
        (422, {"status": "error", "error": "too many samples"}, "too many samples. Correct the query, or ask for less"),
        (500, b"", "HTTP 500: Internal Server Error. Look at the server's own log"),
        (200, b"<html>Sign in</html>", "not JSON but begins '<html>Sign in</html>'"),
        (200, {"hello": "world"}, "not that of a Prometheus range query"),
        (200, ["a"], "not that of a Prometheus range query"),
        (200, {"status": "success", "data": {"resultType": "vector", "result": []}}, "not a range of samples"),
        (200, {"status": "error", "error": "broken inside"}, "broken inside"),
        (200, matrix(({}, [(600, "many")])), "not that of a Prometheus range query"),
        (200, matrix(({}, [(60000, "1")])), "a sample lies outside the window"),
        (200, matrix(), "gave no number from 1970-01-01T00:10:00Z to 1970-01-01T00:50:00Z: up"),
        (200, matrix(({}, [(600, "NaN")])), "gave no number"),
        (200, matrix(({}, [(600, "+Inf")])), "gave inf at 1970-01-01T00:10:00Z"),
        (200, matrix(({}, [(600, "1"), (1200, "-2")])), "gave -2 at 1970-01-01T00:20:00Z"),
    ],
)
def test_answers_that_cannot_be_used(faulty: Faulty, status: int, body: Any, words: str) -> None:
    faulty.answer = send(status, body)
    assert words in refused(faulty.url)
    assert len(faulty.asked) == 1


def test_invalid_values_may_be_gaps(faulty: Faulty) -> None:
    faulty.answer = send(200, matrix(({}, [(600, "1"), (1200, "-2"), (1800, "+Inf")])))
    series, warnings = read(faulty.url, invalid_values="gap")
    np.testing.assert_array_equal(series[0].values, [1, np.nan, np.nan, np.nan, np.nan])
    assert warnings == ["chat-8b: values that are negative or infinite are taken as gaps"]


def test_warnings_of_the_server_are_passed_on(faulty: Faulty) -> None:
    faulty.answer = send(200, matrix(({}, [(600, "1")]), warnings=["one store did not answer"]))
    assert read(faulty.url)[1] == ["chat-8b: the metrics server warns: one store did not answer"]


def test_a_dead_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "FIRST_PAUSE_SECONDS", 0.01)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert "cannot be reached (Connection refused) (2 attempts)" in refused(url, retries=1)


@pytest.mark.parametrize("start_of_answer", [False, True])
def test_a_hanging_server_is_left_in_time(faulty: Faulty, start_of_answer: bool) -> None:
    def answer(handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        if start_of_answer:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
        for _unused in range(40):  # a byte now and then keeps a plain socket timeout from firing
            time.sleep(0.1)
            if start_of_answer:
                handler.wfile.write(b" ")
                handler.wfile.flush()

    faulty.answer = answer
    began = time.monotonic()
    assert "did not answer within 0.5 s" in refused(faulty.url, timeout_seconds=0.5, retries=0)
    assert time.monotonic() - began < 2


def test_a_broken_connection(faulty: Faulty) -> None:
    def answer(handler: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"status"')

    faulty.answer = answer
    assert "the connection broke (IncompleteRead" in refused(faulty.url, retries=0)
    faulty.answer = lambda handler, query: handler.connection.close()
    assert "the connection broke" in refused(faulty.url, retries=0)


def test_redirects_are_not_followed(faulty: Faulty, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    faulty.answer = send(302, b"", {"Location": f"{faulty.url}/elsewhere"})
    assert "redirects elsewhere (HTTP 302)" in refused(faulty.url, token_file=str(token))
    assert len(faulty.asked) == 1


def test_credentials_are_sent_and_never_shown(faulty: Faulty, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    faulty.answer = send(403, b"forbidden")
    assert "HTTP 403" in refused(faulty.url, token_file=str(secret))
    assert faulty.headers[-1]["Authorization"] == f"Bearer {SECRET}"
    refused(faulty.url, username="ann", password_file=str(secret))
    assert faulty.headers[-1]["Authorization"] == "Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode()
    for text in ("", "two\nlines " + SECRET, "\x00" + SECRET):
        secret.write_text(text)
        assert "one line of printable" in refused(faulty.url, InputError, token_file=str(secret))
    assert "cannot read the credential file" in refused(faulty.url, InputError, token_file=str(tmp_path / "no"))
    assert "belong together" in refused(faulty.url, InputError, username="ann")
    assert "cannot read certificates" in refused(faulty.url, InputError, ca_file=str(secret))
    assert len(faulty.asked) == 2


@pytest.mark.parametrize("url", ["prometheus:9090", "file:///etc/passwd", "http://", "http://a:99999", "http://a?x=1"])
def test_addresses_that_are_none(url: str) -> None:
    assert "is not the base address of a server" in refused(url, InputError)


def test_an_address_with_credentials_is_refused_unseen() -> None:
    assert "holds credentials" in refused(f"http://ann:{SECRET}@127.0.0.1:9", InputError)


def test_windows_that_are_none() -> None:
    assert "holds no step of 600 s" in refused("http://127.0.0.1:9", InputError, end=500)
    assert "more than 1000000" in refused("http://127.0.0.1:9", InputError, end=1e9, step=1)
