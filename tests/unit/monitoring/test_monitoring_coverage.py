# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert has a rule, a test of it, a runbook, and either a remediation or a reason for a person to look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rule_cases import CASES, MODELS

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.planning_rules import HEARTBEAT
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rules import (
    alert_names,
    all_groups,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import parse_settings

PAGE = Path(__file__).resolve().parents[3] / "docs/docsite/rst/alerts.rst"
ALERTS = alert_names(all_groups(parse_settings({}, MODELS)))
FIELDS = ("Meaning", "Impact", "Automatically", "Look at")


def sections() -> dict[str, str]:
    parts = re.split(r"^(\w+)\n-+\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def test_the_page_has_a_section_for_every_alert_and_no_other() -> None:
    assert list(sections()) and set(sections()) == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_section_says_meaning_impact_what_is_done_and_what_to_look_at(alert: str) -> None:
    text = sections()[alert]
    for field in FIELDS:
        assert re.search(rf"^:{field}: \S", text, re.MULTILINE), field


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case(alert: str) -> None:
    assert any(case.alert == alert and case.fires for case in CASES)


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert != HEARTBEAT])
def test_every_alert_has_a_remediation_or_a_reason_for_a_person(alert: str) -> None:
    ladders = pytest.importorskip(
        "ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders"
    )
    ladder = ladders.LADDERS[alert]
    assert ladder.steps or ladder.person


def test_no_ladder_is_for_an_alert_that_nobody_raises() -> None:
    ladders = pytest.importorskip(
        "ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.ladders"
    )
    assert set(ladders.LADDERS) <= set(ALERTS)
