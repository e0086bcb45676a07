// Numbers and times as text.

const FIGURE_SPACE = "\u2007";

export const whole = value => Math.round(value).toLocaleString("en-US");

// Padded on the right, so that what stands behind it does not move.
export const padded = (value, places) => whole(value).padEnd(places, FIGURE_SPACE);

export const rate = value => (value == null ? "–" : value < 10 ? value.toFixed(1) : whole(value));

export function seconds(value) {
  if (value == null) return "–";
  if (value > 0 && value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} d`;
}

export function bytes(value) {
  if (value < 1e3) return `${value} B`;
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"]]) if (value >= size) return `${(value / size).toFixed(1)} ${unit}`;
  return `${(value / 1e3).toFixed(1)} kB`;
}

// The next of 1, 2, 5, 10, 20, ...
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const step = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find(factor => factor * step >= value * 0.999999) * step;
}
