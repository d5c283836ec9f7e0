# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every alert fires when it should and not when it should not, as promtool sees it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rule_cases import CASES, MODELS, Case, promtool_test

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import (
    Alert,
    Group,
    Recording,
    render,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rules import (
    alert_names,
    all_groups,
    rules_text,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import parse_settings

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
ALERTS = alert_names(all_groups(parse_settings({}, MODELS)))


def needed(alert: str) -> list[Group]:
    """The alert's rules and what they read, recorded first: all rules at every step of every case would take minutes."""
    groups = all_groups(parse_settings({}, MODELS))
    wanted = [rule for group in groups for rule in group.rules if isinstance(rule, Alert) and rule.name == alert]
    recordings = [rule for group in groups for rule in group.rules if isinstance(rule, Recording)]
    texts, found = [rule.expr for rule in wanted], []
    while texts:
        words = set(re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*", texts.pop()))
        new = [rule for rule in recordings if rule.record in words and rule not in found]
        found += new
        texts += [rule.expr for rule in new]
    return [Group("recorded", [rule for rule in recordings if rule in found]), Group("alerts", wanted)]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yml"
    path.write_text(rules_text({}, MODELS, runbook_url="https://runbooks.example/alerts"), encoding="utf-8")
    return path


def promtool(*words: str) -> str:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, timeout=300, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@needs_promtool
def test_the_rules_are_rules(rules: Path) -> None:
    assert "rules found" in promtool("check", "rules", str(rules))


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_alert(alert: str, tmp_path: Path) -> None:
    path, rule_file = tmp_path / "test.yml", tmp_path / "rules.yml"
    rule_file.write_text(render(needed(alert), runbook_url=""))
    path.write_text(json.dumps(promtool_test([case for case in CASES if case.alert == alert], str(rule_file))))
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    cases: list[Case] = [case for case in CASES if case.alert == alert]
    assert any(case.fires for case in cases)
    # The heartbeat always fires; that is all it is for.
    assert alert == "MonitoringHeartbeat" or any(not case.fires for case in cases)
