# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask every replica of a plan for a completion through its own port, and show what it says.

    ask.py .demo/output/plan.json

Exits with 1 when a replica of the plan does not answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 20.0


def complete(port: int, model: str) -> str:
    body = json.dumps({"model": model, "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0.8}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        return str(json.load(response)["choices"][0]["text"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", help="plan.json, made for hosts that are all on this machine")
    with open(parser.parse_args().plan, encoding="utf-8") as stream:
        placements = json.load(stream)["placements"]
    silent = 0
    for placement in placements:
        began = time.monotonic()
        try:
            text = complete(placement["port"], placement["model"])
            # Random weights say random bytes: show those a terminal can.
            answer = "'" + "".join(character if " " <= character <= "~" else "." for character in text) + "'"
        except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
            silent += 1
            answer = f"NO ANSWER: {error}"
        print(
            f"  {placement['host']:<8} port {placement['port']}  {placement['model']:<12} "
            f"{1000 * (time.monotonic() - began):5.0f} ms  {answer[:60]}"
        )
    print(f"  {len(placements) - silent} of {len(placements)} replicas answered")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
