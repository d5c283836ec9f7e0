# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A turn of an upgrade with its files: both keep to their schemas, and what is not the release's fault is not blamed on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import release
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.question import Question
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.turn import Turn, take_turn
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.window_demand import HeadroomPolicy

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schemas"
NOW = 1_790_000_000.0


def entry(version: str) -> dict[str, Any]:
    return {
        "engine": "command",
        "version": version,
        "executable": ["/usr/bin/server"],
        "resources": {"accelerators": 1, "accelerator_memory_gib": 20},
        "capacity": {"l40s-48gb": {"requests_per_second": 10, "service_time_seconds": 1}},
    }


class Fleet:
    """Hosts with one replica each, the record and the journal on disk, and what the role would do with a step."""

    def __init__(self, folder: Path, count: int = 3, accelerators: int = 2) -> None:
        self.releases, self.journal = folder / "releases.json", folder / "upgrade-chat.json"
        self.now = NOW
        self.hosts = [
            {
                "name": f"h{number}",
                "zone": f"z{number % 2}",
                "accelerator_type": "l40s-48gb",
                "accelerator_count": accelerators,
                "accelerator_memory_gib": 48,
            }
            for number in range(count)
        ]
        record = release.note_applied(release.empty_record(), {"chat": entry("1")}, now=NOW, names=["chat"])
        self.releases.write_bytes(documents.canonical_bytes(record))
        self.replicas = [self.runs(f"h{number}", 0, "1", 8100, [0]) for number in range(count)]

    @staticmethod
    def runs(host: str, slot: int, version: str, port: int, accelerators: list[int]) -> dict[str, Any]:
        digest = release.release_digest(entry(version))
        record = {"host": host, "slot": slot, "model": "chat", "version": version, "release": digest}
        return {**record, "port": port, "accelerators": accelerators}

    def turn(self, **more: Any) -> Turn:
        self.now += 60
        question = Question(
            "chat",
            more.pop("catalogue", {"chat": entry("2")}),
            self.hosts,
            self.replicas,
            str(self.releases),
            str(self.journal),
            self.now,
            **{"observed": 5.0, **more},
        )
        turn = take_turn(question)
        self.releases.write_bytes(documents.canonical_bytes(turn.record))
        self.journal.write_bytes(documents.canonical_bytes(turn.journal.as_document()))
        for path, name in ((self.releases, "releases"), (self.journal, "upgrade")):
            schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
            jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), schema)
        return turn

    def carry_out(self, turn: Turn) -> None:
        """What the hosts say afterwards."""
        touched = {(one.host, one.slot) for one in (*turn.step.change, *turn.step.remove)}
        kept = [one for one in self.replicas if (one["host"], one["slot"]) not in touched]
        self.replicas = kept + [
            self.runs(one["host"], one["slot"], one["version"], one["port"], one["accelerators"]) for one in turn.deploy
        ]

    def good(self) -> str:
        return str(json.loads(self.releases.read_text(encoding="utf-8"))["models"]["chat"]["good"]["version"])

    def bad(self) -> list[str]:
        return [
            one["version"] for one in json.loads(self.releases.read_text(encoding="utf-8"))["models"]["chat"]["bad"]
        ]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def passed(turn: Turn) -> dict[str, Any]:
    judged = [one.server for one in turn.step.judge]
    drained = [
        {"model": "chat", "host": one.host, "slot": one.slot, "left_in_flight": 0, "seconds": 1.5}
        for one in turn.step.change
    ]
    return {"verdict": "pass", "judged": judged, "figures": {"counts": {}}, "drained": drained}


def to_the_end(fleet: Fleet, **more: Any) -> list[str]:
    turn, kinds = fleet.turn(**more), []
    while not turn.step.is_last:
        kinds.append(turn.step.kind)
        fleet.carry_out(turn)
        turn = fleet.turn(begins=False, outcome=passed(turn), **more)
    return [*kinds, turn.step.kind]


def test_a_whole_upgrade_keeps_to_the_schemas_and_puts_the_release_on_record(fleet: Fleet) -> None:
    assert to_the_end(fleet) == ["canary", "batch", "batch", "done"]
    assert fleet.good() == "2"
    events = json.loads(fleet.journal.read_text(encoding="utf-8"))["events"]
    assert [one["on_target"] for one in events if one["what"] in ("canary", "batch", "done")] == [0, 1, 2, 3]


