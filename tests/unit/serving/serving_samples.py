# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines' ``/metrics`` look like: real names and label sets, invented figures.

The names of vLLM 0.32 and llama.cpp were seen on running servers; those of SGLang
0.5.23, TGI 3.3.7 and Triton come from their sources and manuals.
"""

from __future__ import annotations


def histogram(name: str, buckets: dict[str, int], total: float, labels: str = "") -> str:
    """Lines of one histogram; ``buckets`` maps upper bound to cumulative count and ends with ``+Inf``."""
    comma = "," if labels else ""
    lines = [f'{name}_bucket{{{labels}{comma}le="{bound}"}} {count}' for bound, count in buckets.items()]
    count = list(buckets.values())[-1]
    return "\n".join(
        [f"# TYPE {name} histogram", *lines, f"{name}_sum{{{labels}}} {total}", f"{name}_count{{{labels}}} {count}"]
    )


LATENCY = {"0.1": 0, "0.2": 50, "0.4": 90, "+Inf": 100}

VLLM = "\n".join(
    [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        'vllm:num_requests_running{engine="0",model_name="chat-8b"} 3.0',
        'vllm:num_requests_running{engine="1",model_name="chat-8b"} 2.0',
        'vllm:num_requests_waiting{engine="0",model_name="chat-8b"} 1.0',
        'vllm:kv_cache_usage_perc{engine="0",model_name="chat-8b"} 0.25',
        'vllm:kv_cache_usage_perc{engine="1",model_name="chat-8b"} 0.75',
        'vllm:request_success_total{engine="0",finished_reason="stop",model_name="chat-8b"} 90.0',
        'vllm:request_success_total{engine="0",finished_reason="length",model_name="chat-8b"} 10.0',
        'vllm:prompt_tokens_total{engine="0",model_name="chat-8b"} 12345.0',
        'vllm:generation_tokens_total{engine="0",model_name="chat-8b"} 6789.0',
        histogram("vllm:time_to_first_token_seconds", LATENCY, 25.0, 'engine="0",model_name="chat-8b"'),
        histogram("vllm:inter_token_latency_seconds", LATENCY, 25.0, 'engine="0",model_name="chat-8b"'),
        histogram("vllm:e2e_request_latency_seconds", LATENCY, 25.0, 'engine="0",model_name="chat-8b"'),
        histogram("vllm:request_queue_time_seconds", LATENCY, 25.0, 'engine="0",model_name="chat-8b"'),
    ]
)
VLLM_OLD = VLLM.replace("kv_cache_usage_perc", "gpu_cache_usage_perc").replace(
    "inter_token_latency_seconds", "time_per_output_token_seconds"
)
SGLANG = "\n".join(
    [
        'sglang:num_running_reqs{model_name="m"} 5.0',
        'sglang:num_queue_reqs{model_name="m"} 1.0',
        'sglang:token_usage{model_name="m"} 0.75',
        'sglang:num_requests_total{model_name="m"} 100.0',
        'sglang:prompt_tokens_total{model_name="m"} 12345.0',
        'sglang:generation_tokens_total{model_name="m"} 6789.0',
        histogram("sglang:time_to_first_token_seconds", LATENCY, 25.0),
        histogram("sglang:inter_token_latency_seconds", LATENCY, 25.0),
        histogram("sglang:e2e_request_latency_seconds", LATENCY, 25.0),
        histogram("sglang:queue_time_seconds", LATENCY, 25.0),
    ]
)
TGI = "\n".join(
    [
        "tgi_batch_current_size 5",
        "tgi_queue_size 1",
        "tgi_batch_current_max_tokens 750",
        "tgi_batch_max_total_tokens 1000",
        "tgi_request_count 100",
        histogram("tgi_request_input_length", {"100": 50, "+Inf": 100}, 12345),
        histogram("tgi_request_generated_tokens", {"100": 50, "+Inf": 100}, 6789),
        histogram("tgi_request_mean_time_per_token_duration", LATENCY, 25.0),
        histogram("tgi_request_duration", LATENCY, 25.0),
        histogram("tgi_request_queue_duration", LATENCY, 25.0),
    ]
)
TRITON = "\n".join(
    [
        'nv_inference_request_success{model="m",version="1"} 100',
        'nv_inference_request_failure{model="m",reason="OTHER",version="1"} 3',
        'nv_inference_request_duration_us{model="m",version="1"} 25000000',
        'nv_inference_queue_duration_us{model="m",version="1"} 5000000',
        'nv_inference_pending_request_count{model="m",version="1"} 1',
        'nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"} 5',
        'nv_trt_llm_request_metrics{model="m",request_type="waiting",version="1"} 1',
        'nv_trt_llm_request_metrics{model="m",request_type="max",version="1"} 64',
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="m",version="1"} 0.75',
        'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="m",version="1"} 900',
        histogram("nv_inference_first_response_histogram_ms", {"100": 0, "200": 50, "400": 90, "+Inf": 100}, 25000),
    ]
)
LLAMA_CPP = "\n".join(
    [
        "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens",
        "# TYPE llamacpp:prompt_tokens_total counter",
        "llamacpp:prompt_tokens_total 12345",
        "llamacpp:tokens_predicted_total 6789",
        "llamacpp:tokens_predicted_seconds_total 1697.25",
        "llamacpp:requests_processing 5",
        "llamacpp:requests_deferred 1",
        "llamacpp:n_busy_slots_per_decode 1.5",
    ]
)
