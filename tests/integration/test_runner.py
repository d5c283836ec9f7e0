# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's script, as it stands there: plan, a dataclass, apply, progress, and an error that says why.

``make runner`` takes all other playbooks through ansible-runner both ways.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/runner"))

from runner_fleet import RunnerFleet, example  # noqa: E402

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")

HOSTS = ("gpu-b2", "cpu-b1")  # all three models fit on these two


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunnerFleet]:
    fleet = RunnerFleet(tmp_path_factory.mktemp("runner"), hosts=HOSTS)
    yield fleet
    fleet.stop()


def run_script(fleet: RunnerFleet) -> subprocess.CompletedProcess[str]:
    script = fleet.private.parent / "fleet.py"
    script.write_text(example())
    words = [sys.executable, str(script), str(fleet.private), str(fleet.output)]
    return subprocess.run(words, env=fleet.environment, capture_output=True, text=True, timeout=1200, check=False)


def test_the_script_is_short_and_typed(tmp_path: Path) -> None:
    script = tmp_path / "fleet.py"
    script.write_text(example())
    assert sum(bool(line.strip()) for line in example().splitlines()) < 30
    checks = (
        ["mypy", "--strict", "--ignore-missing-imports", "--config-file="],
        ["ruff", "check"],
        ["ruff", "format", "--check", "--line-length=120"],
    )
    for words in checks:
        done = subprocess.run([sys.executable, "-m", *words, str(script)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_plans_and_applies_and_shows_progress(fleet: RunnerFleet) -> None:
    done = run_script(fleet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fleet.silent() == []
    lines = done.stdout.splitlines()
    shown = next(line for line in lines if line.startswith("Plan("))
    assert f"cost_per_hour={fleet.plan()['cost_per_hour']}" in shown and "shortages=[]" in shown
    assert (
        sum(line.startswith("plan: ") for line in lines) > 5 and sum(line.startswith("apply: ") for line in lines) > 5
    )


def test_what_fails_is_raised_with_its_reason(fleet: RunnerFleet) -> None:
    extra = fleet.private / "env/extravars"
    kept = extra.read_text()
    extra.write_text(yaml.safe_dump({**yaml.safe_load(kept), "modelops_history": "/nowhere/history.csv"}))
    try:
        done = run_script(fleet)
    finally:
        extra.write_text(kept)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: plan failed: ") and "/nowhere/history.csv" in last


def test_it_streams_to_a_worker_and_back(fleet: RunnerFleet) -> None:
    job = fleet.stream("apply")
    assert job.status == "successful", job.output
    assert job.stats["ok"]["gpu-b2"] > 5 and job.changed() == 0
