# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed artifacts: real keys and signatures of GnuPG, and every way in which one may be no good."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpg_signer import GPG, Signer
from test_module_model_artifact import CONTENT, Place, Shop, checksum, tree

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import ArtifactRefusedError, InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import artifact_signature

pytestmark = pytest.mark.skipif(not GPG or not shutil.which("gpgv"), reason="gpg is not installed")


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    made = Signer()
    try:
        for name in ("training", "other"):
            made.key(name)
        yield made
    finally:
        made.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "models")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.server.shutdown()
    made.server.server_close()


def refused(place: Place, says: str, **options: Any) -> None:
    before = tree(place.root) if place.root.exists() else {}
    with pytest.raises(ArtifactRefusedError, match=says) as caught:
        place.run(**options)
    assert "nothing was installed" in caught.value.message
    assert tree(place.root) == before
    assert not (place.model / "current").exists()


def test_what_a_trusted_key_signed_is_installed_once(place: Place, weights: Path, signer: Signer) -> None:
    signer.sign("training", weights)
    keys = [signer.public("other"), signer.public("training")]
    result = place.run(src=str(weights), signature_keys=keys)
    assert (result["changed"], place.current) == (True, "1")
    assert not place.run(src=str(weights), signature_keys=keys)["changed"]
    # A key more or less is no reason to fetch; without the one that vouched it is.
    assert not place.run(src=str(weights), signature_keys=keys[1:])["changed"]
    with pytest.raises(ArtifactRefusedError, match="signed by none of the keys given"):
        place.run(src=str(weights), signature_keys=keys[:1])
    assert place.current == "1"


def test_what_was_installed_unsigned_is_looked_at_when_signatures_are_asked_for(
    place: Place,
    weights: Path,
    signer: Signer,
) -> None:
    keys = [signer.public("training")]
    place.run(src=str(weights))
    with pytest.raises(ArtifactRefusedError, match="it is not signed: there is no signature"):
        place.run(src=str(weights), signature_keys=keys)
    signer.sign("training", weights)
    assert place.run(src=str(weights), signature_keys=keys)["fetched"] == "no key in signature_keys vouched for it yet"


def test_an_unsigned_changed_or_foreign_artifact_installs_nothing(
    place: Place,
    weights: Path,
    signer: Signer,
) -> None:
    keys = [signer.public("training")]
    refused(place, "it is not signed: there is no signature", src=str(weights), signature_keys=keys)
    signer.sign("other", weights)
    refused(place, "signed by none of the keys given", src=str(weights), signature_keys=keys)
    signature = signer.sign("training", weights)
    weights.write_bytes(CONTENT[:-1] + b"x")
    refused(place, "one of them was changed", src=str(weights), signature_keys=keys)
    # The checksum may have been changed with it: the signature is what stands.
    options = {"src": str(weights), "checksum": checksum(weights.read_bytes()), "signature_keys": keys}
    refused(place, "one of them was changed", **options)
    weights.write_bytes(CONTENT)
    for garbage in (b"", b"no signature", b"\x00" * 100, signature.read_bytes()[:-9]):
        signature.write_bytes(garbage)
        refused(
            place, "signed by none of the keys given|one of them was changed", src=str(weights), signature_keys=keys
        )
    signature.write_bytes(b"x" * (artifact_signature.MAX_SIGNATURE_BYTES + 1))
    refused(place, "larger than 64 KiB", src=str(weights), signature_keys=keys)


