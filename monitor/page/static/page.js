// The page: one view in, text out.

import { drawConsumers } from "./consumers.js";
import { drawControl } from "./control.js";
import { drawDepth, restyleDepth } from "./depth.js";
import { attribute, by, text } from "./dom.js";
import { bytes, padded, rate, seconds, whole } from "./format.js";
import { drawLetters } from "./letters.js";
import { drawLines, restyleLines } from "./lines.js";
import { drawList, move } from "./list.js";
import { drawShares } from "./shares.js";
import { Stream } from "./stream.js";
import { drawStrip, lostMoments } from "./strip.js";

const root = document.documentElement.dataset;
let latest = null, lease = "", isFrozen = false, lostSince = 0, receivedAt = 0;

const chosen = () => decodeURIComponent(location.hash.slice(1));
const address = () => `/events?${new URLSearchParams({ queue: chosen(), lease })}`;
const stream = new Stream(address, receive, () => lose("The monitor does not answer. It is tried again every 2 s."));

function receive(view) {
  receivedAt = performance.now();
  if (!view.trouble) lostSince = 0;
  if (view.at == null) {
    blank(view.trouble ? "error" : "loading", view.trouble ? "The server cannot be read" : "Reading the first snapshot…",
      view.trouble ? `${view.trouble.text}. The address comes from REDIS_URL. It is tried again every 2 seconds.` : "");
    connect(view.trouble ? "lost" : "waiting", view.trouble ? "disconnected" : "connecting");
    return;
  }
  latest = view;
  if (view.trouble) lose("The server does not answer. It is tried again every 2 s.", view.age);
  else connect("live", "live");
  draw();
}

function blank(page, title, words) {
  root.page = page;
  text("blank-title", title);
  text("blank-text", words);
}

function connect(state, words) {
  if (root.connection !== state) root.connection = state;
  text("connection", words);
  if (state !== "lost") text("notice-text", "");
}

// What is shown stays, with its age.
function lose(words, age) {
  if (!lostSince) lostSince = performance.now() - 1000 * (age ?? (performance.now() - receivedAt) / 1000);
  connect("lost", "disconnected");
  if (latest) text("notice-text", words);
  else blank("error", "The monitor does not answer", words);
  showAge();
}

function showAge() {
  text("notice-age", lostSince ? `What is below is ${seconds((performance.now() - lostSince) / 1000)} old.` : "");
}

function stateOf(queue) {
  if (queue.shut) return ["Shut down: puts are refused", "waiting"];
  if (queue.paused) return ["Paused: nothing is delivered", "waiting"];
  if (queue.waiting) return ["Full: puts wait", "waiting"];
  return queue.maxsize && queue.pending + queue.delayed >= queue.maxsize ? ["Full", ""] : ["", ""];
}

function drawNumbers(queue) {
  const [words, kind] = stateOf(queue), places = queue.maxsize ? whole(queue.maxsize).length : 3;
  document.title = `${queue.waiting ? `+${whole(queue.waiting)} ` : ""}${queue.name} · Weir`;
  text("name", queue.name);
  text("chosen", queue.name);
  text("state", words);
  attribute(by("state"), "class", `tag ${kind}`);
  text("pending", padded(queue.pending, places));
  text("bound", queue.maxsize ? `of ${whole(queue.maxsize)}` : "no bound");
  text("waiting", padded(queue.waiting, 3));
  text("behind", queue.waiting ? "behind the bound" : "");
  attribute(by("waiting-box"), "class", queue.waiting ? "big waiting" : "big");
  text("waited", queue.rates ? `${queue.rates.waited.toFixed(1)} s` : "–");
  text("delayed", whole(queue.delayed));
  text("at-limits", whole(queue.at_limits));
  text("leased", whole(queue.leased));
  text("oldest", queue.pending ? seconds(queue.oldest) : "–");
  for (const word of ["put", "acked", "nacked"]) text(word, rate(queue.rates?.[word]));
  for (const what of ["waits", "handling"]) ["p50", "p95", "p99"].forEach((share, at) => text(`${what}-${share}`, seconds(queue[what][at])));
}

