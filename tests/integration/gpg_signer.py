# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real keys and signatures of GnuPG for tests, in a keyring of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

GPG = shutil.which("gpg")


class Signer:
    """A keyring of its own, with keys by name."""

    def __init__(self) -> None:
        self.home = tempfile.mkdtemp(prefix="gpg-")  # a short path: the agent listens at a socket in it

    def gpg(self, *words: str, content: bytes | None = None) -> bytes:
        command = [
            str(GPG),
            "--homedir",
            self.home,
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]
        done = subprocess.run([*command, *words], input=content, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def key(self, name: str, *more: str, expires: str = "never") -> str:
        self.gpg(*more, "--quick-generate-key", f"{name}@example.org", "ed25519", "sign", expires)
        return self.public(name)

    def public(self, name: str) -> str:
        return self.gpg("--armor", "--export", f"{name}@example.org").decode()

    def fingerprint(self, name: str) -> str:
        listed = self.gpg("--with-colons", "--list-keys", f"{name}@example.org").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def sign(self, name: str, path: Path, *more: str, suffix: str = ".sig") -> Path:
        target = path.with_name(path.name + suffix)
        target.unlink(missing_ok=True)
        self.gpg(*more, "--local-user", f"{name}@example.org", "--output", str(target), "--detach-sign", str(path))
        return target

    def keyring(self, name: str, path: Path) -> Path:
        """A keyring file with this public key alone."""
        path.write_bytes(self.gpg("--export", f"{name}@example.org"))
        return path

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GNUPGHOME": self.home, "GPG_TTY": "none", "ANSIBLE_NOCOLOR": "1"}

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False)
        shutil.rmtree(self.home, ignore_errors=True)
