# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How many replicas of a model must stay, whatever its demand asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import Host, Model, Replica
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.scale_in import (
    Recent,
    Seen,
    hold,
    replicas_to_hold,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signals import Signal


@dataclass(frozen=True)
class Running:
    """How many replicas of a model run, and requests/s of one on the weakest host that could run it, 0 when unknown.

    ``lost``: how many of them ran, by the last plan, on hosts that do not answer now.
    """

    count: int
    least_rate: float
    lost: int = 0

    @property
    def words(self) -> str:
        return f"{self.count} that run" + (f" ({self.lost} on hosts that do not answer)" if self.lost else "")


@dataclass(frozen=True)
class ScaleIn:
    """What holds scale-in: the operator, or the hold time with what the last plan remembers of this model."""

    on_hold: bool
    hold_seconds: float
    before: Recent | None
    elapsed_seconds: float


def running_replicas(
    models: Sequence[Model],
    current: Sequence[Replica],
    hosts: Sequence[Host],
    previous: Mapping[str, Any] | None = None,
) -> dict[str, Running]:
    """What runs, by model of the catalogue.

    A host that does not answer says nothing of its replicas. What the last plan had there is counted, so that
    a model of which no demand is known gets them back elsewhere rather than being held at what is left.
    """
    silent = {host.name for host in hosts if not host.reachable}
    placed = [one for one in (previous or {}).get("placements") or [] if one["host"] in silent]
    lost = Counter(str(one["model"]) for one in placed)
    counts = Counter(replica.model for replica in current if replica.host not in silent)
    types = {host.accelerator_type for host in hosts if host.serves}
    return {
        model.name: Running(
            counts[model.name] + lost[model.name],
            min((model.capacity[kind].requests_per_second for kind in types & model.capacity.keys()), default=0.0),
            lost[model.name],
        )
        for model in models
    }


def least_replicas(
    model: Model, signals: Sequence[Signal], running: Running, scale_in: ScaleIn, recent: Recent | None
) -> tuple[int, str]:
    """How many replicas must stay, and why; ``recent`` is None when something of demand is not known."""
    least = model.min_replicas
    if running.count <= least:
        return least, ""
    if recent is None:
        return running.count, "what is not known of demand stops nothing"
    if scale_in.on_hold:
        return running.count, "scale-in is on hold"
    if not scale_in.hold_seconds or all(signal.source == "given" for signal in signals):
        return least, ""
    held = hold(recent, _seen(signals), scale_in.hold_seconds)
    if held is None:
        return least, ""
    if held.requests_per_second is None:
        return running.count, held.words
    return max(least, replicas_to_hold(running.count, running.least_rate, held.requests_per_second)), held.words


def _seen(signals: Sequence[Signal]) -> Seen | None:
    """What the history of all parts shows; None when that of one does not."""
    parts = [signal.seen for signal in signals if signal.source != "given"]
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return Seen(min(part.seconds for part in known), sum(part.requests_per_second for part in known))
