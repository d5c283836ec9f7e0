# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The frontend: which model a request is for, who may ask, what is logged of it.

The model is taken from the first of these that names one: the path's first part, the header
``X-Model``, the Host header, the field ``model`` of the JSON body (where OpenAI clients put it).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import clients
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import Settings
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.version import HaproxyVersion

HEALTH_PATH = "/gateway/healthy"
# An old, valid moment, for what is no HTTP request at all and so has no moment of its own.
NO_MOMENT = "1000000000000"
ERRORS = {
    400: ("bad_request", "The request could not be read."),
    408: ("request_timeout", "The request was not complete in time."),
    502: ("bad_gateway", "The replica broke off before it answered."),
    503: ("overloaded", "No replica of this model is free or healthy. Try again later."),
    504: ("gateway_timeout", "The replica did not answer in time."),
}


def error_body(kind: str, message: str) -> str:
    """An error in the shape OpenAI clients read."""
    return json.dumps({"error": {"message": message, "type": kind, "code": kind}}, separators=(",", ":"))


def error_lines() -> list[str]:
    """What HAProxy itself answers, as JSON."""
    return [
        f"  http-error status {status} content-type application/json string '{error_body(kind, message)}'"
        for status, (kind, message) in sorted(ERRORS.items())
    ]


def lines(
    settings: Settings, version: HaproxyVersion, *, secret_names: Collection[str], models: Sequence[str]
) -> list[str]:
    """The frontends for requests and for metrics."""
    text = ["", "frontend gateway", *(_bind(settings, address) for address in settings.binds)]
    text += [
        "  unique-id-format %[uuid()]",
        "  unique-id-header X-ModelOps-Request",
        f"  monitor-uri {HEALTH_PATH}",
        "  http-request set-var(txn.at) date(0,ms),lower",
        "  http-request set-var(txn.synthetic) str(1) if { req.hdr(x-modelops-synthetic) 1 }",
        "  # Nobody but this gateway says which replica answers.",
        "  http-request del-header X-ModelOps-Replica",
    ]
    text += _keys(settings, secret_names) + _routing(settings, models)
    text += [f"  {line}" for line in settings.extra_frontend]
    text += [f"  log-format '{_log_format(version)}'"]
    if version.has_variable_defaults:
        # What is no HTTP request has no variables.
        text += [f"  error-log-format '{_log_line('%Ts.%ms', '-', '0', '-')}'"]
    return text + _metrics(settings, version)


def _bind(settings: Settings, address: str) -> str:
    if not settings.tls_certificate:
        return f"  bind {address}"
    # HTTP/1.1 only: a drain counts connections that may still bring a request.
    line = f"  bind {address} ssl crt {settings.tls_certificate} alpn http/1.1"
    return line + (f" ca-file {settings.tls_client_ca} verify required" if settings.tls_client_ca else "")


def _keys(settings: Settings, secret_names: Collection[str]) -> list[str]:
    """Clients' keys are compared by their SHA-256, so the file of keys holds none that could be used.

    What names a client goes no further than here: a replica, or its log, sees no key of a tenant.
    """
    if not settings.require_api_key:
        return []
    keys = f"map_str({settings.config_dir}/{clients.KEYS_FILE})"
    unknown = error_body("invalid_api_key", "The API key is missing or not known.")
    own = "{ var(txn.own_models) -m found }"
    return [
        f"  http-request set-var(txn.client) req.fhdr(authorization),word(2,' '),sha2(256),hex,lower,{keys} "
        "if { req.fhdr(authorization) -i -m beg 'bearer ' }",
        "  http-request return status 401 content-type application/json hdr WWW-Authenticate Bearer "
        f"string '{unknown}' unless {{ var(txn.client) -m found }}",
        "  http-request del-header Authorization",
        f"  http-request set-var(txn.own_models) var(txn.client),map_str({settings.config_dir}/{clients.LISTS_FILE})",
        '  http-request return status 200 content-type application/json lf-string "%[var(txn.own_models)]" '
        f"if {{ path /v1/models }} !{{ req.hdr(x-model) -m found }} {own}",
    ]


def _permission(settings: Settings) -> list[str]:
    """May this client use this model, and this much at once and in a minute? Requests that are refused do not count."""
    if not settings.require_api_key:
        return []
    refused = error_body("model_not_allowed", "This API key may not use this model.")
    busy = error_body("rate_limit_exceeded", "Too many requests of this client are under way. Try again later.")
    often = error_body("rate_limit_exceeded", "This client has made too many requests in this minute. Try again later.")
    base = settings.config_dir
    text = [
        f"  http-request set-var(txn.may) var(txn.client),concat(/,txn.model),map_str({base}/{clients.MODELS_FILE})",
        f"  http-request return status 403 content-type application/json string '{refused}' "
        "if { var(txn.own_models) -m found } !{ var(txn.may) -m found }",
    ]
    limited = [one for one in settings.clients if one.concurrent_requests or one.requests_per_minute]
    if not limited:
        return text
    size = max(1024, 2 * len(settings.clients))
    return [
        f"  stick-table type string len 65 size {size} expire 10m store conn_cur,gpc0,gpc0_rate(60s)",
        *text,
        f"  http-request set-var(txn.most_at_once) var(txn.client),map_str_int({base}/{clients.CONCURRENCY_FILE},0)",
        f"  http-request set-var(txn.most_a_minute) var(txn.client),map_str_int({base}/{clients.RATE_FILE},0)",
        "  acl at_once_is_limited var(txn.most_at_once) -m int gt 0",
        "  acl a_minute_is_limited var(txn.most_a_minute) -m int gt 0",
        "  http-request track-sc0 var(txn.client) if at_once_is_limited or a_minute_is_limited",
        "  http-request return status 429 content-type application/json hdr Retry-After 1 "
        f"string '{busy}' if at_once_is_limited {{ sc_conn_cur(0),sub(txn.most_at_once) -m int gt 0 }}",
        "  http-request return status 429 content-type application/json hdr Retry-After 10 "
        f"string '{often}' if a_minute_is_limited {{ sc_gpc0_rate(0),sub(txn.most_a_minute) -m int ge 0 }}",
        "  http-request sc-inc-gpc0(0) if a_minute_is_limited",
    ]


