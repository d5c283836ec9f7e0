# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed plan: who planned, what, until when, and once. Keys are real, made by openssl."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from planning_builders import sealed_plan

from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents, signing
from ansible_collections.modelops.datacenter.plugins.module_utils._core.clock import format_moment, parse_moment
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning import plan_use
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.refusal import RefusedPlanError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.planning.signature import sign, verify

NOW = parse_moment("2026-11-27T08:00:00Z")


def openssl(*words: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=True).stdout


def key_pair() -> tuple[Any, Any]:
    pem = openssl("genpkey", "-algorithm", "ed25519")
    public = openssl("pkey", "-pubout", given=pem)
    return (
        signing.load_private(pem, purpose="test", where="key"),
        signing.load_public(public, purpose="test", where="key"),
    )


@pytest.fixture(scope="module")
def keys() -> tuple[Any, Any]:
    return key_pair()


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    return sealed_plan(created_at=format_moment(NOW))


def made(plan: dict[str, Any], private: Any, **given: Any) -> tuple[bytes, bytes]:
    content = documents.canonical_bytes(plan)
    record = sign(content, plan, private, **{"now": NOW, "valid_seconds": 600, **given})
    return documents.canonical_bytes(record), content


def because(*arguments: Any, **named: Any) -> str:
    with pytest.raises(RefusedPlanError) as refused:
        verify(*arguments, **named)
    assert refused.value.remedy
    return refused.value.because


