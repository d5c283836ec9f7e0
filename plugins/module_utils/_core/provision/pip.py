# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""pip, run for an environment: hashes always required, secrets of an index never in its arguments."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError

SAID_CHARACTERS = 600


@dataclass(frozen=True)
class Installer:
    """Where packages come from.

    Args:
        python: the interpreter that environments are made with.
        index_url: a package index instead of pip's own choice; may hold a password.
        find_links: directories or addresses with wheels, an offline wheelhouse.
        no_index: use ``find_links`` alone.
        only_binary: never build a package on the host.
        timeout_seconds: for one call of pip.
    """

    python: str = "/usr/bin/python3"
    index_url: str = ""
    find_links: Sequence[str] = ()
    no_index: bool = False
    only_binary: bool = True
    timeout_seconds: float = 3600.0

    def make_environment(self, path: str) -> None:
        """Raises:
        ModelOpsError: the interpreter is missing or has no ``venv``.
        """
        self._run(
            [self.python, "-m", "venv", path],
            where=path,
            remedy=f"Install venv for {self.python} (python3-venv on Debian), or name another Python",
        )

    def install(self, python: str, lock_file: str, *, again: bool = False) -> None:
        """Install what the lock file says; with ``again`` also what seems to be there already.

        Raises:
            ModelOpsError: a package or hash was not found, or pip took too long.
        """
        words = [python, "-m", "pip", "install", "--quiet", "--no-input", "--no-cache-dir"]
        words += ["--require-hashes", "--no-deps", "--requirement", lock_file]
        if self.no_index:
            words.append("--no-index")
        if self.only_binary:
            words += ["--only-binary", ":all:"]
        if again:
            words.append("--force-reinstall")
        self._run(words, where=lock_file, remedy=self._remedy())

    def _remedy(self) -> str:
        if self.no_index:
            places = ", ".join(self.find_links) or "nowhere, find_links is empty"
            return f"Put the wheel for this Python and machine into the wheelhouse ({places})"
        return "See that the host reaches the package index, or give index_url, or find_links with no_index"

    def _run(self, words: list[str], *, where: str, remedy: str) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        environment.pop("PYTHONPATH", None)
        environment.pop("PYTHONHOME", None)
        # By the environment: arguments of a process are there for everyone to read.
        if self.index_url:
            environment["PIP_INDEX_URL"] = self.index_url
        if self.find_links:
            environment["PIP_FIND_LINKS"] = " ".join(self.find_links)
        try:
            done = subprocess.run(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.timeout_seconds,
                check=False,
            )
        except OSError as error:
            raise ModelOpsError(
                f"{words[0]} cannot be started ({error.strerror})", where=where, remedy=remedy
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ModelOpsError(
                f"no end within {self.timeout_seconds:g} s", where=where, remedy="Raise the timeout, or see the network"
            ) from error
        if done.returncode != 0:
            said = without_passwords(" ".join(done.stdout.decode("utf-8", "replace").split()))
            raise ModelOpsError(
                f"'{' '.join(words[1:4])}' ended with {done.returncode}: {said[-SAID_CHARACTERS:]}",
                where=where,
                remedy=remedy,
            )


def without_passwords(text: str) -> str:
    """Addresses without what stands before their ``@``."""
    return re.sub(r"(\w+://)[^/\s@]+@", r"\1***@", text)