def test_an_expired_and_a_revoked_key_vouch_for_nothing(place: Place, weights: Path, signer: Signer) -> None:
    past = ("--faked-system-time", "20240101T000000")
    expired = signer.key("expired", *past, expires="30d")
    signer.sign("expired", weights, *past)
    refused(place, "the key it was made with has expired", src=str(weights), signature_keys=[expired])
    signer.key("revoked")
    signer.sign("revoked", weights)
    assert place.run(version="good", activate=False, src=str(weights), signature_keys=[signer.public("revoked")])[
        "changed"
    ]
    folder = Path(signer.home) / "openpgp-revocs.d"
    fingerprint = signer.fingerprint("revoked")
    revocation = (folder / f"{fingerprint}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    signer.gpg("--import", content=revocation.encode())
    refused(place, "the key it was made with was revoked", src=str(weights), signature_keys=[signer.public("revoked")])


def test_a_signature_that_has_expired_is_refused(place: Place, weights: Path, signer: Signer) -> None:
    signer.key("old", "--faked-system-time", "20240101T000000")
    signer.sign("old", weights, "--faked-system-time", "20240102T000000", "--default-sig-expire", "1d")
    refused(place, "it has expired", src=str(weights), signature_keys=[signer.public("old")])


def test_a_signature_by_sha1_is_refused(place: Place, weights: Path, signer: Signer) -> None:
    signer.gpg("--quick-generate-key", "rsa@example.org", "rsa2048", "sign", "never")
    signer.sign("rsa", weights, "--digest-algo", "SHA1", "--allow-weak-digest-algos")
    refused(place, "signed by none of the keys given", src=str(weights), signature_keys=[signer.public("rsa")])


def test_a_directory_is_signed_by_its_listing(place: Place, signer: Signer, tmp_path: Path) -> None:
    directory = tmp_path / "hf"
    (directory / "sub").mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "sub" / "model.safetensors").write_bytes(CONTENT)
    listing = tmp_path / "SHA256SUMS"
    command = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum"
    listing.write_bytes(subprocess.run(command, shell=True, cwd=directory, capture_output=True, check=True).stdout)
    options = {"src": str(directory), "signature": str(signer.sign("training", listing))}
    assert place.run(**options, signature_keys=[signer.public("training")])["changed"]
    assert "sub/model.safetensors" in " ".join(tree(place.root))
    assert not (place.model / "1" / "payload.part").exists()
    (directory / "config.json").write_text('{"more": 1}')
    with pytest.raises(ArtifactRefusedError, match="one of them was changed"):
        place.run(**options, signature_keys=[signer.public("training")])


def test_from_the_network_beside_the_artifact_or_elsewhere(
    place: Place,
    shop: Shop,
    weights: Path,
    signer: Signer,
    tmp_path: Path,
) -> None:
    (tmp_path / "headers").write_text("Authorization: Bearer secret-of-the-test\n")
    options = {
        "src": f"{shop.url}/tiny.gguf", "checksum": checksum(CONTENT), "headers_file": str(tmp_path / "headers"),
        "signature_keys": [signer.public("training")],
    }  # fmt: skip
    refused(place, "it is not signed: the server answered 404", **options)
    shop.files["/tiny.gguf.sig"] = signer.sign("training", weights).read_bytes()
    assert place.run(**options)["changed"]
    assert {request["Authorization"] for request in shop.requests} == {"Bearer secret-of-the-test"}
    armored = signer.gpg("--enarmor", content=shop.files["/tiny.gguf.sig"]).replace(b"ARMORED FILE", b"SIGNATURE")
    shop.files["/other.asc"] = armored
    elsewhere = f"{shop.url.replace('127.0.0.1', 'localhost')}/other.asc"
    assert place.run(**{**options, "version": "2", "signature": elsewhere})["changed"]
    assert "Authorization" not in shop.requests[-1]


def test_keys_that_are_none_are_said_to_be_none(place: Place, weights: Path, signer: Signer) -> None:
    for key in ("", "training.asc", signer.public("training").replace("PUBLIC", "PRIVATE"), "x" * (300 << 10)):
        with pytest.raises(InputError, match="key 1: this is no public key in ASCII armor"):
            place.run(src=str(weights), signature_keys=[key])
    with pytest.raises(InputError, match="more than 20 keys"):
        place.run(src=str(weights), signature_keys=[signer.public("training")] * 21)
    with pytest.raises(InputError, match="signature needs signature_keys"):
        place.run(src=str(weights), signature="x")


def test_without_gpgv_nothing_is_taken_on_trust(
    place: Place,
    weights: Path,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer.sign("training", weights)
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    with pytest.raises(InputError, match="gpgv is not installed"):
        place.run(src=str(weights), signature_keys=[signer.public("training")])
    assert not (place.model / "1").exists()
