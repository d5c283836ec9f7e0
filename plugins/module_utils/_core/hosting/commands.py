# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Runs a program of the host and says what went wrong in words."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError


def run_command(
    argv: Sequence[str], *, timeout_seconds: float, if_absent: str = "Install it", given: str = ""
) -> tuple[int, str]:
    """Exit code and joined output of a command.

    Args:
        if_absent: what to do where there is no such program.
        given: what it reads; nothing by default, so that it never waits for more.

    Raises:
        SourceUnavailableError: the command is absent or did not end in time.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=given.encode("utf-8"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise SourceUnavailableError(f"{argv[0]} is not installed", remedy=if_absent) from error
    except subprocess.TimeoutExpired as error:
        raise SourceUnavailableError(
            f"'{' '.join(argv)}' did not end within {timeout_seconds:g} s",
            remedy="A process that ignores SIGKILL hangs in the kernel: look at the host, it may need a reboot",
        ) from error
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()
