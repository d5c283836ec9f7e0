# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit's file of a job: systemd reads it as it is meant, and nothing in it ends a line of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.jobs.units import Place, parse_start, unit_text

GIVEN = {
    "name": "tune.a-1", "attempt": 2, "accelerators": [0, 1], "lease_until": 2e9, "command": ["true"], "user": "root",
    "cpu_cores": 2.5, "memory_gib": 1.5, "signal": "SIGUSR1", "grace_seconds": 90,
}  # fmt: skip


def text(**fields: Any) -> str:
    return unit_text(parse_start({**GIVEN, **fields}, where="h1"), Place(writable=("/srv/data",)))


def test_limits_signals_and_hooks_stand_in_it() -> None:
    lines = text(environment_file="/etc/100%.env").splitlines()
    assert {
        "CPUQuota=250%", "MemoryMax=1610612736", "KillSignal=SIGUSR1", "TimeoutStopSec=90", "User=root",
        "CollectMode=inactive-or-failed", "EnvironmentFile=/etc/100%%.env",
        "ReadWritePaths=/var/lib/modelops-jobs/work/tune.a-1 /srv/data",
        "ExecStopPost=+/bin/sh /var/lib/modelops-jobs/state/hook ended /var/lib/modelops-jobs/state/tune.a-1 2"
        " /run/systemd/system/modelops-job-tune.a-1.service",
    } <= set(lines)  # fmt: skip


@pytest.mark.parametrize("path", ["/etc/x\nUser=root", "/etc/x\r", "/etc/x\x00"])
def test_what_would_end_a_line_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"job tune\.a-1: EnvironmentFile holds a character that no unit may have"):
        text(environment_file=path)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_to_say_of_it(tmp_path: Path) -> None:
    unit = tmp_path / "modelops-job-tune.a-1.service"
    unit.write_text(text())
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    own = [line for line in (done.stdout + done.stderr).splitlines() if "tune.a-1" in line]
    # It is looked at where its files are not.
    assert [line for line in own if "not executable" not in line and "No such file" not in line] == []
