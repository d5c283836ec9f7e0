# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A decision as a tired person reads it."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.decision import Decision

HELD_SHOWN = 20


def described(decision: Decision, breakers: Mapping[str, str], *, dry: bool) -> list[str]:
    """One line a thing: breakers, what is done, what a person is told, what waits."""
    lines = [f"BREAKER OPEN for {scope}: {cause}" for scope, cause in sorted(breakers.items())]
    word = "would" if dry else "will"
    lines += [
        f"{word} {one.step.replace('_', ' ')} {one.target if one.step != 'scale_out' else one.model} for {one.alert}"
        for one in decision.actions
    ]
    lines += [f"look at what became of {one.step.replace('_', ' ')} of {one.target}" for one in decision.looks]
    lines += [
        f"a person must look at {one['target']} ({one['alert']}): {one['reason']}" for one in decision.escalations
    ]
    lines += [f"left alone: {one['alert']} of {one['target']}: {one['why']}" for one in decision.held[:HELD_SHOWN]]
    more = len(decision.held) - HELD_SHOWN
    return lines + [f"and {more} more left alone"] * (more > 0)
