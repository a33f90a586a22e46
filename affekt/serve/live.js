// The live page: receives readings and frames, draws them, stops and starts the session.

import { begin } from './page.js';
import { Refused, ask, enter } from './entering.js';
import { SPAN_S, colours, drawAffect, drawShare, drawVoice } from './live_curves.js';

const STRONGEST = 5;
const LOST = 'The connection to affekt is lost. Is the command still running?';
const NOT_LET_IN = 'This page is not connected: open the link that affekt stream --page printed.';
const STATES = { starting: 'starting', live: 'live', saving: 'saving', stopped: 'stopped', ended: 'ended', failed: 'failed' };
const node = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)} %`;
const signed = (value) => (value === null || value === undefined ? '–' : `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`);
const nameOf = (person) => (/^\d+$/.test(String(person)) ? `person ${person}` : String(person));

let readings = [];
let standing = { state: 'connecting' };
let session = 0;
let size = null;
let bitmap = null;
let chosen = null;
let order = [];
let orderedAt = 0;
let isDrawing = false;

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const content = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return [content, buffer.byteLength > 4 + length ? new Blob([new Uint8Array(buffer, 4 + length)], { type: 'image/jpeg' }) : null];
}

async function take(buffer) {
  const [content, picture] = unpack(buffer);
  if (content.about) introduce(content.about);
  if (content.session !== session) {
    session = content.session;
    [readings, bitmap, chosen, order] = [[], null, null, []];
  }
  readings.push(...content.readings);
  const now = readings.at(-1)?.time_s ?? 0;
  readings = readings.filter((reading) => reading.time_s >= now - SPAN_S - 1);
  standing = content;
  size = content.size ?? size;
  if (picture) {
    const next = await createImageBitmap(picture).catch(() => null);
    if (next) {
      bitmap?.close();
      bitmap = next;
    }
  }
  draw();
}

function introduce(about) {
  node('title').textContent = about.title;
  document.title = `${about.title}: live`;
  // What stands between backticks is typed into a terminal.
  node('notice-line').replaceChildren(...about.notice_line.split('`').map((text, number) => {
    const part = document.createElement(number % 2 ? 'code' : 'span');
    part.textContent = text;
    return part;
  }));
  // Its lines are broken for a terminal; here only its paragraphs count.
  node('notice').textContent = about.notice.trim().split(/\n{2,}/).map((part) => part.replaceAll('\n', ' ')).join('\n\n');
  node('purpose').textContent = about.purpose ? ` Purpose: ${about.purpose}.` : '';
}

function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    const paint = colours();
    const now = readings.at(-1)?.time_s ?? 0;
    showState(now);
    showPeople();
    drawVideo(paint);
    drawFace(now, paint);
    drawSound(now, paint);
    document.documentElement.dataset.time = now.toFixed(2);
  });
}

function showState(now) {
  const state = node('state');
  const minutes = `${Math.floor(now / 60)}:${String(Math.floor(now % 60)).padStart(2, '0')}`;
  const words = STATES[standing.state] ?? standing.state;
  const text = standing.state === 'live' ? `${words} ${minutes}` : words;
  if (state.textContent !== text) state.textContent = text;
  // A clock that is read aloud every second would drown everything else.
  state.setAttribute('aria-live', standing.state === 'live' ? 'off' : 'polite');
  state.classList.toggle('live', standing.state === 'live');
  node('banner').hidden = !standing.message;
  if (node('banner').textContent !== (standing.message || '')) node('banner').textContent = standing.message || '';
  const turn = node('turn');
  if (turn.dataset.asked !== standing.state) delete turn.dataset.asked;
  turn.textContent = standing.state === 'stopped' ? 'Start' : 'Stop';
  turn.disabled = !['starting', 'live', 'stopped'].includes(standing.state) || turn.dataset.asked === standing.state;
  const waits = readings.map((reading) => reading.latency_s).filter((wait) => wait !== null).sort((a, b) => a - b);
  const quantile = (share) => (waits.length ? `${Math.round(1000 * waits[Math.min(waits.length - 1, Math.floor(share * waits.length))])} ms` : '–');
  node('p50').textContent = quantile(0.5);
  node('p95').textContent = quantile(0.95);
  for (const figure of ['frames', 'dropped', 'reconnects']) node(figure).textContent = standing[figure] ?? '–';
}

