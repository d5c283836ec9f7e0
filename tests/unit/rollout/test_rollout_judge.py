# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict: what passes, fails and holds, and what must not change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from canaries import columns
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import canonical_bytes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.events import (
    MEASURES,
    REQUIRED,
    parse_events,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.judge import Case, judge
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.outcomes import outcome
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.settings import (
    Settings,
    calibrated_margin,
    parse_settings,
    parse_slo,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.verdict import Verdict

RANK = {"pass": 0, "inconclusive": 1, "provider_error": 1, "fail": 2}


def verdict(events: dict[str, list[Any]], *, final: bool = True, slo: Any = None, **more: Any) -> Verdict:
    own = parse_settings(more.pop("settings", {}))
    case = {"canary": ("new-0",), "baseline": ("old-0",), **more}
    return judge(Case(parse_events(events), slo=parse_slo(slo), final=final, **case), own)


def test_a_good_canary_passes_at_the_final_look_only() -> None:
    events = columns()
    assert verdict(events).verdict == "pass"
    held = verdict(events, final=False)
    assert held.verdict == "inconclusive"
    assert "not the final look" in held.reasons[-1]


def test_failures_stop_it_at_any_look_and_slowness_at_the_final_one() -> None:
    bad = columns(bad=(0.2, 0.001))
    assert verdict(bad, final=False).verdict == "fail"
    slow = columns(speed=(2.0, 1.0))
    assert verdict(slow, final=False).verdict == "inconclusive"
    final = verdict(slow)
    assert final.verdict == "fail"
    ratio = final.figures["latency"]["ttft_ms"]
    assert ratio["lower"] < 2.0 < ratio["upper"]
    assert verdict(columns(speed=(0.5, 1.0))).verdict == "pass"


def test_a_shift_that_hosts_explain_is_no_failure() -> None:
    events = columns(4000, speed=(1.36, 1.0))
    assert verdict(events).figures["latency"]["ttft_ms"]["p_value"] < 0.01
    assert verdict(events).verdict == "pass"
    assert verdict(events, settings={"host_spread": 0.05}).verdict == "fail"


def test_slow_beyond_the_slo_stops_it_before_the_final_look() -> None:
    assert verdict(columns(3000, speed=(4.0, 1.0)), final=False, slo={"ttft_ms": 1000}).verdict == "fail"


def test_a_canary_that_refuses_everything_fails_and_both_refusing_never_pass() -> None:
    events = columns()
    mine = [server == "new-0" for server in events["server"]]
    assert verdict({**events, "status": [404 if own else 200 for own in mine]}).verdict == "fail"
    assert verdict({**events, "status": [404] * len(mine)}).verdict == "inconclusive"


def test_one_hard_failure_is_enough_and_beats_everything() -> None:
    said = verdict(columns(), hard_failures=("engine crashed",), provider_errors=("log gap",))
    assert (said.verdict, said.reasons) == ("fail", ("hard failure: engine crashed",))


def test_four_looks_without_sight_become_inconclusive() -> None:
    seen = [verdict(columns(), provider_errors=("gap",), earlier_provider_errors=n).verdict for n in range(5)]
    assert seen == ["provider_error"] * 3 + ["inconclusive"] * 2


def test_too_few_says_how_many_are_missing_and_what_synthetic_ones_would_take() -> None:
    events = columns(150, per_second=0.2)
    said = verdict(events, settings={"spare_requests_per_second": 20})
    counts = said.figures["counts"]
    assert said.verdict == "inconclusive"
    assert said.figures["missing"]["canary"] == 100 - counts["canary"]["answered"] > 0
    # one may be bad of the 100 that reach 2.95 %; a tenth of 20 requests/s goes to synthetic ones
    total = sum(said.figures["missing"][f"{arm}_with_synthetic"]["synthetic"] for arm in ("canary", "baseline"))
    assert said.figures["missing"]["synthetic_seconds"] == total / 2.0
    assert f"{total} synthetic requests" in said.reasons[-2] + said.reasons[-1]
    events["synthetic"] = [1 - number % 2 for number in range(150)]
    assert verdict(events).figures["counts"]["canary"]["synthetic"] > 0


def test_half_real_and_enough_synthetic_ones_are_enough() -> None:
    events = columns(2000, seed=3)
    events["synthetic"] = [int(number % 15 > 0) for number in range(2000)]
    counts = verdict(events).figures["counts"]["canary"]
    assert 50 <= counts["real"] < 100 <= counts["synthetic"]
    assert verdict(events).verdict == "pass"


@pytest.mark.parametrize("change", ["requests", "soak", "budget", "latency", "final"])
def test_pass_needs_every_condition(change: str) -> None:
    events = columns(800)
    more: dict[str, Any] = {"final": change != "final"}
    if change == "requests":
        more["settings"] = {"minimum_requests": 2000}
    elif change == "soak":
        more["settings"] = {"soak_seconds": 5000}
    elif change == "budget":
        more["settings"] = {"budget": 0.001}
    elif change == "latency":
        events = {name: column for name, column in events.items() if name not in ("response_ms", "total_ms")}
    assert verdict(columns(800)).verdict == "pass"
    assert verdict(events, **more).verdict == "inconclusive"


def test_a_baseline_that_is_often_slow_does_not_excuse_failures() -> None:
    slo = {"ttft_ms": 300}
    events = columns(400, seed=2)
    own = [row for row, server in enumerate(events["server"]) if server == "new-0"]
    failed = set(own[::50])
    events["status"] = [500 if row in failed else 200 for row in range(400)]
    said = verdict(events, slo=slo)
    assert said.figures["bad_ratio"]["canary_upper"] < said.figures["bad_ratio"]["allowed"]
    assert said.figures["failed_ratio"]["canary_upper"] > said.figures["failed_ratio"]["allowed"] == 0.03
    assert said.verdict == "inconclusive"


def test_no_events_never_pass() -> None:
    empty = {name: [] for name in columns(1)}
    for final in (True, False):
        said = verdict(empty, final=final)
        assert said.verdict == "inconclusive"
        assert said.figures["missing"]["canary"] == 100


def test_only_one_arm_never_passes() -> None:
    for share in (0.0, 1.0):
        assert verdict(columns(share=share, bad=(0.0, 0.0))).verdict == "inconclusive"


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0.0, 0.03, 0.2]), st.sampled_from([1.0, 1.5, 2.0]), st.randoms())
def test_order_and_names_do_not_matter_and_it_is_deterministic(
    seed: int, bad: float, speed: float, random: Any
) -> None:
    events = columns(500, bad=(bad, 0.01), speed=(speed, 1.0), seed=seed)
    first = verdict(events)
    rows = list(range(500))
    random.shuffle(rows)
    names = {"new-0": "a", "old-0": "z"}
    other = {name: [column[row] for row in rows] for name, column in events.items()}
    other["server"] = [names[server] for server in other["server"]]
    second = verdict(other, canary=("a",), baseline=("z",))
    assert canonical_bytes(first.figures) == canonical_bytes(second.figures)
    assert (first.verdict, first.reasons) == (second.verdict, second.reasons)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 99),
    st.sampled_from([0.0, 0.03, 0.1]),
    st.sampled_from([1.0, 1.4, 1.6]),
    st.sets(st.integers(0, 499), max_size=200),
    st.sampled_from([{}, {"ttft_ms": 600}]),
    st.booleans(),
)
def test_more_bad_canary_events_never_turn_fail_into_anything_better(
    seed: int, bad: float, speed: float, rows: set[int], slo: dict[str, float], final: bool
) -> None:
    events = columns(500, bad=(bad, 0.01), speed=(speed, 1.0), seed=seed)
    before = verdict(events, slo=slo, final=final)
    status = [
        500 if row in rows and events["server"][row] == "new-0" else code for row, code in enumerate(events["status"])
    ]
    after = verdict({**events, "status": status}, slo=slo, final=final)
    assert RANK[after.verdict] >= RANK[before.verdict]
    assert after.figures["e_value"]["largest"] >= before.figures["e_value"]["largest"]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.sampled_from([1.0, 1.5, 2.0]), st.sampled_from([0.01, 0.37, 3.0, 1000.0]))
