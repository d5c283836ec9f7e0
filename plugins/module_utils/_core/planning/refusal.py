# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Why a plan is refused, in one word for programs beside the sentence for people."""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import PlanRefusedError

REASONS = (
    "corrupt", "schema", "unsigned", "altered", "expired", "reused", "superseded", "unknown_host", "stale", "age", "unreachable",
)  # fmt: skip


class RefusedPlanError(PlanRefusedError):
    """A refusal that says which check failed.

    Args:
        because: one of :data:`REASONS`.
    """

    def __init__(self, what: str, *, because: str, where: str = "", remedy: str = "") -> None:
        self.because = because
        super().__init__(what, where=where, remedy=remedy)
