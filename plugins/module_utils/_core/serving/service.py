# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""A replica as a service: from a catalogue entry and a placement to what a host must run.

The result is independent of who supervises it; :func:`as_record` adds the same facts
in the words of systemd and of supervisord.

Ports of the replica in slot ``s`` with API port ``p``: metrics ``p + 1000`` and gRPC
``p + 2000`` where an engine opens a second listener, and 50 ports from
``20000 + 50 s`` for its own worker processes, so that neighbours never meet.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.fleet import ENGINES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import quoting
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.engines import PROFILES
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.flags import merge_flags
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.launch import Launch, Profile
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.pinning import pin_devices
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.secrecy import secret_files

DEFAULT_DRAIN_SECONDS = 30.0
DEFAULT_READY_TIMEOUT_SECONDS = 900.0
ALL_INTERFACES = ("0.0.0.0", "::", "*", "")
SECRET_WRAPPER = 'key="$(cat -- "$2")" && export "$1=$key" && shift 2 && exec "$@"'

# Replaces the placeholders in one word.
Fill = Callable[[str], str]


@dataclass(frozen=True)
class Service:
    """What one host runs for one replica, and how to know and stop it.

    ``secret_environment`` maps a variable to the file on the host that holds its value;
    ``argv`` already reads it at each start, so the value is never in a generated file.
    ``stop_timeout_seconds`` lies above ``drain_seconds``, the engine's own time to finish
    work; what is left after it is killed with its whole control group.
    """

    name: str
    model: str
    version: str
    slot: int
    engine: str
    alias: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    host: str
    port: int
    url: str
    health_path: str
    ready_path: str
    metrics_url: str
    probe: str
    drain_seconds: float
    stop_timeout_seconds: float
    ready_timeout_seconds: float
    success_exit_statuses: tuple[str, ...] = ()
    shared_memory_gib: float = 0.0
    accelerators: tuple[int | str, ...] = ()
    api_key_file: str = ""
    secret_environment: Mapping[str, str] = field(default_factory=dict)
    kill_mode: str = "control-group"
    restart: str = "always"
    notes: tuple[str, ...] = ()


def service_name(model: str, slot: int) -> str:
    """``modelops-chat-8b-0``: safe as a unit, program and file name."""
    return f"modelops-{re.sub(r'[^A-Za-z0-9_.-]', '-', model)}-{slot}"


def build_service(
    placement: Mapping[str, Any],
    model: Mapping[str, Any],
    *,
    paths: Mapping[str, Any] | None = None,
    accelerator_type: str = "cpu",
    accelerator_vendor: str = "",
    accelerator_uuids: Sequence[str] = (),
    bind_address: str = "127.0.0.1",
) -> Service:
    """The service of one placement.

    Args:
        placement: ``model``, ``slot`` and ``port``; also ``version`` and ``accelerators``.
        model: the model's raw entry in ``modelops_models``; its ``secret_environment`` maps variables to files.
        paths: names to paths on the host; ``model_path`` is what the engine loads,
            ``cache_dir`` keeps compiled kernels. Each is also a placeholder ``{name}``.
        accelerator_type: the host's, for example ``h100-80gb`` or ``cpu``.
        accelerator_vendor: overrides the vendor that follows from the type.
        accelerator_uuids: the host's UUIDs by index, when known.
        bind_address: where to listen when the catalogue does not say.

    Raises:
        InputError: a value missing or of the wrong kind, naming the model and the key.
    """
    name = str(placement.get("model") or "")
    if not name:
        raise InputError("the placement names no model", remedy="Give one record of the plan's placements")
    where = f"model {name}"
    engine = str(model.get("engine") or "command")
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}", where=where)
    profile = PROFILES[engine]

    launch = _launch(name, placement, model, paths or {}, bind_address, where)
    fill = _placeholders(launch, paths or {})
    secrets = {**profile.secrets(launch), **secret_files(model.get("secret_environment"), fill, where=where)}
    pinned = pin_devices(
        launch.accelerators,
        accelerator_type=accelerator_type,
        vendor=accelerator_vendor,
        uuids=accelerator_uuids if str(model.get("pin_by") or "uuid") == "uuid" else (),
        where=where,
    )
    environment = {**pinned, **profile.environment(launch)}
    health_path = str(model.get("health_path") or "")
    base = f"http://{_reachable(launch.host)}"
    return Service(
        name=launch.name,
        model=name,
        version=str(placement.get("version") or model.get("version", "0")),
        slot=launch.slot,
        engine=engine,
        alias=launch.alias,
        argv=tuple(_command_line(launch, profile, model, fill, secrets)),
        environment=_with_own_environment(environment, model.get("environment"), fill, where),
        host=launch.host,
        port=launch.port,
        url=f"{base}:{launch.port}",
        health_path=health_path or profile.health_path,
        ready_path=health_path or profile.ready_path,
        metrics_url=f"{base}:{profile.metrics_port(launch)}/metrics",
        probe=str(model.get("probe") or profile.probe),
        drain_seconds=launch.drain_seconds,
        stop_timeout_seconds=profile.stop_timeout_seconds(launch.drain_seconds),
        ready_timeout_seconds=_seconds(model, "ready_timeout_seconds", DEFAULT_READY_TIMEOUT_SECONDS, where),
        success_exit_statuses=profile.success_exit_statuses,
        shared_memory_gib=profile.shared_memory_gib(launch),
        accelerators=launch.accelerators,
        api_key_file=launch.api_key_file,
        secret_environment=secrets,
        notes=tuple(_notes(launch, profile.notes)),
    )


