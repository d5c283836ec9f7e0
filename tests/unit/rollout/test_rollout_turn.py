# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One turn of an upgrade from files: each step follows from what runs, what is on record and what came of the last one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import release
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.question import Question
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.turn import Turn, take_turn
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.window_demand import HeadroomPolicy

NOW = 1_790_000_000.0
HOSTS = [
    {"name": name, "zone": f"zone-{name[0]}", "accelerator_type": "l40s-48gb", "accelerator_count": 2}
    for name in ("a1", "b1", "a2")
]


def entry(version: str) -> dict[str, Any]:
    return {
        "engine": "llama_cpp",
        "version": version,
        "resources": {"accelerators": 1},
        "capacity": {"l40s-48gb": {"requests_per_second": 10.0, "service_time_seconds": 0.1}},
    }


ONE, TWO = (release.release_digest(release.serving_part(entry(version))) for version in ("1", "2"))


class Site:
    """Three hosts with one replica each, and the two files of an upgrade."""

    def __init__(self, directory: Path) -> None:
        self.releases, self.journal = directory / "releases.json", directory / "journal.json"
        record = release.note_applied(release.empty_record(), {"chat": entry("1")}, now=NOW, names=["chat"])
        self.releases.write_bytes(documents.canonical_bytes(record))
        self.replicas = [
            {"host": host["name"], "slot": 0, "model": "chat", "version": "1", "release": ONE, "port": 8100 + number}
            for number, host in enumerate(HOSTS)
        ]

    def turn(self, outcome: dict[str, Any] | None = None, *, version: str = "2", **more: Any) -> Turn:
        """Take it, write both files, and run on the hosts what it says."""
        question = Question(
            model="chat",
            catalogue={"chat": entry(version)},
            hosts=HOSTS,
            replicas=self.replicas,
            releases=str(self.releases),
            journal=str(self.journal),
            now=NOW,
            outcome=outcome or {},
            begins=outcome is None,
            observed=5.0,
            policy=HeadroomPolicy(reserve=False),
        )
        turn = take_turn(replace(question, **more))
        self.releases.write_bytes(documents.canonical_bytes(turn.record))
        self.journal.write_bytes(documents.canonical_bytes(turn.journal.as_document()))
        digest = release.release_digest(turn.entry)
        for placed in turn.deploy if turn.step.change else []:
            for one in self.replicas:
                if one["host"] == placed["host"]:
                    one.update(version=placed["version"], release=digest)
        return turn

    def record(self) -> dict[str, Any]:
        return dict(json.loads(self.releases.read_text())["models"]["chat"])

    def runs(self) -> list[str]:
        return [one["version"] for one in self.replicas]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def passed(turn: Turn) -> dict[str, Any]:
    return {"verdict": "pass", "judged": [one.server for one in turn.step.judge]}


def test_an_upgrade_goes_canary_batch_done_and_is_then_the_good_release(site: Site) -> None:
    turn, kinds = site.turn(), []
    assert turn.deploy == [{"host": "a1", "slot": 0, "model": "chat", "version": "2", "port": 8100, "accelerators": []}]
    assert site.record()["candidate"]["digest"] == TWO and site.record()["good"]["digest"] == ONE
    while not turn.step.is_last:
        kinds.append(turn.step.kind)
        assert len(kinds) < 9
        turn = site.turn(passed(turn))
    assert kinds == ["canary", "batch", "batch"]
    assert (turn.step.kind, turn.succeeded, site.runs()) == ("done", True, ["2", "2", "2"])
    assert site.record()["good"]["digest"] == TWO
    assert [one.step.kind for one in (site.turn(), site.turn())] == ["done", "done"]


def test_a_failed_canary_is_turned_back_and_refused_from_then_on(site: Site) -> None:
    first = site.turn()
    back = site.turn({"verdict": "fail", "reasons": ["slow"], "judged": [one.server for one in first.step.judge]})
    assert (back.step.kind, [one["version"] for one in back.deploy]) == ("rollback", ["1"])
    ended = site.turn({"verdict": ""})
    assert (ended.step.kind, ended.succeeded, site.runs()) == ("rolled_back", False, ["1", "1", "1"])
    assert [one["digest"] for one in site.record()["bad"]] == [TWO]
    assert site.turn().step.kind == "refused"
    assert site.turn(force=True).step.kind == "canary"


def test_trouble_on_a_host_counts_as_a_failure_and_says_what(site: Site) -> None:
    site.turn()
    back = site.turn({"failures": ["a1: no answer within 15 s"]})
    assert back.step.kind == "rollback" and "no answer within 15 s" in back.step.reason


def test_the_operator_s_abort_blames_no_release(site: Site) -> None:
    site.turn()
    assert site.turn(abort=True, begins=True).step.kind == "rollback"
    assert site.turn({"verdict": ""}).step.kind == "rolled_back"
    assert site.record()["bad"] == []
    assert site.turn().step.kind == "canary"


def test_a_run_that_was_killed_is_gone_on_with_where_the_hosts_are(site: Site) -> None:
    site.turn()
    again = site.turn()  # a new run: nobody has judged the canary
    assert (again.step.kind, [one.server for one in again.step.judge]) == ("judge", ["a1-0"])
    assert again.step.change == []
    assert [one["host"] for one in again.deploy] == ["a1"]


def test_a_replica_without_a_release_on_record_counts_by_its_version(site: Site) -> None:
    for one in site.replicas:
        del one["release"]
    turn = site.turn(version="1")
    assert (turn.step.kind, turn.step.reason) == ("done", "all 3 replicas are on 1")


def test_none_is_taken_away_that_demand_needs(site: Site) -> None:
    assert site.turn(observed=29.0).step.kind == "refused"  # no forecast holds a window to wait for
    assert site.turn(observed=29.0, outcome={"silent": ["b1-0"]}, begins=True).step.change[0].host == "b1"


def test_pause_stops_before_the_next_replicas(site: Site) -> None:
    turn = site.turn()
    paused = site.turn(passed(turn), pause=True)
    assert (paused.step.kind, paused.succeeded, site.runs()) == ("paused", True, ["2", "1", "1"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "code"}, "the catalogue has no model 'code'. It has chat"),
        ({"replicas": []}, "nothing of chat runs, so there is nothing to upgrade"),
        ({"releases": "/nonexistent/releases.json"}, "no good release of chat is on record"),
    ],
)
def test_what_cannot_be_upgraded_is_said(site: Site, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        site.turn(**change)
    assert said in error.value.message
