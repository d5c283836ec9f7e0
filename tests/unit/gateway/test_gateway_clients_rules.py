"""Keys and clients of a gateway: what is kept of a key, and what is refused without repeating it."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.clients import (
    faults,
    key_lines,
    map_files,
    parse_clients,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.live_maps import make_so
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.settings import parse_settings

# As `openssl rand -hex 32`, `openssl rand -base64 32` and `secrets.token_urlsafe(32)` make them.
HEX, BASE64, URL = (
    "5f3a" * 8 + "0b9c1d7e" * 4,
    "mK3v+Yq0Zr8/5tWcJx1bLr4dPnHs2uGfAaEeIiOoUuY=",
    secrets.token_urlsafe(32),
)
HASH = hashlib.sha256(HEX.encode()).hexdigest()


def test_of_a_key_its_sum_is_kept() -> None:
    assert key_lines({"one": HEX}) == key_lines({"one": [f"sha256:{HASH.upper()}"]}) == f"{HASH} one\n"
    lines = key_lines({"two": [URL, BASE64], "one": HEX}).splitlines()
    assert [line.split()[1] for line in sorted(lines, key=lambda line: line.split()[1])] == ["one", "two", "two"]
    assert lines == sorted(lines)
    assert key_lines({"one": []}) == key_lines({}) == ""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("hunter2", "too easy to guess"),
        ("0123456789abcdef0123456789abcde", "too easy to guess"),
        ("a" * 64, "too easy to guess"),
        ("abcd" * 200, "too easy to guess, or too long"),
        ("", "characters that cannot follow"),
        (HEX + " x", "characters that cannot follow"),
        (HEX + "\n", "characters that cannot follow"),
        ("sha256:abc", "characters that cannot follow"),
        ({"key": HEX}, "must be a key, or a list"),
        (7, "must be a key, or a list"),
        ([f"{HEX}{number}" for number in range(11)], "a list of at most 10"),
    ],
)
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused_and_not_repeated(given: Any, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        key_lines({"one": given})
    assert HEX not in caught.value.message
    assert not isinstance(given, str) or len(given) < 7 or given not in caught.value.message
    assert faults({"one": given}, {}, []) == [caught.value.message]


def test_a_key_belongs_to_one_client() -> None:
    with pytest.raises(InputError, match="key 2 of two is also a key of one"):
        key_lines({"one": HEX, "two": [URL, f"sha256:{HASH}"]})


@pytest.mark.parametrize("name", ["a b", "a/b", "", "a\nb", "-a", "a" * 65, "ü"])
def test_a_name_that_a_line_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a client"):
        key_lines({name: HEX})
    with pytest.raises(InputError, match="cannot be the name of a client"):
        parse_clients({name: {}})


@pytest.mark.parametrize(
    ("clients", "says"),
    [
        ({"one": {"model": ["chat"]}}, "a client has no model"),
        ({"one": {"models": "chat"}}, "models must be a list"),
        ({"one": {"requests_per_minute": "often"}}, "requests_per_minute must be a number"),
        ({"one": {"concurrent_requests": -1}}, "concurrent_requests must be between 0"),
        ({"one": ["chat"]}, "client must be a mapping"),
        ({"onee": {"models": []}}, "names onee, which gateway_api_keys does not"),
        ({"one": {"models": ["chat", "gone"]}}, "may use gone, which modelops_models does not"),
    ],
)
def test_what_a_client_may_is_looked_at(clients: Any, says: str) -> None:
    assert says in " ".join(faults({"one": HEX}, clients, ["chat"]))
    assert faults({"one": HEX}, {"one": {"models": ["chat"]}}, ["chat"]) == []


def test_settings_keep_what_clients_may() -> None:
    given = {"one": {"models": ["code", "chat"], "requests_per_minute": "60"}, "two": None}
    settings = parse_settings({"clients": given})
    assert parse_settings(settings.as_record()) == settings
    assert map_files(settings.clients, {"chat": "chat", "code": "coder"}) == {
        "client_models.map": "one/chat 1\none/code 1\n",
        "client_lists.map": 'one {"object":"list","data":['
        '{"id":"chat","object":"model","created":0,"owned_by":"modelops"},'
        '{"id":"coder","object":"model","created":0,"owned_by":"modelops"}]}\n',
        "client_concurrency.map": "",
        "client_rates.map": "one 60\n",
    }


def test_a_worker_is_told_what_differs_and_nothing_when_nothing_does(tmp_path: Any) -> None:
    path = tmp_path / "api_keys.map"
    path.write_text("aa one\nbb two\ncc three\n")
    held = {"bb": "one", "cc": "three", "dd": "four"}
    told: list[str] = []

    def ask(command: str) -> str:
        if not command.startswith("show map"):
            told.append(command)
            return ""
        return (
            "".join(f"0x1 {k} {v}\n" for k, v in held.items()) if str(path) in command else "Unknown map identifier.\n"
        )

    assert make_so(ask, str(tmp_path), dry_run=True) == make_so(ask, str(tmp_path)) == (2, 1)
    assert told == [f"del map {path} bb", f"del map {path} dd", f"add map {path} <<\naa one\nbb two\n"]
    held = {"aa": "one", "bb": "two", "cc": "three"}
    assert make_so(ask, str(tmp_path)) == (0, 0)
