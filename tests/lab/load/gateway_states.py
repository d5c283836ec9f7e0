# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a gateway: each change of a model's servers in HAProxy, with its moment, over HTTP.

gateway_states.py MODEL PORT SECONDS
GET /NUMBER   ->   [[epoch seconds, {"lab-a1-0": "UP", ...}], ...]   from that number on; null: no gateway runs
"""

from __future__ import annotations

import csv
import http.server
import json
import socket
import sys
import threading
import time
from typing import Any

SOCKET = "/run/modelops-gateway/admin.sock"
EVERY_SECONDS = 0.2
seen: list[tuple[float, Any]] = []


def states(model: str) -> dict[str, str] | None:
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(2)
            asked.connect(SOCKET)
            asked.sendall(b"show stat\n")
            text = b"".join(iter(lambda: asked.recv(65536), b"")).decode()
    except OSError:
        return None
    rows = csv.DictReader(text.lstrip("# ").splitlines())
    return {
        row["svname"]: row["status"].split()[0]
        for row in rows
        if row["pxname"] == model and row["svname"] not in ("FRONTEND", "BACKEND")
    }


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(seen[int(self.path.strip("/") or 0) :]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        pass


def main() -> None:
    model, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    server = http.server.ThreadingHTTPServer(("", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    end = time.time() + seconds
    while time.time() < end:
        now = states(model)
        if not seen or seen[-1][1] != now:
            seen.append((time.time(), now))
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
