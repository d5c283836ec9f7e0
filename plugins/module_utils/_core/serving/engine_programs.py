# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Which program starts a model where the host has engine environments side by side.

A replica names its version's own directory, never the link to the version in use: a
replica that restarts by itself comes back as it was, whatever was installed since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

# How an engine is started by the Python of its environment. The module forms also work
# for builds of vLLM whose console script does not.
PROGRAMS: dict[str, tuple[str, ...]] = {
    "llama_cpp": ("{python}", "{launcher}"),
    "vllm": ("{python}", "-m", "vllm.entrypoints.openai.api_server"),
    "sglang": ("{python}", "-m", "sglang.launch_server"),
}


def engine_executable(
    model: Mapping[str, Any], engines: Sequence[Mapping[str, Any]], *, engines_dir: str, launcher: str, where: str
) -> list[str]:
    """The words that start a model's engine out of its environment.

    Args:
        model: the catalogue entry; ``engine_version`` picks one of several versions.
        engines: the environments of the host, each with ``name`` and ``version``. The first of
            an engine's name is the one in use.
        engines_dir: where they are.
        launcher: path of ``llama_server.py``.
        where: the model's name, for messages.

    Returns:
        The words; empty where the host has no environment for the engine, or the engine is
        not one that a Python environment starts.

    Raises:
        InputError: the model wants a version that the host does not have.
    """
    engine = str(model.get("engine") or "")
    wanted = str(model.get("engine_version") or "")
    versions = [str(entry.get("version")) for entry in engines if entry.get("name") == engine]
    if wanted and wanted not in versions:
        raise InputError(
            f"the host has no {engine} {wanted}" + (f", only {', '.join(versions)}" if versions else ""),
            where=where,
            remedy="Add it to modelops_engines and run the playbook provision",
        )
    if not versions or engine not in PROGRAMS:
        return []
    python = f"{engines_dir}/{engine}-{wanted or versions[0]}/bin/python"
    return [word.format(python=python, launcher=launcher) for word in PROGRAMS[engine]]
