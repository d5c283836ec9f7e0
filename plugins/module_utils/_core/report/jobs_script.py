# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""How the page's script draws the picture of the jobs: bars in the colours of the theme, names as plain text.

Plotly reads tags in texts, so the signs of markup in names are written as entities first. Long
names are shortened where the screen is narrow; the table beside the picture has them whole.
"""

from __future__ import annotations

GANTT = r"""
  function plain(text) {
    return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  }
  function jobTraces(figure, colour) {
    var blocks = 8, kinds = [];
    return figure.data.map(function (trace) {
      var full = Object.assign({}, trace, { name: plain(trace.name), y: trace.y.map(plain) });
      if (trace.customdata) full.customdata = trace.customdata.map(plain);
      if (trace.type === "bar") {
        if (kinds.indexOf(trace.legendgroup) < 0) kinds.push(trace.legendgroup);
        full.marker = { color: colour("block-" + kinds.indexOf(trace.legendgroup) % blocks) };
        if (trace.meta === "late_run") {
          full.marker.line = { color: colour("bad"), width: 1.5 };
          full.marker.pattern = { shape: "/", size: 6, solidity: 0.25, fgcolor: colour("bad") };
        }
        Object.assign(full, { textposition: "inside", insidetextanchor: "middle", cliponaxis: true,
          textfont: { color: trace.meta === "late_run" ? colour("ink") : "#10151b", size: 11 }, constraintext: "inside", textangle: 0 });
      } else {
        var missed = trace.meta === "missed_deadline";
        full.marker = { symbol: "line-ns-open", size: 15, line: { width: 3 }, color: colour(missed ? "bad" : "soft") };
      }
      return full;
    });
  }
  function jobLayout(figure, colour, width) {
    var base = layout(Object.assign({}, figure, { near: figure.whole }), colour, width);
    var most = (width || innerWidth) < 640 ? 14 : 34;
    var rows = figure.rows.map(plain);
    return Object.assign(base, {
      barmode: "overlay", hovermode: "closest", bargap: 0, height: figure.height,
      xaxis: Object.assign({}, base.xaxis, { showgrid: true }),
      yaxis: { type: "category", categoryorder: "array", categoryarray: rows, range: [rows.length - 0.5, -0.5],
        fixedrange: true, automargin: true, gridcolor: colour("grid"), tickfont: { size: 11 }, tickmode: "array",
        tickvals: rows, ticktext: figure.rows.map(function (name) {
          return plain(name.length > most ? name.slice(0, most - 1) + "\u2026" : name); }) }
    });
  }
"""
