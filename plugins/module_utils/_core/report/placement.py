# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The placement as a picture: hosts by zone, accelerators as cells, replicas as coloured blocks.

A replica on several accelerators is one wide block; replicas that share one lie
side by side in its cell, each as wide as its share; what is free stays empty. A
replica that stops is drawn in a second row under the place it leaves. Colour and
number name the model, so the picture reads without telling colours apart, and
each host carries the same in words for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.markup import element, escape
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.view import HostView, ModelView, View
from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.words import (
    MINUS,
    TIMES,
    indices,
    listing,
    plural,
)

# Eight colours, each plain, striped and dotted; smaller models share a neutral one and keep their number.
LOOKS = 24
ROW_LENGTH = 8


def placement_picture(view: View) -> str:
    """All zones, with the legend above them."""
    if not view.hosts:
        return element("p", "The plan names no host.")
    shares = {model.name: model.accelerators for model in view.models}
    numbers = view.numbers
    zones: dict[str, list[HostView]] = {}
    for host in view.hosts:
        zones.setdefault(host.zone, []).append(host)
    return _legend(view.models) + "".join(_zone(zone, hosts, numbers, shares) for zone, hosts in sorted(zones.items()))


def host_words(host: HostView) -> str:
    """What the picture of one host shows, as a sentence."""
    if host.planned:
        counts: dict[str, int] = {}
        for replica in host.planned:
            counts[replica["model"]] = counts.get(replica["model"], 0) + 1
        text = "Runs " + listing([f"{counts[name]} {TIMES} {name}" for name in sorted(counts)])
    else:
        text = "Runs nothing"
    starting = sum(1 for replica in host.planned if replica.get("wave"))
    if starting:
        text += f"; {plural(starting, 'replica starts', 'replicas start')}"
    if host.leaving:
        text += f"; {plural(len(host.leaving), 'replica stops', 'replicas stop')}"
    free = [index for index in range(host.accelerator_count) if index not in host.used_accelerators]
    if free and not host.marks:
        text += f"; {'accelerator' if len(free) == 1 else 'accelerators'} {indices(free)} free"
    return text + "."


def look(number: int) -> str:
    """The class that colours a model's blocks."""
    return f"c{number - 1 if number <= LOOKS else LOOKS}"


def chip(number: int) -> str:
    """A small block with the model's number, for text."""
    return element("span", str(number), class_=f"chip {look(number)}", aria_hidden="true")


def _legend(models: Sequence[ModelView]) -> str:
    ranked = sorted((model for model in models if model.replicas_planned or model.replicas_now), key=_rank)
    marks = "".join(
        element("li", element("span", sign, class_=f"r key {kind}", aria_hidden="true") + escape(words))
        for kind, sign, words in (
            ("", "", "free accelerator"),
            ("c24 start", "+", "starts"),
            ("c24 move", "→", "moves here"),
            ("c24 stop", MINUS, "stops"),
        )
    )
    shown, rest = ranked[:LOOKS], ranked[LOOKS:]
    further = ""
    if rest:
        summary = element("summary", escape(f"{plural(len(rest), 'further model')}, in grey with their number"))
        further = element("details", summary + _legend_buttons(rest))
    return element("div", _legend_buttons(shown) + further + element("ul", marks, class_="marks"), class_="legend")


def _legend_buttons(models: Sequence[ModelView]) -> str:
    buttons = "".join(
        element(
            "li",
            element(
                "button",
                chip(model.number) + escape(model.name),
                type="button",
                aria_pressed="false",
                data_model=model.number,
                title="Show only this model's replicas",
            ),
        )
        for model in models
    )
    return element("ul", buttons, class_="models")


def _rank(model: ModelView) -> int:
    return model.number


def _zone(zone: str, hosts: Sequence[HostView], numbers: Mapping[str, int], shares: Mapping[str, float]) -> str:
    total = sum(host.accelerator_count for host in hosts)
    used = sum(len(host.used_accelerators) for host in hosts)
    words = plural(len(hosts), "host") + (f", {used:,} of {plural(total, 'accelerator')} in use" if total else "")
    heading = element("h3", f"Zone {escape(zone)} {element('small', escape(words))}")
    return heading + element("ul", "".join(_host(host, numbers, shares) for host in hosts), class_="hosts")


