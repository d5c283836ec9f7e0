# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks/faults.md out of fault_table.json.

.venv/bin/python tests/benchmarks/remediation/fault_page.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faults import FAULTS

ROOT = Path(__file__).resolve().parents[3]
SOURCE, PAGE = Path(__file__).with_name("fault_table.json"), ROOT / "docs/benchmarks/faults.md"
ARMS = {"ours": "the collection", "systemd": "systemd alone"}
HEAD = """# Fault table

Faults injected into a fleet under load, and what became of them: how soon the gateway sends nothing more there, how soon
the alert fires and the action begins, how soon all capacity answers again, what it cost users, and whether a person was
needed. Every part is real: Prometheus, Alertmanager, ansible-rulebook, the playbook `answer_alerts`, HAProxy, llama.cpp
servers (of a tiny model, slowed down to {replica_requests_per_second:g} requests/s each) on {serving} hosts in two zones. Beside it the same
lab in the same run with nobody hearing the alerts: what systemd's own `Restart=always` reaches. The gateway takes
faulty servers out in both.

Written by `tests/benchmarks/remediation/fault_table.py` on {date}: {versions}, {cores} cores for all hosts, the load and
the controller together, load average {load}. {requests_per_second:g} requests/s and {streams_per_second:g} streams/s all the time.
Between faults the record of actions is put aside, as if the last fault were long ago. Settings that differ from the
defaults: {settings}.

"""
TABLE = """Seconds from the fault: the median, and in brackets the worst. "Full" is the moment at which each replica that is
wanted has given a good answer since the fault (for faults that take no replica: at which the fault is gone). A fault is
closed when that is reached in time; failed and cut are the requests of the median repetition.

"""


def number(figure: Mapping[str, Any], times: int) -> str:
    if figure["median"] is None:
        return "-"
    worst = f" ({figure['worst']:g})" if figure["worst"] is not None and times > 1 else ""
    some = f", {figure['in']} of {times}" if figure["in"] < times else ""
    return f"{figure['median']:g}{worst}{some}"


def middle(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


def cells(arm: Mapping[str, Any] | None) -> list[str]:
    if arm is None:
        return ["not run"] + [""] * 5
    found, times = arm["summary"], arm["summary"]["times"]
    return [
        number(found["out_seconds"], times),
        number(found["closed_seconds"], times),
        f"{middle(found['failed'])} + {middle(found['cut'])}",
        f"{found['closed']} of {times}",
        f"{found['person']} of {times}",
        str(found["harmful"]),
    ]


def actions(arm: Mapping[str, Any] | None) -> str:
    """What was done, without the names of single hosts, each once."""
    said: list[str] = []
    for one in (arm or {}).get("times", []):
        for action in [*one["actions"], *(f"a person was told of {told.split(':')[0]}" for told in one["told"])]:
            plain = re.sub(r"\b(replica|host|gateway) lab-\S+?(?=[ :]|$)", r"\1", action)
            if plain not in said:
                said.append(plain)
    return "; ".join(said) or "nothing was needed"


def page(document: Mapping[str, Any]) -> str:
    lab = document["lab"]
    faults = {name: document["faults"][name] for name in FAULTS if name in document["faults"]}
    lines = [
        HEAD.format(
            **{key: lab[key] for key in ("replica_requests_per_second", "requests_per_second", "streams_per_second")},
            serving=lab["hosts"] - 2, date=document["date"], cores=document["cores"], load=loads(faults),
            versions=", ".join(
                f"{name.replace('_', '-')} {found.split(' [')[-1].strip('core ]')}" for name, found in document["versions"].items()
            ),
            settings=json.dumps(lab["settings_that_differ"], sort_keys=True),
        )
    ]  # fmt: skip
    lines.append(goals(faults))
    lines.append("## What happened\n\n" + TABLE)
    lines.append(
        "| fault | by | out | full | failed + cut | closed | a person | harmful |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    for name in faults:
        for arm, words in ARMS.items():
            first = faults[name]["words"] if arm == "ours" else ""
            lines.append(f"| {' | '.join([first, words, *cells(faults[name].get(arm))])} |\n")
    lines.append(
        "\n## What was done by the collection\n\n| fault | alert | fires | action begins | what was done |\n| --- | --- | ---: | ---: | --- |\n"
    )
    for fault in faults.values():
        arm = fault.get("ours")
        if arm is None:
            continue
        names = sorted({one["alert"] for one in arm["times"] if one["alert"]})
        figures = [number(arm["summary"][key], arm["summary"]["times"]) for key in ("alert_seconds", "action_seconds")]
        lines.append(f"| {fault['words']} | {', '.join(names) or 'none'} | {' | '.join(figures)} | {actions(arm)} |\n")
    return "".join(lines)


def loads(faults: Mapping[str, Any]) -> str:
    """The range of the machine's load over all repetitions."""
    found = [
        one["load_average"] for fault in faults.values() for arm in ARMS for one in fault.get(arm, {}).get("times", [])
    ]
    return f"{min(found):g} to {max(found):g}"


def goals(faults: Mapping[str, Any]) -> str:
    """The goals of the table, each with what was reached; worst of all repetitions."""
    said = []
    for goal, figure, words in (
        ("out", "out_seconds", "out of the gateway"),
        ("alert", "alert_seconds", "the alert fires"),
    ):
        held, missed = 0, []
        for fault in faults.values():
            limit, arm = fault["goals"][goal], fault.get("ours")
            if limit is None or arm is None:
                continue
            values = [one[figure] for one in arm["times"]]
            if goal == "alert":  # What heals before an alert is due needs none.
                values = [value for value in values if value is not None]
            late = [value for value in values if value is None or value > limit]
            held += not late
            if late:
                worst = "never" if None in late else f"{max(late):g} s"
                missed.append(f"{fault['words']} {worst} (goal {limit:g} s)")
        said.append(
            f"* {words} in time: {held} of {held + len(missed)} classes"
            + (f"; missed: {'; '.join(missed)}" if missed else "")
            + "\n"
        )
    ours = [fault["ours"]["summary"] for fault in faults.values() if fault.get("ours")]
    alone = sum(one["closed"] == one["times"] and not one["person"] for one in ours)
    theirs = [fault["systemd"]["summary"] for fault in faults.values() if fault.get("systemd")]
    systemd = sum(one["closed"] == one["times"] for one in theirs)
    said.append(
        f"* closed without a person: {alone} of {len(ours)} classes; by systemd alone {systemd} of {len(theirs)}\n"
    )
    said.append(
        f"* harmful acts: {sum(one['harmful'] for one in ours)} in {sum(one['times'] for one in ours)} faults\n"
    )
    return "## Goals\n\n" + "".join(said) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(SOURCE.read_text(encoding="utf-8"))), encoding="utf-8")
    print(PAGE)
