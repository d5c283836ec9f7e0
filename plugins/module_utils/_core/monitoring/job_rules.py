# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Alerts on training and batch jobs, from the figures that each turn of ``run_jobs`` leaves."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.rule import Alert, Group
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.settings import Settings


def job_rules(settings: Settings) -> list[Group]:
    """A job that will be late, one that shows no life, and turns that nobody takes any more."""
    alerts = [
        Alert(
            "JobLate",
            "max by (name, owner) (modelops_job_deadline_seconds) - time()\n"
            "and on (name, owner) max by (name, owner) (modelops_job_late) == 1",
            settings.job_late_hold_seconds, "ticket",
            "{{ $labels.name }} of {{ $labels.owner }} will not be done by its deadline"
            "{{ if gt $value 0.0 }} in {{ $value | humanizeDuration }}{{ else }}, which has passed{{ end }}",
            "What serving leaves does not hold what is left of its work. The LATE line of the last run says by how much.",
        ),
        Alert(
            "JobStalled", "max by (name, owner, host) (modelops_job_stalled) == 1", 0.0, "ticket",
            "{{ $labels.name }} of {{ $labels.owner }} on {{ $labels.host }} shows no life",
            "It runs, and has written neither output nor progress for its stalled_after_seconds.",
        ),
        Alert(
            "JobTurnMissing",
            f"time() - max(modelops_jobs_turn_seconds) > {settings.jobs_turn_max_age_seconds:g}\n"
            'and on () sum(modelops_jobs{phase=~"waiting|running"}) > 0',
            60.0, "ticket",
            "Nobody has looked at the jobs for {{ $value | humanizeDuration }}",
            "run_jobs is not run any more, or fails. When their leases run out, the hosts stop what runs.",
        ),
    ]  # fmt: skip
    return [Group("modelops-jobs", alerts)]
