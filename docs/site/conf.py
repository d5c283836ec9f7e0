# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx settings of the documentation site; `make docs` builds it, offline and with warnings as errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx

project = "modelops.datacenter"
author = "The modelops.datacenter founders"
copyright = author

extensions = ["sphinx_antsibull_ext"]
default_role = "any"
highlight_language = "YAML+Jinja"
pygments_style = "ansible"
nitpicky = True
suppress_warnings = ["config.cache"]  # a function among the settings is no reason to stop

html_theme = "furo"
html_title = "modelops.datacenter"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False
html_use_index = False
html_theme_options = {
    "source_repository": "https://github.com/modelops/datacenter/",
    "navigation_with_keys": True,
}

ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
ANSIBLE_PAGES = {
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "action_plugins": "plugins/action.html",
    "callback_plugins": "plugins/callback.html",
}


def ansible_page(label: str) -> str | None:
    """Where ansible-core documents a label that antsibull-docs writes; None for any other, which stays an error."""
    if label in ANSIBLE_PAGES:
        return ANSIBLE + ANSIBLE_PAGES[label]
    builtin = re.fullmatch(r"ansible_collections\.ansible\.builtin\.(\w+_(?:module|lookup|filter))", label)
    return f"{ANSIBLE}collections/ansible/builtin/{builtin.group(1)}.html" if builtin else None


def resolve(app: Sphinx, environment: Any, node: pending_xref, content: nodes.TextElement) -> nodes.reference | None:
    address = ansible_page(node.get("reftarget", ""))
    return None if address is None else nodes.reference("", "", content, refuri=address, internal=False)


def without_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """The theme shows the contents of a page beside it, and asks pages not to hold a table of their own."""
    source[0] = re.sub(r"^\.\. contents::\n(?:   :.*\n)*\n", "", source[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> None:
    app.connect("source-read", without_contents)
    app.connect("missing-reference", resolve)
