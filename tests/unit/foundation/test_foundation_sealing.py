"""Encryption at rest: what Ansible Vault reads and writes is the same format, and nothing is taken on trust."""

from __future__ import annotations

import base64
import gzip
import hashlib
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.modelops.datacenter.plugins.filter.plan_floors import plan_floors
from ansible_collections.modelops.datacenter.plugins.filter.unsealed import unsealed
from ansible_collections.modelops.datacenter.plugins.module_utils._core import documents, sealing, stored
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.series import Series
from ansible_collections.modelops.datacenter.plugins.module_utils._core.history.table import read_history, write_history

OLD, NEW = "correct horse battery staple", "another long and random password"


def vault(password: str = NEW) -> VaultLib:
    return VaultLib([("default", VaultSecret(password.encode()))])


def sealed(*passwords: str, path: Any = ()) -> Any:
    return sealing.using(sealing.make_seal(passwords, [], [str(path)] if path else []))


@settings(max_examples=15, deadline=None)
@given(st.binary(max_size=200).filter(lambda content: not content.startswith(b"$ANSIBLE_VAULT")))
def test_ansible_vault_reads_what_is_closed_here_and_the_other_way_round(content: bytes) -> None:
    assert vault().decrypt(sealing.close_with(content, NEW.encode())) == content
    assert sealing.open_with(vault().encrypt(content), [NEW.encode()], where="x") == content
    assert sealing.open_with(vault().encrypt(content, vault_id="fleet"), [NEW.encode()], where="x") == content


def test_the_same_text_gives_the_same_bytes_and_another_text_another_salt() -> None:
    first, again = (sealing.close_with(b"text", NEW.encode()) for _number in range(2))
    other = sealing.close_with(b"texu", NEW.encode())
    assert first == again
    assert first.splitlines()[1] != other.splitlines()[1]
    assert sealing.close_with(b"text", OLD.encode()) != first
    with pytest.raises(AnsibleVaultError):
        vault(OLD).decrypt(first)


