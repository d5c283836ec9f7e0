#!/usr/bin/python
# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``remediation_decision``: what to do about alerts, inside budgets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remediation_decision
short_description: Decide what to do about alerts, inside budgets, and put it on record
version_added: 0.1.0
author:
  - The modelops.datacenter founders (@modelops)
description:
  - Folds alerts into faults, finds their targets in the inventory, and gives for each the next step of its ladder - or
    leaves it alone, or tells a person. It contacts no host and restarts nothing.
  - Every action is entered in O(history) before it is returned. What became of it is reported with O(outcomes) in the
    next call. Actions without a result, left by a run that died, come back in RV(looks).
  - The same alerts, however often they come, give one action. What is not known, a target, a look at a server, a floor,
    fresh alerts, is never a reason to act.
  - Breakers stop everything about a model or the fleet, until a person closes them with O(close_breaker).
extends_documentation_fragment:
  - modelops.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is put on record; what would be done is returned in RV(would).
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Without a fault to act on or to tell nothing is written.
options:
  alerts:
    description:
      - A list of alerts, a document of Alertmanager's webhook, or the path of a file with either. An alert has C(status),
        C(labels) with C(alertname), C(host), C(slot), C(model), C(zone), and C(startsAt).
    type: raw
    required: true
  gathered_at:
    description: When the alerts were gathered, ISO 8601 or epoch seconds; now by default. Old alerts are not acted on.
    type: raw
  hosts:
    description: The fleet, as P(modelops.datacenter.fleet_records#filter) gives it.
    type: list
    elements: dict
    required: true
  replicas:
    description: What the hosts say they run, as P(modelops.datacenter.running_replicas#filter) gives it.
    type: list
    elements: dict
    required: true
  gateways:
    description: Names of the gateway hosts.
    type: list
    elements: str
    default: []
  models:
    description: The catalogue (C(modelops_models)).
    type: dict
    default: {}
  plan:
    description: The plan, or its C(rollout), for what each model must go on serving; or a path.
    type: raw
  looked:
    description:
      - Server (C(HOST-SLOT), or C(gateway HOST)) to C(answers), whether it gave a real answer just now, and C(at), epoch
        seconds.
    type: dict
    default: {}
  history:
    description: The record of actions. Its directory is made when it is absent.
    type: path
    required: true
  outcomes:
    description:
      - What became of actions, each with C(id), C(effect) (V(effective), V(ineffective), V(failed), or V(gone) when the
        fault was gone before anything was done) and C(evidence), a text.
    type: list
    elements: dict
    default: []
  reviews:
    description:
      - What came of comparing what RV(reviews) of the call before asked for, each with C(id), C(verdict) (V(pass), V(fail),
        V(inconclusive) or V(provider_error), as M(modelops.datacenter.canary_verdict) has them) and C(reasons).
    type: list
    elements: dict
    default: []
  rollouts:
    description:
      - Changes of models, each with C(model), C(began), C(ended) (empty while it goes on) and C(what); or the journals of
        upgrades. Their models are left alone meanwhile, and what begins soon after is blamed on them.
    type: list
    elements: dict
    default: []
  maintenance:
    description:
      - Windows, each with C(from), C(until), one or more of C(host), C(model), C(zone), or C(all) V(true), and C(reason).
    type: list
    elements: dict
    default: []
  silences:
    description: Silences as Alertmanager's API lists them.
    type: list
    elements: dict
    default: []
  policy:
    description: Limits to replace, by name; see the guide to remediation.
    type: dict
    default: {}
  ladders:
    description:
      - Alert name to keys that replace its ladder's, or to a whole ladder - C(scope), C(steps), C(person) (why a person
        must look), C(harm), C(silent), C(stale), C(symptom).
    type: dict
    default: {}
  owner:
    description: Who decides, for the record.
    type: str
    default: ''
  alone:
    description: Whether the caller holds the lock of the fleet, so that no other run is in the middle of an action.
    type: bool
    default: false
  shadow:
    description: Whether to record what would be done and do nothing.
    type: bool
    default: false
  close_breaker:
    description: A person closes a breaker - C(scope) (V(fleet) or C(model NAME)), C(by) and C(note).
    type: dict
  release_host:
    description: A person gives a host back that was set aside - C(host) and C(by).
    type: dict
seealso:
  - module: modelops.datacenter.alert_evaluation
  - module: modelops.datacenter.fleet_lock
"""

EXAMPLES = r"""
- name: What is to be done?
  modelops.datacenter.remediation_decision:
    alerts: "{{ ansible_eda.event.payload }}"
    hosts: "{{ groups['all'] | modelops.datacenter.fleet_records(hostvars) }}"
    replicas: "{{ groups['all'] | modelops.datacenter.running_replicas(hostvars) }}"
    models: "{{ modelops_models }}"
    plan: modelops-output/plan.json
    history: /var/lib/modelops/remediation.jsonl
  register: decision
"""

RETURN = r"""
actions:
  description:
    - What to do, in this order, each with C(id), C(step) (V(restart), V(restart_after_drain), V(clear_disk), V(restart_exporter), V(move),
      V(scale_out), V(replan), V(quarantine)), C(alert), C(target), C(scope), C(host), C(slot), C(model), C(servers).
  type: list
  elements: dict
  returned: always
would:
  description: The same, when nothing is to be done because of O(shadow) or check mode.
  type: list
  elements: dict
  returned: always
looks:
  description: Actions without a result; look at their effect and report it in O(outcomes).
  type: list
  elements: dict
  returned: always
reviews:
  description:
    - Restarts that helped five minutes ago and whose requests are now to be compared with those of their peers, each with
      C(id), C(target), C(model), C(server), C(peers), and C(since) and C(until), epoch seconds. Report it in O(reviews).
  type: list
  elements: dict
  returned: always
held:
  description: Faults that are left alone for now, each with C(alert), C(target), C(why) and C(count).
  type: list
  elements: dict
  returned: always
escalations:
  description: What a person must be told now, each with C(alert), C(target), C(reason), C(summary), C(since), C(tried).
  type: list
  elements: dict
  returned: always
observed:
  description: Demand to plan for where C(scale_out) is due, model to requests/s - what its replicas can serve now.
  type: dict
  returned: always
set_aside:
  description: Hosts that shall take no new replicas, with why. After a move for a while, in quarantine until released.
  type: dict
  returned: always
breakers:
  description: Open breakers, scope to cause.
  type: dict
  returned: always
lines:
  description: The decision in words.
  type: list
  elements: str
  returned: always
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core import clock, documents
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.given import situation_of
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.history import expect_outcomes
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.policy import build_policy
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.review import expect_reviews
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.turn import take_turn
from ansible_collections.modelops.datacenter.plugins.module_utils._core.remediation.words import described
from ansible_collections.modelops.datacenter.plugins.module_utils._glue.module import run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "alerts": {"type": "raw", "required": True},
    "gathered_at": {"type": "raw"},
    "hosts": {"type": "list", "elements": "dict", "required": True},
    "replicas": {"type": "list", "elements": "dict", "required": True},
    "gateways": {"type": "list", "elements": "str", "default": []},
    "models": {"type": "dict", "default": {}},
    "plan": {"type": "raw"},
    "looked": {"type": "dict", "default": {}},
    "history": {"type": "path", "required": True},
    "outcomes": {"type": "list", "elements": "dict", "default": []},
    "reviews": {"type": "list", "elements": "dict", "default": []},
    "rollouts": {"type": "list", "elements": "dict", "default": []},
    "maintenance": {"type": "list", "elements": "dict", "default": []},
    "silences": {"type": "list", "elements": "dict", "default": []},
    "policy": {"type": "dict", "default": {}},
    "ladders": {"type": "dict", "default": {}},
    "owner": {"type": "str", "default": ""},
    "alone": {"type": "bool", "default": False},
    "shadow": {"type": "bool", "default": False},
    "close_breaker": {"type": "dict"},
    "release_host": {"type": "dict"},
}


