# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""All rules of the collection, as files for Prometheus."""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.engine_rules import engine_rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.host_rules import (
    accelerator_rules,
    host_rules,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.job_rules import job_rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.planning_rules import (
    own_rules,
    planning_rules,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import Alert, Group, render
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.service_levels import slo_rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.serving_rules import serving_rules
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import (
    Settings,
    parse_settings,
)


def all_groups(settings: Settings) -> list[Group]:
    """Recorded names first: later groups read them."""
    return [
        engine_rules(),
        *serving_rules(settings),
        *slo_rules(settings),
        *host_rules(settings),
        *accelerator_rules(settings),
        *planning_rules(settings),
        *job_rules(settings),
        *own_rules(settings),
    ]


def alert_names(groups: list[Group]) -> list[str]:
    """Each name once, in order."""
    return list(dict.fromkeys(rule.name for group in groups for rule in group.rules if isinstance(rule, Alert)))


def rules_text(options: Any, models: Any, *, runbook_url: str) -> str:
    """The rule file for these options and this catalogue.

    Raises:
        InputError: an unknown option, or a value out of bounds.
    """
    return render(all_groups(parse_settings(options, models)), runbook_url=runbook_url)