def test_the_unit_of_latency_does_not_matter(seed: int, speed: float, unit: float) -> None:
    # the ends of requests give the order of windows, so the total stays as it is and time to first token is scaled
    events = columns(500, speed=(speed, 1.0), seed=seed)
    scaled = {**events, "ttft_ms": [value * unit for value in events["response_ms"]]}
    first, second = verdict(events, slo={"ttft_ms": 900}), verdict(scaled, slo={"ttft_ms": 900 * unit})
    assert first.verdict == second.verdict
    one, other = (found.figures["latency"]["ttft_ms"] for found in (first, second))
    assert one["p_value"] == pytest.approx(other["p_value"], rel=1e-4)
    assert one["ratio"] == pytest.approx(other["ratio"], rel=1e-4)


@pytest.mark.parametrize(
    ("status", "term", "more", "says"),
    [
        (200, "----", {}, "good"),
        (500, "----", {}, "failed"),
        (200, "SD--", {}, "failed"),  # a cut stream is a 200
        (200, "sD--", {}, "failed"),
        (502, "SH--", {}, "failed"),
        (504, "sH--", {}, "failed"),
        (503, "SC--", {}, "failed"),
        (200, "DD--", {}, "failed"),  # cut since its checks failed
        (502, "PH--", {}, "failed"),
        (-1, "----", {}, "failed"),
        (200, "----", {"bytes": [0]}, "failed"),
        (200, "----", {"output_tokens": [0]}, "failed"),
        (200, "CD--", {"total_ms": [9000]}, "left out"),  # the client went away
        (200, "cD--", {}, "left out"),
        (-1, "CH--", {"total_ms": [300]}, "left out"),
        (-1, "CH--", {"total_ms": [2500]}, "slow"),  # it went away after more than the SLO
        (400, "PR--", {}, "left out"),
        (503, "RC--", {}, "left out"),
        (200, "KD--", {}, "left out"),
        (200, "LR--", {}, "left out"),
        (404, "----", {}, "refused"),
        (429, "----", {}, "refused"),
        (200, "----", {"response_ms": [2100]}, "slow"),
        (200, "----", {"response_ms": [2100], "ttft_ms": [1900]}, "good"),
        (200, "----", {"inter_token_ms": [150]}, "slow"),
    ],
)
def test_whose_doing_it_was(status: int, term: str, more: dict[str, Any], says: str) -> None:
    events = parse_events({"at": [0.0], "server": ["a"], "status": [status], "term": [term], **more})
    assert outcome(events, 0, parse_slo({"ttft_ms": 2000, "inter_token_ms": 100})) == says


