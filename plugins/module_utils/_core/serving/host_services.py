# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""All replicas of one host at once: what cannot be deployed, and what the host runs for the rest.

One call a host instead of one a replica: over hundreds of hosts the time of a playbook
is the number of its tasks and template expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.release import release_digest
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import service
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.engine_programs import (
    engine_executable,
)

Record = Mapping[str, Any]


def objections(replicas: Sequence[Record], models: Mapping[str, Any]) -> list[str]:
    """Why these replicas cannot be deployed from this catalogue, one sentence a reason; empty when they can."""
    unknown = sorted({str(replica["model"]) for replica in replicas} - set(models))
    sentences = []
    if unknown:
        sentences.append(
            f"This host shall run {', '.join(unknown)}, which modelops_models does not describe. "
            "Add the model to the catalogue, or plan again."
        )
    planned = {
        (str(replica["model"]), str(replica.get("version"))) for replica in replicas if replica["model"] in models
    }
    for name, version in sorted(planned):
        known = str(models[name].get("version"))
        if known != version:
            sentences.append(
                f"The plan wants {name} {version}, the catalogue has {known}. Plan again, or set the version back."
            )
    return sentences


def describe(
    replicas: Sequence[Record],
    models: Mapping[str, Any],
    *,
    artifacts: Mapping[str, Record],
    programs: Mapping[str, Sequence[str]],
    engines: Sequence[Record] = (),
    engines_dir: str = "",
    launcher: str = "",
    cache_dir: str = "",
    accelerator_type: str = "cpu",
    accelerator_vendor: str = "",
    accelerator_uuids: Sequence[str] = (),
    bind_address: str = "127.0.0.1",
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each replica's service (:func:`service.as_record`) and what ``replica_services`` is told of it, less its files.

    Args:
        replicas: records of the plan's placements for this host.
        models: the catalogue.
        artifacts: by model, the ``path`` and ``checksum`` of what is on the host.
        programs: by engine, the words that start it where neither the catalogue says ``executable`` nor
            the host has an environment for it.
        engines, engines_dir, launcher: the host's engine environments (:func:`engine_executable`).
        cache_dir, accelerator_type, accelerator_vendor, accelerator_uuids, bind_address: as
            :func:`service.build_service` takes them.

    Raises:
        InputError: a model that is not in the catalogue or an entry of it that makes no service.
    """
    described = []
    for replica in replicas:
        name = str(replica.get("model") or "")
        model = documents.expect_mapping(models.get(name), what="catalogue entry", where=f"model {name}")
        program = engine_executable(
            model, engines, engines_dir=engines_dir, launcher=launcher, where=f"model {name}"
        ) or programs.get(str(model.get("engine") or ""))
        artifact = artifacts.get(name) or {}
        record = service.as_record(
            service.build_service(
                replica,
                {**({"executable": program} if program else {}), **model},
                paths={"model_path": artifact.get("path") or "", "cache_dir": cache_dir},
                accelerator_type=accelerator_type,
                accelerator_vendor=accelerator_vendor,
                accelerator_uuids=accelerator_uuids,
                bind_address=bind_address,
            )
        )
        described.append((record, _entry(replica, record, model, artifact)))
    return described


def _entry(replica: Record, record: Record, model: Record, artifact: Record) -> dict[str, Any]:
    """What the module ``replica_services`` is told; its memory need is on each of its accelerators."""
    resources = model.get("resources") or {}
    memory = float(resources.get("accelerator_memory_gib") or 0)
    wanted = resources.get("accelerators")
    return {
        "name": record["name"],
        "record": {
            **replica,
            "service": record["name"],
            "checksum": artifact.get("checksum") or "",
            "release": release_digest(model),
        },
        "engine": record["engine"],
        "served_name": record["alias"],
        "url": record["url"],
        "probe": record["probe"],
        "health_path": record["health_path"],
        "address": record["host"],
        "api_key_file": record["api_key_file"],
        "memory_gib": float(resources.get("memory_gib") or 0),
        "accelerator_memory_gib": memory / max(len(record["accelerators"]), 1),
        "shares_accelerators": 0 < float(1 if wanted is None else wanted) < 1,
        "ready_timeout_seconds": record["ready_timeout_seconds"],
        "stop_timeout_seconds": record["stop_timeout_seconds"],
    }
