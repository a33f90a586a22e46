// The checkers' page: a clip, its labels and its sentences; every mark is sent at once and stands when it is stored.

import { Refused, ask, enter } from './entering.js';
import { makePlayer } from './player.js';
import { keep, makeId, send, unsent } from './sending.js';

const NAME = 'affekt checker';
const NEXT = { '': 'accept', accept: 'strike', strike: 'clear', add: 'clear' };
const WORDS = { accept: 'accepted', strike: 'struck', clear: 'without a mark', add: 'added' };
const VERDICTS = { kept: 'Done.', struck: 'The clip is struck.', skipped: 'Skipped.' };
const one = (id) => document.getElementById(id);
const player = makePlayer(() => {});
let rater = '';
let screen = null;
let begun = 0;
let waiting = 0; // requests without an answer yet
let queue = Promise.resolve(); // marks are sent one after the other, in the order in which they were made

function show(section) {
  for (const id of ['enter', 'work', 'done']) one(id).hidden = id !== section;
  one('help').hidden = section !== 'work';
  document.documentElement.dataset.section = section;
}

function warn(text) {
  one('banner').textContent = text;
  one('banner').hidden = !text;
}

function say(text) {
  one('said').textContent = text;
}

function element(tag, attributes, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...inside);
  return node;
}

function drawLabels() {
  one('labels').replaceChildren(...screen.labels.map(({ label, mark }, at) => {
    const yes = element('button', { type: 'button', class: 'yes', 'aria-label': `Accept ${label}`, 'aria-pressed': mark === 'accept' || mark === 'add' }, '✓');
    const no = element('button', { type: 'button', class: 'no', 'aria-label': mark === 'add' ? `Remove ${label}` : `Strike ${label}`, 'aria-pressed': mark === 'strike' }, '✗');
    yes.addEventListener('click', () => (mark === 'add' ? null : markLabel(label, mark === 'accept' ? 'clear' : 'accept')));
    no.addEventListener('click', () => markLabel(label, mark === 'strike' || mark === 'add' ? 'clear' : 'strike'));
    const number = element('span', { class: 'number', 'aria-hidden': 'true' }, at < 9 ? String(at + 1) : '');
    return element('li', { class: `chip ${mark}` }, number, element('span', { class: 'word' }, label), yes, no);
  }));
  if (!screen.labels.length) one('labels').append(element('li', { class: 'none' }, 'No label. Add one, if the clip shows an emotion.'));
}

function drawSentences() {
  const focused = [...document.querySelectorAll('.sentence')].indexOf(document.activeElement);
  one('sentences').replaceChildren(...screen.sentences.map(({ text, struck }, at) => {
    const line = element('button', { type: 'button', class: 'sentence', 'aria-pressed': struck }, text);
    line.addEventListener('click', () => markSentence(at));
    return element('li', {}, line);
  }));
  if (!screen.sentences.length) one('sentences').append(element('li', { class: 'none' }, 'There is no description.'));
  if (focused >= 0) [...document.querySelectorAll('.sentence')][focused]?.focus();
}

function draw(next) {
  const isAnother = !screen || screen.at !== next.at;
  screen = next;
  one('who').textContent = rater;
  one('progress').textContent = `${next.done} of ${next.of} done`;
  document.documentElement.dataset.at = String(next.at);
  if (next.at < 0) {
    player.stop();
    show('done');
    one('done-head').focus();
    return;
  }
  drawLabels();
  drawSentences();
  if (!isAnother) return;
  one('subtitle').hidden = !next.subtitle;
  one('subtitle').textContent = next.subtitle ? `“${next.subtitle}”` : '';
  one('label').value = '';
  one('before').disabled = next.at === 0;
  one('after').disabled = next.at === next.of - 1;
  player.show(next.clip);
  show('work');
  begun = performance.now();
  window.scrollTo(0, 0);
  one('question').focus({ preventScroll: true });
}

// Sent in the order of the clicks; the page then shows what the server has stored.
function deliver(path, body, words) {
  waiting += 1;
  keep(body.rater, path, body);
  document.documentElement.dataset.saved = 'no';
  queue = queue.then(async () => {
    try {
      const answer = await send(body.rater, path, body, (error) => warn(whyUnsaved(error)));
      warn('');
      say(words);
      if (waiting === 1) draw(answer);
    } catch (error) {
      await recover(error.message);
    } finally {
      waiting -= 1;
      if (!waiting) document.documentElement.dataset.saved = 'yes';
    }
  });
  return queue;
}

function whyUnsaved(error) {
  if (error.status === 403) return 'Your mark is kept here, but the server no longer knows this page. Open the link that you were given again.';
  if (error.status === 503) return 'Not saved yet: the disk of the server is full, or cannot be written. Your mark is kept here and sent again. Please tell whoever gave you the link.';
  return 'Not saved yet: the server does not answer. Your mark is kept here and sent again.';
}

