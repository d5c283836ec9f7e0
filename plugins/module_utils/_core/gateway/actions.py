# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the modules of the gateway do: make members so, and drain some of them.

What is remembered (``gateway.json``) decides. A drain that outlived its run, since somebody killed the
run alone, goes on beside the next one: it looks there before each look at HAProxy, and ends when what it
waits for was taken in again. Two never change the gateway at the same time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.exclusive import exclusive
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import store
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.configuration import Gateway
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.control import Control
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.drain import Drain, Drained
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import (
    Member,
    parse_members,
    resolved,
    wanted_members,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.models import parse_models
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import parse_settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import installed_version

LOCK = ".lock"
LOCK_SECONDS = 120.0


class TakenInError(ModelOpsError):
    """What is drained was taken in again by another run."""


def make_members(
    config_dir: str, *, dry_run: bool = False, **wanted: Any
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """:func:`_make_members`, and nobody else changes this gateway meanwhile."""
    with _alone(config_dir, dry_run=dry_run):
        return _make_members(config_dir, dry_run=dry_run, **wanted)


def _make_members(
    config_dir: str,
    *,
    settings: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    replicas: Iterable[Any] | None = None,
    keep_out: Iterable[Any] = (),
    weights: Iterable[Any] = (),
    unknown_hosts: Iterable[str] = (),
    executable: str = "haproxy",
    dry_run: bool = False,
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The members of each backend are what runs less what is kept out. Returns the result and the differences.

    ``settings``, ``models`` and ``replicas`` that are not given are those of the last run.

    Raises:
        InputError: no gateway is here yet and no settings are given, or input that cannot be meant.
        ModelOpsError: HAProxy does not do as it is told.
    """
    stored = store.load(config_dir)
    if stored is None and settings is None:
        raise InputError("this host is no gateway yet", where=config_dir, remedy="Run the role gateway there first")
    known = stored or store.Stored()
    wanted_settings = known.settings if settings is None else parse_settings({**settings, "config_dir": config_dir})
    wanted_models = (
        known.models
        if models is None
        else parse_models(models, default_concurrency=wanted_settings.default_concurrency)
    )
    members: Sequence[Member] = known.members
    if replicas is not None:
        members = wanted_members(
            parse_members(replicas, what="replicas"),
            known=known.members,
            keep_out=parse_members(keep_out, what="keep_out"),
            shares=_shares(weights),
            unknown_hosts=unknown_hosts,
        )
    elif keep_out or weights:
        raise InputError("keep_out and weights need replicas", where="gateway_members")
    unknown = sorted({member.model for member in members} - set(wanted_models))
    warnings = [f"{model} runs, but the catalogue does not describe it: it gets no requests" for model in unknown]
    members = [member for member in members if member.model in wanted_models]
    gateway = Gateway(
        wanted_settings,
        wanted_models,
        resolved(members, known=known.members),
        installed_version(executable),
        store.secret_digests(config_dir, wanted_settings.tls_client_ca),
    )
    control = Control(gateway, executable=executable, dry_run=dry_run)
    control.outcome.warnings += warnings
    control.converge(in_before=[one.key for one in known.members if not one.out] if known.applied else [])
    return control.summary(), control.outcome.differences


def drain_members(
    config_dir: str,
    replicas: Iterable[Any],
    *,
    limit_seconds: float,
    on_timeout: str = "leave",
    executable: str = "haproxy",
    dry_run: bool = False,
) -> dict[str, Any]:
    """Take replicas out and wait until nothing is in flight for them.

    A member stays out, over reloads and restarts, until the members are made anew.

    Args:
        config_dir: of the gateway.
        replicas: each with model, host and slot.
        limit_seconds: for the wait.
        on_timeout: ``leave`` them drained, or ``wake`` those that still have requests.
        executable: HAProxy.
        dry_run: only tell.

    Raises:
        InputError: this host is no gateway.
        ModelOpsError: HAProxy went away while waiting; the replicas were taken in again.
    """
    targets = parse_members(replicas, what="replicas to drain")
    version = installed_version(executable)

    def control_with(
        stored: store.Stored, out: Iterable[tuple[str, str]], awake: Iterable[tuple[str, str]] = ()
    ) -> Control:
        away, back = set(out), set(awake)
        members = [replace(one, out=(one.out or one.key in away) and one.key not in back) for one in stored.members]
        secrets = store.secret_digests(config_dir, stored.settings.tls_client_ca)
        gateway = Gateway(stored.settings, stored.models, members, version, secrets)
        return Control(gateway, executable=executable, dry_run=dry_run)

    with _alone(config_dir, dry_run=dry_run):
        stored = _stored(config_dir)
        before = {member.key: member for member in stored.members}
        ours = [target.key for target in targets if target.key in before]
        newly = [key for key in ours if not before[key].out]
        control = control_with(stored, ours)
        control.write_files()
        if dry_run or not targets or not control.socket.is_up():
            control.settle()
            return _result(control, [Drained(target, done=True) for target in targets], newly, 0, [])

    @contextmanager
    def while_out() -> Iterator[None]:
        with _alone(config_dir):
            _require_out(_stored(config_dir), ours)
            yield

    drain = Drain(control.socket, targets, limit_seconds, guard=while_out)
    try:
        drained = drain.run()
    except TakenInError:
        raise
    except ModelOpsError:
        with _alone(config_dir):
            control_with(_stored(config_dir), [], newly).converge()
        raise
    with while_out():
        settled = control_with(_stored(config_dir), ours)
        settled.outcome = control.outcome
        settled.settle()
        worker = settled.socket.current()
        if worker is not None:
            settled.save_state(worker)
        woken = []
        if on_timeout == "wake":
            woken = [one.member.key for one in drained if not one.done and one.member.key in newly]
            if woken:
                control_with(_stored(config_dir), [], woken).converge()
    return _result(settled, drained, newly, drain.commands, woken)


def _stored(config_dir: str) -> store.Stored:
    """What the gateway remembers.

    Raises:
        InputError: this host is none.
    """
    stored = store.load(config_dir)
    if stored is None:
        raise InputError("this host is no gateway", where=config_dir, remedy="Run the role gateway there first")
    return stored


def _require_out(stored: store.Stored, keys: Iterable[tuple[str, str]]) -> None:
    """They are still out.

    Raises:
        TakenInError: one of them is in again, or no member any more.
    """
    out = {member.key for member in stored.members if member.out}
    back = sorted("/".join(key) for key in keys if key not in out)
    if back:
        raise TakenInError(
            f"another run changed {', '.join(back)} while this one drained {'it' if len(back) == 1 else 'them'}",
            where="gateway",
            remedy="It is as that run left it; run again when nobody else does",
        )


def _alone(config_dir: str, *, dry_run: bool = False) -> AbstractContextManager[None]:
    """Nobody else changes this gateway; on a host that is none there is nothing to keep from anybody."""
    if dry_run or not os.path.isdir(config_dir):
        return nullcontext()
    return exclusive(os.path.join(config_dir, LOCK), doing="changing the gateway", wait_seconds=LOCK_SECONDS)


def _result(
    control: Control,
    drained: Sequence[Drained],
    newly: Sequence[tuple[str, str]],
    commands: int,
    woken: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    warnings = [
        f"{one.member.model}/{one.member.server} still has {one.left_in_flight} requests in flight after "
        f"{one.seconds:.0f} s"
        + (
            f" and {one.idle_connections} open connections on workers that a reload replaced"
            if not one.left_in_flight and one.idle_connections
            else ""
        )
        for one in drained
        if not one.done
    ]
    return {
        "changed": bool(newly or commands or control.outcome.written),
        "drained": [one.as_record() for one in drained],
        "all_drained": all(one.done for one in drained),
        "woken": [f"{model}/{server}" for model, server in woken],
        "warnings": warnings,
    }


def _shares(weights: Iterable[Any]) -> list[tuple[Member, float]]:
    shares = []
    for entry in weights:
        fields = expect_mapping(entry, what="weight")
        member = parse_members([{**fields, "weight": None}], what="weights")[0]
        share = expect_number(
            fields.get("share"), what="share", where=f"weights, {member.server}", minimum=0, maximum=1
        )
        shares.append((member, share))
    return shares
