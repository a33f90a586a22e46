// Paint: how each lane looks. A painter draws one person's lane into a frame { xOf, from, to, width, categories };
// times outside the frame cost nothing. Gaps stay gaps: a dotted line where nothing was measured.

import { CODES, css, ink, inkOn, mix, opacityOf, shade, type, valenceInk } from './marks.js';
import { strongest } from './series.js';

export const ROW = 9;
const CODE_FONT = () => type(11, 600);

export const PAINTERS = {
  fused: strip,
  face: strip,
  valence: curve,
  arousal: curve,
  voice: turns,
  words: said,
  weights,
};

function absent(pen, lane) {
  pen.fillStyle = css(ink.faint);
  pen.font = type(12);
  pen.fillText('nothing was measured', 8, lane.y + lane.height / 2 + 0.5);
}

function gapLine(pen, frame, lane) {
  const y = lane.y + lane.height / 2;
  pen.strokeStyle = css(ink.faint, 0.5);
  pen.setLineDash([1, 5]);
  line(pen, 0, y, frame.width, y);
  pen.setLineDash([]);
}

function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function hatch(pen, x, y, width, height) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.fillStyle = css(ink.wash);
  pen.fill();
  pen.strokeStyle = css(ink.faint, 0.55);
  for (let at = Math.floor((x - height) / 6) * 6; at < x + width; at += 6) line(pen, at, y + height, at + height, y);
  pen.restore();
}

function block(pen, x0, x1, y, height, category, alpha) {
  pen.fillStyle = shade(category, alpha);
  pen.fillRect(x0, y, x1 - x0, height);
}

function code(pen, x, width, y, height, category, alpha) {
  if (width < 22) return;
  pen.font = CODE_FONT();
  pen.fillStyle = css(inkOn(ink[category], alpha));
  pen.fillText(CODES[category], x + 5, y + height / 2 + 0.5);
}

// Runs of bins that look alike, from the first to the last bin in the frame, on whole pixels: paint(from x, to x, bin).
function eachRun(frame, series, alike, paint) {
  const last = Math.min(series.c.length - 1, Math.ceil((frame.to - series.start) / series.step));
  const edge = (i) => Math.round(frame.xOf(series.start + i * series.step));
  for (let i = Math.max(0, Math.floor((frame.from - series.start) / series.step)); i <= last;) {
    let j = i + 1;
    while (j <= last && alike(i, j)) j += 1;
    if (series.c[i] !== null) paint(edge(i), Math.max(edge(j), edge(i) + 1), i);
    i = j;
  }
}

// One colour per span, the strongest category; opacity is certainty; hatched where affekt abstains.
function strip(pen, frame, person, lane) {
  const series = person.series[lane.name];
  if (!series) return void absent(pen, lane);
  gapLine(pen, frame, lane);
  const silent = (i) => (series.x && series.x[i]) || series.p[0][i] === null;
  const top =
    series.top ||
    (series.top = series.c.map((c, i) =>
      c === null ? -2 : silent(i) ? -1 : strongest(series.p.map((row) => row[i])),
    ));
  if (lane.banded) return void bands(pen, frame, series, lane, top);
  const level = (i) => Math.round(series.c[i] / 8) * 8;
  eachRun(
    frame,
    series,
    (i, j) => top[i] === top[j] && level(i) === level(j),
    (x0, x1, i) => {
      if (top[i] === -1) hatch(pen, x0, lane.y, x1 - x0, lane.height);
      else block(pen, x0, x1, lane.y, lane.height, frame.categories[top[i]], opacityOf(level(i) / 100));
    },
  );
  eachRun(
    frame,
    series,
    (i, j) => top[i] === top[j],
    (x0, x1, i) => {
      const left = Math.max(0, x0);
      if (top[i] >= 0)
        code(
          pen,
          left,
          Math.min(x1, frame.width) - left,
          lane.y,
          lane.height,
          frame.categories[top[i]],
          opacityOf(level(i) / 100),
        );
    },
  );
}

