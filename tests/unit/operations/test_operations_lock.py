"""The lock of the fleet: real processes ask for it at once, die inside it, come back too late."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.identity import identity_of, is_dead
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.lease import Claim

# Waits for a moment all share, asks, and says whether it got the lock.
ASK = """
import sys, time
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.lease import Claim
path, owner, at = sys.argv[1], sys.argv[2], float(sys.argv[3])
time.sleep(max(0.0, at - time.time()))
try:
    print("got", lock.take(path, Claim(owner, "a test", 60.0)).number)
except lock.LockHeldError as error:
    print("held by", error.lease.owner)
"""
# Adds to a number in a file, each time under the lock, with a gap in between that would lose counts without it.
COUNT = """
import sys, time
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import lock
from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations.lease import Claim
path, counter, claim = sys.argv[1], sys.argv[2], Claim(sys.argv[3], "counting", 60.0)
clocked = lock.Clock(sleep=lambda seconds: time.sleep(0.002))
for _turn in range(25):
    lock.take(path, claim, wait_seconds=120.0, clocked=clocked)
    found = int(open(counter).read())
    time.sleep(0.001)
    open(counter, "w").write(str(found + 1))
    lock.release(path, claim)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


@dataclass
class Turned:
    """A clock that stands still unless it is turned."""

    at: float = field(default_factory=time.time)

    def clock(self) -> lock.Clock:
        def turn(seconds: float) -> None:
            self.at += seconds

        return lock.Clock(now=lambda: self.at, sleep=turn)


def test_of_eight_processes_that_ask_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    path = str(tmp_path / "state" / "fleet.lock")
    at = str(time.time() + 3.0)
    asked = [start(ASK, path, f"run-{number}", at) for number in range(8)]
    said = [one.communicate(timeout=60)[0].strip() for one in asked]
    winners = [number for number, text in enumerate(said) if text == "got 1"]
    assert len(winners) == 1, said
    assert all(text == f"held by run-{winners[0]}" for number, text in enumerate(said) if number != winners[0]), said


def test_work_under_the_lock_is_never_done_by_two(tmp_path: Path) -> None:
    path, counter = str(tmp_path / "fleet.lock"), tmp_path / "count"
    counter.write_text("0")
    runs = [start(COUNT, path, str(counter), f"run-{number}") for number in range(4)]
    assert [one.wait(timeout=180) for one in runs] == [0] * 4
    assert counter.read_text() == "100"


