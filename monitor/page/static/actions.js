// What may be changed: asked for in a dialog, sent with the password, which nothing but a variable of this page keeps.

import { by, element, text } from "./dom.js";
import { whole } from "./format.js";

const MANY = 100; // so many letters are discarded without typing how many
const WHY = { no_room: "the queue is full", shut_down: "the queue is shut down", unreadable: "they cannot be read" };

const letters = count => `${whole(count)} dead letter${count === 1 ? "" : "s"}`;
const OUTCOMES = {
  pause: queue => `${queue} is paused.`,
  resume: queue => `${queue} delivers again.`,
  resize: (queue, _, { maxsize }) => (maxsize ? `${queue} takes ${whole(maxsize)} pending messages at most.` : `${queue} has no bound.`),
  drain: (queue, { consumers }) => (consumers ? `${whole(consumers)} consumer${consumers === 1 ? "" : "s"} of ${queue} will drain.` : `${queue} has no such consumer any more.`),
  replay: (queue, { replayed, stayed, why }) => `${letters(replayed)} went back into ${queue}${stayed ? `, ${whole(stayed)} stayed: ${WHY[why] ?? why}` : ""}.`,
  discard: (queue, { discarded }) => `${letters(discarded)} of ${queue} deleted.`,
};

let credentials = ""; // of HTTP's Basic authorization
let current = null; // what the open dialog asks for

function coded(name, password) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(`${name.replaceAll(":", " ")}:${password}`)));
}

async function post(action, asked) {
  try {
    const answer = await fetch(`/actions/${action}`, {
      method: "POST", headers: { "Content-Type": "application/json", Authorization: `Basic ${credentials}` }, body: JSON.stringify(asked), credentials: "omit",
    });
    return { status: answer.status, found: await answer.json() };
  } catch {
    return { status: 0, found: { problem: "The monitor does not answer. Look at the numbers before you try it again." } };
  }
}

function showPassword(is) {
  by("act-who").hidden = !is;
  by("act-password").required = is;
}

// `count`: letters that are to be discarded; `bound`: that is to be changed; `done` takes what became of it. Where nothing is to be typed, Keep has the focus.
export function ask(action, asked, { title, words, verb, count = 0, bound = null, done = () => {} }) {
  current = { action, asked, done, isResize: bound != null, isBusy: false };
  text("act-title", title);
  text("act-text", words);
  text("act-do", verb);
  text("act-problem", "");
  by("act-do").disabled = false;
  showPassword(!credentials);
  by("act-bound-box").hidden = bound == null;
  by("act-bound").required = bound != null;
  by("act-bound").value = bound ?? "";
  by("act-count-box").hidden = by("act-count").disabled = count <= MANY;
  text("act-count-word", `Type ${count} to discard them`);
  by("act-count").value = "";
  by("act-count").pattern = String(count);
  by("act").showModal();
  const field = [...by("act").querySelectorAll("input")].find(each => each.offsetParent && !each.value && each.required);
  (field ?? (bound == null ? by("act-keep") : by("act-bound"))).focus();
}

async function submit(event) {
  event.preventDefault();
  const mine = current;
  if (mine.isBusy) return;
  if (!by("act-who").hidden) credentials = coded(by("act-name").value.trim(), by("act-password").value);
  const asked = mine.isResize ? { ...mine.asked, maxsize: Number(by("act-bound").value) } : mine.asked;
  mine.isBusy = by("act-do").disabled = true;
  text("act-problem", "");
  const { status, found } = await post(mine.action, asked);
  if (status === 401) credentials = "";
  if (status === 200) {
    by("act-password").value = "";
    text("outcome", OUTCOMES[mine.action](asked.queue, found, asked));
  }
  if (mine !== current) { // the reader has closed it meanwhile, and hears all the same
    if (status !== 200) text("outcome", found.problem);
    return;
  }
  mine.isBusy = by("act-do").disabled = false;
  if (status === 200) {
    by("act").close();
    return mine.done(found);
  }
  text("act-problem", found.problem);
  if (status === 401) {
    showPassword(true);
    by("act-password").select();
  } else by("act-keep").focus();
}

export function button(word, label, act, kind = "plain act") {
  const made = element("button", { class: kind, "aria-label": label }, word);
  made.addEventListener("click", act);
  return made;
}

by("act-form").addEventListener("submit", submit);
by("act-keep").addEventListener("click", () => by("act").close());
by("act").addEventListener("close", () => { current = null; by("act-password").value = ""; });
