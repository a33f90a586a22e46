// Curves over the last 30 seconds, drawn with the colours of the page as it is: light or dark.

export const SPAN_S = 30;
// A gap longer than this is a gap: nobody was seen, or the source was away.
const GAP_S = 1;

// A canvas as sharp as the screen; returns what draws in CSS pixels, empty, and its size.
export function sheet(canvas) {
  const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const font = getComputedStyle(document.body).fontFamily;
  return { of: (name) => style.getPropertyValue(`--${name}`).trim(), font: `12px ${font}` };
}

// Where times and values stand: the newest time at the right edge.
function frame(box, now, low, high) {
  return {
    x: (time) => box.left + (1 - (now - time) / SPAN_S) * (box.right - box.left),
    y: (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top),
  };
}

// Points [time, value] in pieces without gaps; null parts too.
function pieces(points) {
  const parts = [];
  let before = null;
  for (const point of points) {
    if (point[1] === null) { before = null; continue; }
    if (before === null || point[0] - before > GAP_S) parts.push([]);
    parts.at(-1).push(point);
    before = point[0];
  }
  return parts;
}

function trace(pen, part, at) {
  part.forEach(([time, value], number) => pen[number ? 'lineTo' : 'moveTo'](at.x(time), at.y(value)));
}

function line(pen, points, at, colour, dash = []) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.lineJoin = 'round';
  pen.setLineDash(dash);
  pen.beginPath();
  for (const part of pieces(points)) trace(pen, part, at);
  pen.stroke();
  pen.setLineDash([]);
}

function grid(pen, box, at, paint, ticks, label) {
  pen.font = paint.font;
  pen.lineWidth = 1;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  for (const tick of ticks) {
    const y = Math.round(at.y(tick)) + 0.5;
    pen.strokeStyle = paint.of('line');
    pen.beginPath();
    pen.moveTo(box.left, y);
    pen.lineTo(box.right, y);
    pen.stroke();
    pen.fillStyle = paint.of('faint');
    pen.fillText(label(tick), box.left - 6, y);
  }
}

function clock(pen, box, at, paint, now) {
  pen.font = paint.font;
  pen.textBaseline = 'bottom';
  pen.fillStyle = paint.of('faint');
  for (const [back, words, align] of [[SPAN_S, '−30 s', 'left'], [20, '−20', 'center'], [10, '−10', 'center'], [0, 'now', 'right']]) {
    pen.textAlign = align;
    pen.fillText(words, at.x(now - back), box.bottom + 18);
  }
}

const signed = (value) => (value > 0 ? `+${value}` : String(value).replace('-', '−'));

export function drawAffect(canvas, points, now, paint) {
  const { pen, width, height } = sheet(canvas);
  const box = { left: 26, right: width - 2, top: 8, bottom: height - 22 };
  const at = frame(box, now, -1, 1);
  grid(pen, box, at, paint, [-1, 0, 1], signed);
  clock(pen, box, at, paint, now);
  pen.save();
  pen.beginPath();
  pen.rect(box.left, 0, box.right - box.left, box.bottom + 4);
  pen.clip();
  line(pen, points.map((p) => [p.time, p.valence]), at, paint.of('low'));
  line(pen, points.map((p) => [p.time, p.arousal]), at, paint.of('high'), [6, 4]);
  pen.restore();
}

// Times from the beginning of speech to its end.
function stretches(points) {
  const parts = [];
  let before = null;
  for (const point of points) {
    const goesOn = before?.speech && point.time - before.time <= GAP_S;
    if (goesOn) parts.at(-1)[1] = point.time;
    else if (point.speech) parts.push([point.time, point.time]);
    before = point;
  }
  return parts;
}

export function drawVoice(canvas, points, now, paint) {
  const { pen, width, height } = sheet(canvas);
  const box = { left: 34, right: width - 2, top: 8, bottom: height - 22 };
  const at = frame(box, now, -60, 0);
  pen.save();
  pen.beginPath();
  pen.rect(box.left, 0, box.right - box.left, height);
  pen.clip();
  pen.fillStyle = paint.of('low');
  pen.globalAlpha = 0.18;
  for (const [from, until] of stretches(points)) {
    pen.fillRect(at.x(from), box.top, Math.max(1, at.x(until) - at.x(from)), box.bottom - box.top);
  }
  pen.restore();
  grid(pen, box, at, paint, [-60, -30, 0], (tick) => String(tick).replace('-', '−'));
  clock(pen, box, at, paint, now);
  pen.save();
  pen.beginPath();
  pen.rect(box.left, 0, box.right - box.left, box.bottom + 2);
  pen.clip();
  line(pen, points.map((p) => [p.time, p.level === null ? null : Math.max(-60, Math.min(0, p.level))]), at, paint.of('low'));
  pen.restore();
}

// A share over time as an area from 0 to 1.
export function drawShare(canvas, points, now, colour, paint) {
  const { pen, width, height } = sheet(canvas);
  const box = { left: 0, right: width, top: 3, bottom: height - 3 };
  const at = frame(box, now, 0, 1);
  pen.strokeStyle = paint.of('line');
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, box.bottom + 0.5);
  pen.lineTo(width, box.bottom + 0.5);
  pen.stroke();
  for (const part of pieces(points)) {
    pen.beginPath();
    trace(pen, part, at);
    pen.lineTo(at.x(part.at(-1)[0]), box.bottom);
    pen.lineTo(at.x(part[0][0]), box.bottom);
    pen.closePath();
    pen.globalAlpha = 0.35;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }
  line(pen, points, at, colour);
}
