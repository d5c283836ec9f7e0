# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Tasks on the workers of an existing Dask scheduler.

The code travels with the tasks (cloudpickle, by value): a worker needs Python, numpy
and no copy of the collection, and can never run an older one by accident. Byte code
is good for one minor version of Python only, so that is compared first.
"""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import pickle
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require

CONNECT_SECONDS = 10
# How often to look whether any worker is left.
WATCH_SECONDS = 5
CORE = __name__.split("._core.", maxsplit=1)[0] + "._core"


def run_on_dask(function: Callable[[Any], Any], tasks: Sequence[Any], address: str) -> list[Any]:
    """``[function(task) for task in tasks]`` on the workers of the scheduler at ``address``.

    Raises:
        InputError: no scheduler or no worker there, another Python, a library missing on a
            worker, or workers lost on the way.
        MissingLibraryError: distributed is not installed here.
        ModelOpsError: whatever ``function`` raised.
    """
    distributed = require("distributed", purpose="Work on a Dask cluster (parallel.backend dask)")
    with _quiet(), _connect(distributed, address) as client:
        _check_workers(client, address)
        packed = [_pack(function, task) for task in tasks]
        futures = [client.submit(_remote(), payload, pure=False) for payload in packed]
        try:
            _wait(distributed, client, futures, address)
            return list(client.gather(futures))
        except ImportError as error:
            raise InputError(
                f"a worker lacks a Python library ({error})",
                where=f"parallel.address {address}",
                remedy="Install it in the Python of every worker, in the versions used here",
            ) from error
        except (OSError, distributed.KilledWorker, distributed.CancelledError) as error:
            raise InputError(
                f"the workers were lost before the work was done ({type(error).__name__})",
                where=f"parallel.address {address}",
                remedy="Look at the logs of the scheduler and its workers (memory above all), then run again",
            ) from error
        finally:
            client.cancel(futures)


@contextmanager
def _connect(distributed: Any, address: str) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"no Dask scheduler answers within {CONNECT_SECONDS} s ({type(error).__name__})",
            where=f"parallel.address {address}",
            remedy="Start one there (dask scheduler), correct the address, or set parallel.backend to loky",
        ) from error
    try:
        yield client
    finally:
        client.close()


def _check_workers(client: Any, address: str) -> None:
    workers = client.get_versions()["workers"]
    if not workers:
        raise InputError(
            "the Dask scheduler has no workers",
            where=f"parallel.address {address}",
            remedy=f"Start some with: dask worker {address}",
        )
    here = sys.version_info[:2]
    for worker, found in sorted(workers.items()):
        version = str(found["host"]["python"])
        if tuple(int(part) for part in version.split(".")[:2]) != here:
            raise InputError(
                f"worker {worker} runs Python {version}, and here it is {here[0]}.{here[1]}",
                where=f"parallel.address {address}",
                remedy="Run the workers and this module with the same minor version of Python",
            )
        if not found["packages"].get("numpy"):
            raise InputError(
                f"worker {worker} has no numpy",
                where=f"parallel.address {address}",
                remedy="Install numpy in the Python of every worker, in the version used here",
            )


def _wait(distributed: Any, client: Any, futures: Sequence[Any], address: str) -> None:
    """Wait for all, but not for a cluster that has lost its last worker."""
    while not _done(distributed, client, futures):
        if not client.nthreads():
            raise InputError(
                "all workers are gone",
                where=f"parallel.address {address}",
                remedy="Look at the logs of the workers (memory above all), then run again",
            )


def _done(distributed: Any, client: Any, futures: Sequence[Any]) -> bool:
    """Wait a while, and say whether all of them are finished, well or badly."""
    try:
        with client.as_current():
            distributed.wait(futures, timeout=WATCH_SECONDS)
    except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
        return False
    return True


def _remote() -> Callable[[bytes], Any]:
    """What a worker runs; a function inside another travels by value, with all it names."""

    def run(payload: bytes) -> Any:
        import contextlib
        import pickle as unpickler

        try:
            from threadpoolctl import threadpool_limits  # type: ignore[import-not-found,import-untyped,unused-ignore]

            calm: Any = threadpool_limits(1)
        except ImportError:
            calm = contextlib.nullcontext()
        with calm:
            function, task = unpickler.loads(payload)
            return function(task)

    return run


def _pack(function: Callable[[Any], Any], task: Any) -> bytes:
    """The function with the whole core it uses, and the task.

    cloudpickle takes the modules below :data:`CORE` by value while that package is
    registered, but memoised functions always by name; those are sent as what they wrap.
    """
    cloudpickle = require("cloudpickle", purpose="Work on a Dask cluster (parallel.backend dask)")
    memoised = type(functools.lru_cache(len))

    class Pickler(cloudpickle.Pickler):  # type: ignore[name-defined,misc]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, memoised) and value.__module__.startswith(CORE):
                return functools.cache, (value.__wrapped__,)
            return super().reducer_override(value)

    stream = io.BytesIO()
    core = sys.modules[CORE]
    cloudpickle.register_pickle_by_value(core)
    try:
        Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump((function, task))
    finally:
        cloudpickle.unregister_pickle_by_value(core)
    return stream.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Whatever goes wrong is in the error raised; the library's own remarks would only garble the output."""
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
