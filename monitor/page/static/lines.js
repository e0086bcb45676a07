// Small charts of the last minute; the numbers stand beside them as text.

import { by, colour } from "./dom.js";
import { roundUp } from "./format.js";
import { columns, WINDOW } from "./time.js";

const charts = new Map();
const SIZE = 112;

function make(id, width, series, form) {
  const colours = { muted: colour("muted"), rule: colour("rule") };
  const state = { now: 0, top: 1 };
  const chart = new uPlot({
    width, height: SIZE, pxAlign: 1, legend: { show: false }, cursor: { show: false }, padding: [18, 0, 4, 0],
    scales: { x: { time: false, range: () => [state.now - WINDOW, state.now] }, y: { range: () => [0, state.top] } },
    axes: [{ show: false }, { size: 0, gap: 0, ticks: { show: false }, grid: { stroke: colours.rule, width: 1 }, splits: () => [0, state.top], values: () => ["", ""] }],
    series: [{}, ...series.map(({ name, width: thickness, dash }) => ({ stroke: colour(name), width: thickness, dash, points: { show: false } }))],
    hooks: { draw: [u => {
      const ratio = devicePixelRatio;
      u.ctx.save();
      u.ctx.font = `${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
      u.ctx.textAlign = "left";
      u.ctx.textBaseline = "alphabetic";
      u.ctx.fillStyle = colours.muted;
      u.ctx.fillText(form(state.top), u.bbox.left, u.bbox.top - 5 * ratio);
      u.ctx.restore();
    }] },
  }, [[0], ...series.map(() => [null])], by(id));
  return { chart, state };
}

// `series`: which column of a point, its colour, width and dash.
export function drawLines(id, points, series, form, smallest, label) {
  const box = by(id), width = box.clientWidth;
  box.setAttribute("aria-label", label);
  if (!width || !points.length) return;
  const all = columns(points, 10), data = [all[0], ...series.map(({ column }) => all[column])];
  const kept = charts.get(id) ?? make(id, width, series, form);
  charts.set(id, kept);
  kept.state.now = points.at(-1)[0];
  kept.state.top = roundUp(Math.max(smallest, ...data.slice(1).flat().map(value => value ?? 0)));
  if (kept.chart.width !== width) kept.chart.setSize({ width, height: SIZE });
  kept.chart.setData(data);
}

export function restyleLines() {
  for (const { chart } of charts.values()) chart.destroy();
  charts.clear();
}
