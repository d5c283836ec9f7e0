# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each alert fires on, and what it does not fire on, as promtool's unit tests.

A case gives series in promtool's notation (``0+10x40``: forty steps of ten), the moment to look at,
and the firing instances by the labels in ``LABELS`` that they have. Steps are ``STEP_SECONDS`` apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STEP_SECONDS = 15
LABELS = (
    "severity",
    "host",
    "model",
    "slot",
    "accelerator",
    "mountpoint",
    "device",
    "path",
    "window",
    "quantile",
    "name",
    "owner",
)
MODELS: dict[str, Any] = {
    "chat": {"slo": {"ttft_seconds": 1.0, "inter_token_seconds": 0.1}},
    "code": {},
}
ENGINE = 'job="modelops-engine", host="h1", zone="z1", model="chat", slot="0", engine="vllm"'
SECOND = ENGINE.replace('slot="0"', 'slot="1"')
NODE = 'job="modelops-node", host="h1", zone="z1"'
GPU = 'job="modelops-accelerator", host="h1", zone="z1"'
PROXY = 'job="modelops-gateway", proxy="chat"'
SERVER = f'{PROXY}, host="h1", slot="0", model="chat"'


@dataclass(frozen=True)
class Case:
    alert: str
    says: str
    series: dict[str, str]
    fires: list[dict[str, str]] = field(default_factory=list)
    at: str = "5m"


def requests(outcome: str, values: str, *, model: str = "chat", host: str = "h1") -> dict[str, str]:
    return {f'modelops_gateway_requests_total{{model="{model}", host="{host}", slot="0", outcome="{outcome}"}}': values}


def certificate(begin: str, end: str) -> dict[str, str]:
    labels = 'host="gw1", path="/etc/tls/chain.pem"'
    return {
        f"modelops_certificate_not_before_seconds{{{labels}}}": begin,
        f"modelops_certificate_not_after_seconds{{{labels}}}": end,
    }


CHAT = {"severity": "page", "host": "h1", "model": "chat", "slot": "0"}
PAGE_MODEL = {"severity": "page", "model": "chat"}
ONE = {"severity": "page", "host": "h1"}
TICKET = {"severity": "ticket", "host": "h1"}
UP = "1x40"

