# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process at a time, whatever becomes of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive

HOLD = """
import sys, time
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
with exclusive(sys.argv[1], doing="holding", wait_seconds=0):
    print("in", flush=True)
    time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "in\n"
    return process


def test_the_second_waits_until_the_first_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    other = hold(path)
    waits = []

    def wait_and_kill(seconds: float) -> None:
        waits.append(seconds)
        other.send_signal(signal.SIGKILL)
        other.wait(10)

    with exclusive(str(path), doing="holding", wait_seconds=30, sleep=wait_and_kill):
        assert path.read_text() == f"{os.getpid()}\n"
    assert len(waits) == 1


def test_who_waits_in_vain_is_told_for_whom(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    other = hold(path)
    try:
        with (
            pytest.raises(ModelOpsError, match=rf"process {other.pid} on this host is holding, and was all the 0 s"),
            exclusive(str(path), doing="holding", wait_seconds=0.3),
        ):
            pass
    finally:
        other.kill()
        other.wait(10)


def test_a_failure_inside_lets_the_next_one_in(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with pytest.raises(ValueError, match="inside"), exclusive(path, doing="failing", wait_seconds=0):
        raise ValueError("inside")
    with exclusive(path, doing="going on", wait_seconds=0):
        pass
