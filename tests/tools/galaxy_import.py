# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""galaxy-importer as it is, but patient: its three minutes for ansible-lint are too few on a busy machine.

galaxy_import.py TARBALL
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import galaxy_importer.loaders.collection as loader
from galaxy_importer import main

PATIENCE_SECONDS = 1800


class PatientPopen(subprocess.Popen):  # type: ignore[type-arg]
    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        return super().communicate(input, PATIENCE_SECONDS if timeout else None)


if __name__ == "__main__":
    loader.Popen = PatientPopen
    sys.exit(main.main())
