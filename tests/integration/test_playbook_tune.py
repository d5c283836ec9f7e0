# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook tune on real llama.cpp servers: a crash is a result, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import module_command
import pytest
from loop_fleet import Fleet, make_fleet

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")

# No machine has this much memory: the server ends while it starts.
CRASHES = 99_999_999_999
TUNE: dict[str, Any] = {
    **{"tune_model": "chat", "tune_host": "alpha", "tune_method": "random", "tune_repeats": 2, "tune_max_trials": 1},
    "tune_parameters": {"ctx-size": {"values": [256, CRASHES], "default": 256}},
    "tune_objective": {"metric": "requests_per_second", "limits": {"latency_seconds": 20}},
    **{"tune_load_seconds": 2, "tune_load_at_once": 2, "tune_output_tokens": 8, "tune_prompt_words": 8},
    "tune_ready_timeout_seconds": 8,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    yield fleet
    fleet.stop()


def test_check_mode_starts_nothing(fleet: Fleet) -> None:
    run = fleet.play("tune", "--check", **TUNE)
    assert run.code == 0, run.output
    assert "CHECK MODE: nothing was measured" in run.output
    assert fleet.running() == {}
    assert not list(fleet.root.glob("output/tuning-*"))


def test_a_crash_is_a_result_and_what_is_in_use_stays(fleet: Fleet) -> None:
    run = fleet.play("tune", **TUNE)
    assert run.code == 0, run.output
    history = json.loads((fleet.root / "output/tuning-chat-l40s-48gb.json").read_text())
    default, crashed = history["trials"]
    assert default["state"] == "done"
    assert all(one["requests_per_second"] > 0 for one in default["measurements"])
    assert crashed["params"] == {"ctx-size": CRASHES}
    assert crashed["state"] == "failed"
    assert crashed["problem"]
    assert history["step"]["better"] is False
    assert "2 trials, 1 crashed" in run.output
    assert fleet.running() == {}
    assert json.loads((fleet.root / "alpha/facts.d/modelops.fact").read_text())["replicas"] == []


def test_a_finished_history_is_only_said_again(fleet: Fleet) -> None:
    run = fleet.play("tune", **TUNE)
    assert run.code == 0, run.output
    assert run.changed()["alpha"] == 0
    assert "nothing that was tried is better" in run.output


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tune_model": "absent"}, "The catalogue has no model absent"),
        ({"tune_host": "gamma"}, "Name a serving host of the inventory"),
        ({"tune_parameters": {}}, "Say what may be changed"),
        ({"tune_parameters": {"threads": {"low": 1, "high": 2, "default": 1}}}, "of other parameters"),
    ],
)
def test_bad_input_gives_one_clear_message(fleet: Fleet, change: dict[str, Any], says: str) -> None:
    run = fleet.play("tune", **{**TUNE, **change})
    assert run.code != 0
    assert says in run.output
    assert fleet.running() == {}


def test_the_module_goes_on_where_it_was(tmp_path: Any) -> None:
    options = {
        "history": str(tmp_path / "t.json"),
        "parameters": TUNE["tune_parameters"],
        "objective": {"metric": "rps"},
    }
    options["method"] = "random"
    first = module_command.run_alone("tuning_step", options)
    again = module_command.run_alone("tuning_step", options)
    assert (first["action"], first["trial"], first["changed"]) == ("measure", 0, True)
    assert (again["trial"], again["changed"]) == (0, False)
    wrong = module_command.run_alone("tuning_step", {**options, "outcome": {"trial": 0, "measurement": {"x": 1}}})
    assert "the measurement has no rps" in wrong["msg"]
    done = module_command.run_alone(
        "tuning_step", {**options, "outcome": {"trial": 0, "seconds": 1, "measurement": {"rps": 1.5}}}
    )
    assert (done["trial"], done["figures"]["measurements"]) == (0, 1)
