# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""canary_verdict as Ansible runs it: columns inline and from a file, every verdict, bad input."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import module_command

ARMS = {"canary": ["h1-0"], "baseline": ["h2-0"]}


def columns(requests: int = 800, bad: float = 0.0, slower: float = 1.0) -> dict[str, list[Any]]:
    draw = random.Random(1)
    servers = [("h1-0", "h2-0")[row % 2] for row in range(requests)]
    return {
        "at": [1_800_000_000.0 + row for row in range(requests)],
        "server": servers,
        "status": [500 if server == "h1-0" and draw.random() < bad else 200 for server in servers],
        "term": ["----"] * requests,
        "response_ms": [draw.lognormvariate(5.3, 0.8) * (slower if server == "h1-0" else 1.0) for server in servers],
        "synthetic": [0] * requests,
    }


def test_every_verdict_from_a_file_and_inline(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps(columns()), encoding="utf-8")
    passed = module_command.run_module("canary_verdict", {"events": str(path), "final": True, **ARMS}, "--check")
    assert (passed["verdict"], passed["changed"]) == ("pass", False), passed
    assert passed["figures"]["counts"]["canary"]["answered"] == 380

    def run(**more: Any) -> dict[str, Any]:
        return module_command.run_alone("canary_verdict", {"events": columns(), "final": True, **ARMS, **more})

    assert run() == {**run(), **{key: passed[key] for key in ("verdict", "reasons", "figures")}}
    assert run(events=columns(bad=0.2), final=False)["verdict"] == "fail"
    slow = run(events=columns(slower=2.0))
    assert slow["verdict"] == "fail"
    assert "above the margin 1.25" in slow["reasons"][0]
    assert run(events=columns(slower=2.0), aa_ratios=[2.6] * 20)["verdict"] == "pass"
    few = run(events=columns(60))
    assert few["verdict"] == "inconclusive"
    assert few["figures"]["missing"]["canary"] == 90
    assert run(provider_errors=["log gap"])["verdict"] == "provider_error"
    assert run(hard_failures=["wrong digest"])["verdict"] == "fail"
    assert run(settings={"minimum_requests": 1000})["verdict"] == "inconclusive"


def test_bad_input_is_named() -> None:
    missing = module_command.run_alone("canary_verdict", {"events": "/no/such.json", **ARMS})
    assert missing["failed"] is True
    assert "/no/such.json" in missing["msg"]
    both = module_command.run_alone("canary_verdict", {"events": columns(9), "canary": ["a"], "baseline": ["a"]})
    assert "both canary and baseline" in both["msg"]
