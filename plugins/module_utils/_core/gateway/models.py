# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the gateway knows of each model: its names, its engine's own concurrency, how it is asked if it is healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import expect_mapping, expect_number
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import check_name

# Flags by which an engine is told how many requests it works on at once, and what it takes without them.
CONCURRENCY_FLAGS: dict[str, tuple[str, ...]] = {
    "vllm": ("max-num-seqs",),
    "sglang": ("max-running-requests",),
    "tgi": ("max-concurrent-requests",),
    "llama_cpp": ("parallel", "np"),
}
CONCURRENCY_DEFAULTS = {"vllm": 256, "tgi": 128, "llama_cpp": 1}
HEALTH_PATHS = {"triton": "/v2/health/ready"}


@dataclass(frozen=True)
class GatewayModel:
    """One backend. ``concurrency``: requests a replica works on at once. ``health_path`` empty: only connect."""

    name: str
    served_name: str
    concurrency: int
    health_path: str

    def as_record(self) -> dict[str, Any]:
        return {
            "served_name": self.served_name,
            "concurrency": self.concurrency,
            "health_path": self.health_path,
        }


def parse_models(catalogue: Any, *, default_concurrency: int) -> dict[str, GatewayModel]:
    """Models by name, from the catalogue or from what was stored of it.

    Raises:
        InputError: a name HAProxy does not take, two models under one name, or no number where one belongs.
    """
    models: dict[str, GatewayModel] = {}
    names: dict[str, str] = {}
    for name, entry in sorted(expect_mapping(catalogue or {}, what="catalogue").items()):
        where = f"model {name}"
        fields = expect_mapping(entry, what="catalogue entry", where=where)
        check_name(str(name), what="model")
        model = GatewayModel(
            name=str(name),
            served_name=str(fields.get("served_name") or fields.get("served_model_name") or name),
            concurrency=_concurrency(fields, default_concurrency, where),
            health_path=_health_path(fields),
        )
        for asked in dict.fromkeys((model.name, model.served_name)):
            if names.setdefault(asked, model.name) != model.name:
                raise InputError(
                    f"{names[asked]} and {model.name} both answer to {asked!r}",
                    where=where,
                    remedy="Give one of them another served_model_name",
                )
        models[model.name] = model
    return models


def _health_path(fields: Mapping[str, Any]) -> str:
    if "health_path" in fields and fields["health_path"] is not None:
        return str(fields["health_path"])
    engine = str(fields.get("engine") or "command")
    if str(fields.get("probe") or "") == "none":
        return ""
    return HEALTH_PATHS.get(engine, "/health")


def _concurrency(fields: Mapping[str, Any], default: int, where: str) -> int:
    given = fields.get("gateway_concurrency", fields.get("concurrency"))
    engine = str(fields.get("engine") or "command")
    if given is None:
        given = _flag(fields.get("engine_args"), CONCURRENCY_FLAGS.get(engine, ()))
    if given is None:
        given = CONCURRENCY_DEFAULTS.get(engine, default)
    number = int(expect_number(given, what="concurrency", where=where))
    # Engines take 0 and -1 for "as many as you like".
    return number if number > 0 else default


def _flag(engine_args: Any, names: Sequence[str]) -> Any:
    if isinstance(engine_args, Mapping):
        given = {str(key).lstrip("-").replace("_", "-"): value for key, value in engine_args.items()}
        return next((given[name] for name in names if given.get(name) is not None), None)
    if isinstance(engine_args, Sequence) and not isinstance(engine_args, (str, bytes)):
        words = [str(word) for word in engine_args]
        for position, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag.startswith("-") and flag.lstrip("-").replace("_", "-") in names:
                return value if equals else words[position + 1] if position + 1 < len(words) else None
    return None


def agent_models(catalogue: Any, *, bind_address: str = "") -> dict[str, dict[str, Any]]:
    """How the agent on a serving host asks a replica of each model for a token.

    Triton's models take no text, and of any other command no more is known than its health:
    these are asked for that, unless the catalogue says ``probe: completion``.
    """
    found = {}
    for name, model in parse_models(catalogue, default_concurrency=1).items():
        fields = catalogue[name]
        engine = str(fields.get("engine") or "command")
        probe = str(fields.get("probe") or ("health" if engine in ("command", "triton") else "completion"))
        found[name] = {
            "engine": engine,
            "served_name": model.served_name,
            "probe": probe if engine != "triton" else "health",
            "health_path": model.health_path or "/health",
            "address": str(fields.get("bind_address") or bind_address),
            "api_key_file": str(fields.get("api_key_file") or ""),
        }
    return found
