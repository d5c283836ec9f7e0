# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How closed our services are, by ``systemd-analyze security``: no unit may rise above its limit or its own last score.

``unit_security.json`` keeps the scores (0 is best, 10 worst) with the version of systemd that gave them. Write it anew
after a unit was closed further: ``MODELOPS_WRITE_SCORES=1 pytest tests/unit/foundation/test_foundation_unit_security.py``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from rendered_units import REPLICA, ROOT, Unit, exposure, systemd_version

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
TABLE = Path(__file__).with_name("unit_security.json")
# Engines need devices and compile kernels; gateways keep a root master; the rest needs little.
LIMITS = {"controller": 2.0, "exporter": 2.5, "gateway": 2.5, "engine": 4.5}
PLAN_BY_THE_CLOCK = {"item": [{"key": "plan", "value": {}}]}
A_USER = {"monitoring_controller_user": "modelops"}
UNITS = [
    Unit("modelops-prometheus.service", "monitoring", "modelops-prometheus.service.j2", "controller"),
    Unit("modelops-alertmanager.service", "monitoring", "modelops-alertmanager.service.j2", "controller"),
    Unit("modelops-watch.service", "monitoring", "modelops-watch.service.j2", "controller"),
    Unit("modelops-rulebook.service", "monitoring", "modelops-rulebook.service.j2", "controller"),
    Unit("modelops-plan.service", "monitoring", "modelops-timer.service.j2", "controller", PLAN_BY_THE_CLOCK),
    Unit("modelops-figures.service", "monitoring", "modelops-figures.service.j2", "exporter"),
    Unit("modelops-agent.service", "gateway", "modelops-agent.service.j2", "exporter"),
    Unit("prometheus-node-exporter.service", "provision", "node_exporter_limits.conf.j2", "exporter"),
    Unit("modelops-gateway.service", "gateway", "modelops-gateway.service.j2", "gateway"),
    Unit("modelops-firewall.service", "provision", "modelops-firewall.service.j2", "gateway"),
    Unit("modelops-chat-0.service", "deploy", "replica.service.j2", "engine", {"service": REPLICA}),
]
# The rest of the packaged unit that our drop-in is for (Debian 12).
PACKAGED = {
    "prometheus-node-exporter.service": "[Service]\nUser=prometheus\nExecStart=/usr/bin/prometheus-node-exporter $ARGS\n"
}


def scored(unit: Unit, directory: Path) -> float:
    return exposure(PACKAGED.get(unit.name, "") + unit.render(), unit.name, directory)[0]


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, object]]:
    return json.loads(TABLE.read_text()) if TABLE.exists() else {}


def test_every_service_of_a_role_is_in_the_table() -> None:
    templates = {path.name for path in ROOT.glob("roles/*/templates/*.service.j2")}
    assert templates == {unit.template for unit in UNITS} - {"node_exporter_limits.conf.j2"}


@pytest.mark.skipif("MODELOPS_WRITE_SCORES" not in os.environ, reason="scores are written only when asked for")
def test_scores_are_written(tmp_path: Path) -> None:
    document = {unit.name: {"kind": unit.kind, "exposure": scored(unit, tmp_path)} for unit in UNITS}
    TABLE.write_text(json.dumps({"systemd": systemd_version(), "units": document}, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_as_closed_as_before(unit: Unit, tmp_path: Path, table: dict[str, dict[str, object]]) -> None:
    value = scored(unit, tmp_path)
    assert value <= LIMITS[unit.kind]
    if table["systemd"] == systemd_version():  # another release weighs other things
        kept = table["units"][unit.name]
        assert kept["kind"] == unit.kind
        assert value == kept["exposure"], "worse: close the unit again; better: write the table anew"


def test_an_opened_unit_is_noticed(tmp_path: Path) -> None:
    """The gate itself: one line less, and the score rises."""
    unit = next(unit for unit in UNITS if unit.name == "modelops-watch.service")
    text = unit.render()
    before, items = exposure(text, unit.name, tmp_path)
    opened = text.replace("ProtectKernelModules=yes\n", "").replace("NoNewPrivileges=yes\n", "")
    assert opened != text
    after, items_after = exposure(opened, unit.name, tmp_path)
    assert after > before
    assert set(items_after) - set(items)


def test_a_controller_that_runs_as_a_user_is_closed_further(tmp_path: Path) -> None:
    unit = next(unit for unit in UNITS if unit.name == "modelops-plan.service")
    as_user = Unit(unit.name, unit.role, unit.template, unit.kind, {**unit.given, **A_USER})
    assert "User=modelops\n" in as_user.render()
    assert scored(as_user, tmp_path) < scored(unit, tmp_path)


GUIDE = ROOT / "docs" / "docsite" / "rst" / "guide_security.rst"
ROWS = {
    "Prometheus, Alertmanager, the watch": ["modelops-prometheus", "modelops-alertmanager", "modelops-watch"],
    "Rulebook and playbooks by the clock on the controller": ["modelops-rulebook", "modelops-plan"],
    "The agent beside replicas, the figures of gateways": ["modelops-agent", "modelops-figures"],
    "node_exporter (a drop-in for the packaged unit)": ["prometheus-node-exporter"],
    "Firewall": ["modelops-firewall"],
    "Gateway (HAProxy's master is root, its workers are not)": ["modelops-gateway"],
    "A replica with accelerators": ["modelops-chat-0"],
}


@pytest.mark.parametrize("row", ROWS)
def test_the_guide_shows_the_scores(row: str, table: dict[str, dict[str, object]]) -> None:
    text = GUIDE.read_text()
    shown = text[text.index(f"   * - {row}\n") :].splitlines()[1:3]
    for name in ROWS[row]:
        unit = table["units"][f"{name}.service"]
        assert shown == [f"     - {unit['exposure']}", f"     - {LIMITS[str(unit['kind'])]}"]


def test_what_the_guide_calls_shown_is_there() -> None:
    named = set(re.findall(r"``(tests/[^`]+)``", GUIDE.read_text()))
    assert len(named) > 10
    assert {name for name in named if not (ROOT / name).exists()} == set()
