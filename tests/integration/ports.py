# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of the tests: a block for each run, and in it for each worker of pytest-xdist, below those of outgoing connections.

Of those, one that was free may be another worker's connection before the server that it was meant for listens on it.
"""

from __future__ import annotations

import itertools
import os
import random
import socket

BLOCK = 250
# Two runs of these tests at once need a setting of their own; the workers of one do not.
FIRST_PORT = int(os.environ.get("MODELOPS_TEST_PORT", "21100"))
FIRST_PORT += BLOCK * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# The first of a block are those of the fleet in loop_fleet.py.
_FIRST_FREE = 100
_turn = itertools.count(random.randrange(BLOCK - _FIRST_FREE))


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now, each in its turn, so that none comes again soon."""
    found: list[int] = []
    for turn in itertools.islice(_turn, BLOCK - _FIRST_FREE):
        port = FIRST_PORT + _FIRST_FREE + turn % (BLOCK - _FIRST_FREE)
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports from {FIRST_PORT + _FIRST_FREE} on")