SERVERS = [
    Case("ModelServerDown", "metrics unreadable for 30 s", {f"up{{{ENGINE}}}": "1x10 0x30"}, [CHAT], "3m15s"),
    Case("ModelServerDown", "a single missed scrape", {f"up{{{ENGINE}}}": "1x10 0x0 1x30"}),
    Case(
        "ModelServerNotReady",
        "runs, but the gateway has it down",
        {f"up{{{ENGINE}}}": UP, f'haproxy_server_status{{{SERVER}, state="DOWN"}}': "0x4 1x30"},
        [CHAT],
    ),
    Case(
        "ModelServerNotReady",
        "down for real is ModelServerDown's",
        {f"up{{{ENGINE}}}": "0x40", f'haproxy_server_status{{{SERVER}, state="DOWN"}}': "1x40"},
    ),
    Case(
        "ModelServerNotReady",
        "drained by a person, or down in the panic pool alone",
        {
            f"up{{{ENGINE}}}": UP,
            f'haproxy_server_status{{{SERVER}, state="DRAIN"}}': UP,
            'haproxy_server_status{job="modelops-gateway", proxy="chat:panic", host="h1", slot="0", model="chat:panic", state="DOWN"}': UP,
        },
    ),
    Case(
        "ModelServerStalled",
        "requests wait and none runs",
        {f"vllm:num_requests_waiting{{{ENGINE}}}": "3x40", f"vllm:num_requests_running{{{ENGINE}}}": "0x40"},
        [CHAT],
    ),
    Case(
        "ModelServerStalled",
        "requests run and no token comes",
        {
            f"vllm:num_requests_waiting{{{ENGINE}}}": "0x40",
            f"vllm:num_requests_running{{{ENGINE}}}": "2x40",
            f"vllm:generation_tokens_total{{{ENGINE}}}": "100x40",
            f"vllm:prompt_tokens_total{{{ENGINE}}}": "100x40",
        },
        [CHAT],
    ),
    Case(
        "ModelServerStalled",
        "busy: tokens come",
        {
            f"vllm:num_requests_waiting{{{ENGINE}}}": "9x40",
            f"vllm:num_requests_running{{{ENGINE}}}": "2x40",
            f"vllm:generation_tokens_total{{{ENGINE}}}": "100+5x40",
            f"vllm:prompt_tokens_total{{{ENGINE}}}": "100x40",
        },
    ),
    Case(
        "ModelServerErrors", "one in five fails", {**requests("good", "0+8x40"), **requests("failed", "0+2x40")}, [CHAT]
    ),
    Case(
        "ModelServerErrors",
        "the engine says so itself",
        {
            f'tgi_request_failure{{{ENGINE.replace("vllm", "tgi")}, err="generation"}}': "0+3x40",
            f"tgi_request_count{{{ENGINE.replace('vllm', 'tgi')}}}": "0+6x40",
        },
        [CHAT],
    ),
    Case(
        "ModelServerErrors", "two of hundreds", {**requests("good", "0+80x40"), **requests("failed", "0 0 1 1 2 2x30")}
    ),
    Case(
        "ModelServerFlapping",
        "three times out at the gateway",
        {f"haproxy_server_check_up_down_total{{{SERVER}}}": "0x4 1x8 2x8 3x30"},
        [CHAT | {"severity": "ticket"}],
        "10m",
    ),
    Case(
        "ModelServerFlapping",
        "systemd restarts it each minute",
        {f'node_systemd_service_restart_total{{{NODE}, name="modelops-chat-0.service"}}': "0x4 1x4 2x4 3x4 4x30"},
        [CHAT | {"severity": "ticket"}],
        "8m",
    ),
    Case(
        "ModelServerFlapping",
        "one planned restart",
        {f"haproxy_server_check_up_down_total{{{SERVER}}}": "0x4 1x40", f"up{{{ENGINE}}}": "1x5 0x4 1x40"},
        [],
        "10m",
    ),
]

GATEWAY = [
    Case(
        "GatewayDown",
        "metrics gone",
        {'up{job="modelops-gateway", host="gw1"}': "1x4 0x20"},
        [{"severity": "page", "host": "gw1"}],
    ),
    Case("GatewayDown", "one missed scrape", {'up{job="modelops-gateway", host="gw1"}': "1x19 0 1"}),
    Case(
        "GatewayBackendEmpty",
        "both servers are down",
        {
            f"haproxy_backend_active_servers{{{PROXY}}}": "2x4 0x20",
            f'haproxy_server_status{{{SERVER}, state="DOWN"}}': "0x4 1x20",
        },
        [PAGE_MODEL],
    ),
    Case(
        "GatewayBackendEmpty",
        "scaled to nothing: there are no servers",
        {f"haproxy_backend_active_servers{{{PROXY}}}": "0x40"},
    ),
    Case(
        "GatewayBackendEmpty",
        "all taken out by a person",
        {
            f"haproxy_backend_active_servers{{{PROXY}}}": "0x40",
            f'haproxy_server_status{{{SERVER}, state="DOWN"}}': "0x40",
            f'haproxy_server_status{{{SERVER}, state="MAINT"}}': "1x40",
        },
    ),
    Case(
        "GatewayBackendEmpty",
        "the panic pool is not the pool",
        {
            f'haproxy_backend_active_servers{{{PROXY}, gateway="a"}}': "1x40",
            'haproxy_backend_active_servers{job="modelops-gateway", proxy="chat:panic"}': "0x40",
        },
    ),
    Case(
        "ModelErrorRateHigh",
        "a tenth fails",
        {**requests("good", "0+18x40"), **requests("failed", "0+2x40")},
        [PAGE_MODEL],
    ),
    Case(
        "ModelErrorRateHigh", "clients' own mistakes", {**requests("good", "0+18x40"), **requests("refused", "0+9x40")}
    ),
    Case(
        "ModelErrorRateHigh",
        "half of two requests",
        {**requests("good", "0x18 1x10"), **requests("failed", "0x18 1x10")},
    ),
    Case(
        "QueueGrowing",
        "engine and gateway queue",
        {f"vllm:num_requests_waiting{{{ENGINE}}}": "4+1x60", f"haproxy_backend_current_queue{{{PROXY}}}": "4x60"},
        [PAGE_MODEL],
        "10m",
    ),
    Case("QueueGrowing", "a long queue that shrinks", {f"vllm:num_requests_waiting{{{ENGINE}}}": "90-1x60"}, [], "10m"),
    Case("QueueGrowing", "a short one", {f"haproxy_backend_current_queue{{{PROXY}}}": "0+0.05x60"}, [], "10m"),
]

