# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How long a process has been running, from ``/proc`` alone."""

from __future__ import annotations

import os
import time

PROC = "/proc"


def age_seconds(pid: int, *, proc: str = PROC) -> float | None:
    """Seconds since ``pid`` was started; ``None`` when there is no such process (a zombie is none).

    Field 22 of ``/proc/PID/stat`` counts clock ticks from boot to the start (proc(5));
    the program's name, field 2, may itself hold spaces and brackets.
    """
    try:
        with open(f"{proc}/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
        state, started_ticks = fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
    if state in ("Z", "X"):
        return None
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, since_boot - started_ticks / os.sysconf("SC_CLK_TCK"))
