# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of an upgrade says what the journal says, and nothing of a name runs in it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.upgrade_page import render_upgrade
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.journal import Journal

NOW = 1_790_000_000.0
FIGURES: dict[str, Any] = {
    "counts": {"canary": {"real": 73, "synthetic": 40}, "baseline": {"real": 391, "synthetic": 0}},
    "bad_ratio": {"canary_upper": 0.0262},
    "latency": {"ttft_ms": {"ratio": 0.97, "lower": 0.79, "upper": 1.19}},
}


class Text(HTMLParser):
    """The words of a page, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.paths: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "path":
            self.paths.append(dict(attrs)["d"] or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(journal: Journal) -> tuple[str, Text]:
    parsed = Text()
    parsed.feed(render_upgrade(journal))
    return " | ".join(parsed.words), parsed


def journal() -> Journal:
    made = Journal("chat", "sha256:new", "sha256:good", "2", "1", began_at="2026-09-21T13:33:20Z")
    made.note("canary", NOW, servers=["h0-0"], reason="canary: h0-0 to 2", on_target=0, on_origin=4, running=4)
    drained = [{"model": "chat", "host": "h0", "slot": 0, "left_in_flight": 2, "seconds": 12.5}]
    made.note("drained", NOW + 60, replicas=drained)
    made.take_verdict("pass", ["113 requests"], ["h0-0"], now=NOW + 60, figures=FIGURES)
    made.note("batch", NOW + 60, servers=["h1-0"], reason="2 of 4", on_target=1, on_origin=3, running=4)
    made.note("done", NOW + 120, reason="all 4", on_target=4, on_origin=0, running=4)
    made.finished = "done"
    return made


def test_versions_verdicts_drains_and_steps_are_said() -> None:
    text, parsed = page(journal())
    for said in ("Upgrade of chat: 1 to 2", "73 + 40 synthetic", "391", "2.62%", "ttft_ms 0.97 (0.79 to 1.19)"):
        assert said in text
    assert "The longest took 12.5 s; 2 requests were still in flight at the limit." in text
    assert "Every replica is on the new release." in text
    assert len(parsed.paths) == 3


def test_the_picture_steps_where_the_journal_does() -> None:
    _text, parsed = page(journal())
    origin = parsed.paths[-1]
    # 4, 3 and 0 of 4 replicas are on the origin at 0, half and all of the time; the picture is 180 high from y = 10.
    assert origin.startswith("M40.0,190.0H40.0V10.0H455.0V55.0H870.0V190.0")


def test_an_upgrade_that_was_turned_back_says_why_and_names_cannot_run() -> None:
    made = journal()
    made.finished = ""
    made.turn_back(["<script>alert(1)</script> was answered"], blamed=True, now=NOW + 90)
    text, parsed = page(made)
    assert "the release is refused from now on" in text
    assert "script" not in parsed.tags


def test_a_journal_without_steps_is_a_page_too() -> None:
    text, _parsed = page(Journal("chat", "sha256:new", "sha256:good", "2", "1"))
    assert "Nothing was drained." in text
    assert "fewer than two steps" in text
