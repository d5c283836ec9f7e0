# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as users write them: from its checkpoint on it makes STEPS steps, ten a second on each accelerator.

On SIGUSR1 it saves and leaves; else it saves every ten seconds. Where another of the same job runs beside it, on
whatever host that shares its directory, it leaves a file ``twice``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time

SAVE_SECONDS = 10


def replace(name: str, text: str) -> None:
    with open(name + ".part", "w", encoding="ascii") as stream:
        stream.write(text)
    os.replace(name + ".part", name)


def save(path: str, step: int, total: int) -> None:
    replace(path, str(step))
    replace(os.environ["MODELOPS_JOB_PROGRESS"], str(step / total))


def main() -> None:
    total, path = int(sys.argv[1]), os.path.join(os.environ["MODELOPS_JOB_WORK_DIR"], "step")
    asked: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _frame: asked.append(number))
    alone = open(path + ".lock", "w", encoding="ascii")  # noqa: SIM115  # held to the end of the process
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        replace(os.path.join(os.path.dirname(path), "twice"), os.environ["MODELOPS_JOB_ATTEMPT"])
    step = 0
    if os.path.exists(path):
        with open(path, encoding="ascii") as stream:
            step = int(stream.read())
    cards = os.environ.get("CUDA_VISIBLE_DEVICES", os.environ["MODELOPS_JOB_ACCELERATORS"])
    sys.stdout.write(f"from {step} on {cards} as {os.getuid()}\n")
    sys.stdout.flush()
    at_once, saved = int(os.environ["MODELOPS_JOB_ACCELERATORS"]), time.monotonic()
    while step < total and not asked:
        time.sleep(0.1)
        step = min(total, step + at_once)
        if time.monotonic() - saved > SAVE_SECONDS:
            save(path, step, total)
            saved = time.monotonic()
    save(path, step, total)
    sys.stdout.write(f"at {step} {os.environ.get('QUOTES')}\n")


if __name__ == "__main__":
    main()
