# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What Prometheus scrapes, from the inventory and from what runs: file service discovery.

One file a job. A host that does not answer says nothing of what it runs; its replicas stay targets,
or a dead host would silence the alerts on everything it ran.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.monitoring.names import (
    ACCELERATOR,
    ALERTMANAGER,
    ENGINE,
    GATEWAY,
    JOBS,
    NODE,
    PROMETHEUS,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.inventory import running_replicas
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.engines import METRICS_PORT_OFFSET

# Engines whose metrics are not on their API port; a command has none that is known.
METRICS_OFFSETS = {"triton": METRICS_PORT_OFFSET}
NO_METRICS = ("command",)
PORTS = {NODE: 9100, GATEWAY: 8405, PROMETHEUS: 9090, ALERTMANAGER: 9093}
FILE_MODE = 0o644

HostVariables = Mapping[str, Mapping[str, Any]]
Jobs = dict[str, list[dict[str, Any]]]


def scrape_jobs(
    names: Iterable[str], hostvars: HostVariables, models: Mapping[str, Any], ports: Mapping[str, Any] | None = None
) -> Jobs:
    """Target groups by job, in the order of hosts and slots.

    A host in maintenance is not watched. ``ports`` replaces those of :data:`PORTS`, by job.

    Raises:
        InputError: a port out of range, an unknown job, or a replica of a model without an engine.
    """
    chosen = {**PORTS, **_ports(ports or {})}
    watched = [name for name in sorted(set(names)) if name in hostvars and _is_watched(hostvars[name])]
    jobs: Jobs = {job: [] for job in JOBS}
    for name in watched:
        variables = hostvars[name]
        labels = {"host": name, "zone": str(variables.get("modelops_zone") or "default")}
        wanted = {NODE: chosen[NODE], ACCELERATOR: _accelerator_port(variables)}
        if _is_true(variables.get("modelops_gateway")):
            wanted[GATEWAY] = chosen[GATEWAY]
        if _is_true(variables.get("modelops_monitoring")):
            wanted.update({PROMETHEUS: chosen[PROMETHEUS], ALERTMANAGER: chosen[ALERTMANAGER]})
        for job, port in wanted.items():
            if port:
                jobs[job].append(_group(_address(name, variables), port, labels))
    jobs[ENGINE] = [
        _replica_group(record, hostvars[record["host"]], models)
        for record in running_replicas(watched, hostvars)
        if _engine(record, models) not in NO_METRICS
    ]
    return jobs


def _is_watched(variables: Mapping[str, Any]) -> bool:
    ours = any(
        variables.get(f"modelops_{key}") not in (None, False, "", "false")
        for key in ("accelerator_type", "gateway", "monitoring")
    )
    return ours and str(variables.get("modelops_state") or "active") != "maintenance"


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "yes", "1")


def _address(name: str, variables: Mapping[str, Any]) -> str:
    return str(variables.get("modelops_address") or variables.get("ansible_host") or name)


def _ports(given: Mapping[str, Any]) -> dict[str, int]:
    for job in sorted(set(given) - set(PORTS)):
        raise InputError(f"there is no job {job!r}", where="scrape_targets", remedy=f"Known are {', '.join(PORTS)}")
    return {job: _port(value, job) for job, value in given.items()}


def _port(value: Any, what: str) -> int:
    return int(expect_number(value, what=f"the port of {what}", where="scrape_targets", minimum=1, maximum=65535))


def _accelerator_port(variables: Mapping[str, Any]) -> int:
    """Of the vendor's exporter; 0 where the host has none."""
    given = variables.get("modelops_accelerator_exporter_port")
    return _port(given, "the accelerators' exporter") if given else 0


def _engine(record: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """A replica of a model that the catalogue has dropped is still watched, until it is gone."""
    entry = expect_mapping(models.get(record["model"]) or {}, what="model", where=f"model {record['model']}")
    return str(entry.get("engine") or "unknown")


def _replica_group(
    record: Mapping[str, Any], variables: Mapping[str, Any], models: Mapping[str, Any]
) -> dict[str, Any]:
    host, engine = str(record["host"]), _engine(record, models)
    labels = {
        "host": host,
        "zone": str(variables.get("modelops_zone") or "default"),
        "model": str(record["model"]),
        "slot": str(record["slot"]),
        "engine": engine,
    }
    return _group(_address(host, variables), int(record["port"]) + METRICS_OFFSETS.get(engine, 0), labels)


def _group(address: str, port: int, labels: Mapping[str, str]) -> dict[str, Any]:
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return {"targets": [target], "labels": dict(labels)}


def write_targets(
    directory: str, jobs: Any, *, unknown_hosts: Collection[str] = (), dry_run: bool = False
) -> tuple[list[str], list[dict[str, str]], dict[str, int]]:
    """Make the files of ``directory`` say what ``jobs`` says.

    Returns:
        the files that differ, what changed in each, and the number of targets by job.
    """
    wanted = expect_mapping(jobs, what="jobs")
    for job in sorted(set(map(str, wanted)) - set(JOBS)):
        raise InputError(f"there is no job {job!r}", where="scrape_targets", remedy=f"Known are {', '.join(JOBS)}")
    changed, differences, counts = [], [], {}
    for job in JOBS:
        path = os.path.join(directory, f"{job}.json")
        before = _read(path)
        groups = list(wanted.get(job) or [])
        if job == ENGINE:
            groups = _with_kept(groups, json.loads(before) if before else [], set(unknown_hosts))
        text = documents.canonical_bytes(groups).decode("utf-8")
        counts[job] = len(groups)
        if text == before:
            continue
        changed.append(path)
        differences.append({"before_header": path, "after_header": path, "before": before, "after": text})
        if not dry_run:
            documents.write_atomically(path, text.encode("utf-8"), mode=FILE_MODE)
    return changed, differences, counts


def _with_kept(groups: list[Any], before: Any, unknown: set[str]) -> list[Any]:
    known = {(one["labels"]["host"], one["labels"]["slot"]) for one in groups}
    kept = [
        one
        for one in before
        if one["labels"].get("host") in unknown and (one["labels"].get("host"), one["labels"].get("slot")) not in known
    ]
    return sorted([*groups, *kept], key=lambda one: (one["labels"]["host"], int(one["labels"]["slot"])))


def _read(path: str) -> str:
    """What the file says, empty when there is none or it is not ours."""
    try:
        groups = documents.read_document(path, what="file of targets")
    except InputError:
        return ""
    ours = isinstance(groups, list) and all(
        isinstance(one, dict) and isinstance(one.get("labels"), dict) for one in groups
    )
    return documents.canonical_bytes(groups).decode("utf-8") if ours else ""