def test_a_full_fleet_is_upgraded_by_a_surge_onto_free_accelerators(fleet: Fleet) -> None:
    kinds = to_the_end(fleet, observed=14.0, when_full="surge")
    # The first shares a host with another, which makes the reserve larger, so a second one is needed.
    assert kinds == ["surge", "surge", "batch", "batch", "batch", "retire", "done"]
    assert sorted((one["host"], one["slot"]) for one in fleet.replicas) == [("h0", 0), ("h1", 0), ("h2", 0)]


def test_a_surge_is_placed_with_slot_port_and_accelerator_of_its_own(fleet: Fleet) -> None:
    turn = fleet.turn(observed=14.0, when_full="surge")
    (added,) = turn.deploy
    assert (added["host"], added["slot"], added["port"], added["accelerators"]) == ("h1", 1, 8101, [1])
    assert turn.stage_on == ["h0", "h1", "h2"]


def test_without_free_accelerators_the_run_is_refused_and_says_what_is_missing(tmp_path: Path) -> None:
    step = Fleet(tmp_path, accelerators=1).turn(observed=14.0, when_full="surge").step
    assert step.kind == "refused"
    assert "no host has room for one more replica" in step.reason


def test_a_source_that_cannot_be_reached_is_not_blamed_on_the_release(fleet: Fleet) -> None:
    fleet.turn()
    turn = fleet.turn(begins=False, outcome={"hindrances": ["h0: http://models: connection refused"]})
    assert (turn.step.kind, turn.succeeded) == ("incomplete", False)
    assert "connection refused" in turn.step.reason
    assert fleet.bad() == []
    assert to_the_end(fleet)[-1] == "done"


def test_a_checksum_that_differs_is_blamed_and_stays_refused(fleet: Fleet) -> None:
    fleet.turn()
    turn = fleet.turn(begins=False, outcome={"failures": ["h0: its checksum is another"]})
    assert turn.step.kind == "rolled_back"
    assert fleet.bad() == ["2"]
    assert fleet.turn().step.kind == "refused"


def test_a_host_that_went_away_during_the_upgrade_leaves_it_incomplete(fleet: Fleet) -> None:
    turn = fleet.turn()
    fleet.carry_out(turn)
    fleet.replicas = [one for one in fleet.replicas if one["host"] != "h2"]
    # Two are left, of which one may be away since none is kept in reserve.
    gone = {"unreachable": ["h2"], "begins": False, "policy": HeadroomPolicy(reserve=False)}
    turn = fleet.turn(outcome=passed(turn), **gone)
    while not turn.step.is_last:
        fleet.carry_out(turn)
        turn = fleet.turn(outcome=passed(turn), **gone)
    assert (turn.step.kind, turn.step.reason.split(" ")[0]) == ("incomplete", "h2")
    assert fleet.good() == "1"
    fleet.replicas.append(fleet.runs("h2", 0, "1", 8100, [0]))
    assert to_the_end(fleet)[-1] == "done"


def test_a_host_that_the_plan_gives_the_model_to_is_missed_too(fleet: Fleet) -> None:
    fleet.replicas = [fleet.runs(f"h{number}", 0, "2", 8100, [0]) for number in range(2)]
    turn = fleet.turn(unreachable=["h2", "other"], expected=["h0", "h1", "h2"], catalogue={"chat": entry("2")})
    turn = fleet.turn(begins=False, outcome=passed(turn), unreachable=["h2", "other"], expected=["h0", "h1", "h2"])
    assert turn.step.kind == "incomplete"
    assert "other" not in turn.step.reason


def test_an_upgrade_given_up_half_way_still_takes_its_added_replica_away(fleet: Fleet) -> None:
    turn = fleet.turn(observed=14.0, when_full="surge")
    fleet.carry_out(turn)
    assert len(fleet.replicas) == 4
    kinds = to_the_end(fleet, catalogue={"chat": entry("3")}, observed=14.0, when_full="surge")
    assert kinds[-2:] == ["retire", "done"]
    assert len(fleet.replicas) == 3