HOSTS = [
    Case("HostDown", "node_exporter gone", {f"up{{{NODE}}}": "1x4 0x20"}, [ONE]),
    Case("HostDown", "one missed scrape", {f"up{{{NODE}}}": "1x19 0 1"}),
    Case(
        "HostMemoryHigh",
        "two percent left",
        {f"node_memory_MemAvailable_bytes{{{NODE}}}": "2x40", f"node_memory_MemTotal_bytes{{{NODE}}}": "100x40"},
        [ONE],
    ),
    Case(
        "HostMemoryHigh",
        "a fifth left",
        {f"node_memory_MemAvailable_bytes{{{NODE}}}": "20x40", f"node_memory_MemTotal_bytes{{{NODE}}}": "100x40"},
    ),
    Case(
        "HostCpuHigh",
        "all busy",
        {f'node_cpu_seconds_total{{{NODE}, cpu="0", mode="idle"}}': "0+0.15x60"},
        [TICKET],
        "10m",
    ),
    Case(
        "HostCpuHigh",
        "one of two idle",
        {
            f'node_cpu_seconds_total{{{NODE}, cpu="0", mode="idle"}}': "0x60",
            f'node_cpu_seconds_total{{{NODE}, cpu="1", mode="idle"}}': "0+15x60",
        },
        [],
        "10m",
    ),
    *(
        Case(
            "HostDiskFull",
            says,
            {
                f'node_filesystem_avail_bytes{{{NODE}, fstype="{kind}", mountpoint="/data"}}': space,
                f'node_filesystem_size_bytes{{{NODE}, fstype="{kind}", mountpoint="/data"}}': "100x40",
                f'node_filesystem_files_free{{{NODE}, fstype="{kind}", mountpoint="/data"}}': files,
                f'node_filesystem_files{{{NODE}, fstype="{kind}", mountpoint="/data"}}': "1000x40",
                f'node_filesystem_readonly{{{NODE}, fstype="{kind}", mountpoint="/data"}}': f"{only}x40",
            },
            [ONE | {"mountpoint": "/data"}] if fires else [],
        )
        for says, kind, space, files, only, fires in (
            ("one percent of space", "ext4", "1x40", "900x40", 0, True),
            ("space, but no file more", "xfs", "60x40", "3x40", 0, True),
            ("a tenth left", "ext4", "10x40", "900x40", 0, False),
            ("a read-only image is always full", "ext4", "0x40", "0x40", 1, False),
            ("a network share is its server's", "nfs4", "0x40", "900x40", 0, False),
        )
    ),
    *(
        Case(
            "HostDiskWillFill",
            says,
            {
                f'node_filesystem_avail_bytes{{{NODE}, fstype="ext4", mountpoint="/data"}}': values,
                f'node_filesystem_size_bytes{{{NODE}, fstype="ext4", mountpoint="/data"}}': "100000x120",
                f'node_filesystem_readonly{{{NODE}, fstype="ext4", mountpoint="/data"}}': "0x120",
            },
            [TICKET | {"mountpoint": "/data"}] if fires else [],
            "25m",
        )
        for says, values, fires in (
            ("falling by 144 percent in four hours", "30000-150x120", True),
            ("falling, but more than half is free", "90000-150x120", False),
            ("steady", "30000x120", False),
        )
    ),
    *(
        Case(
            "HostNetworkErrors",
            says,
            {
                f'node_network_receive_errs_total{{{NODE}, device="{device}"}}': errors,
                f'node_network_receive_packets_total{{{NODE}, device="{device}"}}': "0+1000x60",
            },
            [TICKET | {"device": device}] if fires else [],
            "10m",
        )
        for says, device, errors, fires in (
            ("five percent", "eth0", "0+50x60", True),
            ("one in ten thousand", "eth0", "0+0.1x60", False),
            ("a container's end", "veth12", "0+50x60", False),
        )
    ),
    *(
        Case(
            "HostNetworkSaturated",
            says,
            {
                f'node_network_transmit_bytes_total{{{NODE}, device="eth0"}}': f"0+{rate * STEP_SECONDS}x60",
                f'node_network_speed_bytes{{{NODE}, device="eth0"}}': f"{speed}x60",
            },
            [TICKET | {"device": "eth0"}] if fires else [],
            "10m",
        )
        for says, rate, speed, fires in (
            ("95 percent of its speed", 119_000_000, 125_000_000, True),
            ("half", 62_000_000, 125_000_000, False),
            ("speed unknown", 119_000_000, -1, False),
        )
    ),
]