def test_every_changed_byte_is_found() -> None:
    content = sealing.close_with(b"requests,7\n" * 3, NEW.encode())
    body = len(sealing.HEADER)
    for place in [*range(len(sealing.MAGIC), body - 1), *range(body, len(content), 23)]:
        changed = content[:place] + (b"9" if content[place : place + 1] != b"9" else b"8") + content[place + 1 :]
        with pytest.raises(InputError, match="encrypted"):
            sealing.open_with(changed, [NEW.encode()], where="plan.json")
    with pytest.raises(InputError, match="damaged"):
        sealing.open_with(content[: len(content) // 2 - 1], [NEW.encode()], where="plan.json")


def test_a_document_is_written_and_read_under_its_seal_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with sealed(NEW, path=path):
        assert documents.write_document(str(path), {"demand": 7})
        assert not documents.write_document(str(path), {"demand": 7})
        assert documents.read_document(str(path), what="plan") == {"demand": 7}
        plain = documents.canonical_bytes({"demand": 7})
        assert documents.file_digest(str(path)) == "sha256:" + hashlib.sha256(plain).hexdigest()
        assert not stored.store_content(str(path), plain, dry=True)
        assert stored.store_content(str(path), b"other", dry=True)
        # What is not named stays plain.
        documents.write_document(str(tmp_path / "lock.json"), {"demand": 7})
    assert path.read_bytes().startswith(sealing.HEADER)
    assert stat.S_IMODE(path.stat().st_mode) == documents.FILE_MODE
    assert vault().decrypt(path.read_bytes()) == plain
    assert documents.read_document(str(tmp_path / "lock.json"), what="lock") == {"demand": 7}


@pytest.mark.parametrize(
    ("passwords", "says"),
    [
        ((), "this is encrypted, and no password for it was given. Set modelops_encryption_passwords"),
        ((OLD,), "encrypted with another password, or was changed since"),
    ],
)
def test_who_lacks_the_password_is_told_so(tmp_path: Path, passwords: tuple[str, ...], says: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(sealing.close_with(b"{}", NEW.encode()))
    with sealed(*passwords, path=path), pytest.raises(InputError, match=says) as caught:
        documents.read_document(str(path), what="plan")
    assert str(path) in caught.value.message
    assert OLD not in caught.value.message


def test_a_plain_document_is_refused_where_it_should_be_sealed_and_replaced_where_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("{}\n")
    with sealed(NEW, path=path):
        with pytest.raises(InputError, match="not encrypted, and encryption at rest is asked for") as caught:
            documents.read_document(str(path), what="plan")
        assert f"ansible-vault encrypt {path}" in caught.value.message
        assert stored.stored_content(str(path)) is None
        assert documents.write_document(str(path), {})
    assert sealing.is_sealed(path.read_bytes())


def test_another_password_takes_over_and_the_old_one_is_needed_no_more(tmp_path: Path) -> None:
    path = tmp_path / "forecast.json"
    with sealed(OLD, path=path):
        stored.store_dated(str(path), {"a": 1}, now=0.0, dry=False)
    with sealed(NEW, OLD, path=path):
        assert documents.read_document(str(path), what="forecast")["a"] == 1
        assert stored.store_dated(str(path), {"a": 1}, now=60.0, dry=False)
        assert not stored.store_dated(str(path), {"a": 1}, now=120.0, dry=False)
    with sealed(NEW, path=path):
        assert documents.read_document(str(path), what="forecast")["a"] == 1


@pytest.mark.parametrize("name", ["history.csv", "history.csv.gz", "history.parquet"])
def test_a_history_of_every_kind_is_sealed(tmp_path: Path, name: str) -> None:
    pytest.importorskip("numpy")
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    import numpy as np

    path, one = str(tmp_path / name), Series("chat", 1_700_000_000.0, 600, np.array([1.0, 2.5, np.nan, 4.0]))
    with sealed(NEW, path=path):
        assert write_history(path, [one])
        assert not write_history(path, [one])
        assert read_history(path)[0][0].values[1] == 2.5
    content = Path(path).read_bytes()
    assert content.startswith(sealing.HEADER)
    plain = vault().decrypt(content)
    assert b"chat" in (gzip.decompress(plain) if name.endswith(".gz") else plain)
    with pytest.raises(InputError, match="no password for it was given"):
        read_history(path)
    Path(path).write_bytes(plain)
    with sealed(NEW, path=path), pytest.raises(InputError, match="encryption at rest is asked for"):
        read_history(path)


def test_passwords_that_are_short_or_open_to_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    with pytest.raises(InputError, match="password 2 for encryption at rest is shorter than 16"):
        sealing.make_seal([NEW, "hunter2"], [], [])
    with pytest.raises(InputError, match="cannot read the password"):
        sealing.make_seal([], [str(path)], [])
    path.write_text(NEW + "\n")
    path.chmod(0o640)
    with pytest.raises(InputError, match=f"others than its owner may read this password.*chmod 600 {path}"):
        sealing.make_seal([], [str(path)], [])
    path.chmod(0o600)
    assert sealing.make_seal([OLD], [str(path)], []) == sealing.Seal((OLD.encode(), NEW.encode()))
    for wrong in ("", "\n", "$ANSIBLE_VAULT;1.1;AES256\n00\n", "x" * 5000):
        path.write_text(wrong)
        with pytest.raises(InputError, match="holds no password"):
            sealing.make_seal([], [str(path)], [])
    assert sealing.make_seal([], [], ["plan.json"]) is None


def test_filters_open_what_slurp_read() -> None:
    closed = base64.b64encode(sealing.close_with(b"{}", NEW.encode())).decode()
    assert base64.b64decode(unsealed(closed, "plan.json", [OLD, NEW])) == b"{}"
    assert base64.b64decode(unsealed("e30=", "plan.json")) == b"{}"
    for content, passwords, says in (
        (closed, [], "no password for it was given"), (closed, [OLD], "another password"),
        ("e30=", [NEW], "not encrypted"), ("?", [], "not Base64"),
    ):  # fmt: skip
        with pytest.raises(AnsibleFilterError, match=says):
            unsealed(content, "plan.json", passwords)
    assert "no password for it was given" in plan_floors(closed)["refused"]
    assert "another password" in plan_floors(closed, passwords=[OLD])["refused"]
    # Opened, and then looked at like any plan: this is none.
    assert "encrypted" not in plan_floors(closed, passwords=[NEW])["refused"]
