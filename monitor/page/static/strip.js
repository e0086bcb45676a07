// The lease strip: who read, who held it alone, who waited and who lost it, on the time axis of the depth chart.

import { by, text } from "./dom.js";
import { whole } from "./format.js";
import { ago, isPhone, left, right, WINDOW } from "./time.js";

const SVG = "http://www.w3.org/2000/svg", LANE = 22, TOP = 20;
const WORDS = { r: "reads", w: "holds", q: "waits", "-": "idle" };

function drawn(tag, attributes, words) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (words != null) node.textContent = words;
  return node;
}

const label = (x, y, words, anchor, kind = "") => drawn("text", { x, y, "text-anchor": anchor, class: kind }, words);
const line = (x1, y1, x2, y2, stroke, more = {}) => drawn("line", { x1, y1, x2, y2, stroke, ...more });

function pattern() {
  const found = drawn("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  found.append(drawn("rect", { width: 5, height: 5, fill: "var(--waiting-soft)" }), drawn("rect", { width: 2, height: 5, fill: "var(--waiting)" }));
  return found;
}

// Runs of the same letter: [letter, first, last].
function runs(states) {
  const found = [];
  for (let at = 0; at < states.length; at++) {
    if (found.length && found.at(-1)[0] === states[at]) found.at(-1)[2] = at;
    else found.push([states[at], at, at]);
  }
  return found;
}

// When a hold of the lease ran out, each moment once.
export const lostMoments = lease => [...new Set((lease?.lanes ?? []).flatMap(one => one.lost))].sort((a, b) => a - b).map(at => lease.times[at]);

// A long name keeps its end: the pid tells processes of one host apart.
function shortened(name, most) {
  const [host, pid] = name.split(":");
  return name.length <= most ? name : pid ? `${host.slice(0, Math.max(1, most - pid.length - 2))}…:${pid}` : `${host.slice(0, most - 1)}…`;
}

function lane(parts, scale, lease, one, y) {
  parts.push(line(scale.left, y + LANE - 3, scale.right, y + LANE - 3, "var(--rule)"));
  parts.push(label(scale.left - 8, y + 13, shortened(one.process, isPhone() ? 9 : 11), "end"));
  for (const [state, first, last] of runs(one.states)) {
    if (state === "-") continue;
    const x = scale.at(lease.times[first - 1] ?? lease.times[first] - 1), end = scale.at(lease.times[last]);
    const tall = state === "q" ? 8 : 14, fill = { r: "var(--inside)", w: "var(--ink)", q: "url(#hatch)" }[state];
    const box = drawn("rect", { x, y: y + 16 - tall, width: Math.max(1.5, end - x - 0.6), height: tall, fill });
    box.append(drawn("title", {}, `${one.process} ${WORDS[state]}`));
    parts.push(box);
  }
  for (const at of one.lost) {
    const x = scale.at(lease.times[at]), middle = y + 9;
    parts.push(line(x, 15, x, y + LANE, "var(--lost)", { "stroke-dasharray": "3 3" }));
    for (const slope of [5, -5]) parts.push(line(x - 5, middle - slope, x + 5, middle + slope, "var(--lost)", { "stroke-width": 2.5 }));
  }
  const now = one.states.at(-1), token = now === "w" && one.token && !isPhone() ? ` #${String(one.token).slice(-5)}` : "";
  parts.push(label(scale.right + 8, y + 13, WORDS[now] + token, "start", now === "q" ? "waiting" : now === "-" ? "" : "strong"));
}

// Grants between two looks: a hold may have come and gone meanwhile.
function grants(parts, scale, lease, y) {
  const most = Math.max(1, ...lease.grants), step = (scale.right - scale.left) / WINDOW;
  parts.push(label(scale.left - 8, y + 13, isPhone() ? "grants" : "grants/s", "end"));
  lease.grants.forEach((count, at) => {
    const tall = (count / most) * 14;
    if (count) parts.push(drawn("rect", { x: scale.at(lease.times[at]) - step, y: y + 16 - tall, width: Math.max(1, step - 0.6), height: tall, fill: "var(--control)" }));
  });
  parts.push(label(scale.right + 8, y + 13, whole(lease.grants.at(-1) ?? 0), "start"));
}

function density(parts, scale, lease, y) {
  const step = (scale.right - scale.left) / WINDOW;
  parts.push(label(scale.left - 8, y + 13, `+${lease.more} more`, "end"));
  lease.more_busy.forEach((busy, at) => {
    const tall = (busy / lease.more) * 14;
    if (busy) parts.push(drawn("rect", { x: scale.at(lease.times[at]) - step, y: y + 16 - tall, width: Math.max(1, step), height: tall, fill: "var(--inside)" }));
  });
}

export function drawStrip(lease, at) {
  const box = by("strip"), width = box.clientWidth, lanes = lease.lanes, count = lanes.length + (lease.more ? 1 : 0) + 1;
  const scale = { left: left(), right: width - right(), at: time => scale.left + Math.max(0, (time - at + WINDOW) / WINDOW) * (scale.right - scale.left) };
  const height = TOP + LANE * count + 22, parts = [pattern()];
  lanes.forEach((one, row) => lane(parts, scale, lease, one, TOP + row * LANE));
  let free = -Infinity;
  for (const x of lostMoments(lease).map(scale.at)) {
    if (x - 30 < free) continue;
    parts.push(label(x, 12, "lost", x < scale.left + 20 ? "start" : "middle", "lost"));
    free = x;
  }
  if (lease.more) density(parts, scale, lease, TOP + lanes.length * LANE);
  grants(parts, scale, lease, TOP + (count - 1) * LANE);
  for (const back of isPhone() ? [60, 30, 0] : [60, 45, 30, 15, 0]) parts.push(label(scale.at(at - back), height - 5, ago(back), back === 60 ? "start" : back ? "middle" : "end"));
  box.setAttribute("height", height);
  box.replaceChildren(...parts);
  const lost = lanes.reduce((sum, one) => sum + one.lost.length, 0);
  box.setAttribute("aria-label", `Lease ${lease.name}, the last minute: ${lease.holders} hold it, ${lease.waiters} wait; lost ${lost} times`);
  text("kind", `${lease.kind}${lease.limit ? ` of ${lease.limit}` : ""} · ${lease.holders} ${lease.holders === 1 ? "holds" : "hold"} it, ${lease.waiters} ${lease.waiters === 1 ? "waits" : "wait"}`);
}
