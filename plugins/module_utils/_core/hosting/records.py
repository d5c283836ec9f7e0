# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""From module options to what the lifecycle works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.files import (
    DefinitionFile,
    Directory,
    parse_mode,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.hosting.lifecycle import (
    AbsentService,
    ReplicaService,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.service import service_name

COPIED = (
    "engine",
    "served_name",
    "url",
    "probe",
    "health_path",
    "address",
    "memory_gib",
    "accelerator_memory_gib",
    "shares_accelerators",
    "ready_timeout_seconds",
    "stop_timeout_seconds",
)


def directory(entry: Mapping[str, Any]) -> Directory:
    """One of the option ``directories``."""
    return Directory(
        path=entry["path"],
        mode=parse_mode(entry["mode"], where=entry["path"]),
        owner=entry["owner"] or "",
        group=entry["group"] or "",
    )


def definition_file(entry: Mapping[str, Any]) -> DefinitionFile:
    """One of the option ``files``: ``content``, or ``secret_content`` that is never shown."""
    secret = entry["secret_content"] is not None
    return DefinitionFile(
        path=entry["path"],
        content=entry["secret_content"] if secret else entry["content"] or "",
        mode=parse_mode(entry["mode"], where=entry["path"]),
        owner=entry["owner"] or "",
        group=entry["group"] or "",
        secret=secret,
    )


def replica_service(entry: Mapping[str, Any]) -> ReplicaService:
    """One of the option ``services``; its digest covers all that a restart is needed for."""
    definition = tuple(definition_file(file) for file in entry["files"])
    # The wave belongs to the plan: the next plan says another for a replica that just goes on.
    record = {key: value for key, value in entry["record"].items() if key != "wave"}
    return ReplicaService(
        name=entry["name"],
        record=record,
        definition=definition,
        digest=documents.digest(
            {"files": {file.path: file.content for file in definition}, "checksum": record.get("checksum") or ""}
        ),
        port=int(documents.expect_number(record.get("port"), what="port", where=entry["name"], minimum=1)),
        api_key_file=entry["api_key_file"] or "",
        **{key: entry[key] for key in COPIED},
    )


def absent_service(record: Any, paths: Sequence[str]) -> AbsentService:
    """One of the option ``absent``; ``{name}`` in ``paths`` is its service's name."""
    fields = documents.expect_mapping(record, what="absent replica")
    if "model" not in fields or "slot" not in fields:
        raise InputError(f"an absent replica needs model and slot, not {dict(fields)!r}")
    name = service_name(str(fields["model"]), int(fields["slot"]))
    return AbsentService(name=name, record=fields, paths=tuple(path.replace("{name}", name) for path in paths))
