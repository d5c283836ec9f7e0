# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets made up for one test run, and where they turn up: in text, in files, in lists of processes."""

from __future__ import annotations

import base64
import contextlib
import glob
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

# In the order of the roles that take them.
KINDS = (
    "tenant_key", "backend_key", "login_password", "login_hash", "remediation_token", "receiver_token", "dead_man_token",
    "escalation_token", "scrape_password", "hf_token", "hf_token_rotated", "engine_key", "artifact_token", "become_password",
    "ssh_password", "vault_password", "prometheus_password", "plain_in_catalogue", "index_password", "malformed_key",
)  # fmt: skip


@dataclass
class Planted:
    """``values``: kind to value. ``needles``: every form that must not be found, to its kind."""

    values: dict[str, str] = field(default_factory=lambda: {kind: f"zq{secrets.token_hex(16)}" for kind in KINDS})
    needles: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, value in self.values.items():
            self.needles[value.encode()] = kind
            for pair in (value, f"operator:{value}", f"planner:{value}"):
                self.needles[base64.b64encode(pair.encode()).rstrip(b"=")[:-1]] = f"{kind} (base64)"

    def add(self, kind: str, value: str) -> None:
        self.values[kind] = value
        self.needles[value.encode()] = kind

    def add_pem(self, kind: str, text: str) -> None:
        """A private key; each line of its body must not be found."""
        self.values[kind] = text
        self.needles.update({line.encode(): kind for line in text.splitlines() if "PRIVATE KEY" not in line})

    def __getitem__(self, kind: str) -> str:
        return self.values[kind]

    def found_in(self, content: bytes) -> set[str]:
        return {kind for needle, kind in self.needles.items() if needle in content}

    def found_below(self, *directories: Path) -> dict[Path, set[str]]:
        """Files that hold a secret, and which."""
        found = {}
        for directory in directories:
            for folder, _folders, names in os.walk(directory):
                for name in names:
                    path = Path(folder, name)
                    if stat.S_ISREG(path.lstat().st_mode) and (kinds := self.found_in(path.read_bytes())):
                        found[path] = kinds
        return found


class ProcessWatch:
    """Looks at the arguments of every process, sixteen times a second, as any user of the host can."""

    def __init__(self, planted: Planted) -> None:
        self.planted = planted
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_reasons: object) -> None:
        self._stop.set()
        self._thread.join()

    def leaks(self) -> dict[bytes, set[str]]:
        return {line: kinds for line in list(self.seen) if (kinds := self.planted.found_in(line))}

    def _watch(self) -> None:
        while not self._stop.wait(0.06):
            self.seen.update(_arguments(glob.glob("/proc/[0-9]*/cmdline")))


def _arguments(paths: Iterable[str]) -> Iterable[bytes]:
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as stream:  # a process may be gone by now
            yield stream.read(65536)
