// Stage: the recording, a thin mark around the followed face, and the reading of this instant beside it.

import { clockTime, css, fitCanvas, h, ink, mix, opacityOf, type } from './marks.js';
import { makeReading } from './reading.js';
import { boxAt } from './series.js';

const SPAN_S = 10;

export function makeStage(report, clock, media) {
  const { people, source } = report;
  const followed = { name: people.length ? people[0].name : '' };
  const stills = report.moments.filter((moment) => moment.still);
  const mode =
    media || report.media.url
      ? report.media.kind
      : stills.length
        ? 'stills'
        : source.kind === 'audio'
          ? 'audio'
          : 'none';
  const outlines = mode === 'none' && people.some((one) => one.boxes);
  const overlay = h('canvas', { class: 'stage-overlay', 'aria-hidden': 'true' });
  const still = mode === 'stills' || mode === 'image' ? h('img', { class: 'stage-picture', alt: '' }) : null;
  const frame = h(
    'div',
    { class: `stage-frame ${mode}` },
    media,
    still,
    overlay,
    report.media.note ? h('p', { class: 'stage-note', text: report.media.note }) : null,
  );
  const ratio = source.width && source.height && mode !== 'audio' ? source.width / source.height : 16 / 9;
  frame.style.setProperty('--ratio', String(ratio));
  const reading = makeReading(report, clock, () => people.find((one) => one.name === followed.name), follow);
  const transport = makeTransport(report, clock, media);
  const root = h(
    'section',
    { class: 'stage', 'aria-label': 'Recording and reading of this instant' },
    h('div', { class: 'stage-left' }, frame, transport.root),
    reading.root,
  );

  function follow(name) {
    followed.name = name;
    update(clock.now());
  }

  frame.addEventListener('click', (event) => {
    const area = frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    const hit = people.find((one) => {
      const box = boxAt(one.boxes, clock.now());
      return box && x >= box[0] && x <= box[0] + box[2] && y >= box[1] && y <= box[1] + box[3];
    });
    if (hit && people.length > 1 && hit.name !== followed.name) follow(hit.name);
    else if (source.kind !== 'image') clock.toggle();
  });

  function update(time) {
    if (still) showStill(time);
    drawOverlay(time);
    reading.update(time);
    transport.update(time);
  }

  function showStill(time) {
    const nearer = (best, one) => (Math.abs(one.time - time) < Math.abs(best.time - time) ? one : best);
    const wanted = mode === 'image' ? report.media.url : stills.reduce(nearer).still;
    if (still.src !== wanted) still.src = wanted;
  }

  function drawOverlay(time) {
    const [width, height] = [frame.clientWidth, frame.clientHeight];
    if (!width || !height) return;
    const pen = fitCanvas(overlay, width, height);
    if (mode === 'audio' || (mode === 'none' && !outlines)) return void drawVoices(pen, width, height, time);
    if (mode === 'stills') return;
    for (const person of people) {
      const box = boxAt(person.boxes, time);
      if (box)
        drawBox(
          pen,
          box.map((part, k) => part * (k % 2 ? height : width)),
          person,
        );
    }
  }

  // Corners rather than a full box: the face stays the thing to look at.
  function drawBox(pen, [x, y, w, t], person) {
    const mine = person.name === followed.name;
    const arm = Math.max(8, Math.min(w, t) * (mine ? 0.2 : 0.12));
    for (const [stroke, line] of [
      ['rgb(0 0 0 / 0.45)', mine ? 4 : 3],
      [mine ? '#fff' : 'rgb(255 255 255 / 0.75)', mine ? 2 : 1.2],
    ]) {
      pen.strokeStyle = stroke;
      pen.lineWidth = line;
      pen.beginPath();
      for (const [cx, cy, dx, dy] of [
        [x, y, 1, 1],
        [x + w, y, -1, 1],
        [x + w, y + t, -1, -1],
        [x, y + t, 1, -1],
      ]) {
        pen.moveTo(cx + dx * arm, cy);
        pen.lineTo(cx, cy);
        pen.lineTo(cx, cy + dy * arm);
      }
      pen.stroke();
    }
    if (people.filter((one) => one.boxes).length < 2) return;
    pen.font = type(12, 600);
    const text = person.title;
    const wide = pen.measureText(text).width + 12;
    const top = y + t + 26 < pen.canvas.clientHeight ? y + t + 6 : Math.max(0, y - 26);
    pen.fillStyle = mine ? 'rgb(255 255 255 / 0.95)' : 'rgb(0 0 0 / 0.6)';
    pen.fillRect(x, top, wide, 20);
    pen.fillStyle = mine ? '#111' : '#fff';
    pen.fillText(text, x + 6, top + 14);
  }

  // Voices on a band that runs through the middle, SPAN_S wide: now is in the centre.
  function drawVoices(pen, width, height, time) {
    const shown = people.filter((one) => one.turns.length);
    if (!shown.length) return;
    const row = Math.min(110, (height * 0.62) / shown.length);
    const top = (height - row * shown.length) / 2;
    const xOf = (t) => width / 2 + ((t - time) / SPAN_S) * width;
    pen.font = type(12, 600);
    shown.forEach((person, k) => {
      const y = top + k * row;
      for (const turn of person.turns) {
        if (xOf(turn.end) < 0 || xOf(turn.start) > width) continue;
        const colour = turn.category === null ? ink.faint : ink[report.categories[turn.category]];
        const speaking = time >= turn.start && time <= turn.end;
        pen.fillStyle = css(mix([14, 17, 22], colour, opacityOf(turn.certainty)), speaking ? 1 : 0.55);
        drawTurn(pen, turn, xOf, y + 6, row - 12);
      }
      if (shown.length > 1) {
        pen.fillStyle = '#c9d1db';
        pen.fillText(person.title, 12, y + row / 2 + 4);
      }
    });
    pen.fillStyle = 'rgb(255 255 255 / 0.9)';
    pen.fillRect(Math.round(width / 2) - 1, top - 14, 2, row * shown.length + 28);
  }

  // One bar per tenth of a second, as high as it was loud; a plain block where loudness is not known.
  function drawTurn(pen, turn, xOf, y, height) {
    const { step, values } = report.loudness || { step: SPAN_S, values: [] };
    pen.beginPath();
    if (!values.length) pen.roundRect(xOf(turn.start), y, Math.max(3, xOf(turn.end) - xOf(turn.start)), height, 5);
    const wide = Math.max(2, xOf(step) - xOf(0) - 2);
    for (let i = Math.ceil(turn.start / step); values.length && i * step < turn.end; i += 1) {
      const high = Math.max(3, ((values[i] || 0) / 100) * height);
      pen.roundRect(xOf(i * step), y + (height - high) / 2, wide, high, 2);
    }
    pen.fill();
  }

  new ResizeObserver(() => drawOverlay(clock.now())).observe(frame);
  clock.watch(update);
  return { root, redraw: () => update(clock.now()) };
}