DEVICE = {"accelerator": "0"}
ACCELERATORS = [
    Case(
        "AcceleratorMemoryHigh",
        "99 percent, NVIDIA",
        {
            f'DCGM_FI_DEV_FB_USED{{{GPU}, gpu="0"}}': "99x40",
            f'DCGM_FI_DEV_FB_FREE{{{GPU}, gpu="0"}}': "1x40",
            f'DCGM_FI_DEV_FB_RESERVED{{{GPU}, gpu="0"}}': "0x40",
        },
        [TICKET | DEVICE],
    ),
    Case(
        "AcceleratorMemoryHigh",
        "what an engine sets aside, AMD",
        {f'gpu_used_vram{{{GPU}, gpu_id="0"}}': "92x40", f'gpu_total_vram{{{GPU}, gpu_id="0"}}': "100x40"},
    ),
    Case(
        "AcceleratorHot", "95 degrees, AMD", {f'gpu_junction_temperature{{{GPU}, gpu_id="0"}}': "95x40"}, [ONE | DEVICE]
    ),
    Case(
        "AcceleratorHot", "95 degrees, Ascend", {f'npu_chip_info_temperature{{{GPU}, id="0"}}': "95x40"}, [ONE | DEVICE]
    ),
    Case("AcceleratorHot", "warm", {f'DCGM_FI_DEV_GPU_TEMP{{{GPU}, gpu="0"}}': "70x40"}),
    Case(
        "AcceleratorEccErrors",
        "one more",
        {f'DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{{{GPU}, gpu="0"}}': "4x10 5x20"},
        [ONE | DEVICE],
    ),
    Case(
        "AcceleratorEccErrors",
        "rows that cannot be remapped",
        {f'DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}, gpu="0"}}': "1x40"},
        [{"severity": "page", "host": "h1", **DEVICE}],
    ),
    Case("AcceleratorEccErrors", "old ones", {f'DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{{{GPU}, gpu="0"}}': "4x40"}),
    Case(
        "AcceleratorThrottled",
        "half of the time",
        {f'DCGM_FI_DEV_THERMAL_VIOLATION{{{GPU}, gpu="0"}}': "0+7500000000x40"},
        [TICKET | DEVICE],
    ),
    Case(
        "AcceleratorThrottled",
        "two percent of the time",
        {f'DCGM_FI_DEV_THERMAL_VIOLATION{{{GPU}, gpu="0"}}': "0+300000000x40"},
    ),
    Case("AcceleratorExporterSilent", "cannot be read", {f"up{{{GPU}}}": "0x40"}, [TICKET]),
    Case("AcceleratorExporterSilent", "answers, but knows no device", {f"up{{{GPU}}}": UP}, [TICKET]),
    Case(
        "AcceleratorExporterSilent", "works", {f"up{{{GPU}}}": UP, f'DCGM_FI_DEV_GPU_TEMP{{{GPU}, gpu="0"}}': "50x40"}
    ),
]

