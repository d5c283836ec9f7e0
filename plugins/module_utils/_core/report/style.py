# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""The look of the page: colours as variables, so that the figures can read them too.

The blocks of the placement use Paul Tol's "light" scheme (black text on every
colour, distinct in the common forms of colour blindness); lines in the figures
differ by dash as well as by colour.
"""

from __future__ import annotations

LIGHT = {
    "page": "#f5f6f8",
    "card": "#ffffff",
    "ink": "#1b2430",
    "soft": "#5a6675",
    "line": "#e1e5ea",
    "well": "#eef1f4",
    "accent": "#1f5fbf",
    "good": "#0b6b58",
    "bad": "#b3380a",
    "bad-well": "#fdf0ea",
    "warn": "#8a5a00",
    "warn-well": "#fdf6e3",
    "observed": "#6b7785",
    "median": "#1f5fbf",
    "interval": "rgba(31, 95, 191, 0.16)",
    "planned": "#c4500c",
    "running": "#8a6d1d",
    "level": "#8a2f7a",
    "lead": "rgba(90, 102, 117, 0.10)",
    "grid": "#e6e9ee",
}
DARK = {
    "page": "#10151b",
    "card": "#181f27",
    "ink": "#e7ecf2",
    "soft": "#9aa7b6",
    "line": "#2b3541",
    "well": "#222b35",
    "accent": "#7fb2ff",
    "good": "#5fd0b0",
    "bad": "#ff9a6b",
    "bad-well": "#33211a",
    "warn": "#e6bd5c",
    "warn-well": "#2d2818",
    "observed": "#8f9cab",
    "median": "#7fb2ff",
    "interval": "rgba(127, 178, 255, 0.20)",
    "planned": "#ff9a5c",
    "running": "#d8bd6a",
    "level": "#e29ad3",
    "lead": "rgba(154, 167, 182, 0.12)",
    "grid": "#29323d",
}
# Paul Tol, "Colour schemes", 2021: qualitative scheme "light", and its neutral.
BLOCKS = ("#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#99ddff", "#44bb99", "#bbcc33", "#aaaa00")
BLOCK_COLOURS = {f"block-{number}": colour for number, colour in enumerate(BLOCKS)}
NEUTRAL = "#d2d6db"
STRIPES = "repeating-linear-gradient(135deg, rgba(0, 0, 0, 0.17) 0 3px, transparent 3px 8px)"
DOTS = "radial-gradient(rgba(0, 0, 0, 0.30) 1.3px, transparent 1.6px) 0 0 / 7px 7px"

LAYOUT = """
*, *::before, *::after { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 3.5rem }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums }
header, nav, main, noscript { width: calc(100% - 2.5rem); max-width: 1200px; margin: 0 auto }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 2px }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px }
.skip { position: absolute; left: -99rem }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .4rem .8rem; z-index: 9 }
.vh { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap }
h1 { font-size: 1.55rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .8rem; letter-spacing: -.005em }
h3 { font-size: 1.02rem; margin: 1.4rem 0 .5rem; overflow-wrap: anywhere }
h3 small, h4 { color: var(--soft); font-weight: 400; font-size: .86rem; margin-left: .35rem }
h4 { margin: .8rem 0 0 }
p { margin: .4rem 0; max-width: 75ch }
small { color: var(--soft) }
button, input { font: inherit; font-size: .86rem; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 7px; padding: .3rem .65rem }
button { cursor: pointer }
button:hover { border-color: var(--soft) }
button[aria-pressed="true"] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent) }
summary { cursor: pointer; color: var(--soft); font-size: .86rem }
header { padding-top: 1.8rem }
.top { display: flex; justify-content: space-between; gap: 1rem; align-items: flex-start }
.top button { white-space: nowrap }
.dates { color: var(--soft); font-size: .88rem }
.lead { font-size: 1.12rem; margin-top: .9rem }
nav { position: sticky; top: 0; z-index: 5; background: var(--page); display: flex; gap: 1.1rem; overflow-x: auto;
  padding-top: .65rem; padding-bottom: .65rem; margin-top: 1.1rem; border-bottom: 1px solid var(--line);
  scrollbar-width: none; font-size: .9rem }
