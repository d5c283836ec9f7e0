# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Options that several modules share; each set has a fragment of documentation of its name."""

from __future__ import annotations

from typing import Any

# Fragment ``load``: one server, and what is asked of it.
LOAD_OPTIONS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "model": {"type": "str", "required": True},
    "output_tokens": {"type": "int", "default": 64, "no_log": False},
    "prompt_words": {"type": "int", "default": 64},
    "prompts": {"type": "list", "elements": "str", "default": []},
    "timeout_seconds": {"type": "float", "default": 60},
    "seed": {"type": "int", "default": 1},
    "api_key_file": {"type": "path", "no_log": False},
}
LOAD_LIMITS: dict[str, tuple[float, float]] = {
    "output_tokens": (1, 1e5),
    "prompt_words": (1, 1e5),
    "timeout_seconds": (1, 3600),
    "seed": (0, 1e9),
}
