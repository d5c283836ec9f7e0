# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives, friendly and hostile."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.serving.archive import (
    is_archive_name,
    unpack,
)

FILES = {"config.json": b"{}", "weights/a.bin": b"a" * 3000, "weights/empty": b""}


def make_tar(path: Path, members: list[tarfile.TarInfo], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 1, linkname: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, linkname, 0o777
    found.size = size if kind == tarfile.REGTYPE else 0
    return found


def do_unpack(archive: Path, tmp_path: Path) -> dict[str, str]:
    target = tmp_path / "target"
    target.mkdir()
    return unpack(str(archive), str(target), name=archive.name, min_free_gib=0)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
def test_plain_archives(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"model{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(source, "w") as packed:
            for name, content in FILES.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(source, "w:" + suffix.rpartition(".")[2].replace("tar", "")) as tar:
            for name, content in FILES.items():
                info = tarfile.TarInfo("./" + name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    assert is_archive_name(source.name)
    found = do_unpack(source, tmp_path)
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    assert {name: (tmp_path / "target" / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("../evil")], "outside"),
        ([member("a/../../evil")], "outside"),
        ([member("/tmp/evil")], "outside"),
        ([member("..\\evil")], "outside"),
        ([member("link", tarfile.SYMTYPE, linkname="/etc"), member("link/passwd")], "a link"),
        ([member("hard", tarfile.LNKTYPE, linkname="/etc/passwd")], "a link"),
        ([member("null", tarfile.CHRTYPE)], "a device"),
        ([member("pipe", tarfile.FIFOTYPE)], "a device"),
        ([member("a"), member("./a")], "twice"),
        ([member("a"), member("a/b")], "both a file and a directory"),
        ([member("a/b"), member("a")], "both a file and a directory"),
        ([member("a"), member("a", tarfile.DIRTYPE)], "both a file and a directory"),
        ([member(".modelops.json")], "not a usable name"),
    ],
)
def test_hostile_tars_write_nothing_outside(members: list[tarfile.TarInfo], why: str, tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "x.tar.gz", members)
    with pytest.raises(InputError, match=why):
        do_unpack(archive, tmp_path)
    outside = [path for path in tmp_path.rglob("*") if "target" not in path.parts and path != archive]
    assert outside == []


@pytest.mark.parametrize(
    ("name", "mode", "why"), [("../evil", 0o100644, "outside"), ("link", stat.S_IFLNK | 0o777, "a link")]
)
def test_hostile_zips(name: str, mode: int, why: str, tmp_path: Path) -> None:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(info, b"/etc/passwd")
    with pytest.raises(InputError, match=why):
        do_unpack(tmp_path / "x.zip", tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an archive at all", b"\x1f\x8b\x08\x00broken", b"PK\x03\x04broken"])
def test_what_is_no_archive_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match="cannot be unpacked"):
        do_unpack(tmp_path / "x.tar.gz", tmp_path)


def test_a_truncated_archive_is_said(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "whole.tar", [member("a", size=100_000)], "w").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[:50_000])
    with pytest.raises(InputError, match=r"cut off|cannot be unpacked"):
        do_unpack(tmp_path / "x.tar", tmp_path)


def test_a_zip_that_lies_about_its_size_stays_within_it(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", b"0" * 1_000_000)
    content = path.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(InputError):
        do_unpack(path, tmp_path)
    assert sum(file.stat().st_size for file in (tmp_path / "target").rglob("*")) <= 10
