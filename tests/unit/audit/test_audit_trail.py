# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail: chained, mended after crashes, turned over; every edit of it is found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.chain import (
    AuditError,
    Head,
    line_after,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.heads import (
    append_head,
    head_line,
    read_heads,
)
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.ledger import Ledger, segments
from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.review import review_trail
from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.modules.audit_verify import execute


def write_trail(path: Path, lines: int = 60, *, rotate_bytes: int = 0) -> Ledger:
    ledger = Ledger(str(path), rotate_bytes=rotate_bytes)
    for number in range(lines):
        event = {
            "event": "task",
            "run": "r",
            "at": 1.5 * number,
            "host": f"gpu-{number % 4}",
            "after": f"sha256:{number:x}",
        }
        ledger.append([event], sync=False)
    return ledger


def made_anew(lines: list[bytes], begin: int, rng: random.Random) -> list[bytes]:
    """What somebody does who knows the format: change one line and write all that follow with right hashes."""
    previous = json.loads(lines[begin - 1]) if begin else None
    head = Head(previous["sequence"], previous["hash"]) if previous else Head()
    forged = []
    for line in lines[begin:]:
        event = {
            k: v
            for k, v in json.loads(line).items()
            if k not in ("schema_version", "kind", "sequence", "previous", "hash")
        }
        if not forged:
            event["host"] = f"other-{rng.random()}"
        made, head = line_after(head, event)
        forged.append(made[:-1])
    return lines[:begin] + forged


def edited(content: bytes, rng: random.Random) -> bytes:
    """The file after one edit of a random kind."""
    lines, kind = content.split(b"\n")[:-1], rng.randrange(8)
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    if kind == 0:  # one byte is another
        at = rng.randrange(len(content))
        return content[:at] + bytes([content[at] ^ rng.randrange(1, 128)]) + content[at + 1 :]
    if kind == 1:  # cut off anywhere
        return content[: rng.randrange(len(content))]
    if kind == 2:
        del lines[place]
    elif kind == 3:
        lines.insert(other, lines.pop(place))
    elif kind == 4:
        lines.insert(other, lines[place])
    elif kind == 5:
        lines = made_anew(lines, place, rng)
    elif kind == 6:  # a value is another, the line's own hash made to fit
        lines[place] = made_anew(lines, place, rng)[place]
    else:
        lines = lines[:place]
    return b"".join(line + b"\n" for line in lines)


def test_a_hundred_random_edits_are_all_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    head = write_trail(path).head
    content, rng, edits = path.read_bytes(), random.Random(20261127), 0
    assert not review_trail(str(path), heads=[head]).faults
    while edits < 100:
        changed = edited(content, rng)
        if changed == content:
            continue
        edits += 1
        path.write_bytes(changed)
        assert review_trail(str(path), heads=[head]).faults, f"edit {edits} was not found"


def test_without_a_head_the_cut_off_end_is_the_one_thing_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    head = write_trail(path).head
    path.write_bytes(b"".join(line + b"\n" for line in path.read_bytes().split(b"\n")[:40]))
    assert not review_trail(str(path)).faults
    (fault,) = review_trail(str(path), heads=[head]).faults
    assert fault["what"] == "line 60 is gone: a head kept elsewhere says it was there"


def test_the_fault_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write_trail(path, 9)
    path.write_bytes(path.read_bytes().replace(b'"sha256:4"', b'"sha256:5"'))
    found = execute({"path": str(path), "heads": [], "verification_file": None, "first_sequence": 1}, False, False)
    assert found["failed"] and f"{path}, line 5: the line was changed" in found["msg"]


def test_turned_over_files_are_one_trail_and_a_missing_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write_trail(path, rotate_bytes=4000)
    older = segments(str(path))[:-1]
    assert len(older) > 3
    review = review_trail(str(path))
    assert (review.lines, review.faults, review.files) == (60, [], segments(str(path)))
    Path(older[1]).unlink()
    assert "removed, added or moved" in review_trail(str(path)).faults[0]["what"]
    Path(older[0]).unlink()
    first = int(older[1].rpartition(".")[2]) + 1
    assert not review_trail(str(path), first_sequence=first).faults
    assert review_trail(str(path)).faults[0]["what"] == f"the trail begins with line {first}, not 1"


@pytest.mark.parametrize("left", [1, 7, 100])
def test_a_cut_write_is_mended_by_the_next_and_said(tmp_path: Path, left: int) -> None:
    path = tmp_path / "audit.jsonl"
    write_trail(path, 5)
    lines = path.read_bytes().split(b"\n")[:-1]
    path.write_bytes(b"\n".join(lines[:4]) + b"\n" + lines[4][:left])
    assert review_trail(str(path)).cut_bytes == left and not review_trail(str(path)).faults
    Ledger(str(path)).append([{"event": "run_began", "run": "s", "at": 9.0}])
    review = review_trail(str(path))
    assert (review.faults, review.lines, review.cut_bytes, review.unfinished_runs) == ([], 6, 0, ["s"])
    assert json.loads(path.read_bytes().split(b"\n")[4])["bytes_dropped"] == left


def test_a_crash_between_turning_over_and_the_new_file_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    head = write_trail(path, 5).head
    path.rename(f"{path}.{5:012d}")
    assert Ledger(str(path)).append([{"event": "task"}])[0].find(head.hash.encode()) > 0
    assert review_trail(str(path)).lines == 6


def test_nothing_is_added_behind_a_damaged_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write_trail(path, 3)
    path.write_bytes(path.read_bytes().replace(b'"sha256:2"', b'"sha256:3"'))
    with pytest.raises(AuditError, match="last line of the audit trail was changed"):
        Ledger(str(path)).append([{"event": "task"}])


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AuditError):
        Ledger(str(tmp_path / "file" / "audit.jsonl")).append([{"event": "task"}])
    with pytest.raises(AuditError, match="an event may not set hash"):
        Ledger(str(tmp_path / "audit.jsonl")).append([{"event": "task", "hash": "mine"}])


def test_processes_beside_each_other_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    code = (
        "import sys; from ansible_collections.modelops.datacenter.plugins.module_utils._core.audit.ledger import Ledger\n"
        "log = Ledger(sys.argv[1], rotate_bytes=3000)\n"
        "for n in range(20): log.append([{'event': 'task', 'n': n}], sync=False)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _number in range(3)]
    assert [one.wait(120) for one in running] == [0, 0, 0]
    review = review_trail(str(path))
    assert (review.lines, review.faults) == (60, [])


def test_heads_are_signed_and_a_forged_one_is_refused(tmp_path: Path) -> None:
    private, public, kept = tmp_path / "key", tmp_path / "key.pub", tmp_path / "heads"
    key = Ed25519PrivateKey.generate()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    path = tmp_path / "audit.jsonl"
    head = write_trail(path, 4).head
    append_head(str(kept), head_line(head, trail=str(path), at=1.0, private_key=str(private)))
    assert read_heads(str(kept), public_key=str(public)) == [head]
    options = {"path": str(path), "heads": [str(kept)], "verification_file": str(public), "first_sequence": 1}
    assert "failed" not in execute(options, False, False)
    append_head(str(kept), head_line(Head(9, head.hash), trail=str(path), at=1.0))
    with pytest.raises(InputError, match="line 2: the head is not signed by this key"):
        execute(options, False, False)
