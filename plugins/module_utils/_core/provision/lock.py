# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A lock file: what an engine's environment consists of, each package pinned and with its hashes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")
NOT_A_PIN = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable", "-i", "--index-url", "--extra-index-url")


@dataclass(frozen=True)
class Lock:
    """``text`` as pip reads it, ``digest`` of what it says, and the lines and versions of each package it names.

    A package may be named more than once, for different platforms, so a name has a set of versions.
    """

    text: str
    digest: str
    lines: dict[str, list[str]]
    versions: dict[str, frozenset[str]]

    def part(self, names: list[str]) -> str:
        """The lock file of some of the packages."""
        return "".join(f"{line}\n" for name in names for line in self.lines[name])


def parse_lock(text: str, *, where: str) -> Lock:
    """Read a lock file in pip's format, as ``uv pip compile --generate-hashes`` or ``pip-compile`` writes it.

    Comments and layout do not count for the digest.

    Raises:
        InputError: nothing is pinned, or a line is not pinned, has no hash, or points elsewhere.
    """
    versions: dict[str, set[str]] = {}
    by_name: dict[str, list[str]] = {}
    lines = [line for line in (" ".join(raw.split()) for raw in _logical_lines(text)) if line]
    for line in lines:
        if line.startswith(NOT_A_PIN):
            raise InputError(
                f"a lock file holds pinned packages alone, not {line.split()[0]!r}",
                where=where,
                remedy="Resolve the file with its includes, and give indexes by the role's own options",
            )
        pin = PIN.match(line)
        if not pin:
            raise InputError(
                f"{line.split()[0]!r} is not pinned with '=='",
                where=where,
                remedy="Write the file with 'uv pip compile'",
            )
        if "--hash=sha256:" not in line:
            raise InputError(
                f"{pin[1]}=={pin[2]} has no hash", where=where, remedy="Write the file with --generate-hashes"
            )
        versions.setdefault(normalised(pin[1]), set()).add(pin[2])
        by_name.setdefault(normalised(pin[1]), []).append(line)
    if not versions:
        raise InputError("the lock file names no package", where=where, remedy="Write it with 'uv pip compile'")
    digest = hashlib.sha256("\n".join(sorted(lines)).encode("utf-8")).hexdigest()
    return Lock(text, digest, by_name, {name: frozenset(found) for name, found in sorted(versions.items())})


def normalised(name: str) -> str:
    """A distribution's name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _logical_lines(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    return [re.sub(r"(^|\s)#.*$", "", line) for line in joined.splitlines()]
