# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Tasks in this process, in several on this machine, or on the workers of a Dask scheduler.

The results are the same and in the same order wherever the tasks run: a task holds
all it needs, and numpy keeps to one thread in every worker. The code needs to be
installed nowhere else, see :mod:`dask_workers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

BACKENDS = ("loky", "dask")
PROTOCOLS = ("tcp://", "tls://", "ucx://", "ws://", "wss://")


@dataclass(frozen=True)
class Parallel:
    """Where tasks run.

    Attributes:
        n_jobs: processes for ``loky``; -1 is one a core; of no effect for ``dask``.
        backend: one of :data:`BACKENDS`.
        address: of the Dask scheduler, None for ``loky``.
    """

    n_jobs: int = 1
    backend: str = "loky"
    address: str | None = None


def parse_parallel(params: Mapping[str, Any]) -> Parallel:
    """Read ``{"n_jobs": int, "parallel": {"backend": ..., "address": ...}}``; both may be absent or None.

    Raises:
        InputError: the first value that is wrong.
    """
    wanted = params.get("n_jobs")
    n_jobs = expect_number(1 if wanted is None else wanted, what="n_jobs", minimum=-1)
    if n_jobs == 0 or n_jobs != int(n_jobs):
        raise InputError(f"n_jobs must be a number of processes, or -1 for all cores, not {n_jobs:g}")
    given = params.get("parallel")
    if given is None:
        return Parallel(int(n_jobs))
    if not isinstance(given, Mapping):
        raise InputError(f"parallel must be a mapping with backend and address, not {given!r}")
    unknown = sorted(str(key) for key in given if key not in ("backend", "address"))
    if unknown:
        raise InputError(f"parallel has no key {unknown[0]!r}", remedy="Its keys are backend and address")
    backend = given.get("backend") or "loky"
    if backend not in BACKENDS:
        raise InputError(f"parallel.backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    return Parallel(int(n_jobs), backend, _address(given.get("address"), backend))


def _address(address: Any, backend: str) -> str | None:
    if backend != "dask":
        if address:
            raise InputError(
                "parallel.address is of a Dask scheduler, but parallel.backend is not dask",
                remedy="Set parallel.backend to dask, or leave the address out",
            )
        return None
    if not isinstance(address, str) or not address.startswith(PROTOCOLS) or not address.split("://")[1]:
        raise InputError(
            f"parallel.backend dask needs parallel.address, the address of a running scheduler, not {address!r}",
            remedy="Write it as the scheduler prints it, for example tcp://127.0.0.1:8786",
        )
    return address


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    n_jobs: int = 1,
    backend: str = "loky",
    address: str | None = None,
) -> list[Any]:
    """``[function(task) for task in tasks]``, wherever it is computed.

    Args:
        function: of one argument, defined at the top of a module of the core, or a
            ``functools.partial`` of one.
        tasks: what it is called with; they travel to the workers.
        n_jobs: processes of the ``loky`` backend.
        backend: one of :data:`BACKENDS`.
        address: of the Dask scheduler.

    Raises:
        InputError: the scheduler or its workers are not what is needed.
        MissingLibraryError: joblib or distributed is absent.
        ModelOpsError: whatever ``function`` raised.
    """
    if not tasks:
        return []
    if backend == "dask":
        from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.dask_workers import (
            run_on_dask,
        )

        return run_on_dask(function, tasks, address or "")
    if n_jobs == 1 or len(tasks) == 1:
        return [function(task) for task in tasks]
    joblib = require("joblib", purpose="Forecasting with n_jobs other than 1")
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        return list(joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(function)(task) for task in tasks))
