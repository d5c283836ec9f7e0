# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Where a model serves less than it should while a plan is carried out, from which wave to which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.occupancy import TOLERANCE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.rollout_state import Wave


@dataclass(frozen=True)
class Dip:
    """``model`` serves less than its floor from within ``first_wave`` until ``last_wave`` is done."""

    model: str
    first_wave: int
    last_wave: int
    lowest_requests_per_second: float
    floor_requests_per_second: float

    @property
    def text(self) -> str:
        return (
            f"until wave {self.last_wave} is done {self.model} serves"
            f" {self.lowest_requests_per_second:.4g} of {self.floor_requests_per_second:.4g} requests/s"
        )

    def covers(self, wave: int) -> bool:
        return self.first_wave <= wave <= self.last_wave

    def as_record(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "first_wave": self.first_wave,
            "last_wave": self.last_wave,
            "lowest_requests_per_second": round(self.lowest_requests_per_second, 9),
            "floor_requests_per_second": round(self.floor_requests_per_second, 9),
        }


class DipLedger:
    """Follows the dips from wave to wave."""

    def __init__(self) -> None:
        self._open: dict[str, Dip] = {}
        self._closed: list[Dip] = []

    def record(self, number: int, wave: Wave, reference: Mapping[str, float]) -> None:
        """Take in the next wave; ``reference`` holds the requests/s per model it should not go below."""
        for name, lowest in wave.lowest.items():
            dip = self._open.get(name)
            if dip is not None:
                self._open[name] = replace(dip, lowest_requests_per_second=min(dip.lowest_requests_per_second, lowest))
            elif _is_below(lowest, reference[name]):
                self._open[name] = Dip(name, number, number, max(0.0, lowest), reference[name])
        for name in sorted(self._open):
            dip = replace(self._open[name], last_wave=number)
            if _is_below(wave.serving[name], dip.floor_requests_per_second):
                self._open[name] = dip
            else:
                self._closed.append(dip)
                del self._open[name]

    def dips(self) -> tuple[Dip, ...]:
        """All of them, in the order in which they begin."""
        dips = [*self._closed, *self._open.values()]
        return tuple(sorted(dips, key=lambda dip: (dip.first_wave, dip.model)))


def _is_below(rate: float, floor: float) -> bool:
    return rate < floor * (1 - TOLERANCE) - TOLERANCE
