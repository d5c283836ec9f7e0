# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks of allocation share: instances, CPU seconds, result files.

Peers that are packages of their own (highspy, PuLP) are taken from .cache/allocation-benchmark,
which share.py builds from requirements/allocation-benchmark.in, or from the environment
that MODELOPS_BENCHMARK_ENV names; a peer that is absent is left out and said to be.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("MODELOPS_DATA", ROOT.parent / "shared" / "data"))
ENVIRONMENT = Path(os.environ.get("MODELOPS_BENCHMARK_ENV", ROOT / ".cache" / "allocation-benchmark"))
sys.path.insert(0, str(ROOT / "tests" / "unit" / "allocation"))
# Packages that only the peers need come last: what the project runs with stays what it is.
sys.path.extend(str(path) for path in ENVIRONMENT.glob("lib/python*/site-packages"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def cpu(call: Callable[[], Any], repeat: int = 1) -> tuple[float, Any]:
    """CPU seconds of the quickest of ``repeat`` calls, and what it returned."""
    best, result = float("inf"), None
    for _unused in range(repeat):
        before = time.process_time()
        result = call()
        best = min(best, time.process_time() - before)
    return best, result


def write(script: str, rows: list[dict[str, Any]], *packages: str, **about: Any) -> None:
    """Print the table and write it beside the script, with date and versions."""
    versions = {"python": platform.python_version()}
    versions.update({name: _version(name) for name in ("numpy", "scipy", "ortools", *packages)})
    result = {
        "date": datetime.now(tz=timezone.utc).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "versions": versions,
        **about,
        "rows": rows,
    }
    Path(script).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(json.dumps(row))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def warm_up() -> None:
    """Import what the first call would import."""
    from allocation_instances import instance

    from ansible_collections.modelops.datacenter.plugins.module_utils._core.allocation.allocate import allocate

    some = instance(20, 3)
    allocate(some.hosts, some.models, some.demands(), [])
