# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The judge of a canary: promote, roll back, hold or freeze.

In this order:

1. A hard failure (crash, wrong digest, a golden prompt answered otherwise, a failed probe): fail. One is enough.
2. The judge could not see (metrics down, a gap, clocks apart): provider_error; the n-th in a row: inconclusive.
3. E >= 1/alpha on bad events, at any look: fail.
4. At the final look, once there are enough requests: a latency above the margin with p < alpha / (measures x looks), by more than
   hosts differ: fail.
5. pass needs all of: the final look, enough requests on both arms, the soak time, latency compared, and the
   upper bounds of what failed, and of what failed or was slow, each within the budget (or twice the baseline's own
   ratio of the same, where that is more).
6. Otherwise inconclusive, with what is missing. Time alone never promotes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout import verdict as verdicts
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.bad_events import (
    Evidence,
    Window,
    cut_windows,
    weigh,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.bounds import Budget, budget_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.events import Events
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.figures import as_figures
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.latency_shift import (
    Shift,
    compare,
    least_telling_ratio,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.missing import Missing, what_is_missing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.outcomes import (
    FAILED,
    LEFT_OUT,
    REFUSED,
    SLOW,
    Slo,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.samples import (
    LATENCIES,
    Count,
    Sample,
    count,
    latency_strata,
    take_samples,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import Settings


@dataclass(frozen=True)
class Case:
    """What there is to judge. ``hard_failures`` and ``provider_errors`` in words; ``earlier_provider_errors``:
    how many looks in a row before this one could not see."""

    events: Events
    canary: tuple[str, ...]
    baseline: tuple[str, ...]
    slo: Slo
    hard_failures: tuple[str, ...] = ()
    provider_errors: tuple[str, ...] = ()
    earlier_provider_errors: int = 0
    final: bool = False


@dataclass(frozen=True)
class Findings:
    """Everything that was computed on the way to a verdict."""

    canary: Count
    baseline: Count
    evidence: Evidence
    shifts: dict[str, Shift]
    bad: Budget
    failed: Budget
    missing: Missing
    soaked_seconds: float
    telling_ratio: float


def judge(case: Case, settings: Settings) -> verdicts.Verdict:
    """The verdict on ``case``; the same events give the same verdict, in whatever order they came.

    Raises:
        InputError: an arm has no server, or a server is on both.
    """
    _check_arms(case)
    found = _find(case, settings)
    kind, reasons = _decide(case, settings, found)
    return verdicts.Verdict(kind, tuple(reasons), as_figures(found, settings))


def gather_evidence(samples: Sequence[Sample], settings: Settings) -> Evidence:
    """The sequential test on bad events over all windows that closed; real and synthetic requests apart."""
    kinds = {FAILED: (FAILED,), SLOW: (SLOW, FAILED), REFUSED: (REFUSED, FAILED)}
    windows: list[tuple[float, str, Window]] = []
    for synthetic in (False, True):
        asked = [one for one in samples if one.synthetic is synthetic and one.says != LEFT_OUT]
        for kind, bad in kinds.items():
            own = [one for one in asked if kind == FAILED or not one.warming]
            cut = cut_windows([one.canary for one in own], [one.says in bad for one in own])
            windows += [(own[row].ended_at, kind, window) for row, window in cut]
    return weigh(windows, {FAILED: 1.0, SLOW: settings.slow_margin, REFUSED: settings.slow_margin})


def _check_arms(case: Case) -> None:
    for name, servers in (("canary", case.canary), ("baseline", case.baseline)):
        if not servers:
            raise InputError(f"the {name} has no server", where=name, remedy="Name at least one, as HOST-SLOT")
    both = sorted(set(case.canary) & set(case.baseline))
    if both:
        raise InputError(f"{both[0]} is both canary and baseline", where="canary, baseline")


def _find(case: Case, settings: Settings) -> Findings:
    warmup = (settings.warmup_seconds, settings.warmup_requests)
    samples = take_samples(case.events, case.canary, case.baseline, case.slo, warmup)
    canary, baseline = count(samples, canary=True), count(samples, canary=False)
    shifts = {}
    for spot, name in enumerate(LATENCIES):
        if any(math.isfinite(one.latencies[spot]) for one in samples):
            shifts[name] = compare(latency_strata(samples, spot), settings.latency_margin)
    bad, failed = (
        budget_of(own, canary.bounded, other, baseline.bounded, settings)
        for own, other in ((canary.bad, baseline.bad), (canary.failed, baseline.failed))
    )
    began = min((one.at for one in samples if one.canary), default=math.inf)
    ended = max((one.ended_at for one in samples if one.canary), default=-math.inf)
    soaked = max(0.0, ended - began) if canary.requests else 0.0
    return Findings(
        canary,
        baseline,
        gather_evidence(samples, settings),
        shifts,
        bad,
        failed,
        what_is_missing(canary, baseline, (bad, failed), settings),
        soaked,
        least_telling_ratio(settings.host_spread, *(_hosts(case.events, arm) for arm in (case.canary, case.baseline))),
    )


def _hosts(events: Events, servers: Sequence[str]) -> int:
    """Hosts of an arm that answered; a server is named HOST-SLOT."""
    return len({name.rpartition("-")[0] or name for name in set(servers) & set(events.server)})


def _decide(case: Case, settings: Settings, found: Findings) -> tuple[str, list[str]]:
    if case.hard_failures:
        return verdicts.FAIL, [f"hard failure: {text}" for text in case.hard_failures]
    if case.provider_errors:
        reasons = [f"the judge cannot see: {text}" for text in case.provider_errors]
        in_a_row = case.earlier_provider_errors + 1
        if in_a_row >= settings.provider_error_limit:
            return verdicts.INCONCLUSIVE, [*reasons, f"{in_a_row} looks in a row could not see"]
        return verdicts.PROVIDER_ERROR, [*reasons, "frozen: neither promoted nor rolled back"]
    if found.evidence.largest >= 1.0 / settings.alpha:
        return verdicts.FAIL, [_bad_events(found, settings)]
    held = _held(case, settings, found)
    if case.final and not found.missing.requests and found.soaked_seconds >= settings.soak_seconds:
        slower = _slower(found, settings)
        if slower:
            return verdicts.FAIL, slower
    if held:
        return verdicts.INCONCLUSIVE, held
    return verdicts.PASS, [
        f"{found.canary.answered} requests on the canary and {found.baseline.answered} on the baseline, at most "
        f"{found.bad.bound:.2%} bad with {settings.confidence:.0%} confidence, no latency above {settings.latency_margin:g} times"
    ]


def _bad_events(found: Findings, settings: Settings) -> str:
    canary, baseline = found.canary, found.baseline
    return (
        f"bad events fall on the canary: {canary.failed} failed, {canary.slow} slow, {canary.refused} refused of "
        f"{canary.requests}, against {baseline.failed}, {baseline.slow}, {baseline.refused} of {baseline.requests} "
        f"on the baseline (E {found.evidence.largest:.4g}, limit {1.0 / settings.alpha:g})"
    )


def _slower(found: Findings, settings: Settings) -> list[str]:
    limit = settings.alpha / (max(1, len(found.shifts)) * settings.latency_looks)
    return [
        f"{name} is {shift.ratio:.3g} times the baseline's (98 % interval {shift.lower:.3g} to {shift.upper:.3g}), "
        f"above the margin {settings.latency_margin:.3g} (p {shift.p_value:.2g})"
        for name, shift in found.shifts.items()
        if shift.p_value < limit and shift.ratio >= found.telling_ratio
    ]


def _held(case: Case, settings: Settings, found: Findings) -> list[str]:
    """Why the canary is not promoted yet; empty when nothing is in the way."""
    held = list(found.missing.reasons)
    if found.soaked_seconds < settings.soak_seconds:
        left = settings.soak_seconds - found.soaked_seconds
        held.append(f"the canary must soak {left:.0f} seconds more")
    for what, part in (("failed", found.failed), ("bad", found.bad)):
        if not found.missing.requests and part.bound > part.allowed:
            held.append(f"up to {part.bound:.2%} may be {what}, {part.allowed:.2%} are allowed")
    compared = max((shift.canary for shift in found.shifts.values()), default=0)
    if not found.missing.requests and compared < settings.minimum_requests / 2:
        held.append(f"latency could be compared on {compared} canary requests only")
    if not case.final:
        held.append("this is not the final look; nothing so far speaks against the canary")
    return held
