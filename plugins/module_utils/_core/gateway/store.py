# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What a gateway host remembers: settings, models and members, from which its configuration is made.

One document, ``gateway.json``; nothing in it is secret. Written before HAProxy is told, so a run
that was broken off is finished by the next one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member, parse_members
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.models import (
    GatewayModel,
    parse_models,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import (
    Settings,
    parse_settings,
)

SCHEMA_VERSION = 1
NAME = "gateway.json"
SECRET_FILES = ("api_keys.map", "backend_keys.map")


@dataclass(frozen=True)
class Stored:
    """``applied``: the running process was told all of it; false where a run was broken off."""

    settings: Settings = field(default_factory=Settings)
    models: Mapping[str, GatewayModel] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    applied: bool = True

    def as_document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "gateway",
            "settings": self.settings.as_record(),
            "models": {name: model.as_record() for name, model in self.models.items()},
            "members": [member.as_record() for member in self.members],
            "applied": self.applied,
        }


def load(config_dir: str) -> Stored | None:
    """What is remembered; None on a host that is no gateway yet.

    Raises:
        InputError: the document is not one of ours.
    """
    path = os.path.join(config_dir, NAME)
    if not os.path.exists(path):
        return None
    document = documents.read_document(path, what="gateway document")
    if not isinstance(document, Mapping) or document.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"is not a gateway document of schema {SCHEMA_VERSION}",
            where=path,
            remedy="Move it away and run the role gateway again",
        )
    settings = parse_settings(document.get("settings"))
    return Stored(
        settings=settings,
        models=parse_models(document.get("models"), default_concurrency=settings.default_concurrency),
        members=tuple(parse_members(document.get("members") or [], what=path)),
        applied=document.get("applied") is not False,
    )


def secret_digests(config_dir: str, client_ca: str = "") -> tuple[tuple[str, str], ...]:
    """Names and digests of the files that only a reload reads: the secret ones that are there, and the clients' CA."""
    paths = {name: os.path.join(config_dir, name) for name in SECRET_FILES}
    paths.update({"client_ca": client_ca} if client_ca else {})
    return tuple((name, documents.file_digest(path)) for name, path in paths.items() if os.path.exists(path))
