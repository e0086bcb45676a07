// Dead letters by reason and class. A sample is read when it is asked for; a payload once more, and is always text.

import { ask, button } from "./actions.js";
import { attribute, by, element, rows, text } from "./dom.js";
import { bytes, seconds, whole } from "./format.js";

const newest = new WeakMap(); // a row -> its group, as the last view has it
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
    ["id", letter.id], ["delivered", `${whole(letter.attempt)} time${letter.attempt === 1 ? "" : "s"}, ${whole(letter.failures)} of them failed`],
    ["died", `${seconds(Math.max(0, clock - letter.died_at))} ago`], ["put", letter.put_at ? `${seconds(Math.max(0, clock - letter.put_at))} ago` : "unknown"],
    ["error", letter.error || "unknown"], ...(letter.first_error && letter.first_error !== letter.error ? [["first error", letter.first_error]] : []),
    ["payload", bytes(letter.bytes)],
  ];
}

const called = group => `${group.reason}, ${group.type ?? "no class"}`;
const meant = (queue, group) => ({ queue, reason: group.reason, type: group.type ?? "" });

// The row may be gone, and its button with it.
const atOutcome = () => by("outcome").focus();

function askReplay(queue, group) {
  ask("replay", meant(queue, group), {
    title: `Replay ${whole(group.count)} of ${called(group)}?`, words: `They go to the end of ${queue} while there is room, and are tried from their first attempt.`, verb: `Replay ${whole(group.count)}`, done: atOutcome,
  });
}

function askDiscard(queue, group) {
  ask("discard", meant(queue, group), {
    title: `Discard ${whole(group.count)} of ${called(group)}?`, words: "Their bytes are deleted for good; nobody can replay them.", verb: `Discard ${whole(group.count)}`, count: group.count, done: atOutcome,
  });
}

// What can be done to the one that is shown.
function buttonsOfOne(queue, letter, close) {
  const about = { queue, key: letter.key }, done = found => (found.replayed || found.discarded) && close();
  return element("span", { class: "act controls" },
    button("Replay this one", null, () => ask("replay", about, { title: `Replay ${letter.id}?`, words: `It goes to the end of ${queue}, if there is room, and is tried from its first attempt.`, verb: "Replay 1", done }), "act"),
    button("Discard this one", null, () => ask("discard", about, { title: `Discard ${letter.id}?`, words: "Its bytes are deleted for good; nobody can replay it.", verb: "Discard 1", done }), "act"));
}

async function open(part, queue, group) {
  const [row, sample] = part.children, box = sample.firstChild, toggle = row.lastChild.querySelector("[aria-expanded]");
  sample.hidden = !sample.hidden;
  attribute(toggle, "aria-expanded", String(!sample.hidden));
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
  box.replaceChildren(list, ...(letter.problem ? [] : [payload, show, buttonsOfOne(queue, letter, () => {
    sample.hidden = true;
    attribute(toggle, "aria-expanded", "false");
    toggle.focus();
  })]));
}

function make(queue, group) {
  const sample = element("button", { class: "plain", "aria-expanded": "false" }, "Sample");
  attribute(sample, "aria-label", `Sample of ${called(group)}`);
  const acts = [["Replay", askReplay], ["Discard", askDiscard]].map(([word, act]) => button(word, `${word} ${called(group)}`, () => act(queue, newest.get(part))));
  const last = element("td", {}, ...(group.reason == null ? [] : [sample, ...acts]));
  const part = element("tbody", {}, element("tr", {}, element("td", { class: "right" }), element("td", { class: "wide" }), element("td", { class: "wide" }), last),
    element("tr", { class: "sample", hidden: "" }, element("td", { colspan: 4 })));
  sample.addEventListener("click", () => open(part, queue, group));
  return part;
}

function fill(part, group) {
  newest.set(part, group);
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