def test_warm_up_forgives_what_is_slow_but_not_what_fails() -> None:
    events = columns(400)
    late = {**events, "response_ms": [60_000.0 if row < 30 else v for row, v in enumerate(events["response_ms"])]}
    counts = verdict(late, slo={"ttft_ms": 5000}).figures["counts"]
    assert counts["canary"]["slow"] == 0
    assert counts["canary"]["warming"] == 20
    failing = {**events, "status": [500 if s == "new-0" else 200 for s in events["server"]][:30] + [200] * 370}
    assert verdict(failing).figures["counts"]["canary"]["failed"] > 10
    assert verdict(failing).verdict == "fail"


def test_a_margin_from_a_a_runs() -> None:
    assert calibrated_margin([1.0] * 20) == 1.15
    assert calibrated_margin([1.0] * 99 + [1.4]) == 1.15  # the 99th of 100
    assert calibrated_margin([1.0] * 98 + [1.3, 1.4]) == 1.3
    assert calibrated_margin([0.5] + [1.0] * 19) == 2.0
    with pytest.raises(InputError, match="at least 20"):
        calibrated_margin([1.0] * 19)
    assert verdict(columns(speed=(2.0, 1.0)), settings={"latency_margin": 2.6}).verdict == "pass"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"at": [1.0]}, "differ in length"),
        ({"status": ["x"] * 9}, "row 1"),
        ({"term": "----"}, "must be a list"),
    ],
)
def test_bad_events_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_events({**columns(9), **change})


def test_what_the_judge_reads_is_what_the_schema_says() -> None:
    path = Path(__file__).resolve().parents[3] / "docs/schemas/request_events.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(columns(9))
    assert set(schema["required"]) == set(REQUIRED)
    assert set(schema["properties"]) == {*REQUIRED, "synthetic", *MEASURES}


def test_bad_arms_and_settings_are_named() -> None:
    with pytest.raises(InputError, match="term"):
        parse_events({"at": [], "server": [], "status": []})
    with pytest.raises(InputError, match="both canary and baseline"):
        verdict(columns(9), baseline=("new-0",))
    with pytest.raises(InputError, match="no server"):
        verdict(columns(9), canary=())
    with pytest.raises(InputError, match="no setting 'margin'"):
        parse_settings({"margin": 1})
    with pytest.raises(InputError, match="ttft"):
        parse_slo({"ttft": 1})
    assert parse_settings({}) == Settings()