nav a { color: var(--soft); text-decoration: none; white-space: nowrap }
nav a:hover { color: var(--ink) }
main { padding-bottom: 4rem }
.tiles, .numbers { display: grid; gap: .7rem; margin: 1.2rem 0 0;
  grid-template-columns: repeat(auto-fill, minmax(9.2rem, 1fr)) }
.tiles > div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .65rem .85rem }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; overflow-wrap: anywhere }
.tiles dd { font-size: 1.4rem; line-height: 1.3; letter-spacing: -.01em }
.tiles dd small { display: block; font-size: .8rem; letter-spacing: 0; line-height: 1.3; min-height: 1.04rem }
.tiles .bad dd { color: var(--bad) }
.tiles .good dd { color: var(--good) }
.calm { color: var(--good) }
.warnings { padding-left: 1.2rem; margin: .4rem 0 }
.warnings li { margin: .15rem 0; overflow-wrap: anywhere }
.warnings li::marker { color: var(--warn); content: "! " }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .3rem 1.1rem 1.1rem;
  margin: 1rem 0; content-visibility: auto; contain-intrinsic-size: auto 620px }
.course { contain-intrinsic-size: auto 180px }
.why { color: var(--soft) }
.note { background: var(--warn-well); border-left: 3px solid var(--warn); padding: .35rem .7rem; border-radius: 0 6px 6px 0 }
.badge { font-size: .74rem; border-radius: 99px; padding: .05rem .5rem; border: 1px solid; white-space: nowrap;
  color: var(--warn) }
.badge.bad, .badge.unreachable { color: var(--bad) }
"""

TABLES = """
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  margin: .7rem 0 1rem }
table { border-collapse: collapse; width: 100%; font-size: .88rem }
caption { text-align: left; padding: .6rem .85rem; font-weight: 600; font-size: .92rem }
th, td { text-align: left; vertical-align: baseline; padding: .42rem .85rem; border-top: 1px solid var(--line) }
thead th { color: var(--soft); font-weight: 400; font-size: .8rem; vertical-align: bottom; line-height: 1.3 }
tbody th { font-weight: 500; min-width: 8rem; max-width: 22rem; overflow-wrap: anywhere }
tbody td:last-child:not(.n) { min-width: 14rem }
tbody td:last-child:not(.n):not(:nth-child(n+4)) { min-width: 0 }
.whole, .dates span { white-space: nowrap }
.n { text-align: right; white-space: nowrap }
thead .n { white-space: normal; width: 1%; min-width: 6rem }
td:has(> .chip) { min-width: 8.5rem }
.prose { min-width: 15rem }
.place { min-width: 11rem }
caption small { display: block; font-weight: 400 }
tbody tr:hover { background: var(--well) }
thead button { border: 0; padding: 0; background: none; color: inherit; font-size: inherit; text-align: inherit }
thead [aria-sort] button { color: var(--ink); font-weight: 600 }
thead [aria-sort="ascending"] button::after { content: " ↑" }
thead [aria-sort="descending"] button::after { content: " ↓" }
code { font: .82rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere }
.act { white-space: nowrap; font-weight: 600 }
.act.start { color: var(--good) }
.act.stop { color: var(--bad) }
.meter { display: inline-block; width: 4.2rem; height: .5rem; background: var(--well); border-radius: 4px;
  margin-left: .3rem; overflow: hidden; vertical-align: baseline }
.bar { display: block; height: 100%; background: var(--accent); border-radius: 4px }
.bar.over { background: var(--bad) }
.data .scroll { max-height: 24rem; overflow-y: auto }
"""

PLACEMENT = """
.legend { margin: 0 0 .6rem; font-size: .86rem }
.legend ul { list-style: none; display: flex; flex-wrap: wrap; gap: .35rem .45rem; padding: 0; margin: .4rem 0 }
.legend .marks { gap: .4rem 1.1rem; color: var(--soft); margin-top: .7rem }
.marks li { display: flex; align-items: center; gap: .4rem }
.models button { display: flex; align-items: center; padding: .18rem .55rem .18rem .3rem; max-width: 16rem;
  overflow-wrap: anywhere; text-align: left }
