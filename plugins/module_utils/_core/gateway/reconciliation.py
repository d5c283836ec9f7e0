# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From the servers a worker has to the servers it shall have: the commands that get there.

Pure: the same two states give the same commands, and none when they are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import (
    Gateway,
    at,
    backends_of,
    floors,
    server_options,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.runtime_state import ServerState

Key = tuple[str, str]


@dataclass(frozen=True)
class Step:
    """What is done to one server, in words, and the commands for it.

    ``quiet``: a server in maintenance that is swept away changes nothing for anybody. Its
    last command may fail while connections are left; the next run tries again.
    """

    server: Key
    words: str
    commands: tuple[str, ...]
    quiet: bool = False


@dataclass
class Reconciliation:
    """``reload``: why the runtime API does not get there; empty when it does."""

    steps: list[Step] = field(default_factory=list)
    reload: list[str] = field(default_factory=list)
    by_hand: list[Key] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return bool(self.reload) or any(not step.quiet for step in self.steps)


def reconcile(gateway: Gateway, servers: Sequence[ServerState], *, in_before: Iterable[Key] = ()) -> Reconciliation:
    """Commands that make a worker's servers those of ``gateway``.

    Args:
        gateway: what shall be.
        servers: what the worker has now.
        in_before: members the worker had been told to take in. One of them that is drained or in
            maintenance was taken out by a person, and is left so.
    """
    result = Reconciliation()
    present = {server.key: server for server in servers}
    settled = {key for one in in_before for key in _both(one)}
    wanted: set[Key] = set()
    for member in gateway.members:
        for panic, backend in enumerate(backends_of(member.model)):
            key = (backend, member.server)
            wanted.add(key)
            _member(result, gateway, member, present.get(key), key, bool(panic), settled)
    for key in sorted(set(present) - wanted):
        _surplus(result, gateway, present[key])
    return result


def floor_steps(gateway: Gateway, printed: str, path: str) -> list[Step]:
    """Commands that make the map of panic floors right; ``printed`` is what ``show map`` said."""
    held = {words[1]: words[2] for words in (line.split() for line in printed.splitlines()) if len(words) == 3}
    return [
        Step((model, ""), f"panic below {floor} usable servers of {model}", (f"set map {path} {model} {floor}",), True)
        for model, floor in sorted(floors(gateway).items())
        if held.get(model, floor) != floor
    ]


def _both(key: Key) -> list[Key]:
    return [(backend, key[1]) for backend in backends_of(key[0])]


def _member(
    result: Reconciliation,
    gateway: Gateway,
    member: Member,
    state: ServerState | None,
    key: Key,
    panic: bool,
    settled: set[Key],
) -> None:
    name = f"{key[0]}/{key[1]}"
    if state is None:
        _add(result, gateway, member, key, panic)
        return
    if (state.address, state.port) != (member.address, member.port):
        result.reload.append(f"{name} moves from {state.address}:{state.port} to {at(member)}")
        return
    if state.weight != member.weight:
        result.steps.append(
            Step(key, f"weight of {name} is {member.weight}", (f"set server {name} weight {member.weight}",))
        )
    if member.out and not state.is_out:
        result.steps.append(Step(key, f"{name} out", (f"set server {name} state maint",)))
    elif not member.out and state.is_out:
        if key in settled:
            result.by_hand.append(key)
        else:
            result.steps.append(Step(key, f"{name} in", (f"set server {name} state ready",)))


def _add(result: Reconciliation, gateway: Gateway, member: Member, key: Key, panic: bool) -> None:
    name = f"{key[0]}/{key[1]}"
    if not gateway.version.adds_servers:
        result.reload.append(f"{name} is new, and HAProxy {gateway.version.text} adds servers only by a reload")
        return
    model = gateway.models[member.model]
    options = server_options(member, model, gateway, panic=panic)
    commands = [f"add server {name} {at(member)} {' '.join(options)}", f"enable health {name}"]
    if "agent-check" in options:
        commands.append(f"enable agent {name}")
    if not member.out:
        commands.append(f"set server {name} state ready")
    result.steps.append(Step(key, f"{name} added", tuple(commands)))


def _surplus(result: Reconciliation, gateway: Gateway, state: ServerState) -> None:
    name = f"{state.backend}/{state.server}"
    delete = (f"del server {name}",) if gateway.version.adds_servers else ()
    if state.in_maintenance:
        if delete:
            result.steps.append(Step(state.key, f"{name} swept away", delete, quiet=True))
        return
    result.steps.append(Step(state.key, f"{name} removed", (f"set server {name} state maint", *delete)))
