"""The loop on a small fleet: plan, apply, repair, refuse, scale out and in.

The tests of this file build on each other, in order: one fleet lives through all of them.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from loop_fleet import HOSTS, Fleet, make_fleet
from ports import FIRST_PORT

pytest.importorskip("xllamacpp", reason="the llama.cpp server of the demo environment is not installed")

START = datetime(2026, 1, 5, tzinfo=timezone.utc)
STEP = timedelta(minutes=10)
NIGHT = "2026-01-16T02:00:00Z"
NOON = "2026-01-16T11:30:00Z"


def demand(step: int, *, level: float) -> float:
    """Requests/s: a clean day between a fifth and all of ``level``, lowest at 02:00, highest at 14:00."""
    hours = step / 6.0 % 24.0
    return level * (0.6 - 0.4 * math.cos(2 * math.pi * (hours - 2.0) / 24.0))


def write_history(path: Path, *, days: int = 12, levels: dict[str, float] | None = None) -> Path:
    lines = ["series,timestamp,value"]
    for name, level in sorted((levels or {"chat": 8.0, "code": 3.0}).items()):
        lines += [
            f"{name},{START + step * STEP:%Y-%m-%dT%H:%M:%SZ},{demand(step, level=level):.4f}"
            for step in range(days * 144)
        ]
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = make_fleet(tmp_path_factory.mktemp("fleet"))
    write_history(fleet.root / "history.csv.gz")
    yield fleet
    fleet.stop()


def history(fleet: Fleet) -> str:
    return str(fleet.root / "history.csv.gz")


def test_plan_touches_no_host(fleet: Fleet) -> None:
    run = fleet.play("plan", modelops_history=history(fleet), modelops_as_of=NIGHT)
    assert run.code == 0, run.output
    assert {name: count for name, count in run.changed().items() if name != "localhost"} == {"alpha": 0, "beta": 0}
    assert not list(fleet.root.glob("alpha/*")) and not list(fleet.root.glob("beta/*"))
    for name in ("history.csv.gz", "forecast.json", "plan.json", "report.html"):
        assert (fleet.root / "output" / name).stat().st_size > 0
    assert "Short: nothing" in run.output


def test_the_same_input_gives_the_same_plan_but_for_its_creation_time(fleet: Fleet) -> None:
    first = fleet.plan_path.read_bytes()
    time.sleep(1.1)
    assert fleet.play("plan", modelops_history=history(fleet), modelops_as_of=NIGHT).code == 0
    second = fleet.plan_path.read_bytes()
    assert first != second
    without_moment = [[line for line in text.splitlines() if b'"created_at"' not in line] for text in (first, second)]
    assert without_moment[0] == without_moment[1]


def test_check_and_diff_show_the_moves_and_make_none(fleet: Fleet) -> None:
    run = fleet.play("apply", "--check", "--diff")
    assert run.code == 0, run.output
    for host, slot, model in fleet.placed():
        assert f"+{host} slot {slot}: {model} 1.0" in run.output
    assert fleet.running() == {}
    assert not list(fleet.root.glob("alpha/*")) and not list(fleet.root.glob("beta/*"))


def test_apply_makes_every_replica_answer(fleet: Fleet) -> None:
    run = fleet.play("apply")
    assert run.code == 0, run.output
    assert fleet.silent() == []
    assert len(fleet.running()) == len(fleet.placed())


def test_a_second_apply_changes_nothing(fleet: Fleet) -> None:
    before = fleet.running()
    run = fleet.play("apply")
    assert run.code == 0, run.output
    assert set(run.changed().values()) == {0}
    assert fleet.running() == before


def test_planning_again_for_the_same_moment_keeps_all_that_runs(fleet: Fleet) -> None:
    placed = fleet.placed()
    assert fleet.play("plan", modelops_history=history(fleet), modelops_as_of=NIGHT).code == 0
    assert fleet.placed() == placed
    assert fleet.plan()["starts"] == fleet.plan()["stops"] == 0


def test_the_peak_scales_out_and_moves_only_what_the_diff_said(fleet: Fleet) -> None:
    before = fleet.running()
    run = fleet.play("site", "--diff", modelops_history=history(fleet), modelops_as_of=NOON)
    assert run.code == 0, run.output
    plan = fleet.plan()
    assert len(plan["placements"]) > len(before)
    assert fleet.silent() == []
    after = fleet.running()
    started = {f"{a['host']}/modelops-{a['model']}-{a['slot']}" for a in plan["actions"] if a["action"] == "start"}
    stopped = {f"{a['host']}/modelops-{a['model']}-{a['slot']}" for a in plan["actions"] if a["action"] == "stop"}
    assert set(after) - set(before) == started
    assert set(before) - set(after) == stopped
    assert all(after[name] == before[name] for name in set(before) & set(after))


def test_a_killed_process_and_removed_files_are_repaired_and_nothing_else(fleet: Fleet) -> None:
    before = fleet.running()
    victim, robbed, *others = sorted(before)
    os.kill(before[victim], signal.SIGKILL)
    host, service = robbed.split("/")
    (fleet.root / host / "etc" / f"{service}.ini").unlink()
    model = service.split("-")[1]
    shutil.rmtree(next((fleet.root / host / "opt" / "models" / model).glob("1.0*")))
    run = fleet.play("apply")
    assert run.code == 0, run.output
    assert fleet.silent() == []
    after = fleet.running()
    assert set(after) == set(before)
    assert after[victim] != before[victim]
    assert {name: after[name] for name in [robbed, *others]} == {name: before[name] for name in [robbed, *others]}
    assert (fleet.root / host / "etc" / f"{service}.ini").exists()
    assert list((fleet.root / host / "opt" / "models" / model).glob("1.0*"))
    untouched = set(HOSTS) - {host, victim.split("/")[0]}
    assert all(run.changed()[name] == 0 for name in untouched)
    assert set(fleet.play("apply").changed().values()) == {0}


def refused(fleet: Fleet, words: list[str], playbook: str = "apply", **options: object) -> str:
    """Run what must fail: the words are said, and no process is started or stopped."""
    before = fleet.running()
    run = fleet.play(playbook, **options)  # type: ignore[arg-type]
    assert run.code != 0, run.output
    assert "Traceback" not in run.output
    flat = " ".join(run.output.split())
    for word in words:
        assert word in flat, f"{word!r} not in:\n{run.output}"
    assert fleet.running() == before
    return run.output


def test_an_edited_plan_is_refused(fleet: Fleet) -> None:
    good = fleet.plan_path.read_bytes()
    try:
        for position in (len(good) // 3, len(good) // 2, good.index(b'"slot"') + 8):
            edited = bytearray(good)
            edited[position] = ord("7") if edited[position] != ord("7") else ord("8")
            fleet.plan_path.write_bytes(bytes(edited))
            refused(fleet, ["plan.json"])
    finally:
        fleet.plan_path.write_bytes(good)


def test_a_plan_for_another_inventory_is_refused(fleet: Fleet) -> None:
    gamma = {**HOSTS["beta"], "modelops_base_port": FIRST_PORT + 40}
    fleet.write_inventory("more.yml", hosts={**HOSTS, "gamma": gamma})
    refused(fleet, ["gamma"], inventory="more.yml")


def test_a_plan_from_yesterday_is_refused(fleet: Fleet) -> None:
    good = fleet.plan_path.read_bytes()
    created = fleet.plan()["created_at"]
    yesterday = datetime.fromisoformat(created.replace("Z", "+00:00")) - timedelta(days=1)
    fleet.plan_path.write_bytes(good.replace(created.encode(), f"{yesterday:%Y-%m-%dT%H:%M:%SZ}".encode()))
    try:
        refused(fleet, [str(fleet.plan_path), "24 h", "the limit is 1 h", "Plan again"])
        assert fleet.play("apply", apply_plan_max_age_seconds=0).code == 0
    finally:
        fleet.plan_path.write_bytes(good)


def test_a_missing_plan_is_said_to_be_missing(fleet: Fleet) -> None:
    refused(fleet, ["/nowhere/plan.json", "does not exist"], modelops_plan="/nowhere/plan.json")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("series,when,value\nchat,2026-01-05T00:00:00Z,1\n", ["timestamp", "column"]),
        ("chat,2026-01-16T01:00:00Z,NaN\n", ["NaN", "chat", "gap"]),
        ("chat,2026-01-16T01:00:00Z,-4\n", ["-4", "chat", "negative"]),
        ("chat,yesterday,4\n", ["yesterday"]),
    ],
    ids=["missing column", "NaN", "negative", "bad time"],
)
def test_a_broken_history_is_refused(fleet: Fleet, row: str, words: list[str]) -> None:
    broken = fleet.root / "broken.csv"
    if row.startswith("series"):
        broken.write_text(row)
    else:
        write_history(broken)
        with broken.open("a") as stream:
            stream.write(row)
    refused(fleet, ["broken.csv", *words], playbook="site", modelops_history=str(broken), modelops_as_of=NIGHT)


def test_three_points_hold_what_runs(fleet: Fleet) -> None:
    short = fleet.root / "short.csv"
    rows = [f"{name},2026-01-16T01:{minute}0:00Z,1.0" for name in ("chat", "code") for minute in (3, 4, 5)]
    short.write_text("series,timestamp,value\n" + "\n".join(rows) + "\n")
    before = fleet.running()
    run = fleet.play("site", modelops_history=str(short), modelops_as_of=NIGHT)
    assert run.code == 0, run.output
    assert "too short" in run.output
    assert fleet.running() == before


def test_stale_history_holds_what_runs(fleet: Fleet) -> None:
    before = fleet.running()
    run = fleet.play("site", modelops_history=history(fleet))
    assert run.code == 0, run.output
    assert "STALE DEMAND" in run.output
    assert fleet.running() == before


def test_a_dead_prometheus_is_named(fleet: Fleet) -> None:
    prometheus = {"url": "http://127.0.0.1:9", "retries": 0, "timeout_seconds": 2}
    refused(fleet, ["http://127.0.0.1:9"], playbook="site", modelops_prometheus=prometheus)


def test_a_model_that_fits_nowhere_is_a_named_shortage(fleet: Fleet) -> None:
    huge = {**fleet.models["chat"], "resources": {"accelerators": 16, "accelerator_memory_gib": 40}}
    fleet.write_inventory("huge.yml", modelops_models={**fleet.models, "huge": huge})
    write_history(fleet.root / "huge.csv", levels={"chat": 8.0, "code": 3.0, "huge": 5.0})
    before = fleet.running()
    run = fleet.play("plan", inventory="huge.yml", modelops_history=str(fleet.root / "huge.csv"), modelops_as_of=NOON)
    assert run.code == 0, run.output
    (shortage,) = fleet.plan()["shortages"]
    assert shortage["model"] == "huge"
    assert shortage["requests_per_second"] > 0
    assert "huge" in run.output
    assert fleet.running() == before


def test_an_unknown_host_in_the_plan_is_refused(fleet: Fleet) -> None:
    assert fleet.play("plan", modelops_history=history(fleet), modelops_as_of=NOON).code == 0
    fleet.write_inventory("fewer.yml", hosts={"alpha": HOSTS["alpha"]})
    refused(fleet, ["beta"], inventory="fewer.yml")


def test_a_host_that_vanished_stops_the_apply_before_anything_moves(fleet: Fleet) -> None:
    gone = {**HOSTS["beta"], "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    fleet.write_inventory("gone.yml", hosts={"alpha": HOSTS["alpha"], "beta": gone})
    plan = fleet.plan_path.read_bytes()
    before = fleet.running()
    run = fleet.play("plan", inventory="gone.yml", modelops_history=history(fleet), modelops_as_of=NOON)
    assert run.code != 0
    assert "1 of 2 hosts do not answer (beta)" in " ".join(run.output.split())
    assert fleet.plan_path.read_bytes() == plan
    assert fleet.running() == before


def test_a_gateway_that_was_never_set_up_stops_the_apply_before_anything_moves(fleet: Fleet) -> None:
    hosts = {**HOSTS, "gw1": {"modelops_gateway": True, "gateway_config_dir": str(fleet.root / "gw1" / "gateway")}}
    fleet.write_inventory("with_gateway.yml", hosts=hosts)
    before = fleet.running()
    run = fleet.play("apply", inventory="with_gateway.yml", apply_plan_max_age_seconds=0, deploy_bind_address="0.0.0.0")
    assert run.code != 0
    said = " ".join(run.output.split())
    assert "gw1 has never been set up" in said and "Run the playbook modelops.datacenter.gateway first" in said
    assert fleet.running() == before
    # The lock was given up: nobody has to wait for its lease.
    assert fleet.play("apply", apply_plan_max_age_seconds=0, fleet_lock_wait_seconds=0).code == 0


@pytest.mark.parametrize(
    "content", ["", "not ours", '{"kind": "host", "replicas": [{"slot"'], ids=["empty", "text", "cut"]
)
def test_a_damaged_local_fact_never_looks_like_an_empty_host(fleet: Fleet, content: str) -> None:
    fact = fleet.root / "alpha" / "facts.d" / "modelops.fact"
    good = fact.read_bytes()
    plan = fleet.plan_path.read_bytes()
    fact.write_text(content)
    try:
        refused(
            fleet, ["modelops.fact", "alpha"], playbook="site", modelops_history=history(fleet), modelops_as_of=NOON
        )
        assert fleet.plan_path.read_bytes() == plan
    finally:
        fact.write_bytes(good)


def test_the_night_scales_in_and_leaves_no_process(fleet: Fleet) -> None:
    before = fleet.running()
    run = fleet.play("site", modelops_history=history(fleet), modelops_as_of=NIGHT)
    assert run.code == 0, run.output
    after = fleet.running()
    assert set(after) < set(before)
    assert fleet.silent() == []
    assert not [pid for name, pid in before.items() if name not in after and Path(f"/proc/{pid}").exists()]
    facts = [json.loads(path.read_text()) for path in fleet.root.glob("*/facts.d/modelops.fact")]
    assert sum(len(fact["replicas"]) for fact in facts) == len(after)
    assert set(fleet.play("apply").changed().values()) == {0}
