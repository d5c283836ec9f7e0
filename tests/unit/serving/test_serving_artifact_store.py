# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout of versions on a host: names, digests, pruning, leftovers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving import artifact_source, artifact_store
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.artifact_store import Store, superseded


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", ".hidden", "a b", "-a", "a\nb"])
def test_names_that_would_be_another_directory_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory's name"):
        Store(str(tmp_path), name)
    with pytest.raises(InputError, match="directory's name"):
        Store(str(tmp_path), "m").version_path(name)


def test_a_version_cannot_be_called_current(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="current"):
        Store(str(tmp_path), "m").version_path("current")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_the_digest_of_a_tree_is_what_the_documented_command_prints(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.bin", "a/Z.bin", "é"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 3)
    sha256 = artifact_source.copy_tree(str(tmp_path / "tree"), str(tmp_path / "copy"))
    command = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=tmp_path / "copy", capture_output=True, text=True, check=True)
    assert artifact_store.tree_digest(sha256) == "sha256:" + printed.stdout.split()[0]


def test_pruning_keeps_the_newest_and_the_wanted() -> None:
    versions = ["5", "4", "3", "2", "1"]
    assert superseded(versions, wanted=["5"], keep=2) == ["2", "1"]
    assert superseded(versions, wanted=["5", "1"], keep=2) == ["2"]
    assert superseded(versions, wanted=["5"], keep=0) == ["4", "3", "2", "1"]
    assert superseded([], wanted=["1"], keep=0) == []


def test_current_is_always_a_link_to_something_while_it_moves(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "m")
    with store.locked():
        store.activate("1")
        store.activate("2")
    assert store.current() == "2"
    assert sorted(os.listdir(store.root)) == [".lock", "current"]


def test_a_directory_called_current_is_not_removed(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "m")
    (tmp_path / "m" / "current").mkdir(parents=True)
    with pytest.raises(InputError, match="not a symbolic link"):
        store.current()


def test_only_leftovers_are_cleaned(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "m")
    for name in (".incoming-1", ".incoming-2", ".trash-x", "1", "foreign", ".someone-elses"):
        (tmp_path / "m" / name).mkdir(parents=True)
    assert store.has_leftovers()
    store.clean_leftovers(keep_incoming="2")
    assert sorted(os.listdir(store.root)) == [".incoming-2", ".someone-elses", "1", "foreign"]
    assert store.versions() == [], "what has no manifest is not ours"


def test_links_in_a_source_count_as_the_file_and_other_things_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "blob").write_text("weights")
    (source / "model.bin").symlink_to(tmp_path / "blob")
    artifact_source.copy_tree(str(source), str(tmp_path / "copy"))
    assert not (tmp_path / "copy" / "model.bin").is_symlink()
    (source / "dangling").symlink_to("nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        list(artifact_source.walk_files(str(source)))
    (source / "dangling").unlink()
    (source / "dir").symlink_to(tmp_path)
    with pytest.raises(InputError, match="link to a directory"):
        list(artifact_source.walk_files(str(source)))
    (source / "dir").unlink()
    os.mkfifo(source / "pipe")
    with pytest.raises(InputError, match="neither a file"):
        list(artifact_source.walk_files(str(source)))


@pytest.mark.parametrize(
    ("src", "message"),
    [
        ("s3://bucket/x", "cannot fetch from s3://"),
        ("/nonexistent/x", "no such file"),
        ("https://host/", "no usable file name"),
        ("https://host/a/..", "no usable file name"),
    ],
)
def test_sources_that_are_none(src: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        artifact_source.parse_source(src)


def test_what_is_shown_of_an_address_holds_no_secret() -> None:
    source = artifact_source.parse_source("https://user:pass@host/a/model.gguf?token=secret#x")
    assert (source.kind, source.base_name, source.shown) == ("http", "model.gguf", "https://host/a/model.gguf")


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"GiB free; .* are needed"):
        artifact_source.require_space(str(tmp_path), 2**60, 1)
