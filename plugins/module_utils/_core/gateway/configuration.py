# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The HAProxy configuration of a gateway, and the map files beside it.

A pure function of settings, models, members and version: the file on disk always says what
the running process was told, so a restart comes back the same.

Each model has two backends. ``MODEL`` takes the requests: its servers are watched by health
checks, by their answers and by the agent on their host. ``MODEL:panic`` has the same servers,
only checked for a connection: it is used while fewer than ``panic_share`` of the members are
usable, so a probe that is wrong about all of them never empties the pool.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import clients, frontend
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.members import Member
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.models import GatewayModel
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import Settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import HaproxyVersion

PANIC = ":panic"
FRAME_VARIABLE = "MODELOPS_FRAME"
BANNER = "# Made by modelops.datacenter from what the hosts run. Changes by hand are lost."


@dataclass(frozen=True)
class Gateway:
    """Everything the configuration depends on. ``secrets``: names of secret files and a digest of each."""

    settings: Settings
    models: Mapping[str, GatewayModel]
    members: Sequence[Member]
    version: HaproxyVersion
    secrets: tuple[tuple[str, str], ...] = ()

    @property
    def secret_names(self) -> frozenset[str]:
        return frozenset(name for name, _digest in self.secrets)


def backends_of(model: str) -> tuple[str, str]:
    """Both backends of a model: the ordinary one and the one for a panic."""
    return model, model + PANIC


def panic_floor(members: Sequence[Member], share: float) -> int:
    """Fewer usable servers than this is a panic; at least one, so an empty pool always is."""
    return max(1, math.ceil(share * sum(1 for member in members if not member.out)))


def frame_digest(gateway: Gateway) -> str:
    """What can only be changed by a reload: all but members, their weights and whether they are out."""
    files = map_files(gateway)
    for name in ("floors.map", *clients.LIVE_FILES):
        files.pop(name, None)
    some = Member("", "", 0, "192.0.2.1", 1)
    servers = {
        model.name: [server_options(some, model, gateway, panic=panic) for panic in (False, True)]
        for model in gateway.models.values()
    }
    frame = {"text": _text(gateway, members=(), digest=""), "files": files, "servers": servers}
    secrets = {name: "" if name in clients.LIVE_FILES else digest for name, digest in gateway.secrets}
    return documents.digest({**frame, "secrets": secrets}).replace("sha256:", "")


def render(gateway: Gateway) -> str:
    """The whole ``haproxy.cfg``."""
    return _text(gateway, members=gateway.members, digest=frame_digest(gateway))


def map_files(gateway: Gateway) -> dict[str, str]:
    """File name to content, for ``config_dir``; nothing in them is secret."""
    names = {name: model.name for model in gateway.models.values() for name in (model.name, model.served_name)}
    served = {model.name: model.served_name for model in gateway.models.values()}
    settings = gateway.settings
    return {
        **(clients.map_files(settings.clients, served) if settings.require_api_key else {}),
        "models.map": _map(names),
        "hosts.map": _map(dict(settings.hosts)),
        "floors.map": _map(floors(gateway)),
        "models.json": clients.models_list(served.values()) + "\n",
    }


def floors(gateway: Gateway) -> dict[str, str]:
    """Model to the number of usable servers below which its panic backend is used."""
    return {
        model: str(panic_floor([one for one in gateway.members if one.model == model], gateway.settings.panic_share))
        for model in gateway.models
    }


def server_options(member: Member, model: GatewayModel, gateway: Gateway, *, panic: bool) -> list[str]:
    """The words after a server's address; the same in the file and for a server added at run time."""
    settings = gateway.settings
    check = f"{settings.check_seconds:g}s"
    words = [
        # No queue of its own: requests wait together and go to whoever is free first. With maxqueue, one that starts
        # slowly refuses with 503 what the others could still take.
        *("maxconn", str(model.concurrency)),
        *("weight", str(member.weight), "check", "inter", check, "fastinter", "500ms", "downinter", check),
    ]
    if panic:
        return [*words, "fall", str(settings.check_fall), "rise", "1"]
    words += ["fall", str(settings.check_fall), "rise", str(settings.check_rise)]
    words += ["observe", "layer7", "error-limit", str(settings.error_limit), "on-error", "mark-down"]
    if settings.slow_start_seconds:
        words += ["slowstart", f"{settings.slow_start_seconds:g}s"]
    if settings.agent_port_offset:
        words += ["agent-check", "agent-port", str(member.port + settings.agent_port_offset), "agent-inter", check]
    if gateway.version.has_initial_state:
        words += ["init-state", "down"]
    return words