function drawCharts(queue) {
  drawDepth(queue, lostMoments(latest.lease));
  drawLines("rates", queue.points, [{ column: 5, name: "ink", width: 1.5, dash: [4, 2] }, { column: 6, name: "inside", width: 2 }], rate, 10,
    `put ${rate(queue.rates?.put)}, acked ${rate(queue.rates?.acked)} a second`);
  drawLines("waits", queue.points, [{ column: 9, name: "muted", width: 1 }, { column: 8, name: "inside", width: 1.5 }, { column: 7, name: "inside", width: 2.5 }], seconds, 0.1,
    `p50 ${seconds(queue.waits[0])}, p95 ${seconds(queue.waits[1])}, p99 ${seconds(queue.waits[2])}`);
}

function drawServer(server) {
  const memory = bytes(server.memory_bytes) + (server.max_memory_bytes ? ` of ${bytes(server.max_memory_bytes)}` : "");
  const product = server.product[0].toUpperCase() + server.product.slice(1), role = server.role === "master" ? "primary" : "replica";
  text("server", `${product} ${server.version} · ${role} · ${memory} · ${(server.round_trip_seconds * 1000).toFixed(2)} ms`);
}

function drawLeases(view) {
  by("leases").hidden = !view.lease;
  if (!view.lease) return;
  const select = by("lease"), names = JSON.stringify(view.leases);
  if (select.dataset.names !== names) {
    select.dataset.names = names;
    select.replaceChildren(...view.leases.map(name => new Option(name, name)));
  }
  if (document.activeElement !== select) select.value = view.lease.name;
  drawStrip(view.lease, view.at);
}

function drawProblems(view) {
  const said = view.problems.map(each => `${each.name}: ${each.text}`);
  if (view.queue.overdue) said.push(`${whole(view.queue.overdue)} of ${whole(view.queue.deferred)} deferred messages are overdue: no clock runs, or they wait for room`);
  if (view.leases_left_out) said.push(`${whole(view.leases_left_out)} more leases are not shown`);
  text("problems", said.join("\n"));
}

function draw() {
  const { queue } = latest;
  if (!queue) {
    drawServer(latest.server);
    blank("empty", "No queue yet", "A queue appears with its first put. Try ./run demo in another terminal.");
    return;
  }
  root.page = "live";
  drawServer(latest.server);
  drawList(latest.queues, queue.name);
  drawNumbers(queue);
  drawControl(latest);
  drawCharts(queue);
  drawLeases(latest);
  drawConsumers(queue);
  drawShares(queue);
  drawLetters(queue, latest.at);
  drawProblems(latest);
}

function freeze() {
  isFrozen = !isFrozen;
  attribute(by("freeze"), "aria-pressed", String(isFrozen));
  text("freeze", isFrozen ? "Frozen" : "Freeze");
  lostSince = 0;
  connect(isFrozen ? "frozen" : "waiting", isFrozen ? "frozen here" : "connecting");
  stream.wanted = !isFrozen;
}

function restyle() {
  restyleDepth();
  restyleLines();
  if (latest?.queue) draw();
}

function remembered(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}
function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* a private window */ }
}

by("freeze").addEventListener("click", freeze);
by("filter").addEventListener("input", () => latest && drawList(latest.queues, latest.queue?.name));
by("lease").addEventListener("change", () => { lease = by("lease").value; by("lease").blur(); stream.open(); });
by("help").addEventListener("click", () => by("about").showModal());
by("keys").checked = remembered("weir-keys") !== "off";
by("keys").addEventListener("change", () => remember("weir-keys", by("keys").checked ? "on" : "off"));
by("theme").addEventListener("click", () => {
  const isDark = root.theme ? root.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.theme = isDark ? "light" : "dark";
  remember("weir-theme", root.theme);
  restyle();
});
document.addEventListener("keydown", event => {
  if (!by("keys").checked || event.target.closest("input, select, button, dialog, summary") || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = { "/": () => { by("disclosure").open = true; by("filter").focus(); }, j: () => move(1), k: () => move(-1), " ": freeze, "?": () => by("about").showModal() }[event.key];
  if (action) { event.preventDefault(); action(); }
});
addEventListener("hashchange", () => { if (isFrozen) freeze(); else stream.open(); if (innerWidth <= 1100) by("disclosure").open = false; });
// Also when a scroll bar comes.
new ResizeObserver(() => latest?.queue && root.page === "live" && draw()).observe(document.querySelector("main"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
setInterval(showAge, 1000);

if (remembered("weir-theme")) root.theme = remembered("weir-theme");
by("disclosure").open = innerWidth > 1100;
stream.open();