.chip { display: inline-block; min-width: 1.45rem; text-align: center; border-radius: 4px; padding: 0 .25rem;
  margin-right: .45rem; color: #10151b; font-size: .78rem; font-weight: 600; line-height: 1.35rem }
.hosts { list-style: none; padding: 0; margin: 0; display: grid; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(17.5rem, 1fr)) }
.host { background: var(--card); border: 1px solid var(--line); border-radius: 9px; padding: .5rem .6rem .6rem;
  min-width: 0; position: relative; content-visibility: auto; contain-intrinsic-size: auto 74px }
.host.idle .head b { color: var(--soft) }
.host.draining, .host.maintenance { border: 1px dashed var(--warn); background: var(--warn-well) }
.host.unreachable { border: 1px dashed var(--bad); background: var(--bad-well) }
.head { display: flex; gap: .5rem; align-items: baseline; margin-bottom: .4rem; font-size: .86rem; min-width: 0 }
.head b { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.head small { margin-left: auto; white-space: nowrap; font-size: .76rem; overflow: hidden; text-overflow: ellipsis }
.lane { display: grid; gap: 3px; margin-top: 3px }
.lane.cpu { display: flex; flex-wrap: wrap }
.lane.cpu .r { flex: 0 1 auto; max-width: 100%; padding: 0 .4rem }
.cell { display: flex; gap: 1px; height: 1.75rem; background: var(--well); border-radius: 4px; overflow: hidden;
  min-width: 0; box-shadow: inset 0 0 0 1px var(--line); container-type: inline-size; position: relative }
@container (max-width: 3.4rem) {
  .cell > .r + .r em, .cell > .r:has(+ .r) em { display: none }
  .cell[data-all] > .r { font-size: 0 }
  .cell[data-all] > .r:first-child::before { content: attr(data-model); position: absolute; inset: 0; text-align: center;
    font-size: .76rem; font-weight: 700 }
}
.leaving .cell { height: 1.3rem; background: none; box-shadow: none }
.r { flex: 1 1 0; min-width: 0; height: 1.75rem; border-radius: 4px; color: #10151b; font-size: .76rem; overflow: hidden;
  display: flex; flex-wrap: wrap; column-gap: .35em; justify-content: center; line-height: 1.75rem; padding: 0 1px }
.r b { font-weight: 700; white-space: nowrap }
.r em { font-style: normal }
.r i { font-style: normal; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 100% }
.r.start, .r.move { box-shadow: inset 0 0 0 2px var(--ink) }
.leaving .r, .r.stop { height: 1.3rem; line-height: 1.2rem; border: 1px dashed var(--soft); opacity: .75 }
.r.stop i { text-decoration: line-through }
.r.key { flex: none; width: 1.75rem; height: 1.3rem; line-height: 1.3rem; font-weight: 700; background-color: var(--well);
  box-shadow: inset 0 0 0 1px var(--line) }
.r.key.start, .r.key.move { box-shadow: inset 0 0 0 2px var(--ink) }
body.picking .lanes .r:not(.picked) { opacity: .14 }
"""

FIGURES = """
.tools { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; margin: 1.1rem 0 .4rem; font-size: .88rem }
.tools label { display: flex; gap: .5rem; align-items: center; color: var(--soft) }
.tools input { width: 13rem; max-width: 48vw; color: var(--ink) }
#found { color: var(--soft); min-width: 2rem }
.ranges { margin-left: auto; display: flex; gap: .35rem }
.thin { color: var(--soft); font-size: .8rem; margin: .2rem 0 }
.figure { margin: .5rem 0 .2rem }
.plot { height: 270px; margin: 0 -.4rem }
.plot.gantt { height: auto }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0; margin: .5rem 0 .1rem;
  font-size: .84rem; color: var(--soft) }
