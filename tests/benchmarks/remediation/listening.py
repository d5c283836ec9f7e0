# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook on this machine, and who watches which alerts fire."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
RULEBOOK = ROOT / ".cache/eda/bin/ansible-rulebook"
ENDED = r"^PLAY RECAP|Error calling action run_playbook"
TOKEN, PORT = "a-token-of-this-lab", 5010


def get(url: str, seconds: float = 3) -> Any:
    """The JSON of an address; None where nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


class Listener:
    """The rulebook as it ships; its playbooks are those of this checkout."""

    def __init__(self, directory: Path, inventory: Path, address: str, environment: dict[str, str]) -> None:
        self.log = directory / "rulebook.log"
        # An earlier listener may have been ended amid a run, which then never says that it is over.
        self._from = self.log.stat().st_size if self.log.exists() else 0
        settings = {
            **environment, "MODELOPS_EDA_TOKEN": TOKEN, "MODELOPS_EDA_HOST": address, "MODELOPS_EDA_PORT": str(PORT),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
            "PATH": f"{ROOT / '.venv/bin'}:{RULEBOOK.parent}:{os.environ['PATH']}",
        }  # fmt: skip
        with open(self.log, "ab") as stream:
            self.process = subprocess.Popen(
                [str(RULEBOOK), "--rulebook", "modelops.datacenter.remediate", "--inventory", str(inventory),
                 "--env-vars", "MODELOPS_EDA_TOKEN,MODELOPS_EDA_HOST,MODELOPS_EDA_PORT"],
                stdout=stream, stderr=subprocess.STDOUT, env=settings, cwd=directory, start_new_session=True,
            )  # fmt: skip
        self.address = address

    def ready(self) -> bool:
        request = urllib.request.Request(f"http://{self.address}:{PORT}/alerts", b"{}", method="POST")
        try:
            urllib.request.urlopen(request, timeout=2)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return False

    def runs(self) -> tuple[int, int]:
        """Runs of the playbook that began and ended, those that were killed included."""
        text = self.log.read_bytes()[self._from :].decode(errors="replace")
        return text.count("PLAY [Ask what fires]"), len(re.findall(ENDED, text, re.MULTILINE))

    @property
    def busy(self) -> bool:
        began, ended = self.runs()
        return began > ended

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Alerts:
    """When each alert was first seen firing, in Prometheus or Alertmanager."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.seen: dict[tuple[str, str, str], float] = {}
        self.now: set[tuple[str, str, str]] = set()
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def forget(self) -> None:
        self.seen = {}

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            with contextlib.suppress(KeyError, TypeError):
                self._look()

    def _look(self) -> None:
        measured = get(f"http://{self.address}:9090/api/v1/alerts") or {}
        told = get(f"http://{self.address}:9093/api/v2/alerts?active=true") or []
        labels = [one["labels"] for one in (measured.get("data") or {}).get("alerts", []) if one["state"] == "firing"]
        labels += [one["labels"] for one in told]
        firing = {(one["alertname"], one.get("host", ""), one.get("slot", "")) for one in labels}
        for key in firing:
            self.seen.setdefault(key, time.time())
        self.now = firing

    def first(self, names: tuple[str, ...], since: float) -> tuple[str, float] | None:
        """The first of these alerts to fire since a moment."""
        found = [(at, key[0]) for key, at in self.seen.items() if key[0] in names and at >= since]
        return (min(found)[1], min(found)[0]) if found else None
