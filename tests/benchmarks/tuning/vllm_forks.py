# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of vLLM forked from one process that has imported it: the three processes of a server import for a minute
of computing where they are spawned, more than all else a measurement takes. Runs in vLLM's environment.

Reads a line of JSON for each server (``arguments``, ``environment``, ``log``) and answers with the process id of its
main process, which leads a group of its own. What is set before libraries are loaded (binding of threads) is not
set for forked ones: keep it on one core.
"""

import gc
import importlib
import json
import multiprocessing
import os
import signal
import sys

os.environ |= {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}

from vllm.entrypoints.launchers.api_server.entry import main

LATE = (
    "vllm.model_executor.models.llama",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.executor.multiproc_executor",
    "vllm.v1.worker.cpu_worker",
)
for late in LATE:
    importlib.import_module(late)


def serve(arguments: list, environment: dict, log: str) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((null, output, output)):
        os.dup2(source, number)
    os.environ |= environment
    context = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda *_method: context
    sys.argv = ["api_server", *arguments]
    main()


def run() -> None:
    # The system reaps what ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        try:
            serve(**json.loads(line))
        except BaseException as error:  # a fork must not go on with the loop of its parent
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(0 if isinstance(error, SystemExit) and not error.code else 1)
        os._exit(0)


if __name__ == "__main__":
    run()
