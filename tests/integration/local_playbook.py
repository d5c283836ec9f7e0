# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook of a test, run by the collection of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def play(
    path: Path,
    plays: Sequence[Mapping[str, Any]],
    variables: Mapping[str, Any],
    *words: str,
    inventory: str = "localhost,",
) -> subprocess.CompletedProcess[str]:
    """Write the plays to ``path`` and run them with these variables, on the Python of the tests."""
    path.write_text(json.dumps(plays), encoding="utf-8")
    given = {"ansible_python_interpreter": sys.executable, **variables}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", inventory, str(path), *words]
    return subprocess.run(
        [*command, "-e", json.dumps(given)],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
