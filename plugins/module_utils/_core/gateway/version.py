# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the installed HAProxy can do: keywords differ between 2.4 and 3.x."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

LEAST = (2, 4)


@dataclass(frozen=True)
class HaproxyVersion:
    """``major`` and ``minor`` of the release, and what it was built with."""

    major: int
    minor: int
    text: str
    has_exporter: bool = True

    @property
    def adds_servers(self) -> bool:
        """Servers with checks can be added and removed without a reload (2.6; before, experimental and unchecked)."""
        return (self.major, self.minor) >= (2, 6)

    @property
    def has_variable_defaults(self) -> bool:
        """``var(name,default)``."""
        return (self.major, self.minor) >= (2, 5)

    @property
    def has_initial_state(self) -> bool:
        """``init-state down``: a server gets no request before its first good check."""
        return (self.major, self.minor) >= (3, 1)


def parse_version(printed: str) -> HaproxyVersion:
    """From what ``haproxy -vv`` prints.

    Raises:
        InputError: no version in it, or one too old.
    """
    found = re.search(r"HA-?Proxy version (\d+)\.(\d+)\S*", printed)
    if found is None:
        raise InputError(f"this is not HAProxy: {printed.strip()[:80]!r}", where="haproxy -vv")
    major, minor = int(found.group(1)), int(found.group(2))
    if (major, minor) < LEAST:
        raise InputError(
            f"HAProxy {major}.{minor} is too old",
            where="haproxy -vv",
            remedy=f"Install {LEAST[0]}.{LEAST[1]} or newer",
        )
    return HaproxyVersion(major, minor, found.group(0).split()[-1], "prometheus-exporter" in printed)


def installed_version(executable: str) -> HaproxyVersion:
    """Of the program on this host."""
    try:
        done = subprocess.run([executable, "-vv"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"HAProxy cannot be run ({error})", where=executable, remedy="Install haproxy") from error
    return parse_version(done.stdout)
