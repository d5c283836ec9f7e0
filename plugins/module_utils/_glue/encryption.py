# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The options of modules whose documents may be encrypted at rest; documented by the fragment ``encryption``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.sealing import Seal, make_seal

ENCRYPTION: dict[str, Any] = {
    "encryption_passwords": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "encryption_password_files": {"type": "list", "elements": "path", "default": [], "no_log": False},
}


def seal_for(params: Mapping[str, Any], sealed: Sequence[str]) -> Seal | None:
    """The seal that a module's options ask for.

    Args:
        params: the module's.
        sealed: names of the options whose files are never plain where a password is given.

    Raises:
        InputError: a password that cannot be used.
    """
    paths = [params[name] for name in sealed if isinstance(params.get(name), str) and params[name]]
    return make_seal(params.get("encryption_passwords") or [], params.get("encryption_password_files") or [], paths)
