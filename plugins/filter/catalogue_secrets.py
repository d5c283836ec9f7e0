# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter ``catalogue_secrets``: what looks like a secret in a model catalogue."""

from __future__ import annotations

DOCUMENTATION = r"""
name: catalogue_secrets
short_description: What looks like a secret in a model catalogue
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - The catalogue goes into records, definition files and verbose output, so secrets do not belong in it. Finds variables
    in C(environment) that are named like a secret, flags of engines that take one, and logins in the address of an artifact.
  - Values are never repeated.
options:
  _input:
    description: The model catalogue, C(modelops_models).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Is a secret in the catalogue?
  ansible.builtin.assert:
    that: secrets | length == 0
    fail_msg: "{{ secrets | join(' ') }}"
  vars:
    secrets: "{{ modelops_models | modelops.datacenter.catalogue_secrets }}"
"""

RETURN = r"""
_value:
  description: One sentence for each; empty when there is none.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.secrecy import plain_secrets


def catalogue_secrets(models: Mapping[str, Any]) -> list[str]:
    """See ``DOCUMENTATION``."""
    return plain_secrets(models) if isinstance(models, Mapping) else []


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"catalogue_secrets": catalogue_secrets}
