# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Engine environments on a host: one directory a version, side by side, and a link to the one in use.

``ROOT/NAME-VERSION`` is a Python environment made from a lock file with hashes. It is
never changed into something else: another lock file needs another version, so what a
running replica loads later is what it was started with. ``ROOT/NAME`` is a link to the
version in use, switched in one step.

A receipt written last says that an environment is whole. Without it, or when a package
is gone, the next run makes it anew or puts the package back.
"""

from __future__ import annotations

import csv
import fcntl
import glob
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    canonical_bytes,
    write_atomically,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError, ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.lock import Lock, normalised
from ansible_collections.modelops.datacenter.plugins.module_utils._core.provision.pip import Installer

RECEIPT = "environment.json"
LOCK_FILE = "requirements.lock"
NAME = re.compile(r"^[a-z][a-z0-9_]*$")
VERSION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.+_]*$")


@dataclass(frozen=True)
class Environment:
    """One version of one engine. ``installer`` says where packages come from."""

    name: str
    version: str
    lock: Lock
    root: str
    installer: Installer

    @property
    def directory(self) -> str:
        return f"{self.name}-{self.version}"

    @property
    def path(self) -> str:
        return os.path.join(self.root, self.directory)

    @property
    def link(self) -> str:
        return os.path.join(self.root, self.name)

    @property
    def python(self) -> str:
        return os.path.join(self.path, "bin", "python")

    def check_names(self) -> None:
        """Raises:
        InputError: a name or version that would not make one plain directory.
        """
        if not NAME.match(self.name):
            raise InputError(
                f"engine name {self.name!r} is not lower case letters, digits and '_'", where="name", remedy="Rename it"
            )
        if not VERSION.match(self.version):
            raise InputError(
                f"engine version {self.version!r} is not letters, digits, '.', '+' and '_'",
                where="version",
                remedy="Write it like 2026.10.1",
            )

    def receipt(self) -> dict[str, Any] | None:
        """What was installed; None while the environment is absent or was not finished."""
        try:
            with open(os.path.join(self.path, RECEIPT), encoding="utf-8") as stream:
                found = json.load(stream)
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise InputError(f"cannot read the receipt ({error.strerror})", where=self.path) from error
        return found if isinstance(found, dict) else None

    def missing_packages(self) -> list[str] | None:
        """Packages of the receipt that are gone, in part or in whole; None when there is no whole environment.

        An environment whose interpreter is another one now, after an upgrade of the system, is not whole.

        Raises:
            InputError: it is whole, and made from another lock file.
        """
        receipt = self.receipt()
        if receipt is None:
            return None
        if receipt.get("lock_digest") != self.lock.digest:
            raise InputError(
                f"{self.path} was made from another lock file, and replicas may run from it",
                where=f"engine {self.name} {self.version}",
                remedy="Give the new lock file another version, so that both stand side by side",
            )
        if receipt.get("interpreter") != os.path.realpath(self.python) or not os.access(self.python, os.X_OK):
            return None
        present = installed_packages(self.path)
        return sorted(name for name, version in receipt["packages"].items() if present.get(name) != version)


@dataclass(frozen=True)
class Outcome:
    """What was done, or with ``dry`` would be: in words, and the packages before and after."""

    actions: list[str]
    packages: Mapping[str, str]
    removed: list[str]


def install(environment: Environment, *, switch: bool, keep: int, users: list[str], dry: bool) -> Outcome:
    """Make the environment so, point the link at it, and remove the oldest that nobody uses.

    Args:
        switch: whether ``ROOT/NAME`` shall point here; it does so as well when it points nowhere.
        keep: how many other versions of the engine stay.
        users: patterns of files that name environments in use, such as unit files.
        dry: only tell.

    Raises:
        InputError: names, or a lock file that contradicts what is there.
        ModelOpsError: pip failed; what it said is in the message.
    """
    environment.check_names()
    if dry:
        return _converge(environment, switch, keep, users, dry=True)
    os.makedirs(environment.root, mode=0o755, exist_ok=True)
    with _alone(environment.root):
        return _converge(environment, switch, keep, users, dry=False)


def _converge(environment: Environment, switch: bool, keep: int, users: list[str], *, dry: bool) -> Outcome:
    actions: list[str] = []
    missing = environment.missing_packages()
    if missing is None:
        actions.append(f"made {environment.path} with {len(environment.lock.versions)} locked packages")
        if not dry:
            _make(environment)
    elif missing:
        actions.append(f"put back {', '.join(missing)} in {environment.path}")
        if not dry:
            _repair(environment, missing)
    target = environment.directory
    points_at = os.readlink(environment.link) if os.path.islink(environment.link) else ""
    if points_at != target and (switch or not os.path.exists(environment.link)):
        actions.append(f"switched {environment.link} to {target}" + (f" from {points_at}" if points_at else ""))
        if not dry:
            _switch(environment.link, target)
        points_at = target
    removed = _superfluous(environment, points_at, keep, users)
    for path in removed:
        actions.append(f"removed {path}")
        if not dry:
            _remove(path)
    packages = (environment.receipt() or {}).get("packages") or {}
    if missing is None and dry:
        packages = {name: "|".join(sorted(found)) for name, found in environment.lock.versions.items()}
    return Outcome(actions, packages, removed)


def _make(environment: Environment) -> None:
    """Build at the final place: an environment's scripts hold its path. The receipt comes last."""
    if os.path.lexists(environment.path):
        _remove(environment.path)
    environment.installer.make_environment(environment.path)
    lock_file = os.path.join(environment.path, LOCK_FILE)
    write_atomically(lock_file, environment.lock.text.encode("utf-8"), mode=0o644)
    environment.installer.install(environment.python, lock_file)
    present = installed_packages(environment.path)
    packages = {name: version for name, version in present.items() if name in environment.lock.versions}
    receipt = {
        "kind": "engine environment",
        "name": environment.name,
        "version": environment.version,
        "interpreter": os.path.realpath(environment.python),
        "lock_digest": environment.lock.digest,
        "packages": packages,
    }
    write_atomically(os.path.join(environment.path, RECEIPT), canonical_bytes(receipt), mode=0o644)


