# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random stories of faults, lying alerts, dying controllers and two controllers at once; every rule checked in each.

    .venv/bin/python tests/benchmarks/remediation/interleavings.py [STORIES]

STORIES (100,000) stories of 15 to 45 happenings each, half with the lock of the fleet and half without it. Writes
interleavings.json beside it, only from 100,000 stories on.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from checks import neglected, violations
from world import World

SEED = 20261126


def tell(seed: int, counts: Counter[str], *, to_the_end: int = 100) -> list[str]:
    """One story; what was broken in it. One of ``to_the_end`` goes on for half a day more, so that nothing is neglected."""
    world = World(seed, locked=seed % 2 == 0)
    for _happening in range(15 + seed % 31):
        world.step()
    if seed % to_the_end == 0:
        broken = [f"neglected: {text}" for text in neglected(world)]
        broken += same_again(world)
    else:
        broken = []
    for event in world.events:
        what = event["event"]
        said = event.get("step") or event.get("effect") or event.get("state") or event.get("holds")
        counts[f"{what} {'' if said is None else said}".strip()] += 1
    counts["decisions"] += len(world.asked)
    return broken + violations(world)


def same_again(world: World) -> list[str]:
    """The last question put once more to the same record gives the same answer."""
    if not world.asked:
        return []
    last = world.asked[-1]
    kept = list(world.events)
    first = world.turn(last, []).events
    world.events = list(kept)
    second = world.turn(last, []).events
    world.events = kept
    return [] if first == second else ["the same situation was decided otherwise"]


def main() -> int:
    stories = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    counts: Counter[str] = Counter()
    broken: list[str] = []
    began = time.process_time()
    for number in range(stories):
        for text in tell(SEED + number, counts):
            broken.append(f"seed {SEED + number}: {text}")
            print(broken[-1], flush=True)
        if len(broken) > 20:
            break
        if number % 5000 == 4999:
            print(f"{number + 1} stories, {time.process_time() - began:.0f} CPU s", flush=True)
    figures = {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "python": platform.python_version(),
        "stories": stories,
        "cpu_seconds": round(time.process_time() - began),
        "violations": len(broken),
        "counts": dict(sorted(counts.items())),
    }
    print(json.dumps(figures, indent=1))
    if stories >= 100_000:
        Path(__file__).with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
