# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball of a release: what users need is in it, what serves the checkout alone is not."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20
AT_THE_TOP = {
    *("CHANGELOG.md", "CONTRIBUTING.md", "COPYING", "FILES.json", "MANIFEST.json", "README.md", "requirements.txt"),
    *("changelogs", "docs", "extensions", "inventories", "meta", "playbooks", "plugins", "roles"),
}
PLUGINS = {"action", "callback", "doc_fragments", "filter", "inventory", "lookup", "module_utils", "modules"}


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Each file of the tarball with its size, built from what git knows and some of what work leaves behind."""
    folder = tmp_path_factory.mktemp("release")
    subprocess.run([str(ROOT / "tests/tools/copy_collection"), str(folder)], check=True, timeout=300)
    copy = folder / "ansible_collections/modelops/datacenter"
    for litter in (
        ".cache/a/b",
        ".venv/bin/python",
        "modelops-output/plan.json",
        ".demo/demo/traffic.csv.gz",
        "plugins/modules/a.pyc",
    ):
        (copy / litter).parent.mkdir(parents=True, exist_ok=True)
        (copy / litter).write_text("left behind")
    galaxy = str(Path(sys.executable).parent / "ansible-galaxy")
    words = [galaxy, "collection", "build", "--output-path", str(folder), str(copy)]
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    (tarball,) = folder.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        return {member.name: member.size for member in archive.getmembers() if member.isfile()}


def test_nothing_but_what_users_need_is_in_the_tarball(members: dict[str, int]) -> None:
    assert {name.split("/")[0] for name in members} <= AT_THE_TOP
    assert {name.split("/")[1] for name in members if name.startswith("plugins/")} <= PLUGINS
    assert {name.split("/")[1] for name in members if name.startswith("extensions/")} == {"awx", "eda"}
    assert [name for name in members if name.endswith((".pyc", ".gz")) or "__pycache__" in name] == []


def test_the_tarball_is_small(members: dict[str, int]) -> None:
    assert sum(members.values()) < 8 * MIB
    assert [name for name, size in members.items() if size > MIB // 2] == []


def test_everything_that_runs_is_in_the_tarball(members: dict[str, int]) -> None:
    for folder in ("plugins", "roles", "playbooks", "extensions/eda", "extensions/awx", "meta", "docs/docsite"):
        here = {
            str(path.relative_to(ROOT))
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        }
        assert here - set(members) == set()


def test_each_role_has_a_readme_and_a_description_for_galaxy(members: dict[str, int]) -> None:
    roles = {name.split("/")[1] for name in members if name.startswith("roles/")}
    for role in roles:
        assert {f"roles/{role}/README.md", f"roles/{role}/meta/main.yml"} <= set(members)


def test_links_of_the_readmes_lead_somewhere_in_the_tarball(members: dict[str, int]) -> None:
    folders = {str(parent) for name in members for parent in Path(name).parents}
    for name in (name for name in members if name.endswith("README.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text()):
            path = (ROOT / name).parent.joinpath(target).resolve().relative_to(ROOT)
            assert str(path) in members or str(path) in folders, f"{name} links to {target}"