UPPER = 'modelops_forecast_upper_requests_per_second{model="chat"}'
CAPACITY = 'modelops_plan_replica_capacity_requests_per_second{model="chat", host="h1", slot="0"}'
PLANNING = [
    Case("DemandAboveForecast", "twice as much", {**requests("good", "0+300x60"), UPPER: "10x60"}, [PAGE_MODEL], "12m"),
    Case("DemandAboveForecast", "as forecast", {**requests("good", "0+150x60"), UPPER: "10x60"}, [], "12m"),
    Case("DemandAboveForecast", "no forecast is no reason to fire", {**requests("good", "0+300x60")}, [], "12m"),
    Case(
        "CapacityShortfallAhead",
        "the plan is short",
        {'modelops_plan_shortage_requests_per_second{model="chat"}': "3x60"},
        [PAGE_MODEL],
        "12m",
    ),
    Case(
        "CapacityShortfallAhead",
        "a replica of two is down",
        {
            UPPER: "15x60",
            CAPACITY: "10x60",
            CAPACITY.replace('slot="0"', 'slot="1"'): "10x60",
            f"up{{{ENGINE}}}": "1x60",
            f"up{{{SECOND}}}": "0x60",
        },
        [PAGE_MODEL],
        "12m",
    ),
    Case(
        "CapacityShortfallAhead",
        "none is up",
        {UPPER: "15x60", CAPACITY: "20x60", 'modelops_plan_replicas{model="chat"}': "1x60", f"up{{{ENGINE}}}": "0x60"},
        [PAGE_MODEL],
        "12m",
    ),
    Case(
        "CapacityShortfallAhead",
        "still starting: no longer than that takes",
        {
            UPPER: "15x60",
            CAPACITY: "20x60",
            'modelops_plan_replicas{model="chat"}': "1x60",
            f"up{{{ENGINE}}}": "0x20 1x40",
        },
        [],
        "12m",
    ),
    Case(
        "CapacityShortfallAhead",
        "enough",
        {
            UPPER: "15x60",
            CAPACITY: "20x60",
            f"up{{{ENGINE}}}": "1x60",
            'modelops_plan_shortage_requests_per_second{model="chat"}': "0x60",
        },
        [],
        "12m",
    ),
    Case("PlanStale", "hours old", {"modelops_plan_created_seconds": "-9000x60"}, [{"severity": "ticket"}], "10m"),
    Case("PlanStale", "there is none", {f"up{{{NODE}}}": "1x60"}, [{"severity": "ticket"}], "10m"),
    Case("PlanStale", "fresh", {"modelops_plan_created_seconds": "0x60"}, [], "10m"),
    *(
        Case(
            "ForecastQualityLow",
            says,
            {
                'modelops_forecast_realised_coverage{model="chat", quantile="0.95"}': f"{realised}x60",
                'modelops_forecast_quantile_level{model="chat", quantile="0.95"}': "0.95x60",
                'modelops_forecast_feedback_samples{model="chat"}': f"{samples}x60",
                'modelops_forecast_skill{model="chat"}': f"{skill}x60",
                'modelops_forecast_usable{model="chat"}': f"{usable}x60",
            },
            fires,
            "15m",
        )
        for says, realised, samples, skill, usable, fires in (
            (
                "covers 70 of 95 percent",
                0.7,
                200,
                0.2,
                1,
                [{"severity": "ticket", "model": "chat", "quantile": "0.95"}],
            ),
            ("the same of too few samples", 0.7, 20, 0.2, 1, []),
            ("worse than repeating the last season", 0.95, 200, -0.3, 1, [{"severity": "ticket", "model": "chat"}]),
            ("too short a history", 0.95, 200, 0.2, 0, [{"severity": "ticket", "model": "chat"}]),
            ("good", 0.94, 200, 0.2, 1, []),
        )
    ),
]

