# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no exporter tells: the gateway's requests by outcome, and how long certificates last.

    host_figures.py /etc/modelops/figures.json

Follows the gateway's event log over rotations, counts, and writes a file for node_exporter's textfile
collector every few seconds. Counters and the place in the log are kept, so a restart counts nothing
twice and misses nothing that is still on disk. A cut stream is a 200 in every other metric; here it is
``truncated``.

Python's standard library only.
"""

from __future__ import annotations

import base64
import calendar
import contextlib
import json
import os
import re
import signal
import sys
import time
from typing import Any

BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 5, 7.5, 10, 20, 40, 80, 160)
MAX_LINE_BYTES = 64 * 1024
MAX_SERIES = 20_000
OUTCOMES = ("good", "failed", "truncated", "refused", "client_left")
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def outcome(event: dict[str, Any]) -> str:
    """Whose doing the end of a request was, by HAProxy's termination state and the status."""
    term, status = str(event.get("term") or ""), int(event.get("status") or -1)
    ended, phase = term[:1], term[1:2]
    if ended in ("S", "s", "D") or term[:2] in ("PH", "PD") or (ended in ("K", "U") and phase in ("D", "L")):
        return "truncated" if phase in ("D", "L") and 200 <= status < 500 else "failed"
    if ended in ("C", "c"):
        return "client_left"
    if 400 <= status < 500:
        return "refused"
    return "failed" if status < 100 or status >= 500 else "good"


