# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The build contexts that ansible-builder makes of ``ee/``. ``make ee`` installs their packages and makes a plan."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("ansible_builder", reason="ansible-builder is not installed")
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
LOCKS = {"execution": "ee/requirements.lock", "decision": "requirements/eda.lock"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the definitions reach, and a tarball as ``make build`` makes it."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "ee", copy / "ee")
    (copy / "requirements").mkdir()
    shutil.copy(ROOT / "requirements/eda.lock", copy / "requirements")
    words = ["collection", "build", "--output-path", str(copy / "build")]
    subprocess.run([str(BIN / "ansible-galaxy"), *words], cwd=ROOT, check=True, capture_output=True, timeout=300)
    return copy


@pytest.mark.parametrize("kind", LOCKS)
def test_the_context_holds_all_that_the_image_installs(checkout: Path, kind: str) -> None:
    context = checkout / f"context-{kind}"
    words = ["create", "-f", str(checkout / f"ee/{kind}-environment.yml"), "-c", str(context)]
    done = subprocess.run(
        [str(BIN / "ansible-builder"), *words, "--output-filename", "Containerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No matches" not in done.stdout + done.stderr
    built = context / "_build"
    for collection in yaml.safe_load((built / "requirements.yml").read_text())["collections"]:
        if collection.get("type") == "file":
            assert (built / collection["name"]).stat().st_size > 100_000
            assert VERSION in collection["name"]
        else:
            assert re.fullmatch(r"[0-9.]+", collection["version"]), "collections are pinned"
    lock = built / "locks" / Path(LOCKS[kind]).name
    assert lock.read_bytes() == (ROOT / LOCKS[kind]).read_bytes()
    assert f"--require-hashes -r /output/{lock.name}" in (context / "Containerfile").read_text()
    assert "ssh" in (built / "bindep.txt").read_text()


@pytest.mark.parametrize("lock", LOCKS.values())
def test_every_locked_package_has_a_version_and_a_hash(lock: str) -> None:
    packages = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", (ROOT / lock).read_text()).strip())
    assert len(packages) > 20
    assert [one for one in packages if not re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", one, re.S)] == []


def test_what_planning_needs_is_in_the_image() -> None:
    lock = (ROOT / LOCKS["execution"]).read_text()
    needed = re.findall(r"(?m)^([a-z]+)", (ROOT / "requirements.txt").read_text())
    assert [name for name in (*needed, "ansible-core", "ansible-runner") if f"\n{name}==" not in f"\n{lock}"] == []


def test_what_the_collection_says_of_itself_exists() -> None:
    said = yaml.safe_load((ROOT / "meta/execution-environment.yml").read_text())["dependencies"]
    assert (ROOT / said["python"]).is_file()
    assert (ROOT / said["system"]).read_text() == (ROOT / "ee/bindep.txt").read_text()
