// Depth against the bound: below the line is what the queue holds, above it what waits. The bound never moves.

import { by, colour, hatch } from "./dom.js";
import { roundUp, whole } from "./format.js";
import { ago, columns, isPhone, left, right, WINDOW } from "./time.js";

const BOUND_AT = 0.62;
let chart = null, shown = null, colours = null;

const height = () => (isPhone() ? 200 : 232);

// What is drawn where: with a bound in two scales, without one in a single scale.
function scaled(queue) {
  const [at, pending, delayed, waiting] = columns(queue.points, 4), bound = queue.maxsize;
  const held = pending.map((value, place) => (value == null ? null : value + delayed[place]));
  const above = held.map((value, place) => (value == null ? 0 : Math.max(waiting[place], bound ? value - bound : 0)));
  const top = roundUp(bound ? Math.max(5, ...above) : Math.max(10, ...held.map(value => value ?? 0)));
  const low = bound ? value => (value == null ? null : value <= bound ? (value / bound) * BOUND_AT : BOUND_AT + ((value - bound) / top) * (1 - BOUND_AT))
    : value => (value == null ? null : value / top);
  const high = bound ? value => (value == null ? null : BOUND_AT + (value / top) * (1 - BOUND_AT)) : () => null;
  return { bound, top, last: queue, now: at.at(-1), data: [at, held.map(low), pending.map(low), waiting.map(high)] };
}

function drawBound(u) {
  const pen = u.ctx, ratio = devicePixelRatio, y = value => u.valToPos(value, "y", true), end = u.bbox.left + u.bbox.width;
  pen.save();
  pen.font = `600 ${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  const label = (words, at, name) => { pen.fillStyle = colours[name]; pen.fillText(words, end + 8 * ratio, at); };
  const { bound, last } = shown, held = last.pending;
  pen.fillStyle = colours.lost;
  for (const at of shown.lost) for (let down = 0; down < u.bbox.height; down += 6 * ratio) pen.fillRect(u.valToPos(at, "x", true), u.bbox.top + down, ratio, 3 * ratio);
  if (bound) {
    pen.fillStyle = colours.ink;
    pen.fillRect(u.bbox.left, y(BOUND_AT) - ratio, u.bbox.width, 2 * ratio);
    if (last.waiting) label(`+${whole(last.waiting)}`, y(BOUND_AT) - 13 * ratio, "waiting");
    label(whole(held), Math.max(y(Math.min(1, held / bound) * BOUND_AT), y(BOUND_AT) + 13 * ratio), "ink");
  } else label(whole(held), y(held / shown.top), "ink");
  pen.restore();
}

function make(width) {
  const path = uPlot.paths.stepped({ align: -1 }), area = (stroke, fill, more) => ({ stroke, fill, paths: path, points: { show: false }, width: 1, ...more });
  return new uPlot({
    width, height: height(), pxAlign: 1, legend: { show: false }, cursor: { show: false }, padding: [10, right(), 0, 0],
    scales: { x: { time: false, range: () => [shown.now - WINDOW, shown.now] }, y: { range: () => [0, 1] } },
    axes: [
      { stroke: () => colours.muted, grid: { show: false }, ticks: { show: false }, size: 24, font: "12px sans-serif",
        splits: () => (isPhone() ? [30, 0] : [45, 30, 15, 0]).map(back => shown.now - back), values: (_, splits) => splits.map(value => ago(Math.round(shown.now - value))) },
      { stroke: () => colours.muted, size: left(), ticks: { show: false }, gap: 8, font: "12px sans-serif", grid: { stroke: () => colours.rule, width: 1 },
        splits: () => (shown.bound ? [0, BOUND_AT, 1] : [0, 0.5, 1]),
        values: () => (shown.bound ? ["0", `bound ${whole(shown.bound)}`, `+${whole(shown.top)}`] : ["0", whole(shown.top / 2), whole(shown.top)]) },
    ],
    series: [{}, area(() => colours.inside, () => colours["inside-soft"]), area(() => colours.inside, () => colours.inside),
      area(() => "transparent", () => colours.hatch, { fillTo: () => BOUND_AT })],
    hooks: { draw: [drawBound] },
  }, shown.data, by("depth"));
}

export function drawDepth(queue, lost) {
  shown = { ...scaled(queue), lost };
  const box = by("depth"), width = box.clientWidth;
  box.setAttribute("aria-label", `${whole(queue.pending)} of ${queue.maxsize ? whole(queue.maxsize) : "no bound"} pending, ${whole(queue.waiting)} puts waiting`);
  if (!width) return;
  if (chart && chart.phone !== isPhone()) restyleDepth();
  if (!chart) {
    colours = Object.fromEntries(["ink", "muted", "rule", "inside", "inside-soft", "waiting", "lost"].map(name => [name, colour(name)]));
    colours.hatch = hatch();
    chart = make(width);
    chart.phone = isPhone();
  } else if (chart.width !== width) chart.setSize({ width, height: height() });
  chart.setData(shown.data);
}

// Colours and sizes are taken anew at the next drawing.
export function restyleDepth() {
  chart?.destroy();
  chart = null;
}
