# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same numbers from one process, from two, and from the workers of a Dask scheduler."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast import dask_workers
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.fallback import forecast_short
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.parallel import (
    Parallel,
    parse_parallel,
    run_tasks,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.forecast.specification import ForecastOptions

START_SECONDS = 60
HISTORIES = [np.random.default_rng(seed).gamma(2.0, 3.0, 30) for seed in range(7)]
FORECAST = partial(forecast_short, season=24, options=ForecastOptions(horizon_steps=24, window_steps=6))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, Parallel()),
        ({"n_jobs": -1, "parallel": None}, Parallel(-1)),
        ({"n_jobs": 2, "parallel": {"backend": "loky"}}, Parallel(2)),
        (
            {"parallel": {"backend": "dask", "address": "tcp://127.0.0.1:8786"}},
            Parallel(1, "dask", "tcp://127.0.0.1:8786"),
        ),
    ],
)
def test_what_can_be_asked(params, expected):
    assert parse_parallel(params) == expected


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_jobs": 0}, "n_jobs must be a number of processes"),
        ({"n_jobs": 1.5}, "not 1.5"),
        ({"parallel": "dask"}, "must be a mapping"),
        ({"parallel": {"backend": "ray"}}, "one of loky, dask, not 'ray'"),
        ({"parallel": {"backend": "loky", "workers": 3}}, "no key 'workers'"),
        ({"parallel": {"address": "tcp://127.0.0.1:8786"}}, "parallel.backend is not dask"),
        ({"parallel": {"backend": "dask"}}, "needs parallel.address"),
        ({"parallel": {"backend": "dask", "address": "127.0.0.1:8786"}}, "for example tcp://127.0.0.1:8786"),
    ],
)
def test_what_cannot(params, said):
    with pytest.raises(InputError, match=said):
        parse_parallel(params)


def _same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.mean, other.mean)
        np.testing.assert_array_equal(one.quantiles, other.quantiles)
        np.testing.assert_array_equal(one.window_maximum, other.window_maximum)


def test_two_processes_give_the_numbers_of_one():
    pytest.importorskip("joblib")
    _same(run_tasks(FORECAST, HISTORIES, n_jobs=2), [FORECAST(values) for values in HISTORIES])
    assert run_tasks(FORECAST, [], n_jobs=2) == []


def test_a_packed_task_runs_where_the_collection_is_not_installed(tmp_path):
    pytest.importorskip("cloudpickle")
    packed = tmp_path / "task"
    packed.write_bytes(dask_workers._pack(FORECAST, HISTORIES[0]))
    program = (
        "import pickle, sys\n"
        "sys.modules['ansible_collections'] = None\n"
        "function, task = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(repr(float(function(task).quantiles[3, 5])))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(packed)], check=True, capture_output=True, text=True, timeout=60
    )
    assert float(ran.stdout) == FORECAST(HISTORIES[0]).quantiles[3, 5]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _start(program: str, *arguments: str, folder) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """Address of a scheduler, and how to give it two workers."""
    distributed = pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    started = [_start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), folder=folder)]

    def add_workers() -> None:
        for number in range(2):
            scratch = str(folder / f"worker{number}")
            arguments = (address, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--local-directory", scratch)
            started.append(_start("dask_worker", *arguments, folder=folder))
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=START_SECONDS)

    try:
        deadline = time.monotonic() + START_SECONDS
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline and started[0].poll() is None, "the scheduler did not start"
            time.sleep(0.1)
        yield address, add_workers
    finally:
        for process in started:
            process.kill()
            process.wait(timeout=30)


def test_a_dask_cluster_gives_the_numbers_of_one_process(scheduler):
    address, add_workers = scheduler
    with pytest.raises(InputError, match=f"parallel.address {address}: the Dask scheduler has no workers"):
        run_tasks(FORECAST, HISTORIES, backend="dask", address=address)
    add_workers()
    _same(run_tasks(FORECAST, HISTORIES, backend="dask", address=address), [FORECAST(one) for one in HISTORIES])
    with pytest.raises(InputError, match="never"):
        run_tasks(parse_moment, ["never"], backend="dask", address=address)


def test_workers_that_die_end_the_wait(scheduler, monkeypatch):
    """Runs last on the cluster: it takes the workers away."""
    address, _add_workers = scheduler
    monkeypatch.setattr(dask_workers, "WATCH_SECONDS", 0.5)
    with pytest.raises(InputError, match=r"workers (are gone|were lost)|worker lacks"):
        run_tasks(os._exit, [3], backend="dask", address=address)


def test_no_scheduler_is_one_clear_message(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{_free_port()}"
    with pytest.raises(InputError, match=f"parallel.address {address}: no Dask scheduler answers within 1 s"):
        run_tasks(FORECAST, HISTORIES, backend="dask", address=address)
