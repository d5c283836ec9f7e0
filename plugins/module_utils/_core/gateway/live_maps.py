# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Maps of clients in every worker made what the files say, without a reload.

A reload would leave the old workers with the old keys for as long as their streams last, and a connection that is kept
alive brings them one request more. So keys are added to and taken from each worker that lives; streams go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.clients import LIVE_FILES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.master_socket import MasterSocket

Ask = Callable[[str], str]
# Lines handed over at once; HAProxy takes no command longer than its buffer.
BATCH = 50


def make_all_so(socket: MasterSocket, config_dir: str, *, dry_run: bool = False) -> list[str]:
    """Every worker has what the files hold, those that a reload replaced too. Returns what was changed, in words.

    Raises:
        ModelOpsError: a worker does not take it.
    """
    done = []
    for worker in socket.workers():
        came, went = make_so(partial(socket.ask_worker, worker), config_dir, dry_run=dry_run)
        if came or went:
            kind = "a replaced worker" if worker.old else "the worker"
            done.append(f"keys and permissions of clients in {kind}: {came} came, {went} went")
    return done


def make_so(ask: Ask, config_dir: str, *, dry_run: bool = False) -> tuple[int, int]:
    """Give one worker what the files hold. Returns how many entries came in or changed, and how many went.

    Args:
        ask: sends a command to the worker, returns its answer.
        config_dir: where the maps lie; one that is not there, or that the worker was not started with, is left alone.
        dry_run: only count.

    Raises:
        ModelOpsError: the worker does not take it.
    """
    came = went = 0
    for name in LIVE_FILES:
        path = os.path.join(config_dir, name)
        printed = ask(f"show map {path}")
        if not os.path.exists(path) or "nknown map" in printed:
            continue
        with open(path, encoding="ascii") as stream:
            wanted = dict(_entries(stream.read(), words=2))
        held = dict(_entries(printed, words=3))
        new = {key: value for key, value in wanted.items() if held.get(key) != value}
        gone = sorted(set(held) - set(wanted))
        came, went = came + len(new), went + len(gone)
        if not dry_run:
            for command in _commands(path, new, sorted(key for key in new if key in held) + gone):
                _tell(ask, command, path)
    return came, went


def _entries(text: str, *, words: int) -> Iterator[tuple[str, str]]:
    """Key and value of each line; ``show map`` puts the address of the entry before them."""
    for line in text.splitlines():
        found = line.split(None, words - 1)
        if len(found) == words:
            yield found[-2], found[-1]


def _commands(path: str, new: Mapping[str, str], gone: list[str]) -> Iterator[str]:
    """What has another value goes and comes again: a value may hold what the command line would split."""
    yield from (f"del map {path} {key}" for key in gone)
    lines = [f"{key} {new[key]}" for key in sorted(new)]
    for first in range(0, len(lines), BATCH):
        yield f"add map {path} <<\n" + "\n".join(lines[first : first + BATCH]) + "\n"


def _tell(ask: Ask, command: str, path: str) -> None:
    answer = ask(command).strip()
    if answer:
        raise ModelOpsError(
            f"HAProxy does not change {path}: {answer[:200]}",
            where="HAProxy",
            remedy="Reload it with: systemctl reload modelops-gateway",
        )
