# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the backtest page draws in the browser; theme, search and sorting are the report's own script.

``data-drawn`` on the root element counts the figures drawn, as in the report.
"""

from __future__ import annotations

CHARTS = r"""
(function () {
  "use strict";
  var root = document.documentElement;
  var charts = Array.from(document.querySelectorAll(".chart"));
  var inView = new Set(), drawn = new Set();
  var PAPER_WIDTH = 680; // pixels, of a figure on A4 or Letter

  function colours() {
    var style = getComputedStyle(root);
    return function (name) { return style.getPropertyValue("--" + name).trim(); };
  }
  function load(chart) {
    if (!chart.figure) chart.figure = JSON.parse(chart.parentNode.querySelector("script").textContent);
    return chart.figure;
  }
  function base(colour, width, height) {
    return {
      showlegend: false, hovermode: "x unified", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", shapes: [],
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("soft"), size: 12 },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 } },
      margin: { l: 48, r: 14, t: 14, b: 42 }, width: width, height: width ? height : undefined, autosize: !width
    };
  }
  function axis(colour, text, more) {
    return Object.assign({ gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, automargin: true,
      tickfont: { size: 11 }, title: { text: text, font: { size: 11 }, standoff: 6 } }, more);
  }
  function line(colour, width, dash) { return { color: colour, width: width, dash: dash || "solid" }; }
  function narrow(chart) { return chart.clientWidth < 560; }

  var kinds = {
    course: function (figure, colour, layout, chart) {
      var looks = { interval_low: line(colour("interval"), 0), interval_high: line(colour("interval"), 0),
        observed: line(colour("observed"), 1.4), median: line(colour("median"), 2) };
      layout.shapes = figure.starts.map(function (start) {
        return { type: "line", x0: start, x1: start, yref: "paper", y0: 0, y1: 1, layer: "below",
          line: line(colour("soft"), 1, "dot") };
      });
      layout.xaxis = axis(colour, "time, UTC", { type: "date", showgrid: false, ticks: "outside",
        tickcolor: colour("line"), nticks: narrow(chart) ? 5 : 10, hoverformat: "%Y-%m-%d %H:%M UTC" });
      layout.yaxis = axis(colour, "demand", { rangemode: "tozero", fixedrange: true, nticks: 6 });
      return figure.data.map(function (trace) {
        var full = Object.assign({ type: "scatter", mode: "lines", line: looks[trace.meta],
          hovertemplate: "%{y:.3~g}" }, trace);
        if (trace.meta === "interval_high") Object.assign(full, { fill: "tonexty", fillcolor: colour("interval") });
        return full;
      });
    },
    coverage: function (figure, colour, layout) {
      layout.hovermode = "closest";
      layout.xaxis = axis(colour, "level of the quantile", { range: [-0.02, 1.02], tickformat: ".0%", fixedrange: true });
      layout.yaxis = axis(colour, "share of demand", { range: [-0.03, 1.03], tickformat: ".0%", fixedrange: true });
      var joined = { x: [], y: [] };
      figure.levels.forEach(function (level, index) {
        joined.x.push(level, level, null);
        joined.y.push(figure.below[index], figure.share[index], null);
      });
      return [
        { x: [0, 1], y: [0, 1], mode: "lines", line: line(colour("soft"), 1.2, "dash"), hoverinfo: "skip" },
        Object.assign({ mode: "lines", line: line(colour("median"), 5), opacity: 0.35, hoverinfo: "skip" }, joined),
        { x: figure.levels, y: figure.below, mode: "markers", name: "below",
          marker: { size: 8, symbol: "circle-open", color: colour("median"), line: { width: 2 } },
          hovertemplate: "%{y:.1%} below the %{x} quantile<extra></extra>" },
        { x: figure.levels, y: figure.share, mode: "markers", name: "at or below",
          marker: { size: 9, color: colour("median") },
          hovertemplate: "%{y:.1%} at or below the %{x} quantile<extra></extra>" }
      ];
    },
    lead: function (figure, colour, layout) {
      layout.xaxis = axis(colour, "steps ahead", { showgrid: false, ticks: "outside", tickcolor: colour("line"),
        nticks: 9 });
      layout.yaxis = axis(colour, "scaled error", { rangemode: "tozero", fixedrange: true, nticks: 6 });
      var mode = figure.steps.length > 1 ? "lines" : "markers";
      return [
        { x: figure.steps, y: figure.naive, mode: mode, name: "Seasonal naive",
          line: line(colour("planned"), 2, "dash"), hovertemplate: "%{y:.3f}" },
        { x: figure.steps, y: figure.combination, mode: mode, name: "Combination",
          line: line(colour("median"), 2.4), hovertemplate: "%{y:.3f}" }
      ];
    },
    chosen: function (figure, colour, layout, chart) {
      var inside = narrow(chart);
      layout.hovermode = "closest";
      layout.bargap = inside ? 0.15 : 0.35;
      layout.margin.t = 4;
      layout.xaxis = axis(colour, "share of series", { tickformat: ".0%", rangemode: "tozero", fixedrange: true,
        nticks: 6 });
      layout.yaxis = axis(colour, "", { autorange: "reversed", fixedrange: true, showgrid: false,
        showticklabels: !inside, tickvals: figure.names.map(function (_name, index) { return index; }),
        ticktext: figure.labels.map(function (label) { return label + " "; }) });
      if (inside) {
        layout.margin.l = 12;
        layout.annotations = figure.short_labels.map(function (label, index) {
          return { x: 0, y: index, xanchor: "left", showarrow: false, text: " " + label,
            font: { size: 11, color: colour("ink") } };
        });
      }
      return [{ type: "bar", orientation: "h", x: figure.share, y: figure.names.map(function (_name, index) {
          return index; }), marker: { color: colour("median"), opacity: inside ? 0.35 : 0.85 },
        customdata: figure.names.map(function (name, index) {
          return [name, figure.chosen[index], figure.tried[index], figure.weight[index]]; }),
        hovertemplate: "%{customdata[0]}<br>chosen for %{customdata[1]} of the %{customdata[2]} series it was tried on"
          + "<br>mean weight there %{customdata[3]:.1%}<extra></extra>" }];
    }
  };

  function draw(chart, width) {
    var figure = load(chart), colour = colours(), layout = base(colour, width, chart.clientHeight || 250);
    var data = kinds[figure.kind](figure, colour, layout, chart);
    Plotly.react(chart, data, layout, { displayModeBar: false, responsive: !width });
    chart.stale = false;
    drawn.add(chart);
    root.dataset.drawn = drawn.size;
  }
  function refresh() {
    drawn.forEach(function (chart) { if (inView.has(chart)) draw(chart); else chart.stale = true; });
  }
  var watch = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var chart = entry.target;
      if (!entry.isIntersecting) { inView.delete(chart); return; }
      inView.add(chart);
      if (!drawn.has(chart) || chart.stale) draw(chart);
    });
  }, { rootMargin: "400px 0px" });
  charts.forEach(function (chart) { watch.observe(chart); });
  new MutationObserver(function () { if (!("printing" in root.dataset)) refresh(); })
    .observe(root, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  matchMedia("(max-width: 640px)").addEventListener("change", refresh);
  addEventListener("beforeprint", function () { charts.forEach(function (chart) { draw(chart, PAPER_WIDTH); }); });
  addEventListener("afterprint", function () {
    drawn.forEach(function (chart) { chart.stale = true; });
    refresh();
  });
})();
"""
