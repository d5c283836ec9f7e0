# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Alerts on forecast and plan, on certificates, and on the monitoring itself."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.names import (
    ALERTMANAGER,
    ENGINE,
    GATEWAY,
    NODE,
    PROMETHEUS,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import Alert, Group
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import Settings

HEARTBEAT = "MonitoringHeartbeat"
DAY_SECONDS = 86_400
# Below this, demand and forecast are noise of single requests.
LEAST_DEMAND = 0.05


def planning_rules(settings: Settings) -> list[Group]:
    """From the figures that ``planning_figures`` writes of plan.json and forecast.json."""
    capacity_up = (
        "sum by (model) (max by (host, slot, model) (modelops_plan_replica_capacity_requests_per_second)\n"
        f'  * on (host, slot, model) group_left () (up{{job="{ENGINE}"}} == 1))'
    )
    alerts = [
        Alert(
            "DemandAboveForecast",
            "modelops:demand:rate5m > on (model)\n"
            f"  {settings.demand_over_forecast:g} * max by (model) (modelops_forecast_upper_requests_per_second)\n"
            f"and modelops:demand:rate5m > {LEAST_DEMAND:g}",
            settings.demand_hold_seconds, "page",
            "{{ $value | humanize }} requests/s of {{ $labels.model }} are more than was forecast",
            "More arrives than the forecast's upper quantile, from which its replicas were counted.",
        ),
        Alert(
            "CapacityShortfallAhead",
            "max by (model) (modelops_plan_shortage_requests_per_second) > 0\n"
            "or (max by (model) (modelops_forecast_upper_requests_per_second)\n"
            f"  > on (model) ({capacity_up}\n"
            "    or on (model) 0 * max by (model) (modelops_plan_replicas)))",
            settings.shortfall_hold_seconds, "page",
            "{{ $labels.model }} will have too few replicas",
            "The plan itself is short, or the replicas that are up sustain less than the forecast's upper quantile.",
        ),
        Alert(
            "PlanStale",
            f"time() - max(modelops_plan_created_seconds) > {settings.plan_max_age_seconds:g}\n"
            "or absent(modelops_plan_created_seconds)",
            300.0, "ticket",
            "The plan is old, or there is none",
            "Nothing follows demand any more. The timer or whoever runs the playbook site stopped, or it fails.",
        ),
        Alert(
            "ForecastQualityLow",
            "max by (model, quantile) (modelops_forecast_realised_coverage) < on (model, quantile) "
            f"max by (model, quantile) (modelops_forecast_quantile_level) - {settings.coverage_tolerance:g}\n"
            f"and on (model) modelops_forecast_feedback_samples >= {settings.coverage_minimum_samples:g}\n"
            f"or max by (model) (modelops_forecast_skill) < {settings.skill_minimum:g}\n"
            "or max by (model) (modelops_forecast_usable) == 0",
            600.0, "ticket",
            "The forecast of {{ $labels.model }} is not to be trusted",
            "Demand was above its quantiles too often, it does worse than repeating the last season, or the history "
            "is too short or broken. What is observed then counts.",
        ),
    ]  # fmt: skip
    return [Group("modelops-planning", alerts)]


def own_rules(settings: Settings) -> list[Group]:
    """Certificates, and who watches the watchers."""
    life = "(modelops_certificate_not_after_seconds - modelops_certificate_not_before_seconds)"
    left = "modelops_certificate_not_after_seconds - time()"
    silent = f"{settings.silent_seconds:g}"
    certificates = [
        Alert(
            "CertificateExpiresSoon",
            f"{left} < clamp_max({life} * {settings.certificate_ticket_share:.6g}, {30 * DAY_SECONDS})\n"
            f"unless {_page(left, life, settings)}\nor modelops_certificate_readable == 0",
            60.0, "ticket",
            "The certificate {{ $labels.path }} on {{ $labels.host }} ends soon, or cannot be read",
            "Less than a third of its life is left: its renewal does not work.",
        ),
        Alert(
            "CertificateExpiresSoon", _page(left, life, settings), 0.0, "page",
            "The certificate {{ $labels.path }} on {{ $labels.host }} ends in {{ $value | humanizeDuration }}",
            "Then nothing connects any more.",
        ),
    ]  # fmt: skip
    watchers = [
        Alert(
            HEARTBEAT, "vector(1)", 0.0, "none",
            "Monitoring works",
            "Always fires. Who gets it no more knows that Prometheus or Alertmanager is silent.",
        ),
        Alert(
            "MonitoringSilent",
            f'(sum(up{{job=~"{NODE}|{ENGINE}|{GATEWAY}"}}) or vector(0)) == 0\n'
            f"or time() - modelops_figures_written_seconds > {silent}\n"
            f'or sum by (host) (increase(prometheus_rule_evaluation_failures_total{{job="{PROMETHEUS}"}}[5m])) > 0\n'
            f'or sum by (host) (increase(prometheus_sd_file_read_errors_total{{job="{PROMETHEUS}"}}[5m])) > 0',
            30.0, "page",
            "Monitoring does not see{{ with $labels.host }} what it should on {{ . }}{{ end }}",
            "Nothing that is watched answers, a host's figures are not written any more, or rules or targets cannot "
            "be read. Until it is mended, silence means nothing.",
        ),
        Alert(
            "PrometheusDown", f'up{{job="{PROMETHEUS}"}} == 0', settings.silent_seconds / 2, "page",
            "Prometheus on {{ $labels.host }} does not answer",
            "Said by another Prometheus, or by the watch on another host.",
        ),
        Alert(
            "AlertmanagerDown",
            f'up{{job="{ALERTMANAGER}"}} == 0\n'
            f'or prometheus_notifications_alertmanagers_discovered{{job="{PROMETHEUS}"}} < 1',
            settings.silent_seconds / 2, "page",
            "Alertmanager on {{ $labels.host }} does not answer",
            "Alerts reach nobody, unless there is another Alertmanager.",
        ),
    ]  # fmt: skip
    return [Group("modelops-certificates", certificates), Group("modelops-monitoring", watchers)]


def _page(left: str, life: str, settings: Settings) -> str:
    return f"{left} < clamp_max({life} / 6, {settings.certificate_page_days * DAY_SECONDS:g})"
