"""Room on a disk: only the collection's own, only what nobody uses."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import room

NOW = 1_800_000_000.0


def make(path: Path, *, age: float = 3600.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 9000)
    for one in (path, path.parent):
        os.utime(one, (NOW - age, NOW - age))
    return path


def test_what_runs_what_is_current_what_is_new_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    models, logs = tmp_path / "models", tmp_path / "log"
    old = make(models / "chat" / "1.0" / "weights")
    make(models / "chat" / "2.0" / "weights")
    make(models / "chat" / "3.0" / "weights")
    (models / "chat" / "current").symlink_to("3.0")
    make(models / "chat" / "4.0" / "weights", age=5)
    broken = make(models / "chat" / ".incoming-5.0" / "part")
    make(models / "chat" / ".incoming-6.0" / "part", age=5)
    outside = make(tmp_path / "outside" / "1.0" / "weights")
    (models / "linked").symlink_to(tmp_path / "outside")
    (models / "chat" / "0.9").symlink_to(tmp_path / "outside")
    turned = make(logs / "chat-0.log.2")
    make(logs / "chat-0.log")
    make(logs / "gateway.jsonl")
    spare = room.spare(str(models), str(logs), {"chat": ["2.0"]}, min_age_seconds=600, now=NOW)
    assert {one.path for one in spare} == {str(old.parent), str(broken.parent), str(turned)}
    assert all(one.size_bytes >= 9000 for one in spare)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    room.remove(spare)
    assert before - {path for path in tmp_path.rglob("*") if path.is_file()} == {old, broken, turned}
    assert outside.exists()
    assert room.spare(str(models), str(logs), {"chat": ["2.0"]}, min_age_seconds=600, now=NOW) == []


def test_a_host_without_the_directories_has_nothing_to_give(tmp_path: Path) -> None:
    assert room.spare(str(tmp_path / "none"), str(tmp_path / "none"), {}, min_age_seconds=0, now=NOW) == []
