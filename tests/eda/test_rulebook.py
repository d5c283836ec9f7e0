# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook behind real HTTP posts, beside a real Alertmanager: who is let in, and a flood.

Ten thousand alerts, one of which matters. It must be in what a run reads, and the number of runs must
follow the clock, not the number of alerts.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from rulebook_desk import (
    FLOOD,
    IMPORTANT,
    NEEDS_ALERTMANAGER,
    NEEDS_RULEBOOK,
    TOKEN,
    WINDOW_SECONDS,
    Desk,
    alert,
    message,
    post,
    post_all,
)

pytestmark = [pytest.mark.slow, NEEDS_RULEBOOK, NEEDS_ALERTMANAGER]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_nobody_without_the_token_starts_anything(desk: Desk) -> None:
    assert post(desk.webhook, "/alerts", message(IMPORTANT)) == 401
    assert post(desk.webhook, "/alerts", message(IMPORTANT), "another-token") == 401
    assert post(desk.webhook, "/alerts", b"no json", TOKEN) == 400
    # Malformed, resolved, or with a template for a label: heard, and no signal.
    for body in (
        b"[]",
        json.dumps({"alerts": [{"status": "resolved", **IMPORTANT}]}).encode(),
        message(alert(1, host="{{ lookup('pipe', 'id') }}")),
    ):
        assert post(desk.webhook, "/alerts", body, TOKEN) == 200
    time.sleep(WINDOW_SECONDS + 5)
    assert desk.runs() == 0


def test_a_flood_neither_loses_the_important_alert_nor_starts_a_run_each(desk: Desk) -> None:
    """All fire in Alertmanager; the signals come over four connections, the important one in their midst."""
    everything = [alert(number) for number in range(1, FLOOD)]
    everything.insert(FLOOD * 7 // 10, IMPORTANT)
    for start in range(0, FLOOD, 1000):
        assert post(desk.alertmanager, "/api/v2/alerts", json.dumps(everything[start : start + 1000]).encode()) == 200
    began = time.monotonic()
    answers = post_all(desk, everything)
    sent = time.monotonic() - began
    assert answers == {200: FLOOD}

    def quiet() -> bool:
        before = desk.output().count("PLAY RECAP")
        time.sleep(WINDOW_SECONDS + 15)
        return desk.output().count("PLAY RECAP") == before and desk.runs() == before and before > 0

    desk.wait_for(quiet, 1200)
    took, runs = time.monotonic() - began, desk.runs()
    read = [int(number) for number in re.findall(r"(\d+) alerts fire:", desk.output())]
    print(f"{FLOOD} posts in {sent:.0f} s, {runs} runs in {took:.0f} s, which read {read} alerts")
    # Two rules, two groups (urgent or not), each at most once in a window.
    assert 1 <= runs <= 4 * (took / WINDOW_SECONDS + 1)
    assert read and max(read) == FLOOD
    assert "HostDown" in desk.output()
    # No host of this inventory serves, so that nothing can be done: a person is told of the one that matters, and of the rest in
    # a few entries.
    told = Counter(one["alert"] for one in desk.record() if one["event"] == "escalation")
    assert told["HostDown"] == 1
    assert 0 < told["HostCpuHigh"] <= 10 + took / 600 + 1


def test_an_alert_that_comes_while_runs_are_held_back_gets_a_run_after_it(desk: Desk) -> None:
    time.sleep(WINDOW_SECONDS)
    before = desk.runs()
    assert post(desk.webhook, "/alerts", message(alert(1)), TOKEN) == 200
    desk.wait_for(lambda: desk.runs() > before, 240)
    late = desk.runs()
    assert post(desk.webhook, "/alerts", message(alert(2)), TOKEN) == 200
    desk.wait_for(lambda: desk.runs() > late, 2 * WINDOW_SECONDS + 240)