async function recover(why) {
  try {
    const at = screen ? screen.at : -1;
    screen = null;
    draw(at < 0 ? await ask('/api/join', { rater }) : await ask('/api/open', { rater, at }));
    warn(why);
  } catch (error) {
    warn(error instanceof Refused ? error.message : 'The server does not answer. Trying again.');
    if (!(error instanceof Refused)) setTimeout(() => recover(why), 1500);
  }
}

function markLabel(label, mark) {
  const known = screen.labels.find((each) => each.label === label);
  if (known) known.mark = mark === 'clear' ? '' : mark; // shown at once, confirmed by the answer
  if (known) drawLabels();
  deliver('/api/mark', { id: makeId(), rater, at: screen.at, mark, label }, `${label}: ${WORDS[mark]}. Saved.`);
}

function markSentence(at) {
  const sentence = screen.sentences[at];
  sentence.struck = !sentence.struck;
  drawSentences();
  deliver('/api/mark', { id: makeId(), rater, at: screen.at, mark: sentence.struck ? 'strike' : 'clear', sentence: at }, `Sentence ${at + 1}: ${sentence.struck ? 'struck' : 'kept'}. Saved.`);
}

function finish(verdict) {
  if (!screen || screen.at < 0) return;
  const seconds = (performance.now() - begun) / 1000;
  const { at } = screen;
  begun = performance.now();
  deliver('/api/check', { id: makeId(), rater, at, verdict, seconds }, VERDICTS[verdict]);
}

function go(at) {
  if (!screen || at < 0 || at >= screen.of) return;
  queue = queue.then(async () => {
    try {
      draw(await ask('/api/open', { rater, at }));
      warn('');
    } catch (error) {
      warn(error instanceof Refused ? error.message : 'The server does not answer.');
    }
  });
}

function choose(step) {
  const lines = [...document.querySelectorAll('.sentence')];
  if (!lines.length) return;
  const at = lines.indexOf(document.activeElement);
  lines[at < 0 ? (step > 0 ? 0 : lines.length - 1) : Math.min(lines.length - 1, Math.max(0, at + step))].focus();
}

async function join(name) {
  rater = name.trim().replace(/\s+/g, ' ');
  const kept = unsent(rater);
  screen = null;
  const next = await ask('/api/join', { rater });
  try { localStorage.setItem(NAME, rater); } catch { /* asked again next time */ }
  draw(next);
  // All are queued at once: a mark that is made meanwhile is newer than each of them.
  await Promise.all(kept.map(([path, body]) => deliver(path, body, 'Saved.')));
}

async function begin() {
  try {
    await enter();
    const name = localStorage.getItem(NAME);
    if (name) await join(name);
    else show('enter');
  } catch (error) {
    const isForGood = error instanceof Refused && error.status !== 503;
    if (isForGood) warn(error.status === 403 ? 'Open the link that you were given; this one is not valid.' : error.message);
    else {
      warn('The server does not answer. Trying again.');
      setTimeout(begin, 1500);
    }
    if (isForGood && error.status !== 403) show('enter');
  }
  document.documentElement.dataset.ready = 'yes';
}

one('join').addEventListener('submit', (event) => {
  event.preventDefault();
  join(one('name').value).catch((error) => warn(error.message));
});
one('adding').addEventListener('submit', (event) => {
  event.preventDefault();
  const label = one('label').value.trim().toLowerCase().replace(/\s+/g, ' ');
  if (!label) return;
  one('label').value = '';
  one('label').blur();
  markLabel(label, 'add');
});
document.querySelectorAll('[data-verdict]').forEach((button) => button.addEventListener('click', () => finish(button.dataset.verdict)));
one('before').addEventListener('click', () => go(screen.at - 1));
one('after').addEventListener('click', () => go(screen.at + 1));
one('done-back').addEventListener('click', () => go(screen.of - 1));
one('done-other').addEventListener('click', () => {
  localStorage.removeItem(NAME);
  one('name').value = '';
  show('enter');
  one('name').focus();
});
one('help').addEventListener('click', () => one('keys').showModal());
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || one('work').hidden || one('keys').open) return;
  if (event.target.matches('#label')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  if (event.target.matches('input, select') && event.key.startsWith('Arrow')) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isControl = event.target.matches('input, select, button');
  const label = /^[1-9]$/.test(key) ? screen.labels[Number(key) - 1] : null;
  const sentence = [...document.querySelectorAll('.sentence')].indexOf(document.activeElement);
  const acts = {
    ' ': isControl ? null : player.toggle, r: player.replay, ',': () => player.faster(-1), '.': () => player.faster(1),
    Enter: isControl && !event.target.matches('.sentence') ? null : () => finish('kept'), d: () => finish('struck'), s: () => finish('skipped'),
    ArrowLeft: () => go(screen.at - 1), ArrowRight: () => go(screen.at + 1),
    ArrowUp: () => choose(-1), ArrowDown: () => choose(1), x: sentence < 0 ? null : () => markSentence(sentence),
    a: () => one('label').focus(), '?': () => one('keys').showModal(),
  };
  const act = label ? () => markLabel(label.label, NEXT[label.mark]) : acts[key];
  if (!act || event.repeat) return;
  event.preventDefault();
  act();
});
window.addEventListener('hashchange', begin);
begin();
