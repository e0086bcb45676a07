// The consumers of a queue.

import { button } from "./actions.js";
import { drainOne } from "./control.js";
import { attribute, by, element, rows, text } from "./dom.js";
import { rate, seconds, whole } from "./format.js";

const cell = (label, kind = "right") => element("td", { "data-label": label, class: kind });
const most = new Map(); // the most time that was seen to be left: its time to live

function make(one) {
  const left = cell("renews within");
  left.append(element("span"), element("span", { class: "meter" }, element("i")));
  const held = cell("holds");
  held.append(element("span"), element("small"));
  return element("tr", {}, element("td"), left, held, cell("done/s"), cell("p50"), cell("p95"),
    element("td", {}, element("span"), " ", button("Drain", `Drain ${one.process}`, () => drainOne(one))));
}

// It renews three times in its time to live.
const isLate = one => one.left < 0.3 * most.get(one.owner);

function state(one) {
  if (one.left <= 0) return ["silent: what it holds is delivered again", "lost"];
  if (isLate(one)) return ["late", "lost"];
  return one.draining ? ["draining", "tag"] : ["works", "muted"];
}

function fill(row, one) {
  const [process, left, held, done, half, most95, what] = row.children;
  most.set(one.owner, Math.max(one.left, most.get(one.owner) ?? 0));
  const [said, kind] = state(one);
  text(process, one.process);
  attribute(process, "title", `${one.owner}, ${one.since == null ? "since when is unknown" : `for ${seconds(one.since)}`}`);
  text(left.firstChild, `${one.left.toFixed(1)} s`);
  left.lastChild.firstChild.style.width = `${Math.min(100, (one.left / (most.get(one.owner) || 1)) * 100)}%`;
  attribute(left.lastChild, "class", isLate(one) ? "meter silent" : "meter");
  text(held.firstChild, whole(one.held));
  text(held.lastChild, one.concurrency == null ? "" : ` of ${one.concurrency}`);
  text(done, rate(one.done));
  text(half, seconds(one.p50));
  text(most95, seconds(one.p95));
  text(what.firstChild, said);
  attribute(what.firstChild, "class", kind);
  what.lastChild.hidden = one.draining || one.left <= 0;
}

export function drawConsumers(queue) {
  const listed = queue.consumers.length, also = [queue.silent && `${queue.silent} silent`, queue.draining && `${queue.draining} draining`].filter(Boolean);
  text("consumer-count", queue.consumer_count ? [`${queue.consumer_count} at this queue`, ...also, queue.consumer_count > listed && `${listed} are listed`].filter(Boolean).join(", ") : "none at this queue");
  by("consumer-table").hidden = !listed;
  rows(by("consumers"), queue.consumers, one => one.owner, make, fill);
}
