# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where peers run: one process apart from ours, under a limit of CPU per case.

The process imports a peer's package and forecasts one generated series with it before
anything of that peer is timed. CPU seconds are taken inside it, children included, around
the one call for a case. A case that takes more than the limit is broken off with the
process; the next one gets a new process.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import peers
from tasks import Case

TOO_LONG = "more than"
LOOK_EVERY_SECONDS = 0.5


def cpu_now() -> float:
    """CPU seconds of this process and its finished children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _serve(pipe: Any) -> None:
    """The other process: a peer's name and a case in, a forecast and its CPU seconds out; None ends it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # packages warn for every series; failures are counted instead
    rng = np.random.default_rng(1)
    wave = 20.0 + 5.0 * np.sin(np.arange(96) * np.pi / 6.0) + rng.random(96)
    warm = Case("warm", 96, 1.7e9, 3600, wave, wave[:12], "")
    while (asked := pipe.recv()) is not None:
        name, case, horizon, seasons = asked
        began = cpu_now()
        try:
            answer: Any = peers.PEERS[name].forecast(case or warm, horizon, seasons)
        except Exception as error:  # a peer that fails is a row that says so
            answer = f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
        pipe.send((answer, cpu_now() - began))


class Arena:
    """``ask`` gives a peer's answer, or the words for why there is none, and the CPU seconds it took.

    Use it in a ``with`` statement; the process ends with it.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.limit_seconds = limit_seconds
        self._process: Any = None
        self._pipe: Any = None
        self._warm: set[str] = set()

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None:
            self._pipe.send(None)
            self._process.join()

    def ask(self, name: str, case: Case, horizon: int, seasons: tuple[int, ...]) -> tuple[Any, float]:
        if self._process is None:
            self._start()
        if name not in self._warm:
            self._exchange((name, None, 12, (12,)), float("inf"))
            self._warm.add(name)
        return self._exchange((name, case, horizon, seasons), self.limit_seconds)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far,))
        self._process.start()
        far.close()
        self._warm = set()

    def _exchange(self, asked: tuple[Any, ...], limit_seconds: float) -> tuple[Any, float]:
        if self._process is None:
            self._start()
        self._pipe.send(asked)
        began = self._cpu_seconds()
        try:
            while not self._pipe.poll(LOOK_EVERY_SECONDS):
                if self._cpu_seconds() - began > limit_seconds:
                    self._process.kill()
                    self._lose()
                    return f"{TOO_LONG} {limit_seconds:g} CPU s", limit_seconds
            answer, used = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            return f"its process ended with code {self._lose()}", 0.0
        return answer, used

    def _cpu_seconds(self) -> float:
        """As the kernel counts it, seen from outside: a timer inside would make the clock there coarse."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def _lose(self) -> int | None:
        self._process.join()
        code: int | None = self._process.exitcode
        self._process, self._warm = None, set()
        return code