// All seven categories, one thin row each; opacity is the probability.
function bands(pen, frame, series, lane, top) {
  eachRun(
    frame,
    series,
    (i, j) => top[i] === top[j],
    (x0, x1, i) => {
      pen.clearRect(x0, lane.y, x1 - x0, lane.height);
      if (top[i] === -1) hatch(pen, x0, lane.y, x1 - x0, lane.height);
    },
  );
  frame.categories.forEach((category, k) => {
    const row = series.p[k];
    const level = (i) => (row[i] === null ? 0 : Math.round(row[i] / 4) * 4);
    eachRun(
      frame,
      series,
      (i, j) => level(i) === level(j),
      (x0, x1, i) => {
        if (level(i)) block(pen, x0, x1, lane.y + k * ROW, ROW - 1, category, level(i) / 100);
      },
    );
  });
}

// A dimension in [-1, 1] with its 95 % ribbon. Valence takes the colour of its sign, arousal grows heavier as it rises.
function curve(pen, frame, person, lane) {
  const series = person.series.fused;
  const signed = lane.name === 'valence';
  const [middle, low, high] = (signed ? ['v', 'vl', 'vh'] : ['a', 'al', 'ah']).map((key) => series[key]);
  const yOf = (value) =>
    lane.y + lane.height / 2 - (Math.max(-100, Math.min(100, value)) / 100) * (lane.height / 2 - 2);
  pen.fillStyle = css(ink.wash);
  pen.fillRect(0, lane.y, frame.width, lane.height);
  pen.strokeStyle = css(ink.line);
  line(pen, 0, Math.round(yOf(0)) + 0.5, frame.width, Math.round(yOf(0)) + 0.5);
  for (const run of runsOf(frame, series, middle)) {
    if (low)
      ribbon(
        pen,
        run,
        (i) => yOf(high[i]),
        (i) => yOf(low[i]),
        css(signed ? ink.mid : ink.faint, 0.26),
      );
    pen.lineCap = pen.lineJoin = 'round';
    const level = (k) => Math.round((middle[run[k].i] + middle[run[k + 1].i]) / 20) / 10;
    for (let k = 0; k + 1 < run.length;) {
      const value = level(k);
      pen.strokeStyle = css(signed ? valenceInk(value) : mix(ink.faint, ink.ink, (value + 1) / 2));
      pen.lineWidth = signed ? 2.25 : 0.9 + 1.0 * (value + 1);
      pen.beginPath();
      pen.moveTo(run[k].x, yOf(middle[run[k].i]));
      for (; k + 1 < run.length && level(k) === value; k += 1) pen.lineTo(run[k + 1].x, yOf(middle[run[k + 1].i]));
      pen.stroke();
    }
    pen.lineCap = 'butt';
    pen.lineWidth = 1;
  }
}

// Unbroken stretches of a column as points { x, i } in the middle of each bin, reaching to the outer edges of the stretch.
function runsOf(frame, series, column) {
  const every = Math.max(1, Math.floor((frame.to - frame.from) / series.step / frame.width));
  const first = Math.max(0, Math.floor((frame.from - series.start) / series.step) - every);
  const last = Math.min(column.length - 1, Math.ceil((frame.to - series.start) / series.step) + every);
  const xAt = (bin) => frame.xOf(series.start + bin * series.step);
  const found = [];
  let run = null;
  for (let i = first - (first % every); i <= last; i += every) {
    if (column[i] === null) run = null;
    else {
      if (!run) found.push((run = [{ x: xAt(i), i }]));
      run.push({ x: xAt(i + every / 2), i });
      if (i + every > last || column[i + every] === null) run.push({ x: xAt(Math.min(i + every, column.length)), i });
    }
  }
  return found;
}

function ribbon(pen, run, upper, lower, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  for (const point of run) pen.lineTo(point.x, upper(point.i));
  for (const point of run.slice().reverse()) pen.lineTo(point.x, lower(point.i));
  pen.fill();
}

function turns(pen, frame, person, lane) {
  gapLine(pen, frame, lane);
  for (const turn of person.turns) {
    const [x0, x1] = ends(frame, turn);
    if (x1 < 0 || x0 > frame.width) continue;
    if (turn.category === null) hatch(pen, x0, lane.y, x1 - x0, lane.height);
    else {
      const [category, alpha] = [frame.categories[turn.category], opacityOf(turn.certainty)];
      block(pen, x0, x1, lane.y, lane.height, category, alpha);
      code(pen, Math.max(0, x0), x1 - Math.max(0, x0), lane.y, lane.height, category, alpha);
    }
  }
}