DAY = 86400
CERTIFICATE = {"host": "gw1", "path": "/etc/tls/chain.pem"}
OWN = [
    Case(
        "CertificateExpiresSoon",
        "20 of 90 days left",
        certificate(f"-{70 * DAY}x40", f"{20 * DAY}x40"),
        [CERTIFICATE | {"severity": "ticket"}],
    ),
    Case(
        "CertificateExpiresSoon",
        "two days left",
        certificate(f"-{88 * DAY}x40", f"{2 * DAY}x40"),
        [CERTIFICATE | {"severity": "page"}],
    ),
    Case("CertificateExpiresSoon", "12 of 24 hours left", certificate(f"-{DAY // 2}x40", f"{DAY // 2}x40")),
    Case(
        "CertificateExpiresSoon",
        "unreadable",
        {'modelops_certificate_readable{host="gw1", path="/etc/tls/chain.pem"}': "0x40"},
        [CERTIFICATE | {"severity": "ticket"}],
    ),
    Case("MonitoringHeartbeat", "always", {f"up{{{NODE}}}": UP}, [{"severity": "none"}]),
    Case(
        "MonitoringSilent",
        "nothing answers",
        {f"up{{{NODE}}}": "0x40", f"up{{{ENGINE}}}": "0x40"},
        [{"severity": "page"}],
    ),
    Case(
        "MonitoringSilent",
        "no target at all",
        {'up{job="modelops-prometheus", host="mon1"}': UP},
        [{"severity": "page"}],
    ),
    Case(
        "MonitoringSilent",
        "a host's figures stand still",
        {f"up{{{NODE}}}": UP, f"modelops_figures_written_seconds{{{NODE}}}": "0x40"},
        [ONE],
    ),
    Case(
        "MonitoringSilent",
        "rules fail",
        {
            f"up{{{NODE}}}": UP,
            'prometheus_rule_evaluation_failures_total{job="modelops-prometheus", host="mon1"}': "0+1x40",
        },
        [{"severity": "page", "host": "mon1"}],
    ),
    Case(
        "MonitoringSilent",
        "one host of two is down",
        {
            f"up{{{NODE}}}": UP,
            f"up{{{NODE.replace('h1', 'h2')}}}": "0x40",
            f"modelops_figures_written_seconds{{{NODE}}}": "0+15x40",
        },
    ),
    Case(
        "PrometheusDown",
        "another one is gone",
        {'up{job="modelops-prometheus", host="mon2"}': "0x40"},
        [{"severity": "page", "host": "mon2"}],
    ),
    Case("PrometheusDown", "up", {'up{job="modelops-prometheus", host="mon2"}': UP}),
    Case(
        "AlertmanagerDown",
        "gone",
        {'up{job="modelops-alertmanager", host="mon1"}': "1x4 0x40"},
        [{"severity": "page", "host": "mon1"}],
    ),
    Case(
        "AlertmanagerDown",
        "up, and known to Prometheus",
        {
            'up{job="modelops-alertmanager", host="mon1"}': UP,
            'prometheus_notifications_alertmanagers_discovered{job="modelops-prometheus", host="mon1"}': UP,
        },
    ),
]


def ttft(fast: str, all_: str, *, bound: str = "1.0") -> dict[str, str]:
    return {
        f'vllm:time_to_first_token_seconds_bucket{{{ENGINE}, le="{bound}"}}': fast,
        f'vllm:time_to_first_token_seconds_bucket{{{ENGINE}, le="+Inf"}}': all_,
        f"vllm:time_to_first_token_seconds_count{{{ENGINE}}}": all_,
        f"vllm:time_to_first_token_seconds_sum{{{ENGINE}}}": all_,
    }


