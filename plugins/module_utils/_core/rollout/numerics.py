# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The numerical libraries the judge uses."""

from __future__ import annotations

from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.libraries import require


def library(name: str) -> Any:
    """The module ``name``, or an error that says how to get it."""
    return require(name, purpose="Judging a canary")
