# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up canaries for the benchmark of the judge, and the gates it stands beside.

Latency is lognormal with sigma 0.8; each host has a factor of its own, lognormal with sigma 0.1 (10 % host-to-host
spread); the baseline's median puts its P99 at 400 ms, below the fixed threshold's 500 ms, and its P95 at the SLO, so that
5 % are slow. One host is canary; the baseline is one host at a share of 50 %, three at 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.bad_events import cut_windows, weigh
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.events import Events
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.judge import Case, judge
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.outcomes import Slo
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import Settings

SIGMA, SPREAD, LOOKS, ALPHA = 0.8, 0.1, 20, 0.01
MEDIAN_MS = 400.0 / np.exp(2.3263 * SIGMA)
SLO_MS = MEDIAN_MS * np.exp(1.6449 * SIGMA)
UNIFORM = tuple((ratio, 1.0 / 6.0) for ratio in (1.5, 2.0, 3.0, 5.0, 10.0, 20.0))


@dataclass(frozen=True)
class Scenario:
    """``canary``: requests of the canary; ``share``: its part of all; ``bad``: failure ratio of baseline and canary;
    ``slower``: the canary's latency, times the baseline's."""

    canary: int
    share: float
    bad: tuple[float, float] = (0.001, 0.001)
    slower: float = 1.0


@dataclass(frozen=True)
class Run:
    """Requests in order: who answered, whether it failed, milliseconds, and the server's number."""

    canary: np.ndarray
    failed: np.ndarray
    latency: np.ndarray
    host: np.ndarray

    def until(self, canary_requests: int) -> Run:
        end = int(np.searchsorted(np.cumsum(self.canary), canary_requests)) + 1
        return Run(self.canary[:end], self.failed[:end], self.latency[:end], self.host[:end])

    @property
    def slow_or_failed(self) -> np.ndarray:
        return self.failed | (self.latency > SLO_MS)


def draw(scenario: Scenario, rng: np.random.Generator) -> Run:
    """One rollout, up to the canary's last request."""
    count = int(scenario.canary / scenario.share * 1.5) + 400
    canary = rng.random(count) < scenario.share
    hosts = 1 if scenario.share >= 0.5 else 3
    host = np.where(canary, 0, 1 + rng.integers(0, hosts, count))
    factor = np.exp(rng.normal(0.0, SPREAD, hosts + 1))
    latency = MEDIAN_MS * factor[host] * np.exp(rng.normal(0.0, SIGMA, count)) * np.where(canary, scenario.slower, 1.0)
    failed = rng.random(count) < np.where(canary, scenario.bad[1], scenario.bad[0])
    return Run(canary, failed, latency, host).until(scenario.canary)


def ours(run: Run, *, final: bool = True) -> str:
    """The judge's verdict. E is its largest at any look up to here, so one call stands for looking after every window."""
    milliseconds = tuple(run.latency.tolist())
    events = Events(
        at=tuple(float(row) for row in range(len(run.canary))),
        server=tuple(f"h{number}-0" for number in run.host.tolist()),
        status=tuple(np.where(run.failed, 503, 200).tolist()),
        term=("----",) * len(run.canary),
        synthetic=(False,) * len(run.canary),
        measures={"ttft_ms": milliseconds},
    )
    others = tuple(f"h{number}-0" for number in range(1, 4))
    case = Case(events, ("h0-0",), others, Slo(ttft_ms=SLO_MS), final=final)
    return judge(case, Settings(warmup_seconds=0, soak_seconds=0)).verdict


def uniform_mixture(run: Run) -> bool:
    """RELIABILITY's first design: one kind of bad event, equal weights, no margin."""
    windows = cut_windows(run.canary.tolist(), run.slow_or_failed.tolist())
    evidence = weigh([(float(row), "bad", window) for row, window in windows], {}, UNIFORM, {"bad": 1.0})
    return evidence.largest >= 1.0 / ALPHA


def mann_whitney(run: Run) -> bool:
    """A plain gate at the final look."""
    return _slower(run.latency[run.canary], run.latency[~run.canary])


def mann_whitney_peeked(run: Run) -> bool:
    """The same gate, looked at twenty times."""
    return any(_slower(run.latency[:e][run.canary[:e]], run.latency[:e][~run.canary[:e]]) for e in _looks(run))


def fisher_peeked(run: Run) -> bool:
    """Fisher's exact test on failures, one-sided, looked at twenty times."""
    ends = _looks(run)
    asked = np.cumsum(run.canary)[ends - 1]
    bad, own = np.cumsum(run.failed)[ends - 1], np.cumsum(run.failed & run.canary)[ends - 1]
    return bool((stats.hypergeom.sf(own - 1, ends, bad, asked) < ALPHA).any())


def fixed_threshold(run: Run) -> bool:
    """Success >= 99 % and P99 <= 500 ms of the canary in each of ten intervals, rolled back at the first miss."""
    return _misses(run) >= 1


def fixed_threshold_five(run: Run) -> bool:
    """The same, rolled back at the fifth miss."""
    return _misses(run) >= 5


GATES = {
    "uniform mixture, one kind of bad event": uniform_mixture,
    "Mann-Whitney, final look": mann_whitney,
    "Mann-Whitney, 20 looks": mann_whitney_peeked,
    "Fisher, 20 looks": fisher_peeked,
    "fixed threshold, 1 miss": fixed_threshold,
    "fixed threshold, 5 misses": fixed_threshold_five,
}


def _slower(canary: np.ndarray, baseline: np.ndarray) -> bool:
    if not canary.size or not baseline.size:
        return False
    found = stats.mannwhitneyu(canary, baseline, alternative="greater", method="asymptotic")
    return bool(found.pvalue < ALPHA)


def _looks(run: Run) -> np.ndarray:
    return np.linspace(len(run.canary) / LOOKS, len(run.canary), LOOKS).astype(int)


def _misses(run: Run) -> int:
    missed = 0
    for part in np.array_split(np.arange(len(run.canary)), 10):
        own = part[run.canary[part]]
        if own.size:
            good = run.failed[own].mean() <= 0.01 and np.quantile(run.latency[own], 0.99) <= 500.0
            missed += not good
    return missed
