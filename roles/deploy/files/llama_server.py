# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The llama.cpp server out of the Python package ``xllamacpp``, under llama-server's own flags.

    llama_server.py --model tiny.gguf --host 127.0.0.1 --port 8100 --metrics

For hosts without a ``llama-server`` binary: the wheel carries the same compiled server.
Each flag can also be given as llama-server's own ``LLAMA_ARG_*`` environment variable;
a flag wins over its variable. SIGTERM and SIGINT end it with 0, also while it loads;
as in llama-server, running work is then cut, so drain the gateway first.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys
import threading

FLAGS = (
    # names, environment variable, type, default, help
    (("-m", "--model"), "LLAMA_ARG_MODEL", str, None, "the GGUF file to serve"),
    (("-a", "--alias"), "LLAMA_ARG_ALIAS", str, None, "served model name (default: the file's name)"),
    (("--host",), "LLAMA_ARG_HOST", str, "127.0.0.1", "address to listen on"),
    (("--port",), "LLAMA_ARG_PORT", int, 8080, "port to listen on"),
    (("-c", "--ctx-size"), "LLAMA_ARG_CTX_SIZE", int, 0, "context in tokens, shared by the slots (0: the model's)"),
    (("-np", "--parallel"), "LLAMA_ARG_N_PARALLEL", int, 1, "requests worked on at once"),
    (("-t", "--threads"), "LLAMA_ARG_THREADS", int, -1, "CPU threads (-1: one a core)"),
    (("-b", "--batch-size"), "LLAMA_ARG_BATCH", int, 2048, "logical batch in tokens"),
    (("-ub", "--ubatch-size"), "LLAMA_ARG_UBATCH", int, 512, "physical batch in tokens"),
    (("-ngl", "--n-gpu-layers"), "LLAMA_ARG_N_GPU_LAYERS", int, -1, "layers kept on the accelerator (-1: automatic)"),
    (("--api-key-file",), "LLAMA_ARG_API_KEY_FILE", str, None, "file with one API key a line"),
)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llama_server.py", description=__doc__.splitlines()[0], allow_abbrev=False)
    for names, variable, kind, default, text in FLAGS:
        value = os.environ.get(variable)
        parser.add_argument(*names, type=kind, default=default if value is None else value, help=f"{text} [{variable}]")
    parser.add_argument(
        "--metrics",
        action="store_true",
        default=os.environ.get("LLAMA_ARG_ENDPOINT_METRICS", "").lower() in ("1", "true", "on", "enabled"),
        help="answer /metrics [LLAMA_ARG_ENDPOINT_METRICS]",
    )
    options = parser.parse_args()
    if not options.model:
        parser.error("no model: give --model FILE")
    if not os.path.isfile(options.model):
        parser.error(f"--model {options.model}: no such file")
    options.api_keys = [os.environ["LLAMA_API_KEY"]] if os.environ.get("LLAMA_API_KEY") else []
    if options.api_key_file:
        try:
            with open(options.api_key_file, encoding="utf-8") as stream:
                options.api_keys += [line.strip() for line in stream if line.strip()]
        except OSError as error:
            parser.error(f"--api-key-file {options.api_key_file}: {error.strerror}")
        if not options.api_keys:
            parser.error(f"--api-key-file {options.api_key_file}: holds no key")
    return options


def serve(options: argparse.Namespace) -> object:
    """Load the model and listen; the returned server works in threads of its own until it is dropped."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = [options.host]
    params.port = options.port
    params.model_alias = {options.alias or pathlib.Path(options.model).name}
    params.n_ctx = options.ctx_size
    params.n_parallel = options.parallel
    params.n_batch = options.batch_size
    params.n_ubatch = options.ubatch_size
    params.n_gpu_layers = options.n_gpu_layers
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.api_keys = options.api_keys
    params.endpoint_metrics = options.metrics
    return xllamacpp.Server(params)


def main() -> None:
    options = parse_options()
    ends = {signal.SIGTERM, signal.SIGINT}
    # Blocked before any thread starts, so that all of them inherit it: the kernel may hand a
    # signal to any thread that does not block it, and only the main thread waits for one here.
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    servers: list[object] = []

    def load() -> None:
        try:
            servers.append(serve(options))
        except BaseException as error:
            print(f"llama_server.py: {options.model}: {error}", file=sys.stderr, flush=True)
            os._exit(1)

    threading.Thread(target=load, daemon=True).start()
    signal.sigwait(ends)
    # The compiled server has no call that also ends a load: leave as llama-server does, at once.
    os._exit(0)


if __name__ == "__main__":
    main()
