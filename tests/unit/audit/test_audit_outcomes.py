# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on record of a result, and what never does."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.forwarding import Sender
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.outcomes import decision_of, facts_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.redaction import MAX_TEXT, redacted
from ansible_collections.modelops.datacenter.plugins.module_utils._core.documents import file_digest
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError

SECRET = "Zq7canary91x"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}",
        f"'db_password': '{SECRET} and more {SECRET}'",
        f'{{"api_key": "{SECRET}"}}',
        f"Authorization: Bearer {SECRET}",
        f"curl -H 'authorization: basic {SECRET}=='",
        f"https://user:{SECRET}@host/path",
        f"vllm serve --api-key {SECRET} --port 8000",
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        f"$ANSIBLE_VAULT;1.1;AES256\n{SECRET}",
        f"key sk-{SECRET}{SECRET} refused",
        f"eyJhbGciOi.{SECRET}.{SECRET}",
        f"WEBHOOK_TOKEN: {SECRET}",
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    assert SECRET not in redacted(f"before {text}")
    assert SECRET not in json.dumps(facts_of({"failed": True, "msg": text}))
    assert redacted(f"before {text}").startswith("before")


def test_ordinary_text_stays_and_long_text_is_cut() -> None:
    text = "chat-8b is 3.2 requests/s short: no host of type h100-80gb has 2 free accelerators; 512 tokens"
    assert redacted(text) == text
    assert len(redacted("a b " * 4000)) == MAX_TEXT


def test_a_hidden_result_gives_nothing() -> None:
    hidden = {"censored": "the output has been hidden", "changed": True, "diff": {"before": "a", "after": "b"}}
    assert facts_of(hidden) == {"hidden": True}
    assert decision_of("modelops.datacenter.capacity_plan", {}, {**hidden, "digest": "sha256:1"}) == {}


def test_digests_before_and_after_say_whether_the_content_differs() -> None:
    first = facts_of({"changed": True, "diff": [{"before": "one", "after": "two"}]})
    second = facts_of({"changed": True, "diff": {"before": "two", "after": "one"}})
    assert first["before"] == second["after"] != first["after"] == second["before"]
    assert "one" not in json.dumps(first)
    assert facts_of({"results": [{"changed": True, "item": SECRET}, {"changed": False}]}) == {
        "items": 2,
        "items_changed": 1,
    }


def test_a_decision_names_what_it_was_made_from(tmp_path: Path) -> None:
    forecast, plan = tmp_path / "forecast.json", tmp_path / "plan.json"
    forecast.write_text("{}")
    plan.write_text("{}\n")
    options = {"demand": str(forecast), "dest": str(plan), "models": {"chat": {"api_key": SECRET}}}
    result = {"digest": "sha256:7", "starts": 2, "cost_per_hour": float("nan"), "reasons": ["demand"], "stops": 0}
    found = decision_of("modelops.datacenter.capacity_plan", options, result)["decision"]
    assert found["from"] == {"demand": {"path": str(forecast), "digest": file_digest(str(forecast))}}
    assert found["wrote"]["digest"] == file_digest(str(plan))
    assert (found["digest"], found["starts"], found["stops"], found["cost_per_hour"]) == ("sha256:7", 2, 0, "nan")
    assert SECRET not in json.dumps(found)
    assert decision_of("ansible.builtin.copy", options, result) == {}


@pytest.mark.parametrize("target", ["journald", "syslog"])
def test_lines_reach_the_socket_whole(tmp_path: Path, target: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        server.settimeout(5)
        sender = Sender(target, str(tmp_path / "socket"))
        sender.send(b'{"event":"task"}\n')
        received = server.recv(65536)
    assert b'{"event":"task"}' in received and b"modelops-audit" in received
    if target == "syslog":
        assert received == b'<110>modelops-audit: {"event":"task"}'
    sender.send(b"{}\n")  # nobody listens any more
    sender.close()
    assert sender.failed == 1


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="neither a path nor HOST:PORT"):
        Sender("syslog", "loghost")