def slow_gateway(fast: str, all_: str) -> dict[str, str]:
    return {
        'modelops_gateway_response_seconds_bucket{model="chat", le="1"}': fast,
        'modelops_gateway_response_seconds_bucket{model="chat", le="+Inf"}': all_,
        'modelops_gateway_response_seconds_count{model="chat"}': all_,
    }


def fast_burn(window: str = "1h", severity: str = "page") -> dict[str, str]:
    return {"severity": severity, "model": "chat", "window": window}


LLAMA = ENGINE.replace("vllm", "llama_cpp")
# After an hour, 3 % bad: 30 times the budget of 99.9 %, so both pages and the ticket (whose windows hold one hour).
ALL_THREE = [fast_burn("1h"), fast_burn("6h"), fast_burn("3d", "ticket")]
BURNS = [
    Case(
        "ModelAvailabilityBurn",
        "3 percent fail",
        {**requests("good", "0+97x260"), **requests("failed", "0+3x260")},
        ALL_THREE,
        "1h",
    ),
    Case(
        "ModelAvailabilityBurn",
        "0.8 percent: slow page and ticket",
        {**requests("good", "0+992x260"), **requests("failed", "0+8x260")},
        ALL_THREE[1:],
        "1h",
    ),
    Case(
        "ModelAvailabilityBurn",
        "within the budget",
        {**requests("good", "0+99950x260"), **requests("failed", "0+50x260")},
        [],
        "1h",
    ),
    Case(
        "ModelAvailabilityBurn",
        "four bad ones of a hundred are too few to say",
        {**requests("good", "0x60 1+0.5x200"), **requests("failed", "0x200 1 2 3 4x60")},
        [],
        "1h",
    ),
    Case(
        "ModelAvailabilityBurn",
        "over: the short window is good again",
        {**requests("good", "0+97x260"), **requests("failed", "0+30x80 2400x200")},
        [fast_burn("3d", "ticket")],
        "1h",
    ),
    Case(
        "ModelAvailabilityBurn",
        "without a gateway the engine counts",
        {
            f'vllm:request_success_total{{{ENGINE}, finished_reason="stop"}}': "0+97x260",
            f'vllm:request_success_total{{{ENGINE}, finished_reason="error"}}': "0+3x260",
        },
        ALL_THREE,
        "1h",
    ),
    Case(
        "StreamsTruncated",
        "3 percent cut",
        {**requests("good", "0+97x260"), **requests("truncated", "0+3x260")},
        ALL_THREE,
        "1h",
    ),
    Case(
        "StreamsTruncated",
        "failed before the first byte is another alert's",
        {**requests("good", "0+97x260"), **requests("failed", "0+3x260")},
        [],
        "1h",
    ),
    Case("ModelTtftBurn", "one in three late, vLLM", ttft("0+20x260", "0+30x260"), ALL_THREE, "1h"),
    Case(
        "ModelTtftBurn",
        "the bound is missing: the next lower one counts",
        ttft("0+20x260", "0+30x260", bound="0.75"),
        ALL_THREE,
        "1h",
    ),
    Case("ModelTtftBurn", "one in three late, at the gateway", slow_gateway("0+20x260", "0+30x260"), ALL_THREE, "1h"),
    Case("ModelTtftBurn", "in time", ttft("0+30x260", "0+30x260"), [], "1h"),
    Case(
        "ModelTtftBurn",
        "the engine's own time counts where it has one",
        {**ttft("0+30x260", "0+30x260"), **slow_gateway("0x260", "0+30x260")},
        [],
        "1h",
    ),
    Case(
        "ModelInterTokenBurn",
        "200 ms a token, llama.cpp, which has sums alone",
        {
            f"llamacpp:tokens_predicted_total{{{LLAMA}}}": "0+75x260",
            f"llamacpp:tokens_predicted_seconds_total{{{LLAMA}}}": "0+15x260",
        },
        ALL_THREE,
        "1h",
    ),
    Case(
        "ModelInterTokenBurn",
        "20 ms a token",
        {
            f"llamacpp:tokens_predicted_total{{{LLAMA}}}": "0+75x260",
            f"llamacpp:tokens_predicted_seconds_total{{{LLAMA}}}": "0+1.5x260",
        },
        [],
        "1h",
    ),
    Case(
        "ModelInterTokenBurn",
        "half too slow, SGLang",
        {
            f'sglang:inter_token_latency_seconds_bucket{{{ENGINE}, le="0.1"}}': "0+500x260",
            f'sglang:inter_token_latency_seconds_bucket{{{ENGINE}, le="+Inf"}}': "0+1000x260",
            f"sglang:inter_token_latency_seconds_count{{{ENGINE}}}": "0+1000x260",
            f"sglang:inter_token_latency_seconds_sum{{{ENGINE}}}": "0+100x260",
        },
        ALL_THREE,
        "1h",
    ),
]

