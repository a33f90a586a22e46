// Series: what was read at an instant. A series samples one source of one person on an even grid of `step` seconds;
// null is a gap (nothing measured), never a neutral reading.

export function indexAt(series, time) {
  const i = Math.floor((time - series.start) / series.step);
  return i >= 0 && i < series.c.length && series.c[i] !== null ? i : -1;
}

// Everything that one source says at an instant, in natural units; null where it says nothing.
export function readingAt(series, time) {
  if (!series) return null;
  const i = indexAt(series, time);
  if (i < 0) return null;
  const at = (column) => (series[column] && series[column][i] !== null ? series[column][i] / 100 : null);
  const weights = {};
  for (const [source, values] of Object.entries(series.w || {}))
    if (values[i] !== null) weights[source] = values[i] / 100;
  return {
    categories: series.p[0][i] === null ? null : series.p.map((row) => row[i] / 100),
    certainty: series.c[i] / 100,
    abstains: Boolean(series.x && series.x[i]),
    valence: at('v'),
    valenceLow: at('vl'),
    valenceHigh: at('vh'),
    arousal: at('a'),
    arousalLow: at('al'),
    arousalHigh: at('ah'),
    weights,
  };
}

export function strongest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i] > values[best]) best = i;
  return best;
}

// The span that holds a time in a list sorted by start; null between spans.
export function spanAt(spans, time) {
  let low = 0;
  let high = spans.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (spans[middle].start > time) high = middle - 1;
    else if (spans[middle].end < time) low = middle + 1;
    else return spans[middle];
  }
  return null;
}

// The face box at a time, [x, y, w, h] as shares of the frame, moved evenly between two readings; null where unseen.
export function boxAt(boxes, time) {
  if (!boxes || !boxes.t.length) return null;
  let low = 0;
  let high = boxes.t.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (boxes.t[middle] / 1000 <= time) low = middle;
    else high = middle - 1;
  }
  const [before, after] = [boxes.t[low] / 1000, boxes.t[low + 1] / 1000];
  if (time < before - boxes.gap || (!(after - before <= boxes.gap) && time - before > boxes.gap)) return null;
  const share = after - before <= boxes.gap ? Math.max(0, (time - before) / (after - before)) : 0;
  const part = (k) => boxes.b[low * 4 + k] + (share ? (boxes.b[low * 4 + 4 + k] - boxes.b[low * 4 + k]) * share : 0);
  return [0, 1, 2, 3].map((k) => part(k) / 1000);
}
