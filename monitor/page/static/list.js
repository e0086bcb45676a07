// The list of queues: those that want a look first, by name in both parts, so that rows do not jump by value.

import { attribute, by, element, rows, text } from "./dom.js";
import { whole } from "./format.js";

const isUrgent = queue => queue.paused || queue.shut || queue.dead > 0 || queue.waiting > 0;

function words(queue) {
  if (queue.waiting) return [`+${whole(queue.waiting)} wait`, "waiting"];
  if (queue.paused) return ["paused", "waiting"];
  if (queue.shut) return ["shut", "waiting"];
  if (queue.dead) return [`${whole(queue.dead)} dead`, "lost"];
  return [whole(queue.pending), ""];
}

function make(queue) {
  const link = element("a", { href: `#${encodeURIComponent(queue.name)}` }, element("span"), element("span", { class: "meter" }, element("i")), element("small"));
  link.title = queue.name;
  return link;
}

function fill(link, queue, chosen) {
  const [name, meter, small] = link.children, [said, kind] = words(queue);
  text(name, queue.name);
  attribute(link, "aria-current", queue.name === chosen ? "page" : null);
  attribute(meter, "class", queue.waiting ? "meter over" : "meter");
  meter.firstChild.style.width = `${queue.maxsize ? Math.min(100, (queue.pending / queue.maxsize) * 100) : 0}%`;
  text(small, said);
  attribute(small, "class", `right ${kind}`);
}

export function drawList(queues, chosen) {
  const wanted = by("filter").value.toLowerCase(), found = queues.filter(queue => queue.name.toLowerCase().includes(wanted));
  const urgent = found.filter(isUrgent), others = found.filter(queue => !isUrgent(queue));
  for (const [id, part] of [["urgent", urgent], ["others", others]]) {
    rows(by(id), part, queue => queue.name, make, (link, queue) => fill(link, queue, chosen));
    by(`${id}-title`).hidden = !part.length;
    text(`${id}-count`, part.length);
  }
  text("others-word", urgent.length ? "All others" : "Queues");
  by("none").hidden = found.length > 0;
  text("count", queues.length === 1 ? "1 queue" : `${whole(queues.length)} queues`);
  attribute(by("filter"), "placeholder", queues.length === 1 ? "Filter  /" : `Filter ${whole(queues.length)} queues  /`);
}

export function move(step) {
  const links = [...document.querySelectorAll("#queues a")], at = links.findIndex(link => link.hasAttribute("aria-current"));
  if (links.length) location.hash = links[Math.min(links.length - 1, Math.max(0, at + step))].hash;
}
