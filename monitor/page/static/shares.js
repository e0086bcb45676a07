// The shares of a queue that have most: ten at most, by name, so that rows do not jump.

import { attribute, by, element, rows, text } from "./dom.js";
import { whole } from "./format.js";

const cell = (label, kind = "right") => element("td", { "data-label": label, class: kind });

const make = () => element("tr", {}, element("td", { class: "wide" }), cell("priority", "muted"), cell("pending"), cell("puts waiting"), cell("weight"));

function fill(row, one) {
  const [share, priority, pending, waiting, weight] = row.children;
  text(share, one.share ?? "no share");
  attribute(share, "title", one.share);
  text(priority, one.priority);
  text(pending, whole(one.pending));
  text(waiting, whole(one.waiting));
  attribute(waiting, "class", one.waiting ? "right waiting" : "right");
  text(weight, one.weight);
}

function said(queue) {
  const listed = queue.shares.length, seen = `${whole(queue.share_count)}${queue.shares_are_whole ? "" : " or more"}`;
  return queue.share_count > listed || !queue.shares_are_whole ? `${seen} have something waiting, ${listed} are listed` : `${seen} with something waiting`;
}

export function drawShares(queue) {
  by("shares-box").hidden = !queue.share_count;
  text("share-count", said(queue));
  rows(by("shares"), queue.shares, one => JSON.stringify([queue.name, one.share, one.priority]), make, fill);
}
