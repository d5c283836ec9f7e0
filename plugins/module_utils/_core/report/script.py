# Copyright (c) The modelops.datacenter founders
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This code is private to the collection: it may change in any release.
"""What the page does in the browser: figures drawn when they come into view, theme, search, sorting, printing.

It sets ``data-ready`` on the root element when it has run, ``data-drawn`` to the
number of figures drawn, and ``data-overflow`` to how many pixels the page is wider
than the window, so that a check from outside can see all three.
"""

from __future__ import annotations

from ansible_collections.modelops.datacenter.plugins.module_utils._core.report.jobs_script import GANTT

_SCRIPT = r"""
(function () {
  "use strict";
  var root = document.documentElement;
  var find = function (selector, within) { return Array.from((within || document).querySelectorAll(selector)); };
  var figures = find(".plot");
  var inView = new Set(), drawn = new Set();
  var range = "near";
  var PAPER_WIDTH = 680, PAPER_HEIGHT = 250; // pixels, of a figure on A4 or Letter

  // ---- figures ----------------------------------------------------------------------------
  function colours() {
    var style = getComputedStyle(root);
    return function (name) { return style.getPropertyValue("--" + name).trim(); };
  }
  function load(plot) {
    if (!plot.figure) plot.figure = JSON.parse(plot.parentNode.querySelector("script").textContent);
    return plot.figure;
  }
  function line(colour, width, dash, shape) {
    return { color: colour, width: width, dash: dash || "solid", shape: shape || "linear" };
  }
  function traces(figure, colour) {
    var lines = {
      observed: line(colour("observed"), 1.4),
      interval_low: line(colour("interval"), 0),
      interval_high: line(colour("interval"), 0),
      median: line(colour("median"), 2.2),
      running: line(colour("running"), 2.2, "dot", "hv"),
      planned: line(colour("planned"), 2.6, "solid", "hv"),
      level: line(colour("level"), 1.6, "dash", "hv"),
      expected: line(colour("planned"), 1.8, "dot", "hv")
    };
    return figure.data.map(function (trace) {
      var full = Object.assign({ type: "scatter", mode: "lines", line: lines[trace.meta],
        hovertemplate: "%{y:.3~g}" }, trace);
      if (trace.meta === "interval_high") Object.assign(full, { fill: "tonexty", fillcolor: colour("interval") });
      return full;
    });
  }
  function layout(figure, colour, width) {
    var axis = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, automargin: true,
      tickfont: { size: 11 }, title: { font: { size: 11 }, standoff: 6 } };
    var shapes = figure.layout.shapes.map(function (shape) {
      return shape.name === "lead"
        ? Object.assign({ type: "rect", yref: "paper", y0: 0, y1: 1, line: { width: 0 }, layer: "below",
            fillcolor: colour("lead") }, shape)
        : Object.assign({ type: "line", yref: "paper", y0: 0, y1: 1, layer: "below",
            line: { color: colour("soft"), width: 1 } }, shape);
    });
    return {
      shapes: shapes, showlegend: false, hovermode: "x unified",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("soft"), size: 12 },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 } },
      margin: { l: 48, r: 12, t: 18, b: 40 }, width: width, height: width ? PAPER_HEIGHT : undefined, autosize: !width,
      annotations: [{ x: shapes[0].x0, y: 1, yref: "paper", yanchor: "bottom", text: "now", showarrow: false,
        font: { size: 11, color: colour("soft") } }],
      xaxis: Object.assign({}, axis, { type: "date", range: (figure[range] || figure.whole).slice(), showgrid: false, ticks: "outside",
        tickcolor: colour("line"), nticks: (width || innerWidth) < 640 ? 5 : 10, hoverformat: "%Y-%m-%d %H:%M UTC",
        title: Object.assign({ text: "time, UTC" }, axis.title) }),
      yaxis: Object.assign({}, axis, { rangemode: "tozero", fixedrange: true, nticks: 6,
        title: Object.assign({ text: "requests/s" }, axis.title) })
    };
  }
  /* the picture of the jobs */
  function draw(plot, width) {
    var figure = load(plot), colour = colours(), jobs = plot.classList.contains("gantt");
    Plotly.react(plot, (jobs ? jobTraces : traces)(figure, colour), (jobs ? jobLayout : layout)(figure, colour, width),
      { displayModeBar: false, responsive: !width });
    plot.stale = false;
    drawn.add(plot);
    root.dataset.drawn = drawn.size;
  }
  function refresh() {
    drawn.forEach(function (plot) {
      if (inView.has(plot)) draw(plot); else plot.stale = true;
    });
  }
  var watch = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      var plot = entry.target;
      if (!entry.isIntersecting) { inView.delete(plot); return; }
      inView.add(plot);
      if (!drawn.has(plot) || plot.stale) draw(plot);
    });
  }, { rootMargin: "400px 0px" });
  figures.forEach(function (plot) { watch.observe(plot); });

  find("[data-range]").forEach(function (button, _index, all) {
    button.addEventListener("click", function () {
      range = button.dataset.range;
      all.forEach(function (other) { other.setAttribute("aria-pressed", String(other === button)); });
      refresh();
    });
  });

  // ---- a figure as a table, written when it is opened ---------------------------------------
  function cell(row, tag, text, numeric) {
    var made = document.createElement(tag);
    made.textContent = text;
    if (numeric) made.className = "n";
    row.appendChild(made);
  }
  function rowsOf(figure) {
    var rows = new Map(), names = [];
    figure.data.forEach(function (trace) {
      if (names.indexOf(trace.name) < 0) names.push(trace.name);
      trace.y.forEach(function (value, index) {
        var time = trace.x ? Date.parse(trace.x[index] + "Z") : Date.parse(trace.x0 + "Z") + index * trace.dx;
        if (!rows.has(time)) rows.set(time, {});
        rows.get(time)[trace.name] = value;
      });
    });
    return { names: names, rows: Array.from(rows).sort(function (a, b) { return a[0] - b[0]; }) };
  }
  function fill(details) {
    var content = rowsOf(load(details.parentNode.querySelector(".plot")));
    var box = document.createElement("div"), table = document.createElement("table");
    box.className = "scroll"; box.tabIndex = 0;
    table.createCaption().textContent = "Requests per second by time (UTC)";
    var head = table.createTHead().insertRow(), body = table.createTBody();
    ["Time, UTC"].concat(content.names).forEach(function (name, index) { cell(head, "th", name, index > 0); });
    content.rows.forEach(function (entry) {
      var row = body.insertRow();
      cell(row, "th", new Date(entry[0]).toISOString().slice(0, 16).replace("T", " "));
      content.names.forEach(function (name) {
        var value = entry[1][name];
        cell(row, "td", value === undefined ? "" : value === null ? "gap" : String(value), true);
      });
    });
    box.appendChild(table);
    details.appendChild(box);
  }
  find("details.data").forEach(function (details) {
    details.addEventListener("toggle", function () { if (details.open && !details.querySelector("table")) fill(details); });
  });

  // ---- theme ----------------------------------------------------------------------------------
  var themes = ["auto", "light", "dark"], theme = document.getElementById("theme");
  function show(name) {
    if (name === "auto") delete root.dataset.theme; else root.dataset.theme = name;
    theme.textContent = "Theme: " + name;
    refresh();
  }
  function remembered() {
    var asked = /theme=(light|dark)/.exec(location.hash);
    if (asked) return asked[1];
    try { return localStorage.getItem("modelops-report-theme") || "auto"; } catch (error) { return "auto"; }
  }
  theme.addEventListener("click", function () {
    var next = themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % themes.length];
    try { localStorage.setItem("modelops-report-theme", next); } catch (error) { /* files may have no storage */ }
    show(next);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);

  // ---- search, sorting, highlighting -----------------------------------------------------------
  var search = document.getElementById("find");
  search.addEventListener("input", function () {
    var wanted = search.value.trim().toLowerCase(), count = 0;
    find("[data-name]").forEach(function (item) {
      item.hidden = item.dataset.name.indexOf(wanted) < 0;
      if (!item.hidden && item.classList.contains("model")) count += 1;
    });
    document.getElementById("found").textContent = wanted ? count + " found" : "";
  });

  function sortKey(row, column) {
    var item = row.children[column];
    return item.dataset.sort === undefined ? item.textContent.trim() : Number(item.dataset.sort);
  }
  find("table.sortable thead th").forEach(function (title) {
    title.firstChild.addEventListener("click", function () {
      var column = title.cellIndex, body = title.closest("table").tBodies[0];
      var sign = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      find("[aria-sort]", title.parentNode).forEach(function (other) { other.removeAttribute("aria-sort"); });
      title.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      Array.from(body.rows).sort(function (one, other) {
        var a = sortKey(one, column), b = sortKey(other, column);
        if (typeof a === "number" && typeof b === "number") return sign * (a - b);
        if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
        return sign * a.localeCompare(b, "en", { numeric: true });
      }).forEach(function (row) { body.appendChild(row); });
    });
  });

  find(".legend [data-model]").forEach(function (button, _index, all) {
    button.addEventListener("click", function () {
      var on = button.getAttribute("aria-pressed") !== "true";
      all.forEach(function (other) { other.setAttribute("aria-pressed", String(on && other === button)); });
      document.body.classList.toggle("picking", on);
      find(".lanes .picked").forEach(function (block) { block.classList.remove("picked"); });
      if (on) find('.lanes [data-model="' + button.dataset.model + '"]').forEach(function (block) {
        block.classList.add("picked");
      });
    });
  });

  // ---- print: light, every figure drawn, as wide as the paper --------------------------------
  addEventListener("beforeprint", function () {
    root.dataset.printing = root.dataset.theme || "auto";
    root.dataset.theme = "light";
    figures.forEach(function (plot) { draw(plot, PAPER_WIDTH); });
  });
  addEventListener("afterprint", function () {
    var name = root.dataset.printing;
    delete root.dataset.printing;
    drawn.forEach(function (plot) { plot.stale = true; });
    show(name);
  });

  // ---- marks for a check from outside ---------------------------------------------------------
  function measure() { root.dataset.overflow = Math.max(0, root.scrollWidth - root.clientWidth); }
  addEventListener("resize", measure);
  show(remembered());
  root.dataset.drawn = 0;
  measure();
  root.dataset.ready = "true";
})();
"""
SCRIPT = _SCRIPT.replace("  /* the picture of the jobs */\n", GANTT.lstrip("\n"))