def _text(gateway: Gateway, *, members: Sequence[Member], digest: str) -> str:
    lines = [BANNER, *_global(gateway, digest), *_defaults(gateway.settings)]
    lines += frontend.lines(
        gateway.settings, gateway.version, secret_names=gateway.secret_names, models=list(gateway.models)
    )
    for model in gateway.models.values():
        own = [member for member in members if member.model == model.name]
        for panic in (False, True):
            lines += _backend(gateway, model, own, panic=panic)
    return "\n".join(lines) + "\n"


def _global(gateway: Gateway, digest: str) -> list[str]:
    settings = gateway.settings
    lines = [
        "",
        "global",
        # The running worker says by this which frame it was started with.
        f"  setenv {FRAME_VARIABLE} {digest or '-'}",
        f"  log {settings.log_socket} len 8192 format raw local0 info",
        f"  stats socket {settings.runtime_dir}/admin.sock mode 660 level admin",
        "  stats timeout 60s",
        f"  server-state-file {settings.state_dir}/servers.state",
        "  # A worker that was replaced by a reload lives as long as its longest stream.",
        f"  hard-stop-after {settings.stream_limit_seconds:g}s",
        "  mworker-max-reloads 20",
        f"  maxconn {settings.max_connections}",
        f"  tune.bufsize {settings.buffer_kib * 1024}",
        "  spread-checks 10",
    ]
    if settings.user:
        lines += [f"  user {settings.user}", f"  group {settings.group or settings.user}"]
    if settings.tls_certificate:
        lines += ["  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets"]
    return lines + [f"  {line}" for line in settings.extra_global]


def _defaults(settings: Settings) -> list[str]:
    lines = [
        "",
        "defaults",
        "  mode http",
        "  log global",
        "  # Inactivity, not total: silence before a first token, or between two.",
        f"  timeout connect {_time(settings.connect_seconds)}",
        f"  timeout client {_time(settings.client_seconds)}",
        f"  timeout server {_time(settings.server_seconds)}",
        f"  timeout queue {_time(settings.queue_seconds)}",
        f"  timeout http-request {_time(settings.request_seconds)}",
        f"  timeout http-keep-alive {_time(settings.keep_alive_seconds)}",
        "  timeout client-fin 30s",
        f"  timeout check {_time(settings.check_timeout_seconds)}",
        "  option dontlognull",
        "  option http-no-delay",
        "  # A connection to a replica is for one request: engines close idle ones after seconds, and a request that",
        "  # goes out on one just then would be lost without an answer.",
        "  option http-server-close",
        "  # A client that went away frees the engine.",
        "  option abortonclose",
        "  # A reload breaks no connection that is kept alive.",
        "  option idle-close-on-response",
        "  load-server-state-from-file global",
        "  # Again only where the request was never sent.",
        "  retries 2",
        "  option redispatch 1",
        "  retry-on conn-failure 0rtt-rejected",
    ]
    return lines + frontend.error_lines() + [f"  {line}" for line in settings.extra_defaults]


def _backend(gateway: Gateway, model: GatewayModel, members: Sequence[Member], *, panic: bool) -> list[str]:
    settings = gateway.settings
    lines = ["", f"backend {model.name}{PANIC if panic else ''}", f"  balance {settings.balance}"]
    if model.health_path and not panic:
        lines += [
            "  option httpchk",
            f"  http-check send meth GET uri {model.health_path} ver HTTP/1.1 hdr Host gateway hdr Connection close",
            "  http-check expect status 200",
        ]
    if "backend_keys.map" in gateway.secret_names:
        key = f"str({model.name}),map({settings.config_dir}/backend_keys.map)"
        lines += [
            f"  http-request set-var(txn.engine_key) {key}",
            '  http-request set-header Authorization "Bearer %[var(txn.engine_key)]" if { var(txn.engine_key) -m found }',
        ]
    if settings.queue_factor:
        most = max(1, round(model.concurrency * settings.queue_factor))
        lines += [f"  http-request deny deny_status 503 if {{ avg_queue gt {most} }}"]
    # A tagged request may say who is to answer it, so that a canary gets the ones it lacks.
    wanted = "req.hdr(x-modelops-synthetic-server)"
    lines += [f"  use-server %[{wanted}] if {{ var(txn.synthetic) -m found }} {{ {wanted} -m found }}"]
    lines += ["  http-response set-header X-ModelOps-Replica %[srv_name]"]
    lines += [f"  {line}" for line in settings.extra_backend]
    for member in members:
        words = ["server", member.server, at(member), *server_options(member, model, gateway, panic=panic)]
        lines.append("  " + " ".join([*words, "disabled"] if member.out else words))
    return lines


def at(member: Member) -> str:
    """Address and port as HAProxy reads them."""
    return f"[{member.address}]:{member.port}" if ":" in member.address else f"{member.address}:{member.port}"


def _time(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds != int(seconds) else f"{int(seconds)}s"


def _map(pairs: Mapping[str, str]) -> str:
    return "".join(f"{key} {pairs[key]}\n" for key in sorted(pairs))
