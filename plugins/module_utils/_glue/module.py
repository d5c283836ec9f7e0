# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The one way a module of this collection runs.

A module is its documentation, an argument specification and a pure
``execute(params, check_mode, diff) -> dict``. Everything that touches Ansible
is here, so ``execute`` can be tested without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.modelops.datacenter.plugins.module_utils._core import sealing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import seal_for

Execute = Callable[[Mapping[str, Any], bool, bool], "dict[str, Any]"]


def run_module(argument_spec: dict[str, Any], execute: Execute, *, sealed: Sequence[str] = (), **kwargs: Any) -> None:
    """Parse the options, call ``execute``, and report its result or its error.

    ``execute`` returns the module's result; a ``warnings`` list in it is shown as
    Ansible warnings. Every :class:`ModelOpsError` becomes one ``msg``. ``sealed``: options whose
    files are encrypted where the options of :mod:`.encryption` give a password.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **kwargs)
    try:
        with sealing.using(seal_for(module.params, sealed)):
            result = execute(module.params, module.check_mode, module._diff)
    except ModelOpsError as error:
        module.fail_json(msg=error.message, error_kind=type(error).__name__)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    result.setdefault("changed", False)
    module.exit_json(**result)
