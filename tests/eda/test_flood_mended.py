# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood with the real remediation behind it: 10,000 alerts, of which one is a server that really died.

Real llama.cpp servers, Alertmanager, ansible-rulebook and the playbook answer_alerts. The dead server must answer again, by one
restart; nothing else may be touched; a person is told of the flood in a few entries.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rulebook_desk import (
    FLOOD,
    NEEDS_ALERTMANAGER,
    NEEDS_RULEBOOK,
    WINDOW_SECONDS,
    Desk,
    alert,
    post,
    post_all,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from loop_fleet import HOSTS, Fleet, make_fleet
from test_loop import NIGHT, write_history
from test_remediate import first, record, stop

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")
pytestmark = [pytest.mark.slow, NEEDS_RULEBOOK, NEEDS_ALERTMANAGER]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    try:
        made.alertmanager_up()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, desk: Desk) -> Iterator[Fleet]:
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    write_history(fleet.root / "history.csv.gz")
    fleet.write_inventory(
        hosts={**HOSTS, "mon1": {"modelops_monitoring": True, "modelops_address": "127.0.0.1"}},
        modelops_history=str(fleet.root / "history.csv.gz"),
        modelops_as_of=NIGHT,
        monitoring_alertmanager_port=desk.alertmanager,
        remediate_watch_seconds=2,
        remediate_watch_looks=2,
        plan_report=False,
    )
    try:
        run = fleet.play("site", "--limit", "localhost,alpha,beta", seconds=900)
        assert run.code == 0, run.output
        yield fleet
    finally:
        fleet.stop()


def test_the_one_server_that_died_is_restarted_in_the_midst_of_a_flood(desk: Desk, fleet: Fleet) -> None:
    desk.rulebook("modelops.datacenter.remediate", fleet.root / "hosts.yml", {"PWD": str(fleet.root)})
    one = first(fleet, "chat")
    stop(fleet, one)
    before = fleet.running()
    labels = {"alertname": "ModelServerDown", "host": one["host"], "slot": str(one["slot"]), "model": "chat"}
    dead: dict[str, Any] = alert(0, severity="page", **labels)
    everything = [alert(number) for number in range(1, FLOOD)]
    everything.insert(FLOOD * 7 // 10, dead)
    # They end when this test says so, however slow the machine is.
    lasting = [{**each, "endsAt": "2099-01-01T00:00:00Z"} for each in everything]
    for start in range(0, FLOOD, 1000):
        assert post(desk.alertmanager, "/api/v2/alerts", json.dumps(lasting[start : start + 1000]).encode()) == 200
    began = time.monotonic()
    assert post_all(desk, everything) == {200: FLOOD}
    sent = time.monotonic() - began
    desk.wait_for(lambda: fleet.answers(one["port"], "chat"), 900)
    mended = time.monotonic() - began
    read = [int(number) for number in re.findall(r"(\d+) alerts fire:", desk.output())]
    ended = [{**each, "endsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} for each in everything]
    for start in range(0, FLOOD, 1000):
        assert post(desk.alertmanager, "/api/v2/alerts", json.dumps(ended[start : start + 1000]).encode()) == 200

    def quiet() -> bool:
        runs = desk.runs()
        time.sleep(WINDOW_SECONDS + 15)
        return desk.output().count("PLAY RECAP") == runs == desk.runs()

    desk.wait_for(quiet, 1500)
    took, runs = time.monotonic() - began, desk.runs()
    events = record(fleet)
    intents = [f"{event['step']} {event['target']}" for event in events if event["event"] == "intent"]
    told = Counter(event["alert"] for event in events if event["event"] == "escalation")
    print(
        f"{FLOOD} posts in {sent:.0f} s; it answered again after {mended:.0f} s; {runs} runs in {took:.0f} s; "
        f"read {read} alerts before; actions {intents}; told {dict(told)}; record of {sum(len(json.dumps(one)) for one in events)} bytes"
    )
    assert max(read) == FLOOD
    assert intents == [f"restart replica {one['host']}-{one['slot']}"]
    assert told["HostCpuHigh"] <= 13
    assert set(told) <= {"HostCpuHigh"}
    # Two groups (urgent or not), two rules, and the run six minutes after something was resolved.
    assert 1 <= runs <= 4 * (took / WINDOW_SECONDS + 1) + 1
    after = fleet.running()
    assert {name: pid for name, pid in after.items() if name in before} == before
    assert "fatal:" not in desk.output(), desk.output()[-4000:]
