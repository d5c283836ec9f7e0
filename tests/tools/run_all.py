# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of ``make test``, in lanes side by side, as most steps leave a core idle.

What a step says is shown whole when it is over. The first that fails ends all others, and so does the time limit.
At the end stand the seconds of each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = "tests/tools/"
# A test that hangs fails after a quarter of an hour, with the stacks of its threads.
PYTEST = (".venv/bin/python", "-m", "pytest", "-q", "--timeout=900")
# Files go to the workers in the order of tests/integration/conftest.py.
SPREAD = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-m", "not long")
# Less than CI gives to the whole, so that a step that hangs is named and what it said is shown.
LIMIT_SECONDS = 4800.0
# For what a broken-off step has to put away: the hosts of a lab, services that tests started.
GRACE_SECONDS = 90.0


class Step:
    """One command, in a process group of its own; ``seconds``: how long it took, once it is over."""

    def __init__(self, name: str, *command: str) -> None:
        self.name, self.command = name, command
        self.seconds = 0.0

    def start(self) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (read when the process is over)
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def code(self) -> int | None:
        """Its exit code, or none while it runs."""
        self.seconds = time.monotonic() - self._began
        return self._process.poll()

    def show(self) -> None:
        self._output.seek(0)
        said = self._output.read().decode("utf-8", "replace").strip()
        print(f"\n== {self.name} ({self.seconds:.0f} s)\n{said}", flush=True)

    def end(self) -> None:
        """Interrupt it, so that it puts away what it made; kill it where that takes too long."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


def run(lanes: Sequence[Sequence[Step]], limit_seconds: float = LIMIT_SECONDS) -> str:
    """Run the lanes side by side, the steps of each in order; what went wrong, or nothing."""
    until = time.monotonic() + limit_seconds
    left = [deque(lane) for lane in lanes]
    running = []
    try:
        for lane in left:
            lane[0].start()
            running.append(lane[0])
        while running:
            time.sleep(0.1)
            if time.monotonic() > until:
                for step in running:
                    step.end()
                    step.show()
                return f"not over after {limit_seconds:.0f} s: {', '.join(step.name for step in running)}"
            for lane in left:
                if not lane or (code := lane[0].code()) is None:
                    continue
                done = lane.popleft()
                running.remove(done)
                done.show()
                if code:
                    return f"{done.name} failed with {code}"
                if lane:
                    lane[0].start()
                    running.append(lane[0])
    finally:
        for step in running:
            step.end()
    return ""


def main() -> int:
    # Whoever breaks this off, by a signal of either kind, breaks the steps off too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    checks = [
        Step("Lint", f"{TOOLS}run_lint"),
        Step("Documentation", f"{TOOLS}run_docs_lint"),
        Step("Documentation site", f"{TOOLS}build_docs"),
        Step("Sanity", f"{TOOLS}run_sanity"),
    ]
    tests = [
        Step("Unit tests", *PYTEST, "tests/unit", "-n", "2"),
        Step("Integration tests", *PYTEST, "tests/integration", *SPREAD, "--durations=20"),
    ]
    wrong = run([checks, tests])
    print()
    for step in (*checks, *tests):
        if step.seconds:
            print(f"{step.seconds:6.0f} s  {step.name}")
    print(f"{time.monotonic() - began:6.0f} s  {wrong or 'all checks passed'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
