# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Service levels: what counts as bad, how fast the error budget burns, and the symptoms beside it.

For a service level with objective ``o`` the budget is ``1 - o``. Over a window ``w``

    burn(w) = bad(w) / all(w) / (1 - o)

An alert needs a long and a short window above its threshold: the long one says that it matters, the
short one that it still goes on (Google SRE workbook, chapter 5). Burn is at most ``1 / (1 - o)``, so a
threshold is capped at half of that: below an objective of 93.1 % a threshold of 14.4 could never be reached.

Requests are counted by the gateway's log, where cut streams show; without a gateway by the engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.names import REPLICA
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import (
    Alert,
    Group,
    Recording,
    Rule,
    duration,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import Settings

# (long window, short window), seconds; fast page, slow page, ticket.
WINDOWS = ((3600, 300), (21600, 1800), (259200, 21600))
ALL_WINDOWS = tuple(sorted({one for pair in WINDOWS for one in pair}))
# Bounds of the histograms of vLLM, SGLang and the gateway's figures, in seconds, as they are written there.
BOUNDS = (
    "0.001", "0.005", "0.01", "0.02", "0.025", "0.03", "0.04", "0.05", "0.06", "0.075", "0.08", "0.1", "0.15", "0.2",
    "0.25", "0.3", "0.4", "0.5", "0.6", "0.75", "0.8", "1", "1.5", "2", "2.5", "3", "4", "5", "6", "7.5", "8", "10",
    "15", "20", "30", "40", "60", "80", "100", "120", "160", "200", "400", "640",
)  # fmt: skip
BOUNDS_TRIED = 8


@dataclass(frozen=True)
class Level:
    """One service level: ``bad`` and ``all`` are expressions per model, with ``WINDOW`` where the window stands."""

    alert: str
    series: str
    objective: float
    bad: str
    all: str
    minimum_bad: float
    minimum_all: float
    says: str


def capped(threshold: float, objective: float) -> float:
    """The threshold, at most half of the largest possible burn."""
    return min(threshold, 0.5 / (1.0 - objective))


def slo_rules(settings: Settings) -> list[Group]:
    """Recorded ratios and burn alerts, a group each so that one slow query does not hold up the other."""
    levels = _levels(settings)
    recordings: list[Rule] = [*_good_latency(settings)]
    for level in levels:
        for window in ALL_WINDOWS:
            length = duration(window)
            bad, all_ = level.bad.replace("WINDOW", length), level.all.replace("WINDOW", length)
            recordings.append(Recording(f"{level.series}:ratio_{length}", f"({bad})\n/ (({all_}) > 0)"))
    alerts = [alert for level in levels for alert in _burns(level, settings)]
    return [Group("modelops-service-levels", recordings), Group("modelops-burn", alerts)]


def _levels(settings: Settings) -> list[Level]:
    requests = 'sum by (model) (increase(modelops_gateway_requests_total{outcome!~"refused|client_left"}[WINDOW]))'
    failed = 'sum by (model) (increase(modelops_gateway_requests_total{outcome=~"failed|truncated"}[WINDOW]))'
    cut = 'sum by (model) (increase(modelops_gateway_requests_total{outcome="truncated"}[WINDOW]))'
    engine_all = "sum by (model) (increase(modelops:requests_total[WINDOW]))"
    engine_bad = "sum by (model) (increase(modelops:errors_total[WINDOW]))"
    levels = [
        Level(
            "ModelAvailabilityBurn", "modelops:unavailable", settings.availability_objective,
            f"{failed}\nor {engine_bad}", f"{requests}\nor {engine_all}",
            settings.burn_minimum_bad, 0.0, "requests failed or were cut",
        ),
        Level(
            "StreamsTruncated", "modelops:truncated", settings.completeness_objective,
            cut, requests, settings.truncated_minimum, 0.0, "answers were cut after they had begun",
        ),
    ]  # fmt: skip
    # A model without a target has no series here, so nothing of it burns.
    for alert, series, objective, says in (
        ("ModelTtftBurn", "modelops:ttft", settings.ttft_objective, "requests waited too long for their first token"),
        ("ModelInterTokenBurn", "modelops:inter_token", settings.inter_token_objective, "tokens came too slowly"),
    ):
        measured, good = f"sum by (model) ({series}_measured:WINDOW)", f"sum by (model) ({series}_good:WINDOW)"
        if any(_has_target(alert, targets) for targets in settings.models.values()):
            levels.append(
                Level(
                    alert,
                    f"{series}_slow",
                    objective,
                    f"{measured} - {good}",
                    measured,
                    0.0,
                    settings.burn_minimum_requests,
                    says,
                )
            )
    return levels


def _has_target(alert: str, targets: object) -> bool:
    name = "ttft_seconds" if alert == "ModelTtftBurn" else "inter_token_seconds"
    return getattr(targets, name) is not None


def _good_latency(settings: Settings) -> list[Recording]:
    """Per model with a target and window: how many were measured, and how many of them within the target.

    Names end in the window, such as ``modelops:ttft_good:5m``. The gateway measures the time to the
    response's headers, which is that to the first token where the engine waits for it (llama.cpp, TGI).
    Where only a mean over a minute is known, all tokens of that minute count as slow or as not.
    """
    ttft = {name: one.ttft_seconds for name, one in settings.models.items() if one.ttft_seconds is not None}
    gaps = {
        name: one.inter_token_seconds for name, one in settings.models.items() if one.inter_token_seconds is not None
    }
    rules = []
    if gaps:
        slow = "\nor ".join(
            f"modelops:tokens:rate1m{_of(model)} * (modelops:inter_token_seconds:mean1m{_of(model)} <= bool {limit:g})"
            for model, limit in sorted(gaps.items())
        )
        rules += [
            Recording("modelops:tokens:rate1m", "rate(modelops:tokens_total[1m])"),
            Recording("modelops:tokens_in_time:rate1m", slow),
        ]
    for window in ALL_WINDOWS if ttft or gaps else ():
        length = duration(window)
        if ttft:
            rules += _pair("modelops:ttft", length, _ttft_good(ttft, length), _ttft_measured(ttft, length))
        if gaps:
            rules += _pair("modelops:inter_token", length, _gaps_good(gaps, length), _gaps_measured(gaps, length))
    return rules


def _pair(series: str, length: str, good: str, measured: str) -> list[Recording]:
    return [Recording(f"{series}_good:{length}", good), Recording(f"{series}_measured:{length}", measured)]


def _of(model: str) -> str:
    return f'{{model="{escaped(model)}"}}'


def escaped(text: str) -> str:
    """As the content of a PromQL string."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _ttft_good(limits: Mapping[str, float], length: str) -> str:
    return "\nor ".join(
        f"(\n{_within('modelops:ttft_seconds', model, limit, length)}\n"
        f"or (({_within('modelops_gateway_response_seconds', model, limit, length, by='model')})\n"
        f"unless on (model) modelops:ttft_seconds_count{_of(model)}))"
        for model, limit in sorted(limits.items())
    )


def _ttft_measured(limits: Mapping[str, float], length: str) -> str:
    return "\nor ".join(
        f"(sum by ({REPLICA}) (increase(modelops:ttft_seconds_count{_of(model)}[{length}]))\n"
        f"or (sum by (model) (increase(modelops_gateway_response_seconds_count{_of(model)}[{length}]))\n"
        f"unless on (model) modelops:ttft_seconds_count{_of(model)}))"
        for model in sorted(limits)
    )


def _gaps_good(limits: Mapping[str, float], length: str) -> str:
    return "\nor ".join(
        f"({_within('modelops:inter_token_seconds', model, limit, length)}\n"
        f"or (sum by ({REPLICA}) (sum_over_time(modelops:tokens_in_time:rate1m{_of(model)}[{length}]))\n"
        f"unless on (host, slot, model) modelops:inter_token_seconds_count{_of(model)}))"
        for model, limit in sorted(limits.items())
    )


def _gaps_measured(limits: Mapping[str, float], length: str) -> str:
    return "\nor ".join(
        f"(sum by ({REPLICA}) (increase(modelops:inter_token_seconds_count{_of(model)}[{length}]))\n"
        f"or (sum by ({REPLICA}) (sum_over_time(modelops:tokens:rate1m{_of(model)}[{length}]))\n"
        f"unless on (host, slot, model) modelops:inter_token_seconds_count{_of(model)}))"
        for model in sorted(limits)
    )


def bounds_for(limit: float) -> Sequence[str]:
    """Bounds to count up to, best first: the largest at or below the limit; above all limits the smallest one."""
    below = [bound for bound in BOUNDS if float(bound) <= limit * (1 + 1e-9)]
    return tuple(reversed(below[-BOUNDS_TRIED:])) or BOUNDS[:1]


def _within(series: str, model: str, limit: float, length: str, *, by: str = REPLICA) -> str:
    """How many took no longer than the limit, by the best bound that the server's histogram has."""
    return "\nor ".join(
        f'sum by ({by}) (increase({series}_bucket{{model="{escaped(model)}", le="{bound}"}}[{length}]))'
        for bound in bounds_for(limit)
    )


def _burns(level: Level, settings: Settings) -> list[Alert]:
    found = []
    thresholds = (settings.burn_page_fast, settings.burn_page_slow, settings.burn_ticket)
    for threshold, (long, short), severity in zip(thresholds, WINDOWS, ("page", "page", "ticket")):
        limit = capped(threshold, level.objective)
        ratio = limit * (1.0 - level.objective)
        expr = "\nand ".join(f"{level.series}:ratio_{duration(window)} > {ratio:.6g}" for window in (long, short))
        for minimum, counted in ((level.minimum_bad, level.bad), (level.minimum_all, level.all)):
            if minimum:
                expr += f"\nand on (model) ({counted.replace('WINDOW', duration(long))}) >= {minimum:g}"
        found.append(
            Alert(
                level.alert,
                expr,
                0.0,
                severity,
                f"{{{{ $labels.model }}}} uses up its error budget {limit:g} times too fast",
                f"Of {{{{ $labels.model }}}}, {{{{ $value | humanizePercentage }}}} over {duration(long)}: {level.says}. "
                f"The objective is {level.objective:.4g}.",
                {"window": duration(long)},
            )
        )
    return found
