# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""Is a model server healthy, and does it really answer?

An open port, or 200 from ``/health``, is not readiness: a hung engine, a draining one
and one whose first request will fail all say 200. Ready means that the served name is
the wanted one and a first one-token completion was answered; for Triton, whose models
take no text, that the server and the model both say so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Callable

from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.http_client import Answer, ask

ANSWER_CHARACTERS = 80


@dataclass(frozen=True)
class Target:
    """The server to ask. ``model`` is the served name it should have, empty for whichever it has."""

    url: str
    engine: str
    model: str = ""
    probe: str = "completion"
    health_path: str = ""
    api_key: str = ""
    request_timeout_seconds: float = 10.0

    def get(self, path: str) -> Answer:
        return ask(self.url.rstrip("/") + path, timeout_seconds=self.request_timeout_seconds, api_key=self.api_key)

    def post(self, path: str, document: Any) -> Answer:
        return ask(
            self.url.rstrip("/") + path,
            timeout_seconds=self.request_timeout_seconds,
            api_key=self.api_key,
            document=document,
        )


@dataclass(frozen=True)
class Readiness:
    """What was found. ``reason`` says why it is not ready, empty when it is."""

    healthy: bool = False
    ready: bool = False
    reason: str = ""
    models: tuple[str, ...] = ()
    answer: str = ""
    answer_seconds: float | None = None
    looks: int = 1
    waited_seconds: float = 0.0


def look(target: Target) -> Readiness:
    """Ask once, in the order health, models, completion, and stop at the first that is not as it should be."""
    health_path = target.health_path or ("/v2/health/live" if target.engine == "triton" else "/health")
    health = target.get(health_path)
    if not health.good:
        answers = health.status > 0 and target.probe == "none"
        return Readiness(healthy=False, ready=answers, reason="" if answers else health.says())
    found = Readiness(healthy=True)
    if target.probe != "completion":
        return replace(found, ready=True, models=_models(target)[0])
    if target.engine == "triton":
        return _look_at_triton(target, found)
    models, problem = _models(target)
    found = replace(found, models=models)
    if problem:
        return replace(found, reason=problem)
    if target.model and models and target.model not in models and target.engine != "tgi":
        return replace(found, reason=f"{target.url} serves {', '.join(models)}, not {target.model}")
    return _complete(target, found)


def wait_until_ready(
    target: Target,
    *,
    wait_seconds: float,
    poll_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Readiness:
    """Look until it is ready or ``wait_seconds`` are over; there is always one look.

    The last look may begin just before the time is over, so a server that never
    answers takes up to ``wait_seconds`` and the timeouts of one look.
    """
    started = clock()
    looks = 0
    while True:
        looks += 1
        found = look(target)
        elapsed = clock() - started
        if found.ready or elapsed + poll_seconds > wait_seconds:
            break
        sleep(poll_seconds)
    return replace(found, looks=looks, waited_seconds=elapsed)


def _complete(target: Target, found: Readiness) -> Readiness:
    name = target.model or (found.models[0] if found.models else "")
    if target.engine == "tgi":
        answer = target.post("/generate", {"inputs": "Hello", "parameters": {"max_new_tokens": 1}})
    else:
        answer = target.post("/v1/completions", {"model": name, "prompt": "Hello", "max_tokens": 1, "temperature": 0})
    if not answer.good:
        hung = " although its health is good: the engine may hang" if answer.status == 0 else ""
        return replace(found, reason=_explain(answer) + hung)
    text = _completion_text(answer.json())
    if text is None:
        return replace(found, reason=f"{answer.url} answered 200, but with no completion: {answer.body[:120]!r}")
    return replace(found, ready=True, answer=text[:ANSWER_CHARACTERS], answer_seconds=answer.seconds)


def _look_at_triton(target: Target, found: Readiness) -> Readiness:
    paths = ["/v2/health/ready"] + ([f"/v2/models/{target.model}/ready"] if target.model else [])
    started = time.monotonic()
    for path in paths:
        answer = target.get(path)
        if not answer.good:
            return replace(found, reason=answer.says())
    return replace(
        found,
        ready=True,
        models=(target.model,) if target.model else (),
        answer_seconds=time.monotonic() - started,
    )


def _models(target: Target) -> tuple[tuple[str, ...], str]:
    """Served names, and what is wrong when the list itself is refused."""
    answer = target.get("/v1/models")
    if answer.status in (401, 403) or answer.status == 0:
        return (), _explain(answer)
    body = answer.json() if answer.good else None
    entries = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(entries, list):
        return (), ""  # an engine without such a list: the completion decides
    return tuple(str(entry["id"]) for entry in entries if isinstance(entry, Mapping) and "id" in entry), ""


def version_of(target: Target) -> str:
    """The engine's version in its own words, empty when it does not say."""
    path, *keys = {
        "vllm": ("/version", "version"),
        "sglang": ("/server_info", "version"),
        "tgi": ("/info", "version"),
        "triton": ("/v2", "version"),
        "llama_cpp": ("/props", "build_info"),
    }.get(target.engine, ("",))
    if not path:
        return ""
    body = target.get(path).json()
    return str(body.get(keys[0]) or "") if isinstance(body, Mapping) else ""


def _completion_text(body: Any) -> str | None:
    """The text of an OpenAI completion or of TGI's own answer; ``None`` when it is neither."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    if isinstance(body.get("generated_text"), str):
        return str(body["generated_text"])
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    text = first.get("text") if isinstance(first, Mapping) else None
    return text if isinstance(text, str) else None


def _explain(answer: Answer) -> str:
    if answer.status in (401, 403):
        return f"{answer.url} refused the key ({answer.status}): give the server's key in api_key_file"
    return answer.says()
