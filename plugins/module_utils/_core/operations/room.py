# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Room on a host's disk, from what the collection itself put there and nobody uses.

    models/NAME/VERSION      whole versions that no replica of the host runs and that are not the current one
    models/NAME/.incoming-*  fetches that were broken off; .trash-*, what a removal left
    log/*.log.N, *.gz        logs that were turned over

Nothing else is looked at, links are not followed, and a model's folder with a version in use keeps that version.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

CURRENT = "current"
LEFTOVERS = (".incoming-", ".trash-", ".current-")
TURNED_OVER = re.compile(r".+\.(log\.\d+|log\.\d+\.gz|gz|jsonl\.\d+)\Z")


@dataclass(frozen=True)
class Found:
    """Something that may go."""

    path: str
    size_bytes: int


def spare(
    models_dir: str, log_dir: str, in_use: Mapping[str, Iterable[str]], *, min_age_seconds: float, now: float
) -> list[Found]:
    """What may be removed, the largest first.

    Args:
        models_dir: where the versions of the models lie; nothing when it is not there.
        log_dir: where the logs lie.
        in_use: model to the versions that replicas of this host run or are to run.
        min_age_seconds: what was changed since is left alone, such as a fetch under way.
        now: epoch seconds.

    Raises:
        InputError: a directory cannot be read.
    """
    found = [
        one for model in _entries(models_dir) if model.is_dir(follow_symlinks=False) for one in _of_model(model, in_use)
    ]
    found += [one for one in _entries(log_dir) if one.is_file(follow_symlinks=False) and TURNED_OVER.match(one.name)]
    old = [one for one in found if now - one.stat(follow_symlinks=False).st_mtime >= min_age_seconds]
    sized = [Found(one.path, _size(one.path)) for one in old]
    return sorted(sized, key=lambda one: (-one.size_bytes, one.path))


def remove(found: Iterable[Found]) -> None:
    """Remove what :func:`spare` named; a folder is renamed first, so that no half of a version keeps its name.

    Raises:
        InputError: something could not be removed.
    """
    for one in found:
        _remove(one)


def _remove(one: Found) -> None:
    try:
        if os.path.isdir(one.path):
            folder, name = os.path.split(one.path)
            trash = one.path if name.startswith(LEFTOVERS) else os.path.join(folder, f".trash-{name}")
            if trash != one.path:
                os.rename(one.path, trash)
            shutil.rmtree(trash)
        else:
            os.unlink(one.path)
    except OSError as error:
        raise InputError(f"cannot be removed ({error.strerror})", where=one.path) from error


def _of_model(model: os.DirEntry[str], in_use: Mapping[str, Iterable[str]]) -> list[os.DirEntry[str]]:
    kept = {str(version) for version in in_use.get(model.name, ())}
    current = os.path.join(model.path, CURRENT)
    if os.path.islink(current):
        kept.add(os.readlink(current).rstrip("/").rpartition("/")[2])
    inside = [one for one in _entries(model.path) if one.is_dir(follow_symlinks=False)]
    left = [one for one in inside if one.name.startswith(LEFTOVERS)]
    # A replica's folder may carry more than its version in its name; what begins alike is kept.
    versions = [one for one in inside if not one.name.startswith(".") and not any(one.name.startswith(v) for v in kept)]
    return left + versions


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as listed:
            return sorted(listed, key=lambda one: one.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error


def _size(path: str) -> int:
    if not os.path.isdir(path) or os.path.islink(path):
        return os.lstat(path).st_blocks * 512
    total = 0
    for folder, _folders, files in os.walk(path):
        total += sum(os.lstat(os.path.join(folder, name)).st_blocks * 512 for name in files)
    return total
