// The buttons of a queue: pause, resume, resize, drain.

import { ask } from "./actions.js";
import { by, text } from "./dom.js";
import { whole } from "./format.js";

let queue = null; // of the last view

const ACTIONS = {
  pause: () => queue.paused
    ? ask("resume", { queue: queue.name }, { title: `Resume ${queue.name}?`, words: "Its messages are delivered again.", verb: "Resume" })
    : ask("pause", { queue: queue.name }, { title: `Pause ${queue.name}?`, words: "Nothing is delivered until it is resumed. Puts enter while there is room; what is in hands is finished.", verb: "Pause" }),
  resize: () => ask("resize", { queue: queue.name }, {
    title: `Resize ${queue.name}?`, words: `Its bound is ${queue.maxsize ? whole(queue.maxsize) : "0: none"}. After a shrink no put enters until there is room.`, verb: "Resize", bound: queue.maxsize,
  }),
  drain: () => ask("drain", { queue: queue.name }, {
    title: `Drain all ${whole(queue.consumer_count)} consumers of ${queue.name}?`, words: "They take nothing new, finish what they hold, and end. What starts them again is up to you.", verb: `Drain ${whole(queue.consumer_count)}`,
  }),
};

export function drainOne(one) {
  ask("drain", { queue: queue.name, consumer: one.owner }, { title: `Drain ${one.process}?`, words: "It takes nothing new, finishes what it holds, and ends. What starts it again is up to you.", verb: "Drain" });
}

export function drawControl(view) {
  if (queue?.name !== view.queue.name) text("outcome", "");
  queue = view.queue;
  document.documentElement.dataset.actions = view.actions ? "on" : "off";
  text("access", view.actions ? "Actions" : "Read-only");
  text("pause", queue.paused ? "Resume" : "Pause");
  by("drain").hidden = !queue.consumer_count;
}

for (const [id, act] of Object.entries(ACTIONS)) by(id).addEventListener("click", act);