def test_what_was_signed_is_believed(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    signature, content = made(plan, keys[0])
    signed = verify(signature, content, plan, [key_pair()[1], keys[1]], now=NOW + 599)
    assert (signed.signed_at, signed.expires_at) == (NOW, NOW + 600)
    assert len(bytes.fromhex(signed.nonce)) == 16
    again, _content = made(plan, keys[0])
    assert verify(again, content, plan, [keys[1]], now=NOW).nonce != signed.nonce


def schema(name: str) -> dict[str, Any]:
    return json.loads((Path(__file__).parents[3] / "docs" / "schemas" / f"{name}.schema.json").read_text())


def test_documents_are_as_their_schemas_say(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    jsonschema.validate(json.loads(made(plan, keys[0])[0]), schema("plan_signature"))
    uses = plan_use.finish(plan_use.begin([], of("a", 0), now=NOW), of("a", 0), now=NOW)
    jsonschema.validate(plan_use.as_document(uses), schema("plan_uses"))


def test_openssl_agrees(plan: dict[str, Any], keys: tuple[Any, Any], tmp_path: Path) -> None:
    """The signature is plain Ed25519 over the document without it: another program can check it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    record = json.loads(made(plan, keys[0])[0])
    (tmp_path / "sig").write_bytes(base64.b64decode(record.pop("signature")))
    (tmp_path / "body").write_bytes(documents.canonical_bytes(record))
    public = keys[1].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "pub").write_bytes(public)
    words = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{tmp_path}/pub", "-in", f"{tmp_path}/body"]
    assert b"Verified Successfully" in openssl(*words, "-sigfile", f"{tmp_path}/sig")


def test_a_plan_without_a_trusted_signature_is_refused(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    signature, content = made(plan, keys[0])
    assert because(None, content, plan, [keys[1]], now=NOW) == "unsigned"
    assert because(signature, content, plan, [key_pair()[1]], now=NOW) == "unsigned"


def test_it_holds_for_a_while(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    signature, content = made(plan, keys[0])
    assert because(signature, content, plan, [keys[1]], now=NOW + 600) == "expired"
    assert because(signature, content, plan, [keys[1]], now=NOW - 61) == "expired"
    assert verify(signature, content, plan, [keys[1]], now=NOW - 59)  # clocks differ


def test_another_plan_is_refused_though_its_own_digest_is_right(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    signature, _content = made(plan, keys[0])
    younger = sealed_plan(created_at=format_moment(NOW + 1))
    assert because(signature, documents.canonical_bytes(younger), younger, [keys[1]], now=NOW) == "altered"


def test_a_key_that_only_has_the_name_is_refused(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    signature, content = made(plan, key_pair()[0])
    forged = {**json.loads(signature), "key": signing.key_name(keys[1])}
    assert because(documents.canonical_bytes(forged), content, plan, [keys[1]], now=NOW) == "altered"


def test_every_changed_byte_is_refused(plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    """200 random edits of one byte, half in the plan and half in what matters of the signature."""
    signature, content = made(plan, keys[0])
    chance = random.Random(7)
    for _number in range(100):
        place, flip = chance.randrange(len(content)), 1 << chance.randrange(7)
        changed = content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]
        assert because(signature, changed, plan, [keys[1]], now=NOW) == "altered"
    record = json.loads(signature)
    for _number in range(100):
        name = chance.choice(["content", "inputs", "fleet", "signed_at", "expires_at", "nonce", "signature"])
        place, value = chance.randrange(len(record[name])), record[name]
        letter = chance.choice([one for one in "0123456789abcdef" if one != value[place]])
        changed = {**record, name: value[:place] + letter + value[place + 1 :]}
        given = documents.canonical_bytes(changed)
        assert because(given, content, plan, [keys[1]], now=NOW) == "altered", (name, place)


@pytest.mark.parametrize("given", [b"", b"[]", b"{", b"[" * 8000, b"x" * 20000, b'{"kind": "plan_signature"}', b"\xff"])
def test_what_is_no_signature_is_refused(given: bytes, plan: dict[str, Any], keys: tuple[Any, Any]) -> None:
    assert because(given, documents.canonical_bytes(plan), plan, [keys[1]], now=NOW) == "altered"


def test_keys_of_another_kind_are_refused_and_not_repeated() -> None:
    rsa = openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048")
    locked = openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret")
    for pem in (rsa, locked, b"nonsense", b""):
        with pytest.raises(InputError) as refused:
            signing.load_private(pem, purpose="test", where="plan.key")
        assert refused.value.where == "plan.key"
        assert not any(line in str(refused.value) for line in pem.decode().splitlines()[1:-1])


def of(nonce: str, signed: float, expires: float = 600.0) -> dict[str, str]:
    return {
        "nonce": nonce,
        "signed_at": format_moment(NOW + signed),
        "expires_at": format_moment(NOW + signed + expires),
    }


def test_a_plan_is_used_once() -> None:
    one, two = of("a", 0), of("b", 100)
    uses = plan_use.begin([], one, now=NOW)
    assert plan_use.begin(uses, one, now=NOW + 5) == uses  # an apply that broke off is run again
    uses = plan_use.finish(uses, one, now=NOW + 60)
    with pytest.raises(RefusedPlanError) as refused:
        plan_use.begin(uses, one, now=NOW + 90)
    assert refused.value.because == "reused" and format_moment(NOW + 60) in refused.value.what
    uses = plan_use.begin(uses, two, now=NOW + 110)
    assert [use.nonce for use in uses] == ["a", "b"]


def test_an_older_plan_is_not_begun_after_a_younger_one() -> None:
    uses = plan_use.begin([], of("a", 0), now=NOW)  # breaks off
    uses = plan_use.begin(uses, of("b", 100), now=NOW + 110)
    for nonce in ("a", "c"):
        with pytest.raises(RefusedPlanError) as refused:
            plan_use.begin(uses, of(nonce, 0), now=NOW + 120)
        assert refused.value.because == "superseded"


def test_the_record_does_not_grow_and_keeps_the_youngest() -> None:
    uses: list[plan_use.Use] = []
    for number in range(50):
        plan = of(str(number), number * 100)
        uses = plan_use.finish(plan_use.begin(uses, plan, now=NOW + number * 100), plan, now=NOW + number * 100 + 50)
    assert len(uses) <= 8
    assert uses[-1].nonce == "49"


def test_a_damaged_record_lets_nothing_through(tmp_path: Path) -> None:
    path = tmp_path / "plans.json"
    uses = plan_use.begin([], of("a", 0), now=NOW)
    documents.write_document(str(path), plan_use.as_document(uses))
    assert plan_use.read_uses(str(path)) == uses
    for content in (b"{}", b"[]", b"{", b'{"kind": "plan_uses", "schema_version": 1, "uses": [{"nonce": "a"}]}'):
        path.write_bytes(content)
        with pytest.raises(InputError):
            plan_use.read_uses(str(path))
