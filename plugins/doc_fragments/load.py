# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module that sends completions to one server is told."""

from __future__ import annotations


class ModuleDocFragment:
    """The server, and what is asked of it; the options are ``LOAD_OPTIONS`` of ``_glue/options.py``."""

    DOCUMENTATION = r"""
options:
  url:
    description: Base URL of the server.
    type: str
    required: true
  model:
    description: Name under which it serves the model.
    type: str
    required: true
  output_tokens:
    description: Tokens asked for.
    type: int
    default: 64
  prompt_words:
    description: Words of a made-up prompt, another one for each request.
    type: int
    default: 64
  prompts:
    description: Prompts to send instead, in turn, for a mix like the users'.
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: Seconds after which one request is given up.
    type: float
    default: 60
  seed:
    description: Of all that is drawn by chance.
    type: int
    default: 1
  api_key_file:
    description: File on the host with the server's API key.
    type: path
"""
