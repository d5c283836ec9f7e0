# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which replicas make up a batch: how many after which stage, on which hosts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

STAGE_SHARES = (0.10, 0.25, 0.50, 1.0)
NEGLIGIBLE = 1e-9


@dataclass(frozen=True, order=True)
class Running:
    """One replica as its host says. ``release``: its digest. ``serves``: it answers and is in the gateways."""

    host: str
    slot: int
    release: str = ""
    zone: str = ""
    serves: bool = True
    reachable: bool = True

    @property
    def server(self) -> str:
        return f"{self.host}-{self.slot}"


def stage_caps(total: int, on_first_host: int) -> list[int]:
    """Replicas on the new release after each stage: 1, the first host's, 10 %, 25 %, 50 %, all; rising."""
    wanted = [1, on_first_host, *(math.ceil(total * share - NEGLIGIBLE) for share in STAGE_SHARES)]
    caps: list[int] = []
    for cap in wanted:
        if 0 < cap <= total and (not caps or cap > caps[-1]):
            caps.append(cap)
    return caps


def spread(choices: Sequence[Running], taken: Sequence[Running], count: int, first_host: str) -> list[Running]:
    """``count`` of the choices: the first host's, then the zone and the host with the fewest new ones."""
    left: list[Running] = sorted(choices)
    chosen: list[Running] = []
    zones, hosts = Counter(one.zone for one in taken), Counter(one.host for one in taken)
    while left and len(chosen) < count:
        whole_host = not any(one.host != first_host for one in (*taken, *chosen))
        best = min(
            left,
            key=lambda one: (
                not (whole_host and one.host == first_host),
                zones[one.zone],
                hosts[one.host],
                one,
            ),
        )
        left.remove(best)
        chosen.append(best)
        zones[best.zone] += 1
        hosts[best.host] += 1
    return chosen


def in_words(replicas: Sequence[Running]) -> str:
    return "one replica" if len(replicas) == 1 else f"{len(replicas)} replicas"
