# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tls_certificate: what is fit is put in place at once, what is not leaves what is there, and each fault has its own words."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from certificates import Authority, Issued
from cryptography.hazmat.primitives import serialization

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.modules.tls_certificate import ARGUMENT_SPEC, execute

NAMES = ("models.example.org", "*.gateway.example.org", "192.0.2.7")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def good(authority: Authority) -> Issued:
    return authority.issue(*NAMES)


def options(path: Path, issued: Issued | None = None, **more: Any) -> dict[str, Any]:
    given = {name: spec.get("default") for name, spec in ARGUMENT_SPEC.items()}
    given.update(path=str(path), **more)
    if issued is not None:
        given.update({"chain": issued.chain, "private_key": issued.private_key, **more})
    return given


def test_check_put_in_place_again_and_replace(authority: Authority, good: Issued, tmp_path: Path) -> None:
    path = tmp_path / "tls" / "gateway.pem"
    wanted = options(path, good, ca=authority.chain, names=["models.example.org", "a.gateway.example.org", "192.0.2.7"])
    assert execute(wanted, True, True)["changed"]
    assert not path.exists()
    done = execute(wanted, False, True)
    assert done["changed"] and done["fingerprint"] == good.fingerprint and done["names"] == list(NAMES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not execute(wanted, False, True)["changed"]
    younger = authority.issue("models.example.org", days=(-1, 60))
    done = execute(options(path, younger, ca=authority.chain), False, True)
    assert (
        done["changed"] and good.fingerprint in done["diff"]["before"] and younger.fingerprint in done["diff"]["after"]
    )
    assert "PRIVATE" not in json.dumps(done)
    looked = execute(options(path, names=["models.example.org"]), False, False)
    assert (looked["changed"], looked["fingerprint"]) == (False, younger.fingerprint)
    path.chmod(0o644)
    assert execute(options(path, younger), False, False)["changed"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def faults() -> dict[str, Any]:
    return {
        "wrong key": (lambda ca, good: {"private_key": ca.issue("x").private_key}, "the private key is not that of the certificate"),
        "expired": (lambda ca, good: ca.issue(NAMES[0], days=(-30, -1)), "the certificate expired at"),
        "too early": (lambda ca, good: ca.issue(NAMES[0], days=(1, 30)), "the certificate holds from"),
        "ends soon": (lambda ca, good: ca.issue(NAMES[0], days=(-1, 0.02)), "in 0.5 hours; at least 1 are wanted"),
        "another CA": (lambda ca, good: Authority().issue(NAMES[0]), "does not come from the CA that is given"),
        "another name": (lambda ca, good: ca.issue("other.example.org"), "holds for other.example.org, not for models.example.org"),
        "passphrase": (lambda ca, good: {"private_key": locked(good)}, "the private key has a passphrase"),
        "no chain": (lambda ca, good: {"chain": ""}, "chain and private_key belong together"),
        "no PEM": (lambda ca, good: {"chain": "nonsense"}, "no certificate chain with its private key"),
        "no key": (lambda ca, good: {"private_key": "nonsense"}, "no certificate chain with its private key"),
        "no CA": (lambda ca, good: {"ca": "nonsense"}, "the CA holds no certificate"),
        "key first": (lambda ca, good: {"chain": ca.chain + good.chain}, "the private key is not that of the certificate"),
        "too long": (lambda ca, good: {"chain": good.chain * 2000}, "far too long"),
    }  # fmt: skip


def locked(issued: Issued) -> str:
    form, lock = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    return issued.key.private_bytes(serialization.Encoding.PEM, form, lock).decode()


@pytest.mark.parametrize("name", faults())
def test_what_is_unfit_leaves_what_is_there(name: str, authority: Authority, good: Issued, tmp_path: Path) -> None:
    make, says = faults()[name]
    path = tmp_path / "gateway.pem"
    given = {"ca": authority.chain, "names": [NAMES[0]]}
    execute(options(path, good, **given), False, False)
    before = path.read_bytes()
    wrong = make(authority, good)
    wanted = options(path, good, **{**given, **wrong}) if isinstance(wrong, dict) else options(path, wrong, **given)
    with pytest.raises(InputError) as refused:
        execute(wanted, False, False)
    assert says in str(refused.value)
    key = wanted["private_key"].splitlines()
    assert not any(line in str(refused.value) for line in key[1:-1])
    assert path.read_bytes() == before


def test_ansible_says_why_and_never_the_key(authority: Authority, tmp_path: Path) -> None:
    expired = authority.issue(NAMES[0], days=(-30, -1))
    given = {"path": str(tmp_path / "gateway.pem"), "chain": expired.chain, "private_key": expired.private_key}
    command = [
        str(Path(sys.executable).parent / "ansible"),
        "localhost",
        "-vvv",
        "-m",
        "modelops.datacenter.tls_certificate",
    ]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false"}
    done = subprocess.run(
        [*command, "-a", json.dumps(given)], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2 and "the certificate expired at" in said
    assert not any(line in said for line in expired.private_key.splitlines()[1:-1])
