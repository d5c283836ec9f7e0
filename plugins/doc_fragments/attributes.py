# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection states about itself."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes shared by all modules; each module adds its own ``support`` values."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would change without changing anything.
  diff_mode:
    description: Returns what has changed, or in C(check_mode) would change, when in diff mode.
  idempotent:
    description:
      - When run twice in a row with the same input and nothing changed in between,
        the second run reports no change.
"""

    # A module that only computes or only looks: it never changes the machine it runs on.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module only looks; it never changes the state of a host.
  diff_mode:
    support: N/A
    details:
      - This module only looks; it never changes the state of a host.
  idempotent:
    support: full
    details:
      - This module only looks; it never changes the state of a host.
"""