function ends(frame, span) {
  const x0 = Math.round(frame.xOf(span.start));
  return [x0, Math.max(x0 + 1, Math.round(frame.xOf(span.end)))];
}

function said(pen, frame, person, lane) {
  gapLine(pen, frame, lane);
  pen.font = type(12);
  for (const utterance of person.utterances) {
    const [x0, x1] = ends(frame, utterance);
    if (x1 < 0 || x0 > frame.width) continue;
    const left = Math.max(0, x0);
    pen.fillStyle = css(ink.wash);
    pen.fillRect(left, lane.y, x1 - left, lane.height);
    if (utterance.category !== null)
      block(
        pen,
        left,
        x1,
        lane.y + lane.height - 4,
        4,
        frame.categories[utterance.category],
        opacityOf(utterance.certainty),
      );
    if (x1 - left < 14) continue;
    pen.save();
    pen.beginPath();
    pen.rect(left, lane.y, x1 - left - 2, lane.height);
    pen.clip();
    pen.fillStyle = css(ink.ink);
    pen.fillText(utterance.text, left + 4, lane.y + lane.height / 2 - 1);
    pen.restore();
  }
}

// Which source weighed how much in the fused row: shares that fill the height.
function weights(pen, frame, person, lane) {
  const series = person.series.fused;
  const names = Object.keys(series.w);
  gapLine(pen, frame, lane);
  eachRun(
    frame,
    series,
    (i, j) => names.every((name) => Math.abs(series.w[name][i] - series.w[name][j]) < 3),
    (x0, x1, i) => {
      let y = lane.y;
      for (const name of names) {
        const height = ((series.w[name][i] || 0) / 100) * lane.height;
        pen.fillStyle = css(ink[`w-${name}`]);
        pen.fillRect(x0, y, x1 - x0, height);
        y += height;
      }
    },
  );
}

// The clock's ruler with the moments on it.
export function paintRuler(pen, frame, moments, label) {
  const step = tickStep((frame.to - frame.from) / Math.max(2, frame.width / 84));
  pen.font = type(11);
  pen.fillStyle = css(ink.faint);
  pen.strokeStyle = css(ink.line);
  for (let time = Math.ceil(frame.from / step - 1e-9) * step; time <= frame.to + 1e-9; time += step) {
    const x = Math.round(frame.xOf(time)) + 0.5;
    line(pen, x, 30, x, 35);
    const text = label(time + 1e-6, step < 1);
    const wide = pen.measureText(text).width;
    pen.fillText(text, Math.max(0, Math.min(frame.width - wide, x - wide / 2)), 27);
  }
  pen.font = type(10, 700);
  pen.textAlign = 'center';
  moments.forEach((moment, i) => {
    const x = Math.max(7.5, Math.min(frame.width - 7.5, frame.xOf(moment.time)));
    if (moment.time < frame.from || moment.time > frame.to) return;
    pen.fillStyle = css(ink.ink);
    pen.beginPath();
    pen.arc(x, 8, 7.5, 0, 7);
    pen.fill();
    pen.fillStyle = css(ink.surface);
    pen.fillText(String(i + 1), x, 11.5);
  });
  pen.textAlign = 'start';
}

function tickStep(least) {
  return [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((step) => step >= least) || 7200;
}

// The fused strips of all people on top of each other, for the player at the foot of the window.
export function paintStrips(pen, frame, people, height) {
  const own = height / people.length;
  people.forEach((person, k) => {
    if (person.series.fused) strip(pen, frame, person, { name: 'fused', y: k * own + 1, height: own - 2 });
  });
}

// Evidence: all but these boxes [x, y, width, height] steps back.
export function paintEvidence(pen, frame, height, boxes) {
  pen.beginPath();
  pen.rect(-1, -1, frame.width + 2, height + 2);
  boxes.forEach((box) => pen.rect(...box));
  pen.fillStyle = css(ink.surface, 0.8);
  pen.fill('evenodd');
  pen.strokeStyle = css(ink.ink);
  pen.lineWidth = 1.5;
  boxes.forEach(([x, y, w, t]) => pen.strokeRect(x - 0.75, y - 0.75, w + 1.5, t + 1.5));
  pen.lineWidth = 1;
}
