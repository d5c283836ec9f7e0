# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What an operator decides about a gateway, with the defaults that suit generated text.

Times are seconds. Defaults are those measured for long, streamed answers: silence before
the first token can last minutes, a stream must outlive every reload.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import (
    expect_mapping,
    expect_number,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.clients import Client, parse_clients

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
TRUE = ("true", "yes", "on", "1")


@dataclass(frozen=True)
class Settings:
    """One gateway. Paths are on the gateway host; empty text means "none"."""

    config_dir: str = "/etc/modelops/gateway"
    runtime_dir: str = "/run/modelops-gateway"
    state_dir: str = "/var/lib/modelops-gateway"
    log_socket: str = "/var/lib/modelops-gateway/log.sock"
    user: str = "haproxy"
    group: str = "haproxy"
    binds: tuple[str, ...] = ("*:8080",)
    tls_certificate: str = ""
    tls_client_ca: str = ""
    metrics_bind: str = "127.0.0.1:8405"
    metrics_tls: bool = False
    require_api_key: bool = False
    clients: tuple[Client, ...] = ()
    route_by_body: bool = True
    default_model: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    buffer_kib: int = 64
    max_connections: int = 5000
    balance: str = "leastconn"
    stream_limit_seconds: float = 1200.0
    connect_seconds: float = 3.0
    client_seconds: float = 900.0
    server_seconds: float = 600.0
    queue_seconds: float = 20.0
    request_seconds: float = 15.0
    keep_alive_seconds: float = 75.0
    check_seconds: float = 2.0
    check_timeout_seconds: float = 5.0
    check_fall: int = 3
    check_rise: int = 3
    error_limit: int = 5
    slow_start_seconds: float = 60.0
    agent_port_offset: int = 0
    panic_share: float = 0.3
    default_concurrency: int = 64
    queue_factor: float = 0.0
    extra_global: tuple[str, ...] = ()
    extra_defaults: tuple[str, ...] = ()
    extra_frontend: tuple[str, ...] = ()
    extra_backend: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "hosts":
                value = dict(value)
            elif field.name == "clients":
                value = {client.name: client.as_record() for client in self.clients}
            record[field.name] = list(value) if isinstance(value, tuple) else value
        return record


def parse_settings(given: Any) -> Settings:
    """Settings from a mapping; what is absent or null is the default.

    Raises:
        InputError: an unknown name, or a value of the wrong kind or out of bounds.
    """
    mapping = expect_mapping(given or {}, what="settings of the gateway")
    known = {field.name: field for field in fields(Settings)}
    unknown = sorted(set(mapping) - set(known))
    if unknown:
        raise InputError(f"the gateway has no setting {', '.join(unknown)}", remedy=f"Known are {', '.join(known)}")
    values = {name: _value(name, known[name].default, value) for name, value in mapping.items() if value is not None}
    settings = Settings(**values)
    if settings.balance not in ("leastconn", "roundrobin", "random(2)"):
        raise InputError(f"balance {settings.balance!r} is not known", remedy="Take leastconn, roundrobin or random(2)")
    if not settings.binds:
        raise InputError("the gateway listens nowhere", where="binds", remedy="Give an address such as *:8080")
    return settings


def _value(name: str, default: Any, value: Any) -> Any:
    where = f"gateway setting {name}"
    if isinstance(default, bool):
        return str(value).strip().lower() in TRUE
    if isinstance(default, (int, float)):
        most = 1.0 if name == "panic_share" else 1e9
        number = expect_number(value, what=name, where=where, minimum=0, maximum=most)
        return int(number) if isinstance(default, int) else number
    if name == "clients":
        return parse_clients(value)
    if name == "hosts":
        return tuple(
            sorted((str(host).lower(), str(model)) for host, model in expect_mapping(value, what=name).items())
        )
    if isinstance(default, tuple):
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            raise InputError(f"must be a list, not {value!r}", where=where)
        return tuple(_line(str(item), where) for item in value)
    return _line(str(value), where)


def _line(text: str, where: str) -> str:
    if "\n" in text or "\0" in text:
        raise InputError("may be one line only", where=where)
    return text


def check_name(name: str, *, what: str) -> str:
    """``name`` where HAProxy takes it as the name of a backend or server.

    Raises:
        InputError: a character HAProxy does not take.
    """
    if not NAME.match(name):
        raise InputError(
            f"{what} {name!r} cannot be a name in HAProxy",
            remedy="Use letters, digits, dot, dash and underscore, a letter or digit first",
        )
    return name


def as_settings(value: Mapping[str, Any] | Settings) -> Settings:
    """Either as it is."""
    return value if isinstance(value, Settings) else parse_settings(value)
