# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The graph of a workflow: its nodes name templates that exist, run into one another without a circle, and can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LINKS = ("success", "failure", "always")
NODE_FIELDS = frozenset({"id", "job_template", "workflow", "approval", *LINKS})
MAX_APPROVAL_SECONDS = 7 * 86400


def faults_of_nodes(workflow: Mapping[str, Any], templates: set[str], workflows: set[str]) -> Iterator[str]:
    """What is wrong with the nodes, each fault naming its node."""
    nodes = workflow.get("nodes")
    if not isinstance(nodes, list) or not nodes or not all(isinstance(node, Mapping) for node in nodes):
        yield "needs nodes, a list of mappings"
        return
    names = [str(node.get("id") or "") for node in nodes]
    for name in sorted({name for name in names if names.count(name) > 1 or not name}):
        yield f"has the node {name!r} twice" if name else "has a node without an id"
    for node in nodes:
        for fault in _faults_of_node(node, set(names), templates, workflows):
            yield f"the node {node.get('id')!r} {fault}"
    yield from _faults_of_order(nodes, names)


def _faults_of_node(
    node: Mapping[str, Any], names: set[str], templates: set[str], workflows: set[str]
) -> Iterator[str]:
    for name in sorted(map(str, node.keys() - NODE_FIELDS)):
        yield f"has the unknown field {name!r}"
    kinds = [kind for kind in ("job_template", "workflow", "approval") if kind in node]
    if len(kinds) != 1:
        yield "must be one of job_template, workflow and approval"
    for kind, known in (("job_template", templates), ("workflow", workflows)):
        if kind in node and node[kind] not in known:
            yield f"runs the {kind} {node[kind]!r}, which is not declared"
    if "approval" in node:
        yield from _faults_of_approval(node["approval"])
    for link in LINKS:
        for target in node.get(link) or []:
            if target not in names:
                yield f"goes on to {target!r} on {link}, which is not a node"


def _faults_of_approval(approval: object) -> Iterator[str]:
    if not isinstance(approval, Mapping) or not approval.get("name"):
        yield "is an approval without a name"
        return
    seconds = approval.get("timeout_seconds")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 60 <= seconds <= MAX_APPROVAL_SECONDS:
        yield f"needs a timeout_seconds between 60 and {MAX_APPROVAL_SECONDS}: without one it waits for ever"


def _faults_of_order(nodes: list[Any], names: list[str]) -> Iterator[str]:
    """Kahn's algorithm: what is left when all that nothing leads to is taken away again and again lies on a circle."""
    follows = {name: {str(to) for link in LINKS for to in node.get(link) or []} for name, node in zip(names, nodes)}
    left = set(follows)
    while True:
        led_to = {to for name in left for to in follows[name]}
        free = left - led_to
        if not free:
            break
        left -= free
    if left:
        yield f"runs in a circle through {', '.join(sorted(left))}"
