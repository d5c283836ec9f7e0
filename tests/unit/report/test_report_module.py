# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capacity_report as it is called: files in, one file out."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import sys

import pytest
import report_samples

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import (
    InputError,
    MissingLibraryError,
    PlanRefusedError,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report import source
from ansible_collections.modelops.datacenter.plugins.modules import job_schedule
from ansible_collections.modelops.datacenter.plugins.modules.capacity_report import execute


@pytest.fixture
def params(tmp_path):
    files = report_samples.build(3, days=2.0).write(tmp_path)
    return {**files, "dest": str(tmp_path / "report.html"), "title": "Site north", "history_days": 7.0}


def test_the_page_is_written_once(params):
    first = execute(params, False, False)
    assert first["changed"] and first["bytes"] == os.path.getsize(params["dest"])
    assert stat.S_IMODE(os.stat(params["dest"]).st_mode) == 0o640
    assert "replicas of 3 models" in first["summary"]
    assert not execute(params, False, False)["changed"]
    assert execute({**params, "title": "Site south"}, False, False)["changed"]


def test_a_plan_that_was_only_made_again_is_no_change_but_its_moment_is_shown(params):
    execute(params, False, False)
    plan = json.loads(pathlib.Path(params["plan"]).read_text())
    assert plan["created_at"] != "2031-02-03T04:05:06Z"
    plan["created_at"] = "2031-02-03T04:05:06Z"
    pathlib.Path(params["plan"]).write_bytes(canonical_bytes(plan))
    assert not execute(params, True, False)["changed"]
    assert not execute(params, False, False)["changed"]
    assert "2031-02-03 04:05:06 UTC" in pathlib.Path(params["dest"]).read_text()


def test_check_mode_tells_and_writes_nothing(params):
    assert execute(params, True, False)["changed"]
    assert not os.path.exists(params["dest"])
    execute(params, False, False)
    before = os.stat(params["dest"]).st_mtime_ns
    assert not execute(params, True, False)["changed"]
    assert execute({**params, "title": "Site south"}, True, False)["changed"]
    assert os.stat(params["dest"]).st_mtime_ns == before


def test_forecast_and_history_are_optional(params):
    assert execute({**params, "forecast": None, "history": None}, False, False)["changed"]
    with open(params["dest"], encoding="utf-8") as stream:
        assert "nothing to draw" in stream.read()


def test_plotly_is_embedded_once(params):
    execute(params, False, False)
    with open(params["dest"], encoding="utf-8") as stream:
        content = stream.read()
    assert content.count("plotly.js v") == source.plotly_js().count("plotly.js v")
    assert source.plotly_js() in content


def test_a_plan_changed_by_hand_is_refused(params):
    with open(params["plan"], encoding="utf-8") as stream:
        plan = json.load(stream)
    plan["cost_per_hour"] = 1.0
    with open(params["plan"], "w", encoding="utf-8") as stream:
        json.dump(plan, stream)
    with pytest.raises(PlanRefusedError, match="changed since it was written"):
        execute(params, False, False)


def _schedule(path, plan_path):
    with open(plan_path, encoding="utf-8") as stream:
        plan = json.load(stream)
    options = dict.fromkeys(job_schedule.ARGUMENT_SPEC) | {"period_seconds": 3600, "policy": "lp"}
    options |= {"completion_tolerance": 0.01, "feasibility": True, "time_limit_seconds": 30, "dest": str(path)}
    jobs = [{"name": "embed", "work_accelerator_hours": 2, "deadline": "2026-11-24T00:00:00Z"}]
    start = "2026-11-23T18:00:00Z"
    job_schedule.execute({**options, "jobs": jobs, "hosts": plan["hosts"], "plan": plan, "start": start}, False, False)


def test_a_schedule_of_jobs_is_shown_and_must_be_of_this_plan(params, tmp_path):
    path = tmp_path / "schedule.json"
    _schedule(path, params["plan"])
    assert execute({**params, "schedule": str(path)}, False, False)["warnings"] == []
    with open(params["dest"], encoding="utf-8") as stream:
        assert "1 of 1 job on time" in stream.read()
    (tmp_path / "other").mkdir()
    other = report_samples.build(2, days=2.0, seed=8).write(tmp_path / "other")
    _schedule(path, other["plan"])
    assert execute({**params, "schedule": str(path)}, True, False)["warnings"] == [
        "The schedule of jobs shown here was made on another plan"
    ]
    with pytest.raises(PlanRefusedError, match="this is no schedule"):
        execute({**params, "schedule": params["plan"]}, False, False)
    path.write_text(json.dumps({**json.loads(path.read_text()), "jobs": {"a": {"status": 1}}}))
    with pytest.raises(PlanRefusedError, match=r"jobs\.a\.status is 1, which is not a text"):
        execute({**params, "schedule": str(path)}, False, False)


@pytest.mark.parametrize("name", ["plan", "forecast", "history"])
def test_an_absent_file_is_named(params, name):
    with pytest.raises(InputError, match="absent"):
        execute({**params, name: params[name] + ".absent"}, False, False)


def test_files_in_each_others_place_are_refused(params):
    with pytest.raises(PlanRefusedError):
        execute({**params, "plan": params["forecast"]}, False, False)
    with pytest.raises(PlanRefusedError, match="this is no forecast"):
        execute({**params, "forecast": params["plan"]}, False, False)


def test_a_forecast_the_plan_was_not_made_from_is_said(params, tmp_path):
    assert execute(params, True, False)["warnings"] == []
    other = report_samples.build(3, days=2.0, seed=8)
    (tmp_path / "other").mkdir()
    forecast = other.write(tmp_path / "other")["forecast"]
    [warning] = execute({**params, "forecast": forecast}, False, False)["warnings"]
    assert warning == "The forecast shown here is not the one the plan was made from"
    with open(params["dest"], encoding="utf-8") as stream:
        assert warning in stream.read()


def test_a_directory_that_does_not_exist_is_named(params, tmp_path):
    with pytest.raises(InputError, match="absent"):
        execute({**params, "dest": str(tmp_path / "absent" / "report.html")}, False, False)


def test_history_days_must_be_positive(params):
    with pytest.raises(InputError, match="history_days"):
        execute({**params, "history_days": 0.0}, False, False)


def test_without_plotly_the_message_says_how_to_get_it(params, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'plotly>=6\.0'"):
        execute(params, False, False)


@pytest.mark.slow
def test_five_hundred_models_stay_below_ten_megabytes(tmp_path):
    files = report_samples.build(500).write(tmp_path)
    result = execute({**files, "dest": str(tmp_path / "report.html"), "title": None, "history_days": 7.0}, False, False)
    assert result["bytes"] < 10_000_000