def _routing(settings: Settings, models: Sequence[str]) -> list[str]:
    names, hosts = f"map_str({settings.config_dir}/models.map)", f"map_str({settings.config_dir}/hosts.map)"
    found, unknown = "{ var(txn.model) -m found }", error_body("model_not_found", "This gateway serves no such model.")
    text = [
        "  http-request return status 200 content-type application/json file "
        f"{settings.config_dir}/models.json if {{ path /v1/models }} !{{ req.hdr(x-model) -m found }}",
        f"  http-request set-var(txn.model) path,field(2,/),{names}",
        f'  http-request set-path "%[path,regsub(^/[^/]+,)]" if {found}',
        f"  http-request set-var(txn.model) req.hdr(x-model),{names} unless {found}",
        f"  http-request return status 404 content-type application/json string '{unknown}' "
        f"if !{found} {{ req.hdr(x-model) -m found }}",
        f"  http-request set-var(txn.model) req.hdr(host),field(1,:),lower,{hosts} unless {found}",
    ]
    if settings.route_by_body:
        # Waits for the body, or for as much of it as the buffer holds.
        text += [
            f"  http-request wait-for-body time {settings.request_seconds:g}s if {{ method POST }} !{found}",
            f"  http-request set-var(txn.asked) req.body,json_query('$.model') if {{ method POST }} !{found}",
            f"  http-request set-var(txn.model) var(txn.asked),{names} if {{ var(txn.asked) -m found }}",
            f"  http-request return status 404 content-type application/json string '{unknown}' "
            f"if !{found} {{ var(txn.asked) -m found }}",
        ]
    default = settings.default_model or (models[0] if len(models) == 1 else "")
    if default:
        text.append(f"  http-request set-var(txn.model) str({default}) unless {found}")
    said = (
        f"Name the model in the first {settings.buffer_kib} KiB of the JSON body, in the header X-Model, "
        "or as the first part of the path."
    )
    return [
        *text,
        f"  http-request return status 400 content-type application/json string '{error_body('model_missing', said)}' "
        f"unless {found}",
        *_permission(settings),
        "  http-request set-var(txn.usable) var(txn.model),nbsrv",
        f"  http-request set-var(txn.floor) var(txn.model),map_str_int({settings.config_dir}/floors.map,1)",
        "  acl panic var(txn.usable),sub(txn.floor) -m int lt 0",
        "  use_backend %[var(txn.model)]:panic if panic",
        "  use_backend %[var(txn.model)]",
    ]


def _log_format(version: HaproxyVersion) -> str:
    """One JSON line a request. A cut stream is a 200 in ``status`` and shows in ``term`` (SD, CD, sD, KD)."""
    if not version.has_variable_defaults:
        return _log_line("%Ts.%ms", "%[var(txn.model)]", '"%[var(txn.synthetic)]"', "%[var(txn.client)]")
    at = f"%[var(txn.at,{NO_MOMENT})"
    return _log_line(
        f"{at},bytes(0,10)].{at},bytes(10,3)]", "%[var(txn.model,-)]", "%[var(txn.synthetic,0)]", "%[var(txn.client,-)]"
    )


def _log_line(moment: str, model: str, synthetic: str, client: str) -> str:
    return (
        f'{{"at":{moment},"id":"%ID","model":"{model}","server":"%s","status":%ST,"term":"%tsc",'
        '"queue_ms":%Tw,"connect_ms":%Tc,"response_ms":%Tr,"total_ms":%Ta,"bytes":%B,"request_bytes":%U,'
        f'"retries":"%rc","synthetic":{synthetic},"backend":"%b","client":"{client}"}}'
    )


def _metrics(settings: Settings, version: HaproxyVersion) -> list[str]:
    if not settings.metrics_bind:
        return []
    tls = (
        f" ssl crt {settings.tls_certificate} alpn http/1.1"
        if settings.metrics_tls and settings.tls_certificate
        else ""
    )
    text = ["", "frontend metrics", f"  bind {settings.metrics_bind}{tls}", "  option dontlog-normal"]
    if version.has_exporter:
        text.append("  http-request use-service prometheus-exporter if { path /metrics }")
    return [*text, "  stats enable", "  stats uri /stats", "  stats refresh 5s"]