function makeTransport(report, clock, media) {
  if (report.source.kind === 'image')
    return {
      root: h('p', { class: 'transport-note faint', text: 'An image: one instant, no timeline.' }),
      update: () => {},
    };
  const icon = h('span', { class: 'play-icon', 'aria-hidden': 'true' });
  const button = h('button', { class: 'play', type: 'button', 'aria-label': 'Play', onclick: clock.toggle }, icon);
  const time = h('output', { class: 'time', 'aria-label': 'Time' });
  const scrub = h('input', {
    type: 'range',
    min: '0',
    max: String(clock.duration),
    step: '0.01',
    value: '0',
    'aria-label': 'Position',
    oninput: () => clock.seek(Number(scrub.value)),
  });
  const speeds = [1, 0.5, 2];
  const speed = h('button', {
    class: 'quiet',
    type: 'button',
    'aria-label': 'Speed',
    text: '1×',
    onclick: () => {
      clock.setRate(speeds[(speeds.indexOf(clock.rate()) + 1) % speeds.length]);
      speed.textContent = `${clock.rate()}×`;
    },
  });
  const mute =
    media && report.media.sound
      ? h('button', {
          class: 'quiet',
          type: 'button',
          'aria-pressed': 'false',
          text: 'Sound on',
          onclick: () => {
            media.muted = !media.muted;
            mute.textContent = media.muted ? 'Sound off' : 'Sound on';
            mute.setAttribute('aria-pressed', String(media.muted));
          },
        })
      : null;
  const root = h('div', { class: 'transport' }, button, time, scrub, speed, mute);
  const update = (now) => {
    const playing = clock.playing();
    button.classList.toggle('playing', playing);
    button.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    time.textContent = `${clockTime(now)} / ${clockTime(clock.duration)}`;
    scrub.value = String(now);
    scrub.style.setProperty('--done', `${clock.duration ? (now / clock.duration) * 100 : 0}%`);
    scrub.setAttribute('aria-valuetext', clockTime(now));
  };
  return { root, update };
}