def _host(host: HostView, numbers: Mapping[str, int], shares: Mapping[str, float]) -> str:
    record = host.record
    stock = str(record.get("accelerator_type") or "")
    if host.accelerator_count:
        stock = f"{host.accelerator_count} {TIMES} {stock}"
    badges = "".join(element("span", escape(mark), class_=f"badge {escape(mark)}") for mark in host.marks)
    head = element("div", element("b", escape(host.name)) + badges + element("small", escape(stock)), class_="head")
    lanes = _lane(host.planned, host, numbers, shares, stops=False)
    if host.leaving:
        lanes += _lane(host.leaving, host, numbers, shares, stops=True)
    lanes = lanes or element("small", "runs nothing")
    words = element("p", escape(host_words(host)), class_="vh")
    states = " ".join(["host", *host.marks, *([] if host.planned or host.leaving else ["idle"])])
    return element("li", head + element("div", lanes, class_="lanes", aria_hidden="true") + words, class_=states)


def _lane(
    replicas: Sequence[Mapping[str, Any]],
    host: HostView,
    numbers: Mapping[str, int],
    shares: Mapping[str, float],
    *,
    stops: bool,
) -> str:
    """One row of cells as long as the host has accelerators, and a free row for replicas that use none."""
    on_accelerators = [replica for replica in replicas if replica.get("accelerators")]
    others = [replica for replica in replicas if not replica.get("accelerators")]
    width = max(
        [host.accelerator_count, *(index + 1 for replica in on_accelerators for index in replica["accelerators"])]
    )
    lane = ""
    for row in range(0, width, ROW_LENGTH):
        cells = _cells(on_accelerators, row, min(width, row + ROW_LENGTH), numbers, shares, stops=stops)
        columns = min(width, ROW_LENGTH)
        if cells:
            lane += element("div", cells, class_=f"lane w{columns}" + (" leaving" if stops else ""))
    if others:
        blocks = "".join(_block(replica, numbers, stops=stops) for replica in others)
        lane += element("div", blocks, class_="lane cpu" + (" leaving" if stops else ""))
    return lane


def _cells(
    replicas: Sequence[Mapping[str, Any]],
    start: int,
    end: int,
    numbers: Mapping[str, int],
    shares: Mapping[str, float],
    *,
    stops: bool,
) -> str:
    """Cells ``start`` to ``end`` of a row, free ones included."""
    written = []
    groups = _groups(replicas, start, end)
    taken = {index for run, _members in groups for index in run}
    empty = [] if stops else [([index], ()) for index in range(start, end) if index not in taken]
    for run, members in sorted([*groups, *empty], key=lambda group: group[0]):
        blocks = "".join(
            _block(replica, numbers, stops=stops, share=shares.get(replica["model"], 0.0)) for replica in members
        )
        place = f"g{run[0] - start + 1} s{len(run)}"
        one = len(members) > 2 and len({replica["model"] for replica in members}) == 1
        written.append(element("div", blocks, class_=f"cell {place}", data_all=one))
    return "".join(written)


def _groups(
    replicas: Sequence[Mapping[str, Any]], start: int, end: int
) -> list[tuple[list[int], tuple[Mapping[str, Any], ...]]]:
    """Runs of neighbouring accelerators with the replicas that share them, from left to right."""
    members: dict[int, list[Mapping[str, Any]]] = {}
    for replica in replicas:
        for index in replica["accelerators"]:
            if start <= index < end:
                members.setdefault(index, []).append(replica)
    groups: list[tuple[list[int], tuple[Mapping[str, Any], ...]]] = []
    for index in sorted(members):
        sharing = tuple(members[index])
        if groups and groups[-1][0][-1] == index - 1 and _same(groups[-1][1], sharing):
            groups[-1][0].append(index)
        else:
            groups.append(([index], sharing))
    return groups


def _same(one: Iterable[Mapping[str, Any]], other: Iterable[Mapping[str, Any]]) -> bool:
    return [replica["slot"] for replica in one] == [replica["slot"] for replica in other]


def _block(replica: Mapping[str, Any], numbers: Mapping[str, int], *, stops: bool, share: float = 0.0) -> str:
    name = str(replica["model"])
    number = numbers[name]
    kind, sign, verb = "", "", "runs"
    if stops:
        kind, sign, verb = " stop", MINUS, f"stops in wave {replica['wave']}"
    elif replica.get("wave"):
        kind, sign, verb = " start", "+", f"starts in wave {replica['wave']}"
        if replica.get("move") is not None:
            kind, sign, verb = " move", "→", f"moves here in wave {replica['wave']}"
    accelerators = replica.get("accelerators") or ()
    where = f", accelerators {indices(accelerators)}" if accelerators else ""
    title = f"{name} {replica.get('version') or ''}, slot {replica['slot']}{where}: {verb}"
    narrow = f" f{max(1, min(20, round(20 * share)))}" if 0 < share < 1 else ""
    text = element("b", (element("em", sign) if sign else "") + str(number)) + element("i", escape(name))
    return element("span", text, class_=f"r {look(number)}{kind}{narrow}", title=title, data_model=number)