def as_record(service: Service) -> dict[str, Any]:
    """The service as plain data, with the strings systemd and supervisord need and a digest over all but the notes."""
    record: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
        for key, value in vars(service).items()
    }
    command, environment = quoting.supervisor_program(service.argv, service.environment)
    record.update(
        health_url=service.url + service.health_path,
        ready_url=service.url + service.ready_path,
        exec_start=quoting.systemd_command(service.argv),
        environment_file=quoting.systemd_environment_file(service.environment),
        supervisor_command=command,
        supervisor_environment=environment,
        success_exit_status=" ".join(service.success_exit_statuses),
    )
    # Advice may be worded anew in a release; that alone must not restart a fleet.
    record["digest"] = documents.digest({key: value for key, value in record.items() if key != "notes"})
    return record


def _launch(
    name: str,
    placement: Mapping[str, Any],
    model: Mapping[str, Any],
    paths: Mapping[str, Any],
    bind_address: str,
    where: str,
) -> Launch:
    for key in ("slot", "port"):
        if placement.get(key) is None:
            raise InputError(
                f"the placement has no {key}", where=where, remedy="Give a record of the plan's placements"
            )
    resources = documents.expect_mapping(model.get("resources") or {}, what="resources", where=where)
    share = documents.expect_number(resources.get("accelerators") or 0, what="accelerators", where=where, minimum=0)
    cores = documents.expect_number(resources.get("cpu_cores") or 0, what="cpu_cores", where=where, minimum=0)
    return Launch(
        model_path=str(paths.get("model_path") or ""),
        cache_dir=str(paths.get("cache_dir") or ""),
        alias=str(model.get("served_model_name") or name),
        name=service_name(name, int(placement["slot"])),
        host=str(model.get("bind_address") or model.get("address") or bind_address),
        port=int(documents.expect_number(placement["port"], what="port", where=where, minimum=1, maximum=65535)),
        slot=int(documents.expect_number(placement["slot"], what="slot", where=where, minimum=0)),
        accelerators=tuple(
            int(device) if str(device).isdigit() else str(device) for device in placement.get("accelerators") or ()
        ),
        accelerator_share=share,
        cpu_cores=cores,
        api_key_file=str(model.get("api_key_file") or ""),
        engine_args=model.get("engine_args"),
        drain_seconds=_seconds(model, "drain_seconds", DEFAULT_DRAIN_SECONDS, where),
        where=where,
    )


def _command_line(
    launch: Launch, profile: Profile, model: Mapping[str, Any], fill: Fill, secrets: Mapping[str, str]
) -> list[str]:
    """The engine's own words, behind a shell that reads its secrets when it has any."""
    argv = [fill(word) for word in _executable(model, profile.executable, launch.where)]
    flags = merge_flags(profile.flags(launch, argv), model.get("engine_args"), profile.style, where=launch.where)
    argv += [fill(word) for word in flags]
    quoting.check_argv(argv, where=launch.where)
    for variable, path in sorted(secrets.items(), reverse=True):
        argv = ["/bin/sh", "-c", SECRET_WRAPPER, "sh", variable, path, *argv]
    return argv


def _seconds(model: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = model.get(key)
    return default if value is None else documents.expect_number(value, what=key, where=where, minimum=0)


def _executable(model: Mapping[str, Any], default: Sequence[str], where: str) -> list[str]:
    given = model.get("executable")
    if not given:
        if not default:
            raise InputError(
                "the engine 'command' needs to know what to run",
                where=where,
                remedy="Set executable, for example [/usr/bin/my-server, --port, '{port}']",
            )
        return list(default)
    try:
        return shlex.split(given) if isinstance(given, str) else [str(word) for word in given]
    except (TypeError, ValueError) as error:
        raise InputError(f"executable is neither a command nor a list of words ({error})", where=where) from error


def _placeholders(launch: Launch, paths: Mapping[str, Any]) -> Fill:
    """A function that fills ``{port}``, ``{model_path}`` ...; braces of any other kind (JSON) stay as they are."""
    values = {str(key): str(value) for key, value in paths.items() if value}
    values.update(port=str(launch.port), host=launch.host, slot=str(launch.slot), alias=launch.alias, name=launch.name)
    if launch.api_key_file:
        values["api_key_file"] = launch.api_key_file
    known = (*values, "model_path", "api_key_file")
    pattern = re.compile(r"\{(" + "|".join(map(re.escape, known)) + r")\}")

    def value_of(match: re.Match[str]) -> str:
        if match.group(1) not in values:
            raise InputError(
                f"{match.group()} is used, but the host has none",
                where=launch.where,
                remedy="Give the model an artifact (for {model_path}) or an api_key_file",
            )
        return values[match.group(1)]

    return lambda text: pattern.sub(value_of, text)


def _with_own_environment(environment: Mapping[str, str], own: Any, fill: Fill, where: str) -> dict[str, str]:
    merged = dict(environment)
    for key, value in documents.expect_mapping(own or {}, what="environment", where=where).items():
        if value is None:
            merged.pop(str(key), None)
        else:
            merged[str(key)] = fill(str(int(value)) if isinstance(value, bool) else str(value))
    quoting.check_environment(merged, where=where)
    return dict(sorted(merged.items()))


def _reachable(host: str) -> str:
    """The address to ask on the host itself: loopback when it listens everywhere."""
    address = "127.0.0.1" if host in ALL_INTERFACES else host
    return f"[{address}]" if ":" in address else address


def _notes(launch: Launch, engine_notes: Sequence[str]) -> list[str]:
    notes = list(engine_notes)
    if launch.host in ALL_INTERFACES and not launch.api_key_file:
        notes.append("listens on every interface without an API key: set bind_address or api_key_file, or firewall it")
    return notes
