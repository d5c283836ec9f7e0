# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""model_releases and upgrade_step as Ansible runs them: what is held, the steps to a new release, check mode, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import module_command

HOSTS = [
    {"name": name, "zone": f"zone-{name[0]}", "accelerator_type": "l40s-48gb", "accelerator_count": 2}
    for name in ("a1", "b1")
]


def catalogue(version: str) -> dict[str, Any]:
    return {
        "chat": {
            "engine": "llama_cpp",
            "version": version,
            "resources": {"accelerators": 1},
            "capacity": {"l40s-48gb": {"requests_per_second": 10.0, "service_time_seconds": 0.1}},
            "min_replicas": 2,
        }
    }


def replicas(version: str, release: str) -> list[dict[str, Any]]:
    return [
        {"host": one["name"], "slot": 0, "model": "chat", "version": version, "release": release, "port": 8100}
        for one in HOSTS
    ]


def releases(path: Path, version: str, **more: Any) -> dict[str, Any]:
    options = {"path": str(path), "models": catalogue(version), "version_changes": "upgrade", **more}
    return module_command.run_alone("model_releases", options)


def step(directory: Path, running: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    options = {
        **{"model": "chat", "models": catalogue("2"), "hosts": HOSTS, "replicas": running, "observed": 1.0},
        **{"releases": str(directory / "releases.json"), "journal": str(directory / "journal.json")},
        **{"reserve": False, **more},
    }
    return module_command.run_alone("upgrade_step", options)


def test_the_first_apply_is_recorded_and_another_version_held(tmp_path: Path) -> None:
    path = tmp_path / "releases.json"
    looked = releases(path, "1", applied=["chat"], _ansible_check_mode=True)
    assert looked["changed"] and not path.exists()
    assert releases(path, "1", applied=["chat"])["changed"]
    first = path.read_bytes()
    assert not releases(path, "1", applied=["chat"])["changed"]
    held = releases(path, "2")
    assert (held["held"], held["models"]["chat"]["version"]) == (["chat"], "1")
    assert held["lines"] == [
        "chat: the catalogue has 2, the fleet serves 1 until modelops.datacenter.upgrade -e upgrade_model=chat"
    ]
    assert path.read_bytes() == first


def test_the_steps_to_a_new_release(tmp_path: Path) -> None:
    releases(tmp_path / "releases.json", "1", applied=["chat"])
    good = json.loads((tmp_path / "releases.json").read_text())["models"]["chat"]["good"]["digest"]
    running = replicas("1", good)
    looked = step(tmp_path, running, _ansible_check_mode=True)
    assert (looked["kind"], looked["changed"], (tmp_path / "journal.json").exists()) == ("canary", True, False)

    canary = step(tmp_path, running)
    assert canary["drain"] == [{"model": "chat", "host": "a1", "slot": 0}]
    assert (canary["judge"], canary["baseline"], canary["last"]) == (["a1-0"], ["b1-0"], False)
    assert canary["models"]["chat"]["version"] == "2" and "min_replicas" not in canary["models"]["chat"]
    running[0].update(version="2", release=canary["release"])

    batch = step(tmp_path, running, begins=False, outcome={"verdict": "pass", "judged": ["a1-0"]})
    assert (batch["kind"], [one["host"] for one in batch["deploy"]]) == ("batch", ["b1"])
    running[1].update(version="2", release=batch["release"])

    done = step(tmp_path, running, begins=False, outcome={"verdict": "pass", "judged": ["b1-0"]})
    assert (done["kind"], done["last"], done["succeeded"]) == ("done", True, True)
    again = step(tmp_path, running)
    assert (again["kind"], again["changed"]) == ("done", False)
    assert releases(tmp_path / "releases.json", "2")["held"] == []


def test_bad_input_is_one_message(tmp_path: Path) -> None:
    nothing = step(tmp_path, replicas("1", ""))
    assert nothing["failed"] and "no good release of chat is on record" in nothing["msg"]
    (tmp_path / "releases.json").write_text("[]")
    spoiled = step(tmp_path, replicas("1", ""))
    assert spoiled["failed"] and "releases.json" in spoiled["msg"]
    assert releases(tmp_path / "releases.json", "1")["failed"]
