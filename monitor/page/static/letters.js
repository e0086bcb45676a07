// Dead letters by reason and class. A sample is read when it is asked for; a payload once more, and is always text.

import { attribute, by, element, rows, text } from "./dom.js";
import { bytes, seconds, whole } from "./format.js";

let clock = 0; // the server's, of the last view

const address = (queue, group, more = {}) => `/letter?${new URLSearchParams({ queue, reason: group.reason, type: group.type ?? "", ...more })}`;

async function asked(url) {
  try {
    const answer = await fetch(url), found = await answer.json();
    return answer.ok ? found : { problem: found.problem };
  } catch {
    return { problem: "the monitor does not answer" };
  }
}

function facts(letter) {
  if (letter.problem) return [["", letter.problem]];
  return [
    ["id", letter.id], ["delivered", `${letter.attempt} times, ${letter.failures} of them failed`],
    ["died", `${seconds(Math.max(0, clock - letter.died_at))} ago`], ["put", letter.put_at ? `${seconds(Math.max(0, clock - letter.put_at))} ago` : "unknown"],
    ["error", letter.error || "unknown"], ...(letter.first_error && letter.first_error !== letter.error ? [["first error", letter.first_error]] : []),
    ["payload", bytes(letter.bytes)],
  ];
}

async function open(part, queue, group) {
  const [row, sample] = part.children, box = sample.firstChild, button = row.lastChild.firstChild;
  sample.hidden = !sample.hidden;
  attribute(button, "aria-expanded", String(!sample.hidden));
  if (sample.hidden) return;
  const letter = await asked(address(queue, group));
  const list = element("dl"), payload = element("pre", { hidden: "" }), show = element("button", { "aria-expanded": "false" }, "Show the payload");
  for (const [word, value] of facts(letter)) list.append(element("dt", {}, word), element("dd", {}, String(value)));
  show.addEventListener("click", async () => {
    if (payload.hidden) {
      const whole = await asked(address(queue, group, { payload: "yes", key: letter.key }));
      payload.textContent = whole.problem ?? whole.payload;
    }
    payload.hidden = !payload.hidden;
    attribute(show, "aria-expanded", String(!payload.hidden));
    text(show, payload.hidden ? "Show the payload" : "Hide the payload");
  });
  box.replaceChildren(list, ...(letter.problem ? [] : [payload, show]));
}

function make(queue, group) {
  const button = element("button", { class: "plain", "aria-expanded": "false" }, "Sample");
  attribute(button, "aria-label", `Sample of ${group.reason}, ${group.type ?? "no class"}`);
  const last = element("td", {}, ...(group.reason == null ? [] : [button]));
  const part = element("tbody", {}, element("tr", {}, element("td", { class: "right" }), element("td", { class: "wide" }), element("td", { class: "wide" }), last),
    element("tr", { class: "sample", hidden: "" }, element("td", { colspan: 4 })));
  button.addEventListener("click", () => open(part, queue, group));
  return part;
}

function fill(part, group) {
  const [count, reason, kind] = part.firstChild.children;
  text(count, whole(group.count));
  text(reason, group.reason ?? "other reasons");
  text(kind, group.type ?? "–");
}

export function drawLetters(queue, at) {
  clock = at;
  text("dead-count", queue.dead ? `${whole(queue.dead)} kept, the oldest for ${seconds(queue.oldest_dead)}` : "none");
  by("dead").hidden = !queue.letters.length;
  rows(by("dead"), queue.letters, group => JSON.stringify([queue.name, group.reason, group.type]), group => make(queue.name, group), fill);
}
