# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked examples of the security guide: a project signed by ansible-sign, and the collection's archive by its manifest."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gpg_signer import GPG, Signer

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(not GPG, reason="gpg is not installed")


@pytest.fixture(scope="module")
def signer() -> Iterator[Signer]:
    made = Signer()
    try:
        for name in ("release", "other"):
            made.key(name)
        yield made
    finally:
        made.close()


def run(signer: Signer, *command: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=cwd, env={**signer.environment(), **environment}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def project(tmp_path: Path, signer: Signer) -> Path:
    """A project as AWX takes it: one-line playbooks, collections/requirements.yml, an inventory; signed."""
    root = tmp_path / "project"
    for name, text in {
        "plan.yml": "---\n- import_playbook: modelops.datacenter.plan\n",
        "apply.yml": "---\n- import_playbook: modelops.datacenter.apply\n",
        "collections/requirements.yml": "---\ncollections:\n  - name: modelops.datacenter\n",
        "inventory/hosts.yml": "---\nall: {hosts: {gpu-a1: {}}}\n",
        "MANIFEST.in": "include *.yml\nrecursive-include collections *.yml\nrecursive-include inventory *\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code, said = run(
        signer, "ansible-sign", "project", "gpg-sign", "--fingerprint", signer.fingerprint("release"), str(root)
    )
    assert code == 0, said
    return root


def verified(signer: Signer, project: Path, tmp_path: Path, key: str = "release") -> tuple[int, str]:
    keyring = signer.keyring(key, tmp_path / f"{key}.gpg")
    return run(signer, "ansible-sign", "project", "gpg-verify", "--keyring", str(keyring), str(project))


def test_a_signed_project_is_verified(project: Path, signer: Signer, tmp_path: Path) -> None:
    code, said = verified(signer, project, tmp_path)
    assert (code, "Checksum validation succeeded" in said) == (0, True), said
    assert verified(signer, project, tmp_path, "other")[0] != 0


@pytest.mark.parametrize("fault", ["changed", "removed", "added", "sums"])
def test_a_project_that_was_touched_is_not(project: Path, signer: Signer, tmp_path: Path, fault: str) -> None:
    if fault == "changed":
        (project / "apply.yml").write_text("---\n- import_playbook: evil.yml\n")
    elif fault == "removed":
        (project / "inventory" / "hosts.yml").unlink()
    elif fault == "added":
        (project / "inventory" / "more.yml").write_text("---\nall: {hosts: {evil: {}}}\n")
    else:
        sums = project / ".ansible-sign" / "sha256sum.txt"
        sums.write_text(sums.read_text().replace("apply.yml", "apply.yaml"))
    assert verified(signer, project, tmp_path)[0] != 0


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    code, said = run(signer, "ansible-galaxy", "collection", "build", "--force", "--output-path", str(folder), cwd=ROOT)
    assert code == 0, said
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def signature(archive: Path, signer: Signer) -> Path:
    with tarfile.open(archive) as packed:
        manifest = packed.extractfile("MANIFEST.json")
        assert manifest is not None
        path = archive.with_name("MANIFEST.json")
        path.write_bytes(manifest.read())
    return signer.sign("release", path, "--armor", suffix=".asc")


def test_the_archive_is_verified_before_it_is_installed(archive: Path, signer: Signer, tmp_path: Path) -> None:
    signature = signer.sign("release", archive)
    keyring, other = (signer.keyring(name, tmp_path / f"{name}.gpg") for name in ("release", "other"))

    def code(ring: Path, path: Path) -> int:
        return subprocess.run(["gpgv", "--keyring", str(ring), str(signature), str(path)], check=False).returncode

    assert code(keyring, archive) == 0
    assert code(other, archive) != 0
    changed = tmp_path / archive.name
    changed.write_bytes(archive.read_bytes()[:-1] + b"x")
    assert code(keyring, changed) != 0


def test_what_is_installed_is_verified_by_the_signature_of_its_manifest(
    archive: Path, signature: Path, signer: Signer, tmp_path: Path
) -> None:
    into = tmp_path / "collections"
    installed = run(
        signer,
        "ansible-galaxy",
        "collection",
        "install",
        str(archive),
        "--no-deps",
        "--offline",
        "--force",
        "-p",
        str(into),
    )
    assert installed[0] == 0, installed[1]

    # Who verifies has a directory of its own: in that of the signer gpg minds that keys it trusts are not in this keyring.
    home = tmp_path / "home"
    home.mkdir(mode=0o700)

    def verify(key: str) -> tuple[int, str]:
        keyring = str(signer.keyring(key, tmp_path / f"{key}.gpg"))
        return run(signer, "ansible-galaxy", "collection", "verify", "modelops.datacenter", "--offline", "-p", str(into),
                   "--keyring", keyring, "--required-valid-signature-count", "1", "--signature", signature.as_uri(),
                   cwd=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(into), GNUPGHOME=str(home))  # fmt: skip

    code, said = verify("release")
    assert code == 0, said
    code, said = verify("other")
    assert (code != 0, "Signature verification failed" in said) == (True, True), said
    changed = into / "ansible_collections" / "modelops" / "datacenter" / "playbooks" / "apply.yml"
    changed.write_text(changed.read_text() + "# changed\n")
    code, said = verify("release")
    assert (code != 0, "playbooks/apply.yml" in said) == (True, True), said