JOB = 'name="tune", owner="research"'
TUNE = {"severity": "ticket", "name": "tune", "owner": "research"}


def job(late: str, *, deadline: str = f"{6 * 3600}x80") -> dict[str, str]:
    return {f"modelops_job_late{{{JOB}}}": late, f"modelops_job_deadline_seconds{{{JOB}}}": deadline}


def turns(moments: str, *, running: str = "2x200") -> dict[str, str]:
    return {"modelops_jobs_turn_seconds": moments, 'modelops_jobs{phase="running"}': running}


BATCH = [
    Case("JobLate", "named six hours before its deadline", job("1x80"), [TUNE], "15m"),
    Case("JobLate", "its deadline has passed", job("1x80", deadline="60x80"), [TUNE], "15m"),
    Case("JobLate", "on time again at the next turn", job("1x30 0x50"), [], "15m"),
    Case("JobLate", "it has no deadline to miss", {f"modelops_job_late{{{JOB}}}": "1x80"}, [], "15m"),
    Case("JobLate", "on time", job("0x80"), [], "15m"),
    Case(
        "JobStalled",
        "no output and no progress",
        {f'modelops_job_stalled{{{JOB}, host="h1"}}': "1x40"},
        [TUNE | {"host": "h1"}],
    ),
    Case("JobStalled", "it writes again", {f'modelops_job_stalled{{{JOB}, host="h1"}}': "1x10 0x40"}),
    Case("JobTurnMissing", "no turn for half an hour", turns("0x200"), [{"severity": "ticket"}], "35m"),
    Case(
        "JobTurnMissing",
        "a turn every five minutes",
        turns("0x20 300x20 600x20 900x20 1200x20 1500x20 1800x60"),
        [],
        "35m",
    ),
    Case("JobTurnMissing", "no job waits or runs", turns("0x200", running="0x200"), [], "35m"),
]

CASES = [*SERVERS, *GATEWAY, *HOSTS, *ACCELERATORS, *PLANNING, *BATCH, *OWN, *BURNS]


def promtool_test(cases: list[Case], rule_file: str) -> dict[str, Any]:
    """The cases as promtool's file. Firing alerts are asked for as series, so that texts may change."""
    by = ", ".join(LABELS)
    return {
        "rule_files": [rule_file],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "tests": [
            {
                "name": f"{case.alert}: {case.says}",
                "interval": f"{STEP_SECONDS}s",
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count by ({by}) (ALERTS{{alertname="{case.alert}", alertstate="firing"}})',
                        "eval_time": case.at,
                        "exp_samples": [
                            {
                                "labels": "{" + ", ".join(f'{key}="{value}"' for key, value in one.items()) + "}",
                                "value": 1,
                            }
                            for one in case.fires
                        ],
                    }
                ],
            }
            for case in cases
        ],
    }
