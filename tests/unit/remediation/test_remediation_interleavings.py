"""A few hundred of the random stories of the benchmark, and that its checks notice what they must."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "remediation"))

from checks import violations
from interleavings import tell
from world import World


def test_every_rule_holds_in_random_stories() -> None:
    counts: Counter[str] = Counter()
    broken = [f"seed {seed}: {text}" for seed in range(400) for text in tell(seed, counts, to_the_end=10)]
    assert broken == []
    assert counts["intent restart"] > 50
    assert counts["breaker open"] > 20
    assert min(counts["review True"], counts["review False"], counts["review"]) > 1


@pytest.mark.parametrize(
    ("loosened", "noticed"),
    [
        ({"cooldown_seconds": 1.0, "cooldown_limit_seconds": 1.0, "settle_seconds": 0.0}, "s after the action before"),
        ({"fleet_actions": 99, "breaker_share": 1.0, "breaker_hosts": 99}, "too many actions on the fleet in an hour"),
        ({"zone_share": 1.0}, "too much of a zone at once"),
        ({"look_seconds": 1e9}, "the server was not looked at, or answered"),
        ({"stale_seconds": 1e9}, "the alerts were old"),
    ],
)
def test_a_rule_that_is_let_go_is_noticed(loosened: dict[str, float], noticed: str) -> None:
    for seed in range(3000):
        world = World(seed, locked=seed % 2 == 0)
        world.policy = replace(world.policy, **loosened)
        for _happening in range(45):
            world.step()
        if any(noticed in text for text in violations(world)):
            return
    pytest.fail("nothing was noticed")