def _repair(environment: Environment, missing: list[str]) -> None:
    part = os.path.join(environment.path, f"{LOCK_FILE}.part")
    write_atomically(part, environment.lock.part(missing).encode("utf-8"), mode=0o644)
    environment.installer.install(environment.python, part, again=True)
    os.unlink(part)


def installed_packages(path: str) -> dict[str, str]:
    """Distributions in an environment by normalised name; one that lacks a file it brought is not among them."""
    found = {}
    for metadata in glob.glob(os.path.join(glob.escape(path), "lib", "python3*", "site-packages", "*.dist-info")):
        name, _dash, version = Path(metadata).name[: -len(".dist-info")].partition("-")
        if _is_whole(metadata):
            found[normalised(name)] = version
    return dict(sorted(found.items()))


def _is_whole(metadata: str) -> bool:
    """Whether each file of the distribution's record is there; compiled bytecode comes and goes."""
    site = os.path.dirname(metadata)
    try:
        with open(os.path.join(metadata, "RECORD"), encoding="utf-8", newline="") as stream:
            paths = [row[0] for row in csv.reader(stream) if row]
    except OSError:
        return False
    return all(os.path.exists(os.path.join(site, path)) for path in paths if not path.endswith(".pyc"))


def _switch(link: str, target: str) -> None:
    if os.path.exists(link) and not os.path.islink(link):
        raise InputError(f"{link} is not a link", where="root", remedy="Move it away, then run again")
    temporary = f"{link}.new-{os.getpid()}"
    os.symlink(target, temporary)
    os.replace(temporary, link)


def _superfluous(environment: Environment, points_at: str, keep: int, users: list[str]) -> list[str]:
    """The oldest other versions beyond ``keep``, without those that a service names."""
    pattern = os.path.join(glob.escape(environment.root), f"{environment.name}-*")
    others = [
        path
        for path in glob.glob(pattern)
        if Path(path).name not in (points_at, environment.directory) and os.path.isdir(path)
    ]
    newest_first = sorted(others, key=lambda path: (-os.stat(path).st_mtime, path))
    return sorted(path for path in newest_first[keep:] if not _is_named(path, users))


def _is_named(path: str, users: list[str]) -> bool:
    return any(_names(candidate, f"{path}/") for pattern in users for candidate in glob.glob(pattern))


def _names(file: str, text: str) -> bool:
    """Whether the file holds the text; one that cannot be read may."""
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return text in stream.read()
    except OSError:
        return True


def _remove(path: str) -> None:
    try:
        # Renamed first, so that a crash leaves nothing that looks like an environment.
        doomed = os.path.join(os.path.dirname(path), f".removed-{Path(path).name}-{os.getpid()}")
        os.rename(path, doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise ModelOpsError(f"cannot remove it ({error.strerror})", where=path) from error


@contextmanager
def _alone(root: str) -> Iterator[None]:
    """One run at a time; what a killed one was removing goes."""
    with open(os.path.join(root, ".lock"), "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for doomed in glob.glob(os.path.join(glob.escape(root), ".removed-*")):
            shutil.rmtree(doomed, ignore_errors=True)
        yield