class Counts:
    """Counters by labels; what is known of them survives a restart."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.requests: dict[str, int] = dict(stored.get("requests") or {})
        self.response: dict[str, list[float]] = {
            model: list(values)
            for model, values in (stored.get("response") or {}).items()
            if len(values) == len(BUCKETS) + 2
        }
        self.unreadable = int(stored.get("unreadable") or 0)
        self.shown: set[str] = set(self.requests)

    def add(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            model, server = str(event["model"]), str(event["server"])
            said, synthetic = outcome(event), int(event.get("synthetic") or 0)
            waited = event.get("response_ms")
            waited = float(waited) if waited is not None else -1.0
        except (ValueError, KeyError, TypeError, AttributeError):
            self.unreadable += 1
            return
        if synthetic or model in ("", "-"):
            return
        host, _dash, slot = server.rpartition("-")
        if not slot.isdigit():
            host, slot = "", ""
        key = json.dumps([model, host, slot, said])
        if key not in self.requests and len(self.requests) >= MAX_SERIES:
            return
        for other in OUTCOMES:
            self.requests.setdefault(json.dumps([model, host, slot, other]), 0)
        self.requests[key] += 1
        if said in ("good", "truncated") and waited >= 0:
            self._measure(model, waited / 1000.0)

    def _measure(self, model: str, seconds: float) -> None:
        values = self.response.setdefault(model, [0.0] * (len(BUCKETS) + 2))
        for place, bound in enumerate(BUCKETS):
            if seconds <= bound:
                values[place] += 1
        values[-2] += 1
        values[-1] += seconds

    def stored(self) -> dict[str, Any]:
        return {"requests": self.requests, "response": self.response, "unreadable": self.unreadable}

    def text(self) -> list[str]:
        """A counter is shown as 0 first: what it was when it was first seen is no increase to Prometheus."""
        lines = ["# TYPE modelops_gateway_requests_total counter"]
        for key in sorted(self.requests):
            labels = labelled(zip(("model", "host", "slot", "outcome"), json.loads(key)))
            lines.append(f"modelops_gateway_requests_total{labels} {self.requests[key] if key in self.shown else 0}")
        self.shown = set(self.requests)
        lines.append("# TYPE modelops_gateway_response_seconds histogram")
        for model, values in sorted(self.response.items()):
            for bound, count in zip((*BUCKETS, "+Inf"), values):
                labels = labelled([("model", model), ("le", f"{bound:g}" if bound != "+Inf" else bound)])
                lines.append(f"modelops_gateway_response_seconds_bucket{labels} {count:g}")
            lines.append(f"modelops_gateway_response_seconds_count{labelled([('model', model)])} {values[-2]:g}")
            lines.append(f"modelops_gateway_response_seconds_sum{labelled([('model', model)])} {values[-1]!r}")
        lines.append("# TYPE modelops_gateway_log_unreadable_total counter")
        lines.append(f"modelops_gateway_log_unreadable_total {self.unreadable}")
        return lines


def labelled(pairs: Any) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(str(value))}"' for name, value in pairs) + "}"


class Follower:
    """Reads whole lines as they come; after a rotation the old file to its end, then the new one."""

    def __init__(self, path: str, stored: dict[str, Any]) -> None:
        self.path = path
        self.inode, self.offset = stored.get("inode"), int(stored.get("offset") or 0)
        self.stream: Any = None
        self.fresh = "inode" not in stored

    def lines(self) -> Any:
        while True:
            if self.stream is None and not self._open():
                return
            yield from self._rest()
            try:
                now = os.stat(self.path).st_ino
            except FileNotFoundError:
                return
            size = os.fstat(self.stream.fileno()).st_size
            if now == self.inode and size >= self.offset:
                return
            # Rotated, or cut to nothing.
            self.stream.close()
            self.stream, self.inode, self.offset = None, None, 0

    def _open(self) -> bool:
        for candidate in (self.path, f"{self.path}.1"):
            with contextlib.suppress(FileNotFoundError):
                stream = open(candidate, "rb")  # noqa: SIM115
                if self.inode in (None, os.fstat(stream.fileno()).st_ino):
                    self.stream = stream
                    break
                stream.close()
        else:
            if not os.path.exists(self.path):
                return False
            self.stream, self.offset = open(self.path, "rb"), 0  # noqa: SIM115
        status = os.fstat(self.stream.fileno())
        if self.fresh:
            # Nobody asked before: what was before is nobody's.
            self.offset, self.fresh = status.st_size, False
        if self.offset > status.st_size:
            self.offset = 0
        self.inode = status.st_ino
        return True

    def _rest(self) -> Any:
        self.stream.seek(self.offset)
        while True:
            line = self.stream.readline(MAX_LINE_BYTES)
            if not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
                return
            self.offset += len(line)
            yield line

    def stored(self) -> dict[str, Any]:
        return {"inode": self.inode, "offset": self.offset} if self.inode is not None else {}


def validity(der: bytes) -> tuple[float, float]:
    """Begin and end of a certificate: Certificate > TBSCertificate > validity (RFC 5280, 4.1)."""
    inside = der_value(der, 0)[0]
    body = der_value(inside, 0)[0]
    place = 0
    if body[0] == 0xA0:  # the version is optional
        place = der_value(body, 0)[1]
    for _number in range(3):  # serial number, signature, issuer
        place = der_value(body, place)[1]
    times = der_value(body, place)[0]
    begin, after = der_value(times, 0)
    end, _rest = der_value(times, after)
    return moment(times[0], begin), moment(times[after], end)


def der_value(data: bytes, place: int) -> tuple[bytes, int]:
    """The content of the element at ``place``, and the place behind it."""
    length, start = data[place + 1], place + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise ValueError("cut off")
    return data[start : start + length], start + length


def moment(tag: int, text: bytes) -> float:
    said = text.decode("ascii")
    if tag == 0x17:  # UTCTime: two digits of the year, 1950 to 2049
        said = ("19" if int(said[:2]) >= 50 else "20") + said
    return float(calendar.timegm(time.strptime(said, "%Y%m%d%H%M%SZ")))


def certificates(paths: list[str]) -> list[str]:
    """The certificate of each file's chain that ends first; unreadable is a figure too."""
    lines = []
    for path in paths:
        named = labelled([("path", path)])
        try:
            with open(path, "rb") as stream:
                found = [validity(base64.b64decode(one)) for one in PEM.findall(stream.read(1 << 20))]
            begin, end = min(found, key=lambda one: one[1])
        except (OSError, ValueError, IndexError) as error:
            print(f"{path}: {error}", file=sys.stderr, flush=True)
            lines.append(f"modelops_certificate_readable{named} 0")
            continue
        lines.append(f"modelops_certificate_readable{named} 1")
        lines.append(f"modelops_certificate_not_before_seconds{named} {begin:.0f}")
        lines.append(f"modelops_certificate_not_after_seconds{named} {end:.0f}")
    return lines


def write(path: str, text: str) -> None:
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(part, 0o644)
    os.replace(part, path)


def load(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def look(settings: dict[str, Any], counts: Counts, follower: Follower | None) -> None:
    lines = []
    if follower is not None:
        for line in follower.lines():
            counts.add(line)
        # Where it stands first: after a crash in between the counters are behind, never ahead.
        write(settings["state"], json.dumps({**follower.stored(), "counts": counts.stored()}))
        lines += counts.text()
    lines += certificates(settings.get("certificates") or [])
    lines.append(f"modelops_figures_written_seconds {time.time():.0f}")
    write(settings["dest"], "\n".join(lines) + "\n")


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:
        settings = json.load(stream)
    stored = load(settings["state"]) if settings.get("log") else {}
    counts = Counts(stored.get("counts") or {})
    follower = Follower(settings["log"], stored) if settings.get("log") else None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os._exit(0))
    while True:
        try:
            look(settings, counts, follower)
        except OSError as error:
            print(f"cannot write: {error}", file=sys.stderr, flush=True)
        time.sleep(float(settings.get("interval_seconds") or 5))


if __name__ == "__main__":
    main()
