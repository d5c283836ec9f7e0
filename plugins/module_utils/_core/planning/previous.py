# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The plan before this one, as far as it can be had.

Only its memory of demand is used, and without memory more is held, not less. So a file
that does not exist yet, or that no longer reads as a plan of this release, is no previous
plan; it is no error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.plan import read_plan
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError


def previous_plan(given: Any) -> Mapping[str, Any] | None:
    """The previous plan from its path or its content; None when there is none.

    Raises:
        InputError: neither a path nor a mapping, or a file that is there but cannot be read.
    """
    if not given:
        return None
    if not isinstance(given, str):
        return expect_mapping(given, what="previous plan")
    if not os.path.exists(os.path.expanduser(given)):
        return None
    try:
        return read_plan(given)
    except RefusedPlanError:
        return None
