"""The event log: entered where the time says, over rotated files, whatever stands in it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.errors import InputError
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway import events
from ansible_collections.modelops.datacenter.plugins.module_utils._core.gateway.events import read_events


def line(at: float, total_ms: int, number: int, model: str = "chat", server: str = "a-0") -> tuple[float, str]:
    event = {
        "at": at,
        "id": f"{number:06d}",
        "model": model,
        "server": server,
        "status": 200,
        "term": "----",
        "queue_ms": 0,
        "connect_ms": 0,
        "response_ms": 1,
        "total_ms": total_ms,
        "bytes": 10,
        "request_bytes": 5,
        "retries": "+1" if number % 7 == 0 else "0",
        "synthetic": 0,
        "backend": model,
    }
    return at + total_ms / 1000, json.dumps(event)


def lines(count: int, seed: int = 1) -> list[str]:
    """In the order of their ends; one in ten is a stream of a minute."""
    source = random.Random(seed)
    made = [
        line(1000 + number, 60000 if source.random() < 0.1 else source.randint(1, 900), number)
        for number in range(count)
    ]
    return [text for _end, text in sorted(made)]


@pytest.mark.parametrize("since", [0.0, 1000.0, 1500.0, 1999.0, 2500.0])
def test_every_request_since_then_is_found_and_none_from_before(
    tmp_path: Path, since: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BLOCK", 512)
    log, made = tmp_path / "gateway.jsonl", lines(1000)
    log.write_text("\n".join(made) + "\n")
    found = read_events(str(log), since=since)
    expected = sorted(json.loads(text)["id"] for text in made if json.loads(text)["at"] >= since)
    assert found.columns["id"] == expected
    assert found.columns["at"] == sorted(found.columns["at"])


def test_the_log_is_not_read_from_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BLOCK", 4096)
    log = tmp_path / "gateway.jsonl"
    log.write_text("\n".join(lines(5000)) + "\n")
    parsed = []
    real = events.parse_event
    monkeypatch.setattr(events, "parse_event", lambda text: parsed.append(1) or real(text))
    assert read_events(str(log), since=5990).count == 10
    assert len(parsed) < 250


def test_rotated_logs_are_read_as_far_as_the_time_reaches(tmp_path: Path) -> None:
    made, log = lines(900), tmp_path / "gateway.jsonl"
    with gzip.open(f"{log}.2.gz", "wt") as stream:
        stream.write("\n".join(made[:300]) + "\n")
    Path(f"{log}.1").write_text("\n".join(made[300:600]) + "\n")
    log.write_text("\n".join(made[600:]) + "\n")
    assert read_events(str(log)).count == 900
    for since in (1100.0, 1400.0, 1800.0):
        expected = sum(json.loads(text)["at"] >= since for text in made)
        assert read_events(str(log), since=since).count == expected


def test_filters_limits_and_odd_lines(tmp_path: Path) -> None:
    log = tmp_path / "gateway.jsonl"
    made = [line(1, 1, 0), line(2, 1, 7, "code"), line(3, 1, 2, server="b-0"), line(4, 1, 3)]
    log.write_text("".join(f"{text}\n" for _end, text in made) + '{"at":-.-,"id":"x"}\nhalf a li')
    assert read_events(str(log), model="code").columns["retries"] == [1]
    assert read_events(str(log), servers=["b-0"]).columns["at"] == [3.0]
    assert read_events(str(log), until=3).count == 2
    last = read_events(str(log), limit=1)
    assert (last.columns["at"], last.truncated, last.unreadable) == ([4.0], True, 1)


def test_where_there_is_no_log_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no event log"):
        read_events(str(tmp_path / "none"))
