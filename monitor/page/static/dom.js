// The document: text nodes are updated, rows are kept, so that focus and selection stay where they are.

export const by = id => document.getElementById(id);

export function text(node, value) {
  const target = typeof node === "string" ? by(node) : node;
  if (target.textContent !== String(value)) target.textContent = value;
}

export function attribute(node, name, value) {
  if (value == null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) attribute(node, name, value);
  node.append(...children);
  return node;
}

const kept = new WeakMap();

// One child of `parent` for each item, in that order. `make` makes the child of a new key, `update` fills it.
export function rows(parent, items, key, make, update) {
  const before = kept.get(parent) ?? new Map(), now = new Map();
  let place = [...parent.children].find(child => "key" in child.dataset) ?? null;
  for (const item of items) {
    const name = key(item), node = before.get(name) ?? make(item);
    node.dataset.key = name;
    now.set(name, node);
    update(node, item);
    if (node === place) place = node.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const [name, node] of before) if (now.get(name) !== node) node.remove();
  kept.set(parent, now);
}

// Colours as a canvas takes them, of the theme that is shown.
export function colour(name) {
  const probe = by("probe") ?? document.body.appendChild(element("i", { id: "probe", hidden: "" }));
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

export function hatch() {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.fillStyle = colour("waiting-soft");
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = colour("waiting");
  pen.lineWidth = 2.4;
  for (const shift of [-8, 0, 8]) { pen.beginPath(); pen.moveTo(shift, 8); pen.lineTo(shift + 8, 0); pen.stroke(); }
  return pen.createPattern(tile, "repeat");
}
