# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a real server at the speed of a slower machine, or until it crashes.

    paced.py --share 0.15 -- /opt/llama/bin/python llama_server.py --port 8100 ...

The server is stopped and continued (SIGSTOP, SIGCONT) so that it runs for ``--share`` of each
``--period`` once it has had ``--start-seconds`` to load. A tiny model then streams for seconds, as a
large one does, and costs a fraction of a core. ``--crash-after`` kills it that many seconds after its start, as a
fault in its memory would. SIGTERM and SIGINT are passed on; the server's exit is this program's.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the time that the server runs")
    parser.add_argument("--period", type=float, default=0.04, help="seconds of one stop and go")
    parser.add_argument("--start-seconds", type=float, default=4.0, help="at full speed first")
    parser.add_argument("--crash-after", type=float, default=0.0, help="seconds; 0 is never")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if not 0 < options.share <= 1:
        parser.error("--share must be above 0 and at most 1")
    return options


def main() -> int:
    options = parse()
    server = subprocess.Popen(options.command)

    def end(signum: int, _frame: object) -> None:
        server.send_signal(signal.SIGCONT)
        server.send_signal(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)
    began = time.monotonic()
    while server.poll() is None:
        age = time.monotonic() - began
        if options.crash_after and age > options.crash_after:
            server.send_signal(signal.SIGCONT)
            server.send_signal(signal.SIGSEGV)
            server.wait()
        elif age < options.start_seconds or options.share == 1:
            time.sleep(0.1)
        else:
            server.send_signal(signal.SIGSTOP)
            time.sleep(options.period * (1 - options.share))
            server.send_signal(signal.SIGCONT)
            time.sleep(options.period * options.share)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(main())
