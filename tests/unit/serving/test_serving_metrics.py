# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Prometheus text format, and every engine's metrics under one set of names."""

from __future__ import annotations

import math

import pytest
import serving_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import SourceUnavailableError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.exposition import (
    histogram_quantile,
    parse_exposition,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.server_metrics import (
    normalise,
    throughput,
)

NOTHING = {"p50": None, "p95": None, "mean": None}
# LATENCY: half of the calls are done within 0.2 s; 95 % lies above the last finite bound, 0.4 s; 25 s for 100 calls.
KNOWN = {"p50": 0.2, "p95": 0.4, "mean": 0.25}


def known(found: dict[str, float | None], expected: dict[str, float | None]) -> bool:
    return found == {key: value if value is None else pytest.approx(value) for key, value in expected.items()}


def test_labels_with_commas_braces_and_escapes() -> None:
    text = 'a_total{x="1,2}",y="a\\"b\\\\c\\nd",} 5 1700000000000\na_total{x="z"} 1e3 # {trace_id="1"} 1\n'
    found = parse_exposition(text)
    assert [sample.labels for sample in found.named("a_total")] == [{"x": "1,2}", "y": 'a"b\\c\nd'}, {"x": "z"}]
    assert found.total("a_total") == 1005.0
    assert found.total("a_total", x="z") == 1000.0
    assert found.total("b_total") is None


@pytest.mark.parametrize(("written", "value"), [("+Inf", math.inf), ("-Inf", -math.inf), ("NaN", math.nan)])
def test_values_that_are_no_numbers_give_no_total(written: str, value: float) -> None:
    found = parse_exposition(f"a {written}\n")
    assert str(found.named("a")[0].value) == str(value)
    assert found.total("a") is None


@pytest.mark.parametrize("text", ["<html><body>502</body></html>", "a\n", "a{x=1} 2", "a one", "1a 2", 'a{x="1" 2'])
def test_what_is_no_exposition_is_said_with_its_line(text: str) -> None:
    with pytest.raises(SourceUnavailableError, match="http://x: line 2 is not Prometheus text"):
        parse_exposition("ok 1\n" + text, where="http://x")


@given(st.lists(st.floats(0.001, 9.99), min_size=1, max_size=200), st.sampled_from([0.05, 0.5, 0.95]))
def test_a_histogram_quantile_is_within_its_bucket(values: list[float], quantile: float) -> None:
    bounds = [float(bound) for bound in range(1, 11)]
    buckets = [(bound, float(sum(value <= bound for value in values))) for bound in bounds]
    buckets.append((math.inf, float(len(values))))
    found = histogram_quantile(quantile, buckets)
    exact = sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]
    assert found is not None
    assert math.ceil(exact) - 1 <= found <= math.ceil(exact)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert histogram_quantile(0.5, []) is None
    assert histogram_quantile(0.5, [(1.0, 0.0), (math.inf, 0.0)]) is None


@pytest.mark.parametrize(
    ("text", "latencies"),
    [
        pytest.param(samples.VLLM, dict.fromkeys(("ttft", "itl", "e2e", "queue"), KNOWN), id="vllm"),
        pytest.param(samples.VLLM_OLD, dict.fromkeys(("ttft", "itl", "e2e", "queue"), KNOWN), id="vllm-old"),
        pytest.param(samples.SGLANG, dict.fromkeys(("ttft", "itl", "e2e", "queue"), KNOWN), id="sglang"),
        pytest.param(samples.TGI, {"itl": KNOWN, "e2e": KNOWN, "queue": KNOWN}, id="tgi"),
        pytest.param(
            samples.TRITON,
            {"ttft": KNOWN, "e2e": {**NOTHING, "mean": 0.25}, "queue": {**NOTHING, "mean": 0.05}},
            id="triton",
        ),
        pytest.param(samples.LLAMA_CPP, {"itl": {**NOTHING, "mean": 0.25}}, id="llama_cpp"),
    ],
)
def test_every_engine_under_the_same_names(text: str, latencies: dict[str, dict[str, float | None]]) -> None:
    found = normalise(parse_exposition(text))
    assert (found["running"], found["waiting"]) == (5.0, 1.0)
    is_llama, is_triton = "llamacpp" in text, "nv_inference" in text
    assert found["kv_cache_used_ratio"] == (None if is_llama else 0.75)
    assert found["requests_total"] == (None if is_llama else 100.0)
    assert found["prompt_tokens_total"] == (None if is_triton else 12345.0)
    assert found["generation_tokens_total"] == (None if is_triton else 6789.0)
    assert known(found["time_to_first_token_seconds"], latencies.get("ttft", NOTHING))
    assert known(found["inter_token_latency_seconds"], latencies.get("itl", NOTHING))
    assert known(found["e2e_latency_seconds"], latencies.get("e2e", NOTHING))
    assert known(found["queue_time_seconds"], latencies.get("queue", NOTHING))


def test_latencies_between_two_looks_are_those_of_the_time_in_between() -> None:
    name = "vllm:time_to_first_token_seconds"
    before = parse_exposition(samples.histogram(name, {"0.1": 0, "1": 1000, "+Inf": 1000}, 900.0))
    after = parse_exposition(samples.histogram(name, {"0.1": 100, "1": 1100, "+Inf": 1100}, 905.0))
    found = normalise(after, before)["time_to_first_token_seconds"]
    assert found["mean"] == pytest.approx(0.05)
    assert found["p95"] == pytest.approx(0.095)
    assert normalise(after)["time_to_first_token_seconds"]["p95"] > 0.9


def test_no_traffic_in_between_is_no_latency() -> None:
    exposition = parse_exposition(samples.VLLM)
    assert normalise(exposition, exposition)["e2e_latency_seconds"] == NOTHING


def test_throughput_and_a_counter_that_was_reset() -> None:
    before = {"requests_total": 10.0, "prompt_tokens_total": 100.0, "generation_tokens_total": None}
    after = {"requests_total": 30.0, "prompt_tokens_total": 5.0, "generation_tokens_total": 7.0}
    assert throughput(before, after, 10.0) == {
        "requests_per_second": 2.0,
        "prompt_tokens_per_second": None,
        "generation_tokens_per_second": None,
    }


def test_a_server_that_measures_nothing_we_know() -> None:
    found = normalise(parse_exposition("python_info 1\n"))
    assert found["running"] is None
    assert found["time_to_first_token_seconds"] == NOTHING
