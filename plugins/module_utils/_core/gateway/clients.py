# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Who may ask a gateway: clients (tenants), their keys, the models they may use and how much.

Of a key the host keeps its SHA-256, as a line of a map that HAProxy reads. Plain SHA-256 is right for keys that a machine
made: nobody can try 2^128 of them, however fast the hash is, and HAProxy computes it for each request. It would be wrong for
passwords, which are few enough to be tried; so what a person could have thought of is refused: a key has at least 32
characters, of at least 8 kinds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

KEYS_FILE = "api_keys.map"
MODELS_FILE = "client_models.map"
LISTS_FILE = "client_lists.map"
CONCURRENCY_FILE = "client_concurrency.map"
RATE_FILE = "client_rates.map"
# What the running process is told without a reload, in every worker.
LIVE_FILES = (KEYS_FILE, MODELS_FILE, LISTS_FILE, CONCURRENCY_FILE, RATE_FILE)
LEAST_CHARACTERS, LEAST_KINDS, MOST_CHARACTERS, MOST_KEYS = 32, 8, 512, 10
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
# RFC 6750, section 2.1: what may follow "Bearer".
KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z")
HASHED = re.compile(r"sha256:[0-9a-fA-F]{64}\Z")
MAKE_ONE = "Make one with: openssl rand -hex 32"


@dataclass(frozen=True)
class Client:
    """``models``: the ones it may use, None for all. Limits of 0 are none; the rate is of requests let in, over a minute."""

    name: str
    models: tuple[str, ...] | None = None
    requests_per_minute: int = 0
    concurrent_requests: int = 0

    def as_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "requests_per_minute": self.requests_per_minute,
            "concurrent_requests": self.concurrent_requests,
        }
        return record if self.models is None else {**record, "models": list(self.models)}


def parse_clients(given: Any) -> tuple[Client, ...]:
    """Clients by name, sorted, from a mapping of name to what it may.

    Raises:
        InputError: a name a line of a map cannot hold, an unknown field, or a value of the wrong kind.
    """
    found = []
    for name, entry in sorted(expect_mapping(given or {}, what="clients of the gateway").items()):
        where = f"gateway_clients, {name}"
        fields = expect_mapping({} if entry is None else entry, what="client", where=where)
        _check_name(str(name))
        unknown = sorted(set(fields) - {"models", "requests_per_minute", "concurrent_requests"})
        if unknown:
            raise InputError(
                f"a client has no {', '.join(unknown)}",
                where=where,
                remedy="Known are models, requests_per_minute and concurrent_requests",
            )
        limits = {
            limit: int(expect_number(fields.get(limit) or 0, what=limit, where=where, minimum=0, maximum=1e9))
            for limit in ("requests_per_minute", "concurrent_requests")
        }
        found.append(Client(str(name), _models(fields.get("models"), where), **limits))
    return tuple(found)


def key_lines(api_keys: Any) -> str:
    """The map file of keys: ``SHA-256 CLIENT``, sorted, one line a key.

    Raises:
        InputError: a name or key that is refused; the key is not repeated.
    """
    owners: dict[str, str] = {}
    for name, given in sorted(expect_mapping(api_keys or {}, what="keys of clients").items()):
        _check_name(str(name))
        for number, key in enumerate(_keys(given, str(name)), start=1):
            hashed = _hashed(key, f"gateway_api_keys, key {number} of {name}")
            if hashed in owners:
                raise InputError(
                    f"key {number} of {name} is also a key of {owners[hashed]}",
                    where="gateway_api_keys",
                    remedy=f"Give each client keys of its own. {MAKE_ONE}",
                )
            owners[hashed] = str(name)
    return "".join(f"{hashed} {owners[hashed]}\n" for hashed in sorted(owners))


def faults(api_keys: Any, clients: Any, models: Iterable[str]) -> list[str]:
    """What is wrong with keys and clients, a sentence each, without a key in it."""
    found = []
    try:
        key_lines(api_keys)
    except InputError as error:
        found.append(error.message)
    try:
        parsed = parse_clients(clients)
    except InputError as error:
        return [*found, error.message]
    known, keyed = set(models), {str(name) for name in api_keys or {}}
    for client in parsed:
        if client.name not in keyed:
            # A misspelt name would leave the client it means without its limits.
            found.append(
                f"gateway_clients names {client.name}, which gateway_api_keys does not. "
                f"Give it a key there, or [] for none, or take it out of gateway_clients."
            )
        unknown = sorted(set(client.models or ()) - known)
        if unknown:
            found.append(
                f"{client.name} in gateway_clients may use {', '.join(unknown)}, which modelops_models does not describe."
            )
    return found


def map_files(clients: Sequence[Client], served_names: Mapping[str, str]) -> dict[str, str]:
    """The maps beside the one of keys; nothing in them is secret.

    Args:
        clients: what each may.
        served_names: name of each model to the name clients call it by.
    """
    bound = [client for client in clients if client.models is not None]
    return {
        MODELS_FILE: "".join(sorted(f"{client.name}/{model} 1\n" for client in bound for model in client.models or ())),
        LISTS_FILE: "".join(
            f"{client.name} {models_list(served_names[model] for model in client.models or () if model in served_names)}\n"
            for client in bound
        ),
        CONCURRENCY_FILE: "".join(
            f"{one.name} {one.concurrent_requests}\n" for one in clients if one.concurrent_requests
        ),
        RATE_FILE: "".join(f"{one.name} {one.requests_per_minute}\n" for one in clients if one.requests_per_minute),
    }


def models_list(names: Iterable[str]) -> str:
    """The answer to ``GET /v1/models``."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "modelops"} for name in sorted(names)]
    return json.dumps({"object": "list", "data": data}, separators=(",", ":"))


def _check_name(name: str) -> None:
    if not NAME.match(name):
        raise InputError(
            f"{name!r} cannot be the name of a client",
            where="gateway_api_keys, gateway_clients",
            remedy="Use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )


def _models(given: Any, where: str) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence):
        raise InputError("models must be a list of names", where=where, remedy="Leave it out for every model")
    return tuple(sorted({str(model) for model in given}))


def _keys(given: Any, name: str) -> list[str]:
    keys = [given] if isinstance(given, (str, bytes)) else given
    if isinstance(keys, Mapping) or not isinstance(keys, Sequence) or len(keys) > MOST_KEYS:
        raise InputError(f"must be a key, or a list of at most {MOST_KEYS}", where=f"gateway_api_keys, {name}")
    return [str(key) for key in keys]


def _hashed(key: str, where: str) -> str:
    if HASHED.match(key):
        return key[7:].lower()
    if not KEY.match(key):
        raise InputError("has characters that cannot follow 'Bearer', or none", where=where, remedy=MAKE_ONE)
    if not LEAST_CHARACTERS <= len(key) <= MOST_CHARACTERS or len(set(key)) < LEAST_KINDS:
        raise InputError(
            f"is too easy to guess, or too long: {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters, "
            f"{LEAST_KINDS} different ones at least",
            where=where,
            remedy=MAKE_ONE,
        )
    return hashlib.sha256(key.encode("ascii")).hexdigest()
