# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Alerts on replicas, gateways and models: symptoms, seen within seconds.

They stand beside the burn rates, which are too slow to protect users: with all first tokens late,
a burn of 14.4 over an hour and five minutes takes minutes to show.
"""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.names import ENGINE, GATEWAY, NODE
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import (
    Alert,
    Group,
    Recording,
    duration,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import Settings

MINIMUM_FAILED = 5
# The pool that is used in a panic has the same servers; each would count twice.
POOL = f'job="{GATEWAY}", proxy!~".*:panic|gateway|metrics|stats"'
REPLICA_LABELS = "host, slot, model"
REPLICA_NAME = "{{ $labels.model }} on {{ $labels.host }}, slot {{ $labels.slot }},"


def serving_rules(settings: Settings) -> list[Group]:
    """What is recorded per model, and the alerts."""
    recorded = [
        Recording("modelops:demand:rate5m", _demand()),
        Recording(
            "modelops:model_queue",
            f"sum by (model) (modelops:queue) + on (model) group_left () sum by (model) ({_gateway_queue()})\n"
            f"or sum by (model) (modelops:queue)\nor sum by (model) ({_gateway_queue()})",
        ),
        Recording("modelops:replicas_up", f'sum by (model) (up{{job="{ENGINE}"}})'),
    ]
    return [
        Group("modelops-models", recorded),
        Group("modelops-servers", _servers(settings)),
        Group("modelops-gateway", _gateway(settings)),
    ]


def _demand() -> str:
    """Arrivals, those that failed or were turned away included."""
    return (
        'sum by (model) (rate(modelops_gateway_requests_total{outcome!="refused"}[5m]))\n'
        "or sum by (model) (rate(modelops:requests_total[5m]))"
    )


def _gateway_queue() -> str:
    # The proxy's name is the model's.
    return f'label_replace(haproxy_backend_current_queue{{{POOL}}}, "model", "$1", "proxy", "(.+)")'


def _failed(window: str, by: str, outcomes: str = "failed|truncated") -> str:
    return f'sum by ({by}) (increase(modelops_gateway_requests_total{{host!="", outcome=~"{outcomes}"}}[{window}]))'


def _servers(settings: Settings) -> list[Alert]:
    window = duration(settings.flapping_window_seconds)
    asked = _failed("1m", REPLICA_LABELS, "good|failed|truncated")
    return [
        Alert(
            "ModelServerDown", f'up{{job="{ENGINE}"}} == 0', settings.server_down_hold_seconds, "page",
            f"{REPLICA_NAME} does not answer",
            "Its metrics cannot be read: the process is gone, stopped, or its port is closed.",
        ),
        Alert(
            "ModelServerNotReady",
            f'max by ({REPLICA_LABELS}) (haproxy_server_status{{{POOL}, state="DOWN"}}) == 1\n'
            f'unless on (host, slot) up{{job="{ENGINE}"}} == 0',
            settings.server_not_ready_hold_seconds, "page",
            f"{REPLICA_NAME} is kept out by the gateway",
            "It runs, but its health check, its answers or the probe for one token say that it does not serve.",
        ),
        Alert(
            "ModelServerStalled",
            "(modelops:queue > 0 and modelops:running == 0)\n"
            "or (modelops:running > 0\n"
            "  and on (host, slot, model) rate(modelops:tokens_total[1m]) == 0\n"
            "  and on (host, slot, model) rate(modelops:prompt_tokens_total[1m]) == 0)",
            settings.server_stalled_hold_seconds, "page",
            f"{REPLICA_NAME} has requests and makes no progress",
            "Requests wait while none is worked on, or are worked on while no token comes.",
        ),
        Alert(
            "ModelServerErrors",
            f"{_failed('1m', REPLICA_LABELS)} / ({asked} > 0) > {settings.server_error_ratio:g}\n"
            f"and {_failed('1m', REPLICA_LABELS)} >= {MINIMUM_FAILED}\n"
            f"or rate(modelops:errors_total[1m]) / (rate(modelops:requests_total[1m]) > 0) "
            f"> {settings.server_error_ratio:g}\n"
            f"and increase(modelops:errors_total[1m]) >= {MINIMUM_FAILED}",
            0.0, "page",
            f"{REPLICA_NAME} fails {{{{ $value | humanizePercentage }}}} of its requests",
            "Server errors and cut answers of one replica over one minute.",
        ),
        Alert(
            "ModelServerFlapping",
            f"sum by ({REPLICA_LABELS}) (increase(haproxy_server_check_up_down_total{{{POOL}}}[{window}]))"
            f" >= {settings.flapping_downs:g}\n"
            f'or changes(up{{job="{ENGINE}"}}[{window}]) >= {2 * settings.flapping_downs:g}\n'
            f"or {_restarts(window)} >= {settings.flapping_downs:g}",
            0.0, "ticket",
            f"{REPLICA_NAME} went down again and again",
            f"At least {settings.flapping_downs:g} times in {window}: another restart will not mend it.",
        ),
    ]  # fmt: skip


def _restarts(window: str) -> str:
    """By systemd, which restarts faster than anybody looks; the slot is the last part of the unit's name."""
    return (
        f"sum by ({REPLICA_LABELS}) (label_replace(label_replace(\n"
        f'  increase(node_systemd_service_restart_total{{job="{NODE}", name=~"modelops-.+-[0-9]+[.]service"}}[{window}]),\n'
        '  "slot", "$1", "name", "modelops-.+-([0-9]+)[.]service"),\n'
        '  "model", "$1", "name", "modelops-(.+)-[0-9]+[.]service"))'
    )


def _gateway(settings: Settings) -> list[Alert]:
    everything = 'increase(modelops_gateway_requests_total{outcome!~"refused|client_left"}[1m])'
    failed = 'increase(modelops_gateway_requests_total{outcome=~"failed|truncated"}[1m])'
    return [
        Alert(
            "GatewayDown", f'up{{job="{GATEWAY}"}} == 0', settings.gateway_down_hold_seconds, "page",
            "The gateway {{ $labels.host }} does not answer",
            "HAProxy's metrics cannot be read. Requests that came in there fail, unless another gateway took its address.",
        ),
        Alert(
            "GatewayBackendEmpty",
            # A model scaled to nothing, or whose replicas somebody took out, has no server that is down.
            f"label_replace(min by (proxy) (haproxy_backend_active_servers{{{POOL}}}) == 0\n"
            f'  and on (proxy) sum by (proxy) (haproxy_server_status{{{POOL}, state="DOWN"}}) > 0,'
            ' "model", "$1", "proxy", "(.+)")',
            settings.gateway_down_hold_seconds, "page",
            "The gateway has no replica for {{ $labels.model }}",
            "None of its servers is usable; what still takes connections gets the requests.",
        ),
        Alert(
            "ModelErrorRateHigh",
            f"sum by (model) ({failed}) / (sum by (model) ({everything}) > 0) > {settings.error_ratio:g}\n"
            f"and sum by (model) ({failed}) >= {MINIMUM_FAILED}",
            0.0, "page",
            "{{ $labels.model }} fails {{ $value | humanizePercentage }} of its requests",
            "Server errors and cut answers over one minute, over all replicas.",
        ),
        Alert(
            "QueueGrowing",
            f"min_over_time(modelops:model_queue[2m]) >= {settings.queue_minimum:g}\n"
            "and deriv(modelops:model_queue[5m]) > 0",
            settings.queue_hold_seconds, "page",
            "{{ $value | humanize }} requests wait for {{ $labels.model }}, and more come",
            "Engines and gateway together. Its replicas do not keep up with what arrives.",
        ),
    ]  # fmt: skip
