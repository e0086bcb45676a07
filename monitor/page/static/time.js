// The time axis that the depth chart and the lease strip share.

export const WINDOW = 60;
const GAP = 3;

export const isPhone = () => matchMedia("(max-width: 640px)").matches;
export const left = () => (isPhone() ? 72 : 84);
export const right = () => (isPhone() ? 62 : 96);

// Points as columns; where some are missing there is a gap, and no line across it.
export function columns(points, count) {
  const found = Array.from({ length: count }, () => []);
  let before = null;
  for (const point of points) {
    if (before !== null && point[0] - before > GAP) {
      found[0].push(before + 0.001);
      for (let at = 1; at < count; at++) found[at].push(null);
    }
    for (let at = 0; at < count; at++) found[at].push(point[at]);
    before = point[0];
  }
  return found;
}

export const ago = seconds => (seconds ? `−${seconds} s` : "now");
