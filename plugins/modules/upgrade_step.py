#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``upgrade_step``: what an upgrade does next."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_step
short_description: Work out the next step of an upgrade from what really runs
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Compares what the hosts run with the catalogue's release of a model and says which replicas to change next, which
    to judge, or why nothing may be done. It contacts no host.
  - The releases that are known to be good and those that were refused are on record in O(releases); what was judged
    is in O(journal). Both are written before the step is returned, so that a run that is killed anywhere is
    continued by the next one.
  - Stages are one replica, its host, 10 %, 25 %, 50 % and the rest; no stage takes away more replicas than the
    forecast leaves to spare. Nothing is added to replicas that have not passed their judgement.
  - Where no replica may be away, replicas are added for the time of the upgrade, or the run waits or refuses, see
    O(when_full). Added replicas go when the upgrade ends, so placements end where they began.
extends_documentation_fragment:
  - modelops.datacenter.attributes
  - modelops.datacenter.encryption
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - When everything runs the catalogue's release, nothing is written.
options:
  model:
    description: Name of the model to upgrade.
    type: str
    required: true
  models:
    description: The catalogue (C(modelops_models)), whose entry is what to upgrade to.
    type: dict
    required: true
  hosts:
    description: The fleet, as P(modelops.datacenter.fleet_records#filter) gives it.
    type: list
    elements: dict
    required: true
  replicas:
    description: What the hosts say they run, as P(modelops.datacenter.release_replicas#filter) gives it.
    type: list
    elements: dict
    required: true
  releases:
    description: File of the record of releases.
    type: path
    required: true
  journal:
    description: File of the journal of this model's upgrades.
    type: path
    required: true
  begins:
    description: Whether this is the first step of a run. An upgrade that was held is then looked at anew.
    type: bool
    default: true
  outcome:
    description:
      - What became of the step before. C(verdict) and C(reasons) of M(modelops.datacenter.canary_verdict), C(judged),
        the servers it is about, C(failures), texts of what went wrong on hosts (each fails the step), C(hindrances), texts
        of what went wrong and is not the release's doing, such as a source that cannot be reached (the run ends, nothing is
        blamed), C(silent), the servers that do not answer, and C(drained), what the gateways drained.
    type: dict
    default: {}
  forecast:
    description: Path of the forecast, for how many replicas may be away.
    type: path
  observed:
    description: Requests/s seen now. With neither this nor O(forecast) nothing is taken away.
    type: float
  window_seconds:
    description: How long, in seconds, a replica may be away with draining, loading and judging.
    type: float
    default: 1800
  level:
    description: Quantile of the forecast to stay above.
    type: float
    default: 0.95
  margin:
    description: Share on top of the demand.
    type: float
    default: 0.15
  reserve:
    description: Whether to keep the capacity of the largest host aside.
    type: bool
    default: true
  pause:
    description: Whether to stop before the next replicas are changed.
    type: bool
    default: false
  abort:
    description: Whether to bring everything back to the good release.
    type: bool
    default: false
  force:
    description: Whether to try a release that was refused before.
    type: bool
    default: false
  undecided_limit:
    description: How many looks may end without a verdict before the upgrade is held.
    type: int
    default: 6
  when_full:
    description:
      - What to do when no replica may be away. V(surge) starts replicas on free accelerators first; where there is no room
        it is as V(wait). V(wait) ends the run with C(opens_at), when the forecast holds a window; without one the run is
        refused. V(refuse) always refuses.
    type: str
    choices: [surge, wait, refuse]
    default: wait
  strategy:
    description:
      - V(blue_green) starts as many replicas of the release beside the old ones as there are, where there is room for all,
        judges them, changes the old ones without a request on them, and removes the added ones. Where there is not, and with
        V(rolling), replicas are changed in turn.
    type: str
    choices: [rolling, blue_green]
    default: rolling
  fresh_baseline:
    description: Whether to start one old replica again before the canary, so that the two that are compared are of one age.
    type: bool
    default: false
  unreachable:
    description: Names of hosts that do not answer. Hosts of the model among them leave the upgrade incomplete.
    type: list
    elements: str
    default: []
  plan:
    description: Path of the last plan, for which hosts should run the model.
    type: path
seealso:
  - module: modelops.datacenter.model_releases
"""

EXAMPLES = r"""
- name: What is to be done next?
  modelops.datacenter.upgrade_step:
    model: chat-8b
    models: "{{ modelops_models }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    replicas: "{{ groups['all'] | modelops.datacenter.release_replicas(hostvars) }}"
    releases: modelops-output/releases.json
    journal: modelops-output/upgrade-chat-8b.json
    forecast: modelops-output/forecast.json
"""

RETURN = r"""
kind:
  description:
    - V(canary), V(batch) or V(rollback) change replicas, V(surge) adds and V(retire) removes some, V(baseline) starts one
      again, V(judge) looks at changed ones again. V(done), V(paused), V(rolled_back), V(refused), V(wait), V(held) and
      V(incomplete) end the run.
  type: str
  returned: always
last:
  description: Whether the run ends here.
  type: bool
  returned: always
succeeded:
  description: Whether it ends as it was asked to.
  type: bool
  returned: always
reason:
  description: Why, in words.
  type: str
  returned: always
stage:
  description: The stage, in words.
  type: str
  returned: always
drain:
  description: Replicas to take out of the gateways first, each with C(model), C(host) and C(slot).
  type: list
  elements: dict
  returned: always
remove:
  description: Replicas to stop, each with C(model), C(host) and C(slot).
  type: list
  elements: dict
  returned: always
stage_on:
  description: Hosts that fetch and verify the artefact before anything is touched.
  type: list
  elements: str
  returned: always
opens_at:
  description: When the forecast holds a window, epoch seconds; V(0) for none.
  type: float
  returned: always
spare_requests_per_second:
  description: What serves above the demand, its margin and the reserve.
  type: float
  returned: always
deploy:
  description: Placements for the role deploy.
  type: list
  elements: dict
  returned: always
models:
  description: The catalogue for the role deploy, the model's release alone.
  type: dict
  returned: always
release:
  description: Digest of that release.
  type: str
  returned: always
judge:
  description: Servers (C(HOST-SLOT)) of the new release to be judged.
  type: list
  elements: str
  returned: always
baseline:
  description: Servers to compare them with.
  type: list
  elements: str
  returned: always
journal:
  description: The journal.
  type: dict
  returned: always
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.batches import Running
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.question import Question
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.release import release_digest
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.turn import take_turn
from ansible_collections.modelops.datacenter.plugins.module_utils._core.rollout.window_demand import HeadroomPolicy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.stored import store_content
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.encryption import ENCRYPTION
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "model": {"type": "str", "required": True},
    "models": {"type": "dict", "required": True},
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "replicas": {"type": "list", "elements": "dict", "required": True},
    "releases": {"type": "path", "required": True},
    "journal": {"type": "path", "required": True},
    "begins": {"type": "bool", "default": True},
    "outcome": {"type": "dict", "default": {}},
    "forecast": {"type": "path"},
    "observed": {"type": "float"},
    "window_seconds": {"type": "float", "default": 1800},
    "level": {"type": "float", "default": 0.95},
    "margin": {"type": "float", "default": 0.15},
    "reserve": {"type": "bool", "default": True},
    "pause": {"type": "bool", "default": False},
    "abort": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "undecided_limit": {"type": "int", "default": 6},
    "when_full": {"type": "str", "choices": ["surge", "wait", "refuse"], "default": "wait"},
    "strategy": {"type": "str", "choices": ["rolling", "blue_green"], "default": "rolling"},
    "fresh_baseline": {"type": "bool", "default": False},
    "unreachable": {"type": "list", "elements": "str", "default": []},
    "plan": {"type": "path"},
    **ENCRYPTION,
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """One turn; both files are written unless in check mode, or when there is nothing to do."""
    turn = take_turn(
        Question(
            model=params["model"],
            catalogue=params["models"],
            hosts=params["hosts"],
            replicas=params["replicas"],
            releases=params["releases"],
            journal=params["journal"],
            now=clock.now(),
            outcome=params["outcome"],
            begins=params["begins"],
            forecast=params["forecast"],
            observed=params["observed"],
            window_seconds=params["window_seconds"],
            policy=HeadroomPolicy(level=params["level"], margin=params["margin"], reserve=params["reserve"]),
            pause=params["pause"],
            abort=params["abort"],
            force=params["force"],
            undecided_limit=params["undecided_limit"],
            when_full=params["when_full"],
            strategy=params["strategy"],
            fresh_baseline=params["fresh_baseline"],
            unreachable=params["unreachable"],
            expected=_planned_hosts(params["plan"], params["model"]),
        )
    )
    step, idle = turn.step, turn.step.is_last and params["begins"]
    changed = store_content(params["releases"], documents.canonical_bytes(turn.record), dry=check_mode)
    if not idle or changed or turn.step.kind == "rolled_back":
        content = documents.canonical_bytes(turn.journal.as_document())
        changed = store_content(params["journal"], content, dry=check_mode) or changed
    return {
        "changed": changed,
        "kind": step.kind,
        "last": step.is_last,
        "succeeded": turn.succeeded,
        "reason": step.reason,
        "stage": step.stage,
        "drain": _records(params["model"], [*step.change, *step.remove]),
        "remove": _records(params["model"], step.remove),
        "stage_on": turn.stage_on,
        "opens_at": step.opens_at or 0.0,
        "spare_requests_per_second": turn.spare_requests_per_second,
        "deploy": turn.deploy,
        "models": {params["model"]: dict(turn.entry)},
        "release": release_digest(turn.entry),
        "judge": [one.server for one in step.judge],
        "baseline": [one.server for one in step.baseline],
        "journal": turn.journal.as_document(),
    }


def _records(model: str, replicas: Sequence[Running]) -> list[dict[str, Any]]:
    return [{"model": model, "host": one.host, "slot": one.slot} for one in replicas]


def _planned_hosts(plan: str | None, model: str) -> list[str]:
    """Hosts that the last plan gives the model to; none without a plan."""
    if not plan:
        return []
    document = documents.expect_mapping(documents.read_document(plan, what="plan"), what="plan", where=plan)
    return sorted({str(one["host"]) for one in document.get("placements") or () if one.get("model") == model})


def main() -> None:
    run_module(ARGUMENT_SPEC, execute, sealed=("plan", "forecast"))


if __name__ == "__main__":
    main()