def execute(params: Mapping[str, Any], check_mode: bool, _diff: bool) -> dict[str, Any]:
    """Decide, put it on record unless in check mode, give it out."""
    now, dry = clock.now(), check_mode or params["shadow"]
    given = {
        **params,
        "alerts": documents.load(params["alerts"], what="list of alerts"),
        "plan": documents.load(params["plan"], what="plan") if params["plan"] else None,
    }
    close, release = params["close_breaker"], params["release_host"]
    policy = build_policy(params["policy"])
    turn = take_turn(
        params["history"],
        lambda history: situation_of(given, history, policy, now=now),
        policy,
        outcomes=[{"at": now, **outcome} for outcome in expect_outcomes(params["outcomes"])],
        reviews=expect_reviews(params["reviews"]),
        close={**close, "at": now} if close else None,
        release={**release, "at": now} if release else None,
        shadow=params["shadow"],
        dry=check_mode,
    )
    actions = turn.given_out()
    breakers = {scope: str(event.get("cause", "")) for scope, event in sorted(turn.history.breakers.items())}
    return {
        "changed": bool(turn.events),
        "actions": [] if dry else actions,
        "would": actions if dry else [],
        "looks": turn.left_open(),
        "reviews": [] if dry else [one.shown() for one in turn.reviews],
        "held": turn.decision.held,
        "escalations": turn.decision.escalations,
        "breakers": breakers,
        "observed": turn.observed(),
        "set_aside": turn.set_aside(policy, now),
        "lines": described(turn.decision, breakers, dry=dry),
        "warnings": turn.warnings,
    }


def main() -> None:
    run_module(ARGUMENT_SPEC, execute)


if __name__ == "__main__":
    main()