def test_a_process_killed_inside_the_step_leaves_nothing_behind(tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.lock")
    inside = (
        "import sys, time\n"
        "from ansible_collections.modelops.datacenter.plugins.module_utils._core.operations import lock\n"
        "with lock.alone(sys.argv[1]):\n"
        "    print('inside', flush=True)\n"
        "    time.sleep(60)\n"
    )
    stuck = start(inside, path)
    assert stuck.stdout is not None
    assert stuck.stdout.readline() == "inside\n"
    stuck.send_signal(signal.SIGKILL)
    stuck.wait()
    assert lock.take(path, Claim("next", "", 60.0)).number == 1


def test_a_lease_that_ran_out_goes_to_the_next_and_the_first_learns_it(tmp_path: Path) -> None:
    path, turned = str(tmp_path / "fleet.lock"), Turned()
    first, second = Claim("first", "apply", 60.0), Claim("second", "upgrade", 60.0)
    assert lock.take(path, first, clocked=turned.clock()).number == 1
    turned.at += 59
    with pytest.raises(lock.LockHeldError, match="first has held the lock of the fleet for apply since"):
        lock.take(path, second, clocked=turned.clock())
    assert lock.renew(path, first, clocked=turned.clock()).expires_at == turned.at + 60
    turned.at += 61
    assert lock.take(path, second, clocked=turned.clock()).number == 2
    with pytest.raises(lock.LockLostError, match=r"first no longer holds.*second has held"):
        lock.renew(path, first, clocked=turned.clock())
    assert not lock.release(path, first, clocked=turned.clock()), "another's lock is left alone"
    assert lock.release(path, second, clocked=turned.clock())
    with pytest.raises(lock.LockLostError, match="nobody does"):
        lock.renew(path, first, clocked=turned.clock())
    assert lock.take(path, first, clocked=turned.clock()).number == 3


def test_a_lease_that_ran_out_and_nobody_took_is_still_ones_own(tmp_path: Path) -> None:
    path, turned = str(tmp_path / "fleet.lock"), Turned()
    lock.take(path, Claim("first", "apply", 60.0), clocked=turned.clock())
    turned.at += 300
    assert lock.renew(path, Claim("first", "apply", 60.0), clocked=turned.clock()).number == 1


def test_waiting_ends_when_the_lease_does_or_the_wait(tmp_path: Path) -> None:
    path, turned = str(tmp_path / "fleet.lock"), Turned()
    lock.take(path, Claim("first", "", 30.0), clocked=turned.clock())
    began = turned.at
    with pytest.raises(lock.LockHeldError):
        lock.take(path, Claim("second", "", 30.0), wait_seconds=20, clocked=turned.clock())
    assert turned.at == pytest.approx(began + 20)
    assert lock.take(path, Claim("second", "", 30.0), wait_seconds=20, clocked=turned.clock()).owner == "second"
    assert turned.at == pytest.approx(began + 30)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"kind": "plan"}', '{"kind": "fleet_lock", "schema_version": 1, "owner": "x"}', "\0\xff"],
)
def test_a_damaged_file_counts_as_held_for_one_lease_then_heals(tmp_path: Path, content: str) -> None:
    path, turned = tmp_path / "fleet.lock", Turned()
    path.write_text(content)
    os.utime(path, (turned.at, turned.at))
    with pytest.raises(lock.LockHeldError, match="damaged"):
        lock.take(str(path), Claim("next", "", 60.0), clocked=turned.clock())
    with pytest.raises(lock.LockLostError):
        lock.renew(str(path), Claim("next", "", 60.0), clocked=turned.clock())
    turned.at += 61
    assert lock.take(str(path), Claim("next", "", 60.0), clocked=turned.clock()).owner == "next"
    assert json.loads(path.read_text())["owner"] == "next"


def test_a_person_breaks_it(tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.lock")
    lock.take(path, Claim("gone", "", 3600.0))
    assert not lock.release(path, Claim("person", "", 60.0))
    assert lock.release(path, Claim("person", "", 60.0), force=True)
    assert lock.take(path, Claim("person", "", 60.0)).number == 2
    (tmp_path / "fleet.lock").write_text("rubbish")
    assert lock.release(path, Claim("person", "", 60.0), force=True)


def test_the_lease_of_a_run_known_dead_is_taken_only_while_it_is_that_lease(tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.lock")
    assert lock.take(path, Claim("dead", "", 3600.0)).number == 1
    with pytest.raises(lock.LockHeldError):
        lock.take(path, Claim("other", "", 60.0, dead=7))
    assert lock.take(path, Claim("other", "", 60.0, dead=1)).number == 2
    with pytest.raises(lock.LockHeldError):
        lock.take(path, Claim("third", "", 60.0, dead=1))


def test_looking_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "none" / "fleet.lock"
    assert lock.take(str(path), Claim("check", "", 60.0), dry=True).number == 1
    assert not path.parent.exists()
    assert not lock.release(str(path), Claim("check", "", 60.0))


def test_a_process_is_known_dead_only_where_it_ran() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    here = identity_of(os.getpid())
    holder = identity_of(child.pid).as_record()
    try:
        assert not is_dead(holder, here)
        assert is_dead({**holder, "began": holder["began"] - 1}, here), "the number came again"
    finally:
        child.kill()
        assert _becomes_dead(holder, here)  # while it is still a zombie
        child.wait()
    assert is_dead(holder, here)
    for elsewhere in ({"controller": "other"}, {"machine": "other"}, {"namespace": "pid:[7]"}, {"process": None}):
        assert not is_dead({**holder, **elsewhere}, here)
    assert not is_dead({}, here)


def _becomes_dead(holder: dict[str, object], here: object) -> bool:
    for _look in range(100):
        if is_dead(holder, here):  # type: ignore[arg-type]
            return True
        time.sleep(0.05)
    return False
