# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How many replicas may be away now, and where some could be added: the fleet and the forecast, for the step rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import (
    Host,
    Model,
    Replica,
    parse_hosts,
    parse_models,
    parse_replicas,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import headroom
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import Running
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.question import Question
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.steps import Allowance
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.surge import free_places


@dataclass(frozen=True)
class Room:
    """``places``: the replicas that could be added, in the order of the allowance's. ``spare_requests_per_second``: what serves
    above what is needed and kept in reserve, never below 0."""

    allowance: Allowance
    places: tuple[Replica, ...]
    spare_requests_per_second: float


def room_for(question: Question, running: Sequence[Running], target: str) -> Room:
    """What may be away by the forecast and what was seen, and what could be added.

    Args:
        question: of this turn.
        running: replicas of the model.
        target: digest of the release that added replicas get.
    """
    hosts = {host.name: host for host in parse_hosts(list(question.hosts))}
    models = parse_models(question.catalogue)
    model = next(one for one in models if one.name == question.model)
    serving = [
        headroom.Replica(one.host, str(one.slot), rate)
        for one in running
        for rate in [_capacity(model, hosts.get(one.host))]
        if one.serves and rate is not None
    ]
    places = _places(question, models, model, list(hosts.values()), len(running))
    surge = [
        headroom.Replica(one.host, str(one.slot), _capacity(model, hosts[one.host]) or 0.0)
        for one in places
        if question.when_full == "surge"
    ]
    answer = headroom.headroom(
        serving,
        documents.load(question.forecast, what="forecast") if question.forecast else None,
        question.model,
        as_of=question.now,
        window_seconds=question.window_seconds,
        cap=max(1, len(running)),
        surge=surge,
        observed=question.observed,
        policy=question.policy,
    )
    spots = tuple(Running(one.host, one.slot, target, hosts[one.host].zone) for one in places)
    allowance = Allowance(
        answer.batch if answer.decision == "now" else 0,
        answer.reason,
        answer.decision,
        answer.opens_at,
        spots,
        max(1, answer.surge_replicas),
    )
    spare = answer.spare
    above = spare.serving_requests_per_second - spare.needed_requests_per_second - spare.reserve_requests_per_second
    known = answer.demand.requests_per_second is not None
    return Room(allowance, tuple(places), max(0.0, above) if known else 0.0)


def _capacity(model: Model, host: Host | None) -> float | None:
    capacity = model.capacity.get(host.accelerator_type) if host is not None else None
    return None if capacity is None else capacity.requests_per_second


def _places(
    question: Question, models: Sequence[Model], model: Model, hosts: Sequence[Host], most: int
) -> list[Replica]:
    """Where replicas could be added; looked for only where the operator wants that."""
    if question.when_full != "surge" and question.strategy != "blue_green":
        return []
    away = {str(name) for name in question.unreachable}
    answering = [host for host in hosts if host.name not in away]
    return free_places(model, models, answering, parse_replicas(list(question.replicas)), most)
