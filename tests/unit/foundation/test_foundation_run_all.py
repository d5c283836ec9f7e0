# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of ``make test``: side by side, each shown whole, all over with the first that fails."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("run_all", ROOT / "tests/tools/run_all.py")
assert spec is not None and spec.loader is not None
run_all: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_all)


def shell(name: str, script: str) -> Any:
    return run_all.Step(name, "bash", "-c", script)


def test_lanes_run_side_by_side_and_what_a_step_says_stays_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meets = "touch {own}; until [ -e {other} ]; do sleep 0.05; done; echo {own}; sleep 0.1; echo met >&2"
    lanes = [
        [shell("first", "echo a"), shell("one", meets.format(own=tmp_path / "1", other=tmp_path / "2"))],
        [shell("two", meets.format(own=tmp_path / "2", other=tmp_path / "1"))],
    ]
    assert run_all.run(lanes, 60) == ""
    said = [part.splitlines() for part in capsys.readouterr().out.split("\n== ")[1:]]
    assert said[0] == ["first (0 s)", "a"]
    assert sorted(lines[1:3] for lines in said[1:]) == [[str(tmp_path / name), "met"] for name in "12"]
    assert lanes[0][1].seconds > 0.1


def test_the_first_that_fails_ends_the_others_which_put_away_what_they_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_away = tmp_path / "put-away"
    other = f"trap 'echo > {put_away}' EXIT; sleep 60 & wait"
    failing = [shell("bad", "sleep 0.5; echo why; exit 3"), shell("after", f"touch {tmp_path}/after")]
    assert run_all.run([failing, [shell("other", other)]]) == "bad failed with 3"
    assert put_away.exists() and not (tmp_path / "after").exists()
    assert "== bad (1 s)\nwhy" in capsys.readouterr().out


def test_what_hangs_is_named_and_what_it_said_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_all, "GRACE_SECONDS", 0.5)
    stubborn = "trap '' INT; echo got this far; sleep 60"
    assert run_all.run([[shell("stubborn", stubborn)]], 0.5) == "not over after 0 s: stubborn"
    assert "got this far" in capsys.readouterr().out
