# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that the role puts on hosts: the figures of the gateway's log, and of certificates."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles/monitoring/files"


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


figures = program("host_figures")


def event(**more: Any) -> str:
    return json.dumps({"model": "chat", "server": "gpu-a1-0", "status": 200, "term": "----", "response_ms": 80, **more})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "good"),
        ({"status": 503, "term": "sQ--"}, "failed"),
        ({"status": 500}, "failed"),
        ({"status": -1, "term": "SH--"}, "failed"),
        # A cut stream is a 200.
        ({"term": "SD--"}, "truncated"),
        ({"term": "KD--"}, "truncated"),
        ({"term": "CD--"}, "client_left"),
        ({"status": 404, "term": "LR--"}, "refused"),
        ({"status": 200, "term": "LR--"}, "good"),
    ],
)
def test_an_outcome_says_whose_doing_it_was(fields: dict[str, Any], says: str) -> None:
    assert figures.outcome(json.loads(event(**fields))) == says


class Bench:
    """One look after the other, each by a program that was started anew."""

    def __init__(self, directory: Path) -> None:
        self.log, self.dest = directory / "gateway.jsonl", directory / "out.prom"
        self.settings = {"log": str(self.log), "state": str(directory / "state.json"), "dest": str(self.dest)}

    def look(self, *, times: int = 2) -> dict[str, float]:
        stored = figures.load(self.settings["state"])
        counts = figures.Counts(stored.get("counts") or {})
        follower = figures.Follower(self.settings["log"], stored)
        for _number in range(times):
            figures.look(self.settings, counts, follower)
        found = {}
        for line in self.dest.read_text().splitlines():
            if not line.startswith("#"):
                name, _space, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def write(self, *lines: str) -> None:
        with open(self.log, "a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))


def series(outcome: str, host: str = "gpu-a1", slot: str = "0") -> str:
    return f'modelops_gateway_requests_total{{model="chat",host="{host}",slot="{slot}",outcome="{outcome}"}}'


def test_requests_are_counted_once_over_restarts_rotations_and_half_lines(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(event(), event())
    assert series("good") not in bench.look()  # from before anybody asked
    bench.write(event(), event(status=500), event(synthetic=1), "no event")
    found = bench.look()
    assert (found[series("good")], found[series("failed")], found[series("truncated")]) == (1, 1, 0)
    assert found["modelops_gateway_log_unreadable_total"] == 1
    with open(bench.log, "a", encoding="utf-8") as stream:
        stream.write(event()[:20])
    assert bench.look()[series("good")] == 1
    with open(bench.log, "a", encoding="utf-8") as stream:
        stream.write(event()[20:] + "\n")
    os.rename(bench.log, f"{bench.log}.1")
    bench.write(event(), event(server="<NOSRV>", status=503, term="SC--"))
    found = bench.look()
    assert (found[series("good")], found[series("failed", "", "")]) == (3, 1)
    # Cut to nothing instead of renamed.
    bench.log.write_text("")
    bench.look()
    bench.write(event())
    assert bench.look()[series("good")] == 4


def test_a_new_counter_is_shown_as_nothing_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("")
    bench.look()
    bench.write(event(status=500))
    assert bench.look(times=1)[series("failed")] == 0


def test_response_times_are_a_histogram_of_answers(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write("")
    bench.look()
    bench.write(
        event(response_ms=80), event(response_ms=700), event(status=500, response_ms=1), event(response_ms=None)
    )
    found = bench.look()
    bucket = 'modelops_gateway_response_seconds_bucket{model="chat",le="%s"}'
    assert [found[bucket % bound] for bound in ("0.05", "0.1", "0.5", "0.75", "+Inf")] == [0, 1, 1, 2, 2]
    assert found['modelops_gateway_response_seconds_sum{model="chat"}'] == pytest.approx(0.78)


def test_a_certificate_s_end_is_what_openssl_says(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    for days in (30, 10):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(tmp_path / "key.pem"), "-subj",
             "/CN=gateway.example", "-days", str(days), "-out", str(tmp_path / f"{days}.pem")],
            check=True, capture_output=True,
        )  # fmt: skip
    chain.write_bytes((tmp_path / "30.pem").read_bytes() + (tmp_path / "10.pem").read_bytes())
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", str(tmp_path / "10.pem")],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    from datetime import datetime

    end = datetime.fromisoformat(said.strip().partition("=")[2].replace("Z", "+00:00")).timestamp()
    lines = figures.certificates([str(chain), str(tmp_path / "key.pem"), str(tmp_path / "nowhere.pem")])
    assert f'modelops_certificate_not_after_seconds{{path="{chain}"}} {end:.0f}' in lines
    unreadable = [line for line in lines if line.startswith("modelops_certificate_readable") and line.endswith(" 0")]
    assert len(unreadable) == 2
