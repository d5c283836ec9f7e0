# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a controller is asked. Its answers come from the stand-in of ``make awx``, whose objects stand in memory here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.controller import data_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.awx.questions import answers_of

STAND_IN = Path(__file__).resolve().parents[2] / "awx/stand_in.py"


class Asked:
    """A controller with one organization and what the test puts there; keeps what it was asked."""

    def __init__(self) -> None:
        found = importlib.util.spec_from_file_location("stand_in", STAND_IN)
        assert found and found.loader
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        self.store = module.Store()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.organization = self.make("organizations", name="org")

    def make(self, endpoint: str, **given: Any) -> int:
        return int(self.store.make(endpoint, given)["id"])

    def __call__(self, endpoint: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        self.asked.append((endpoint, dict(query)))
        said = self.store.get(endpoint.strip("/").split("/"), dict(query))
        return said if isinstance(said, list) else [said]


@pytest.fixture
def ask() -> Asked:
    return Asked()


def test_an_organization_that_is_not_there_is_asked_for_and_nothing_else(ask: Asked) -> None:
    assert answers_of("other", ask) == {}
    assert ask.asked == [("organizations", {"name": "other"})]


def test_teams_of_another_organization_are_not_among_the_answers(ask: Asked) -> None:
    other = ask.make("organizations", name="other")
    ask.make("teams", name="theirs", organization=other)
    ask.make("teams", name="ours", organization=ask.organization)
    assert [one["name"] for one in answers_of("org", ask)["teams"]] == ["ours"]


def test_a_survey_is_asked_for_only_where_there_is_one(ask: Asked) -> None:
    project = ask.make("projects", name="fleet", organization=ask.organization)
    ask.store.tables["projects"][project]["status"] = "successful"
    about = {"organization": ask.organization, "project": project}
    ask.make("job_templates", name="plan", survey_enabled=False, **about)
    asking = ask.make("job_templates", name="upgrade", survey_enabled=True, **about)
    ask.store.surveys[("job_templates", asking)] = {"spec": [{"variable": "model"}]}
    found = answers_of("org", ask)
    assert found["surveys"] == {
        "job_templates": {str(asking): {"spec": [{"variable": "model"}]}},
        "workflow_job_templates": {},
    }


def test_an_approval_comes_whole_and_so_becomes_data_again(ask: Asked) -> None:
    workflow = ask.make("workflow_job_templates", name="loop", organization=ask.organization)
    approval = ask.make("workflow_approval_templates", name="Go", description="", timeout=600)
    node = {"identifier": "ok", "workflow_job_template": workflow, "unified_job_template": approval}
    ask.make("workflow_job_template_nodes", **node)
    (found,) = data_of(answers_of("org", ask))["workflows"]
    assert found["nodes"][0]["approval"]["timeout_seconds"] == 600


def test_who_is_told_is_asked_by_event(ask: Asked) -> None:
    channel = ask.make("notification_templates", name="channel", organization=ask.organization)
    ask.store.joined[("organizations", ask.organization, "notification_templates_error")] = [channel]
    assert answers_of("org", ask)["notified"] == {"started": [], "success": [], "error": ["channel"], "approvals": []}
