# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The host's state file (``modelops.fact``), written through on every change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents, host_state
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ModelOpsError


class HostState:
    """The host's state file, written through on every change."""

    def __init__(self, path: str, *, dry_run: bool) -> None:
        self._path = path
        self._dry_run = dry_run
        try:
            self.document: dict[str, Any] = documents.read_document(path, what="host state")
        except ModelOpsError:
            # Absent or unreadable: what runs is found again service by service.
            self.document = {}
        self.changed = False

    def update(
        self,
        *,
        enter: Iterable[Mapping[str, Any]] = (),
        leave: Iterable[Mapping[str, Any]] = (),
        startup_seconds: Mapping[str, float] | None = None,
        capacity: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        document = host_state.updated_state(
            self.document, enter=enter, leave=leave, startup_seconds=startup_seconds, capacity=capacity
        )
        if document != self.document:
            self.document = document
            self.changed = True
            if not self._dry_run:
                os.makedirs(os.path.dirname(self._path), mode=0o755, exist_ok=True)
                documents.write_document(self._path, document, mode=0o644)

    def digest_of(self, service: str) -> str:
        """The digest of the settings ``service`` was last started with; empty when unknown."""
        return str(self.record_of(service).get("digest") or "")

    def record_of(self, service: str) -> Mapping[str, Any]:
        """What is said of ``service``; empty when nothing is."""
        return next((one for one in self.document.get("replicas") or [] if one.get("service") == service), {})