.key li { display: flex; align-items: center; gap: .4rem }
.key b { color: var(--ink); font-weight: 600 }
.swatch { width: 1.5rem; height: 0; border-top: 2px solid }
.swatch.observed { border-color: var(--observed) }
.swatch.median { border-color: var(--median); border-top-width: 3px }
.swatch.interval_high { height: .8rem; border: 0; background: var(--interval) }
.swatch.running { border-color: var(--running); border-top-style: dotted; border-top-width: 3px }
.swatch.planned { border-color: var(--planned); border-top-width: 3px }
.swatch.level { border-color: var(--level); border-top-style: dashed }
.swatch.expected { border-color: var(--planned); border-top-style: dotted }
.swatch.run, .swatch.late_run { height: .8rem; border: 0; border-radius: 3px }
.swatch.late_run { border: 1.5px solid var(--bad);
  background: repeating-linear-gradient(135deg, var(--bad) 0 1.5px, var(--well) 1.5px 5px) }
.swatch.deadline, .swatch.missed_deadline { width: 0; height: .9rem; border: 0; border-left: 3px solid var(--soft) }
.swatch.missed_deadline { border-color: var(--bad) }
.numbers { grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: .6rem 1.2rem; margin: .9rem 0 .2rem;
  font-size: .9rem }
[hidden] { display: none !important }
@media (max-width: 640px) {
  header, nav, main, noscript { width: calc(100% - 1.8rem) }
  .tiles { grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: .5rem }
  .tiles dd { font-size: 1.15rem }
  .tiles > div { padding: .5rem .6rem }
  .card { padding: .2rem .8rem .9rem; border-radius: 10px }
  .plot { height: 240px; margin: 0 -.5rem }
  .plot.gantt { height: auto }
  .hosts { grid-template-columns: 1fr }
  .numbers { grid-template-columns: 1fr 1fr }
  .ranges { margin-left: 0 }
  th, td, caption { padding-left: .6rem; padding-right: .6rem }
}
@media print {
  @page { margin: 14mm }
  html, body { font-size: 12px; background: none }
  .plot { height: 250px }
  .plot.gantt { height: auto }
  nav, .tools, #theme, .skip, .data, .models button:not(:has(.chip)) { display: none }
  header, main { padding: 0; width: auto; max-width: none }
  .card, .host { content-visibility: visible }
  .card { border: 0; border-top: 1px solid var(--line); border-radius: 0; padding: 0 }
  .card, .host, tr { break-inside: avoid }
  h2, h3, caption { break-after: avoid }
  .scroll { overflow: visible; border: 0 }
  th, td, caption { padding: .25rem .4rem .25rem 0 }
  .r, .chip, .cell, .bar, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
"""


def _variables(colours: dict[str, str]) -> str:
    return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())


def _block_rules() -> str:
    rules = []
    for number in range(3 * len(BLOCKS)):
        colour = BLOCKS[number % len(BLOCKS)]
        pattern = ("", f"{STRIPES}, ", f"{DOTS}, ")[number // len(BLOCKS)]
        rules.append(f".c{number} {{ background: {pattern}{colour} }}")
    rules.append(f".c{3 * len(BLOCKS)} {{ background: {NEUTRAL} }}")
    return "\n".join(rules)


def _size_rules() -> str:
    """Widths of lanes and spans of cells (at most eight in a row), and parts in twentieths."""
    lanes = [f".w{count} {{ grid-template-columns: repeat({count}, minmax(0, 1fr)) }}" for count in range(1, 9)]
    starts = [f".g{column} {{ grid-column-start: {column} }}" for column in range(1, 9)]
    spans = [f".s{count} {{ grid-column-end: span {count} }}" for count in range(1, 9)]
    parts = [
        f".f{part} {{ flex: 0 0 calc({5 * part}% - 1px) }} .p{part} {{ width: {5 * part}% }}" for part in range(21)
    ]
    return "\n".join([*lanes, *starts, *spans, *parts])


STYLE = "\n".join(
    (
        f":root {{ color-scheme: light; {_variables(LIGHT)}; {_variables(BLOCK_COLOURS)} }}",
        "@media (prefers-color-scheme: dark) { :root:not([data-theme=light])"
        f" {{ color-scheme: dark; {_variables(DARK)} }} }}",
        f":root[data-theme=dark] {{ color-scheme: dark; {_variables(DARK)} }}",
        LAYOUT,
        TABLES,
        _block_rules(),
        _size_rules(),
        PLACEMENT,
        FIGURES,
    )
)