// Everybody of the last 30 seconds, in the order of their numbers.
function people() {
  const names = new Map();
  for (const reading of readings) for (const face of reading.faces) names.set(String(face.person), face.person);
  return [...names.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

function showPeople() {
  const names = people();
  const here = new Set((readings.at(-1)?.faces ?? []).map((face) => String(face.person)));
  if (chosen === null || !names.includes(chosen)) chosen = names.find((name) => here.has(name)) ?? names[0] ?? null;
  const group = node('people');
  const known = [...group.children].map((button) => button.dataset.person);
  if (known.join('\n') !== names.join('\n')) {
    group.replaceChildren(...names.map((name) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'quiet';
      button.dataset.person = name;
      button.textContent = nameOf(name);
      button.addEventListener('click', () => { chosen = name; order = []; draw(); });
      return button;
    }));
  }
  group.hidden = names.length < 2;
  for (const button of group.children) {
    button.ariaPressed = String(button.dataset.person === chosen);
    button.classList.toggle('away', !here.has(button.dataset.person));
  }
}

function drawVideo() {
  const canvas = node('video');
  node('no-video').hidden = Boolean(bitmap);
  canvas.hidden = !bitmap;
  if (!bitmap) {
    node('no-video').textContent = standing.state === 'starting' || standing.state === 'connecting' ? 'Waiting for the first frame' : 'No video';
    return;
  }
  const scale = devicePixelRatio || 1;
  const wide = Math.min(canvas.parentElement.clientWidth, innerHeight * (innerWidth > 600 ? 0.56 : 0.5) * (bitmap.width / bitmap.height));
  canvas.style.width = `${wide}px`;
  const [w, h] = [Math.round(wide * scale), Math.round((wide * scale * bitmap.height) / bitmap.width)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext('2d');
  pen.drawImage(bitmap, 0, 0, w, h);
  const faces = readings.at(-1)?.faces ?? [];
  canvas.setAttribute('aria-label', faces.length ? `Video with ${faces.map((face) => nameOf(face.person)).join(', ')}` : 'Video without a face');
  for (const face of faces) drawBox(pen, face, w / size[0], h / size[1], scale);
}

function strongest(face) {
  const [name, share] = Object.entries(face.expression ?? {}).filter(([, value]) => value !== null).sort((a, b) => b[1] - a[1])[0] ?? [];
  return name ? `${name} ${percent(share)}` : '';
}

function drawBox(pen, face, across, down, scale) {
  const [x, y, width, height] = [face.box[0] * across, face.box[1] * down, face.box[2] * across, face.box[3] * down];
  const isChosen = String(face.person) === chosen;
  for (const [colour, thick] of [['#0b0e12', 5], ['#ffffff', isChosen ? 2.5 : 1.5]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = thick * scale;
    pen.strokeRect(x, y, width, height);
  }
  const text = [nameOf(face.person), strongest(face)].filter(Boolean).join(' · ');
  pen.font = `600 ${13 * scale}px ${getComputedStyle(document.body).fontFamily}`;
  pen.textBaseline = 'middle';
  const [wide, high] = [pen.measureText(text).width + 14 * scale, 24 * scale];
  const left = Math.max(0, Math.min(x, pen.canvas.width - wide));
  const top = y - high >= 0 ? y - high : Math.min(y + height, pen.canvas.height - high);
  pen.fillStyle = '#0b0e12e0';
  pen.fillRect(left, top, wide, high);
  pen.fillStyle = '#ffffff';
  pen.fillText(text, left + 7 * scale, top + high / 2);
}

function drawFace(now, paint) {
  const points = [];
  for (const reading of readings) {
    const face = reading.faces.find((each) => String(each.person) === chosen);
    if (face) points.push({ time: reading.time_s, valence: face.valence, arousal: face.arousal, expression: face.expression ?? {} });
  }
  const last = points.at(-1);
  const isHere = last !== undefined && now - last.time < 1;
  node('affect-now').textContent = isHere ? `valence ${signed(last.valence)} · arousal ${signed(last.arousal)}` : chosen === null ? '–' : 'not in view';
  drawAffect(node('affect'), points, now, paint);
  node('affect').setAttribute('aria-label', last ? `Valence ${signed(last.valence)}, arousal ${signed(last.arousal)}` : 'Valence and arousal: no face yet');
  node('nobody').hidden = points.length > 0;
  showExpressions(points, now, isHere, paint);
}

// The order stays for a second, so that the rows can be read.
function strongestOf(points, now) {
  const names = Object.keys(points.at(-1)?.expression ?? {});
  if (order.length && now - orderedAt < 1 && now >= orderedAt && order.every((name) => names.includes(name))) return order;
  const sums = new Map(names.map((name) => [name, points.reduce((sum, point) => sum + (point.expression[name] ?? 0), 0)]));
  orderedAt = now;
  order = names.sort((a, b) => sums.get(b) - sums.get(a)).slice(0, STRONGEST);
  return order;
}

function showExpressions(points, now, isHere, paint) {
  const list = node('expressions');
  const names = strongestOf(points, now);
  while (list.children.length > names.length) list.lastChild.remove();
  while (list.children.length < names.length) {
    const row = document.createElement('li');
    row.append(...['span', 'canvas', 'span'].map((tag) => document.createElement(tag)));
    row.children[1].ariaHidden = 'true';
    row.children[2].className = 'share';
    list.append(row);
  }
  names.forEach((name, number) => {
    const [label, canvas, share] = list.children[number].children;
    label.textContent = name;
    const value = points.at(-1).expression[name];
    share.textContent = isHere && value !== null ? percent(value) : '–';
    const colour = paint.of(`c-${name}`) || paint.of('c-other');
    drawShare(canvas, points.map((point) => [point.time, point.expression[name] ?? null]), now, colour, paint);
  });
}

function drawSound(now, paint) {
  const heard = readings.filter((reading) => reading.voice);
  const voice = heard.at(-1)?.voice;
  const points = heard.map((reading) => ({ time: reading.time_s, speech: reading.voice.is_speech, level: reading.voice.level_db }));
  const emotion = Object.entries(voice?.emotion ?? {}).filter(([, share]) => share !== null).sort((a, b) => b[1] - a[1])[0];
  const words = voice ? [voice.is_speech ? 'speech' : 'no speech', voice.level_db === null ? '' : `${Math.round(voice.level_db)} dB`.replace('-', '−'),
    emotion ? `${emotion[0]} ${percent(emotion[1])}` : '', voice.valence === null ? '' : `valence ${signed(voice.valence)}`,
    voice.arousal === null ? '' : `arousal ${signed(voice.arousal)}`] : [readings.length ? 'no audio' : '–'];
  node('voice-now').textContent = words.filter(Boolean).join(' · ');
  drawVoice(node('voice'), points, now, paint);
  node('voice').setAttribute('aria-label', `Level of the audio: ${node('voice-now').textContent}`);
  const spoken = readings.findLast((reading) => reading.words)?.words ?? '';
  node('words').hidden = !spoken;
  node('words').textContent = spoken;
}

async function turn() {
  const button = node('turn');
  button.dataset.asked = standing.state;
  button.disabled = true;
  try {
    await ask(standing.state === 'stopped' ? '/api/start' : '/api/stop', {});
  } catch (error) {
    delete button.dataset.asked;
    complain(error);
  }
}

function complain(error) {
  node('banner').hidden = false;
  node('banner').textContent = error instanceof Refused ? error.message : LOST;
}

function connect() {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/live`);
  socket.binaryType = 'arraybuffer';
  // One after the other, so that no older frame comes after a newer one.
  let before = Promise.resolve();
  let wasOpen = false;
  socket.onopen = () => { wasOpen = true; };
  socket.onmessage = (event) => { before = before.then(() => take(event.data)); };
  socket.onclose = (event) => before.then(() => {
    if (['ended', 'failed'].includes(standing.state)) return;
    standing = { ...standing, state: 'not connected', message: event.reason || (wasOpen || readings.length ? LOST : NOT_LET_IN) };
    session = 0;
    draw();
    setTimeout(connect, 2000);
  });
}

async function open() {
  begin(document);
  node('theme').addEventListener('click', draw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  addEventListener('resize', draw);
  node('turn').addEventListener('click', turn);
  try {
    await enter();
    connect();
  } catch (error) {
    complain(error);
  }
}

open();
