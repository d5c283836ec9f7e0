# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tagged requests: as many as the verdict lacks, to the servers that lack them, within a tenth of the headroom."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.synthetic import (
    Asker,
    ask,
    servers_in_turn,
)


def missing(canary: int, baseline: int, rate: float) -> dict[str, Any]:
    return {
        "canary_with_synthetic": {"real": 0, "synthetic": canary},
        "baseline_with_synthetic": {"real": 0, "synthetic": baseline},
        "synthetic_requests_per_second": rate,
    }


def test_both_arms_get_what_they_lack_in_turn() -> None:
    turns, rate = servers_in_turn(missing(4, 2, 10.0), ["c-0", "c-1"], ["b-0"], 30)
    assert turns == ["c-0", "b-0", "c-1", "b-0", "c-0", "c-1"]
    assert rate == 10.0


def test_no_more_than_the_headroom_gives_in_the_time() -> None:
    assert len(servers_in_turn(missing(40, 40, 0.5), ["c-0"], ["b-0"], 30)[0]) == 15
    assert servers_in_turn(missing(40, 40, 0.0), ["c-0"], ["b-0"], 30)[0] == []
    with pytest.raises(InputError, match="baseline lacks requests and has no server"):
        servers_in_turn(missing(1, 1, 1.0), ["c-0"], [], 30)


class Gateway(BaseHTTPRequestHandler):
    """Answers as the server that was asked for, but for ``gone``, which another stands in for, and ``broken``."""

    seen: list[tuple[float, str, str, str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        server = self.headers["X-ModelOps-Synthetic-Server"]
        tag, key = self.headers["X-ModelOps-Synthetic"], self.headers.get("Authorization", "")
        self.seen.append((time.monotonic(), server, tag, key))
        self.send_response(503 if server == "broken" else 200)
        self.send_header("X-ModelOps-Replica", "other" if server == "gone" else server)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Gateway.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_requests_are_tagged_named_paced_and_counted(url: str) -> None:
    asker = Asker(url, "chat", ["a", "b"], 4, "secret", 5)
    counts = ask(asker, ["c-0", "b-0", "c-0", "gone", "broken", "c-0"], 20.0)
    assert counts == {"sent": 6, "answered": 4, "by_another": 1, "failed": 1}
    assert Counter(server for _at, server, _tag, _key in Gateway.seen) == {"c-0": 3, "b-0": 1, "gone": 1, "broken": 1}
    assert {(tag, key) for _at, _server, tag, key in Gateway.seen} == {("1", "Bearer secret")}
    moments = sorted(at for at, _server, _tag, _key in Gateway.seen)
    assert moments[-1] - moments[0] >= 5 / 20 - 0.05


def test_a_gateway_that_is_not_there_is_counted_and_a_wrong_address_is_said() -> None:
    assert ask(Asker("http://127.0.0.1:9", "chat", ["a"], 4, "", 1), ["c-0"], 10.0)["failed"] == 1
    with pytest.raises(InputError, match="no address of a gateway"):
        ask(Asker("gateway:8080", "chat", ["a"], 4, "", 1), ["c-0"], 10.0)
