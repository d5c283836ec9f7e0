# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One peer forecasts a sample of a task's cases; its forecasts are kept on disk.

A peer that broke the limit of CPU before its first success, or failed :data:`PATIENCE`
cases otherwise, is out of the task.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import peers
from arena import TOO_LONG, Arena
from scores import Forecasts, empty
from tasks import ROOT, Task, Values

CACHE = ROOT / ".cache" / "benchmark-forecasts"
PATIENCE = 3


def filled(history: Values) -> Values:
    """Gaps as straight lines between what is known; level at the ends."""
    known = np.flatnonzero(np.isfinite(history))
    if known.size in (0, history.size):
        return np.nan_to_num(history)
    return np.interp(np.arange(history.size), known, history[known])


def fitting(seasons: tuple[int, ...], length: int) -> tuple[int, ...]:
    """The seasons the history covers twice; 1, no season, when it covers none."""
    return tuple(season for season in seasons if 2 * season <= length) or (1,)


def sample_rows(task: Task, per_segment: int) -> list[int]:
    """The same cases for the same task; a smaller sample is part of a larger one."""
    rows: list[int] = []
    for segment in task.segments:
        members = [index for index, case in enumerate(task.cases) if case.segment == segment]
        order = np.random.default_rng(20_260_105).permutation(len(members))[:per_segment]
        rows += [members[index] for index in order]
    return rows


def compete(arena: Arena, task: Task, peer: peers.Peer, rows: list[int], *, reuse: bool) -> Forecasts:
    """The peer's forecasts of these rows; what it gives below zero is zero, as demand is."""
    path = _cache_path(task, peer)
    result = _read(path, arena.limit_seconds) if reuse and path.is_file() else empty(task)
    wanted = [row for row in rows if not result.made[row] and row not in result.failures]
    for row in wanted:
        if _is_out(result):
            break
        case = task.cases[row]
        ready = replace(case, history=filled(case.history))
        answer, used = arena.ask(peer.name, ready, task.horizon, fitting(task.seasons, case.history.size))
        _note(result, row, answer, used)
    if wanted:
        _write(path, result)
    return _only(result, rows, task)


def _is_out(result: Forecasts) -> bool:
    if result.made.any():
        return False
    return len(result.failures) >= PATIENCE or any(why.startswith(TOO_LONG) for why in result.failures.values())


def _note(result: Forecasts, row: int, answer: Any, used: float) -> None:
    result.cpu_seconds[row] = used
    if isinstance(answer, str):
        result.failures[row] = answer
        return
    mean, quantiles = (np.asarray(part, dtype=np.float64) for part in answer)
    if not (np.isfinite(mean).all() and np.isfinite(quantiles).all()):
        result.failures[row] = "a forecast that is not finite"
        return
    result.mean[row] = np.maximum(mean, 0.0)
    result.quantiles[row] = np.maximum(quantiles, 0.0)


def _only(result: Forecasts, rows: list[int], task: Task) -> Forecasts:
    kept = empty(task)
    kept.mean[rows], kept.quantiles[rows] = result.mean[rows], result.quantiles[rows]
    kept.cpu_seconds[rows] = result.cpu_seconds[rows]
    kept.failures.update({row: why for row, why in result.failures.items() if row in set(rows)})
    return kept


def _cache_path(task: Task, peer: peers.Peer) -> Path:
    """Other data, another version, or another way to call it is another file."""
    digest = hashlib.sha256(inspect.getsource(peer.forecast).encode())
    for case in task.cases:
        digest.update(case.history.tobytes() + case.actual.tobytes())
    return CACHE / f"{task.name}-{peer.name}-{version(peer.package)}-{digest.hexdigest()[:12]}.npz"


def _read(path: Path, limit_seconds: float) -> Forecasts:
    """What an earlier run made, without what it broke off sooner than this one would."""
    with np.load(path) as stored:
        result = Forecasts(stored["mean"], stored["quantiles"], stored["cpu_seconds"], {})
        for row, why in json.loads(str(stored["failures"])).items():
            if not why.startswith(TOO_LONG) or result.cpu_seconds[int(row)] >= limit_seconds:
                result.failures[int(row)] = why
    return result


def _write(path: Path, result: Forecasts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(
        part,
        mean=result.mean,
        quantiles=result.quantiles,
        cpu_seconds=result.cpu_seconds,
        failures=np.array(json.dumps(result.failures)),
    )
    part.replace(path)
