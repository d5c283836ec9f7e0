# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules whose documents may be encrypted at rest."""

from __future__ import annotations


class ModuleDocFragment:
    """``_glue.encryption`` holds the same as an argument specification."""

    DOCUMENTATION = r"""
options:
  encryption_passwords:
    description:
      - Passwords for documents that are encrypted at rest, in the format of Ansible Vault. What the module writes is encrypted
        with the first; what it reads may be encrypted with any, so that one password can replace another.
      - Where one is given, documents of the collection that lie there in plain are refused.
      - At least 16 characters each.
    type: list
    elements: str
    default: []
  encryption_password_files:
    description: Files with a password each, on the host the module runs on, that nobody but their owner may read. They come after
      O(encryption_passwords).
    type: list
    elements: path
    default: []
"""
