// The raters' page: asks for a name, shows a clip and two texts, sends a choice, shows the next.

import { Refused, ask, enter } from './entering.js';
import { makePlayer } from './player.js';
import { makeId, send, unsent } from './sending.js';

const NAME = 'affekt rater';
const KEYS = { ArrowLeft: 'left', 1: 'left', t: 'tie', 2: 'tie', ArrowRight: 'right', 3: 'right', s: 'skip' };
const WORDS = { left: 'Left', right: 'Right', tie: 'Tie', skip: 'Skipped' };
// A second click or key within this time was meant for the question before; a double click takes at most half a second.
const REST_MS = 500;
const one = (id) => document.getElementById(id);
const player = makePlayer(() => allow());
const pressed = new Set(); // keys that are down
let rater = '';
let screen = null;
let begun = 0;
let isBusy = true;
let isResting = false;
let rest = 0;
let pressedOn = ''; // the question that a finger or mouse button went down on

function show(section) {
  for (const id of ['enter', 'work', 'done']) one(id).hidden = id !== section;
  one('help').hidden = section !== 'work';
  document.documentElement.dataset.section = section;
}

function warn(text) {
  one('banner').textContent = text;
  one('banner').hidden = !text;
}

// Choices are open when the question has stood for a while and its clip can be seen or heard; skip does not wait for the clip.
function allow() {
  const isOpen = !isBusy && !isResting && Boolean(screen && screen.shown);
  const canJudge = player.state === 'ready';
  for (const choice of ['left', 'tie', 'right']) one(`choose-${choice}`).disabled = isBusy || !canJudge;
  one('choose-skip').disabled = isBusy;
  one('undo').disabled = isBusy || !screen || !screen.can_undo;
  document.documentElement.dataset.open = isOpen && canJudge ? screen.shown : '';
  document.documentElement.dataset.skippable = isOpen ? screen.shown : '';
  document.documentElement.dataset.clip = player.state;
  return { skip: isOpen, judge: isOpen && canJudge };
}

function settle() {
  isResting = true;
  clearTimeout(rest);
  rest = setTimeout(() => { isResting = false; allow(); }, REST_MS);
}

function draw(next) {
  screen = next;
  isBusy = false;
  settle();
  warn('');
  one('who').textContent = rater;
  const isTest = next.status === 'in the test';
  one('progress').textContent = next.shown ? `${isTest ? 'Test: ' : ''}${next.answered} of ${next.of} done` : '';
  one('progress').title = isTest ? next.message || '' : '';
  document.querySelectorAll('.chosen').forEach((node) => node.classList.remove('chosen'));
  document.documentElement.dataset.shown = next.shown || '';
  if (!next.shown) return finish(next);
  one('left-text').textContent = next.left;
  one('right-text').textContent = next.right;
  player.show(next.clip);
  show('work');
  for (const id of ['left-card', 'right-card']) {
    const card = one(id);
    card.scrollTop = 0;
    // A text that does not fit can be reached and scrolled by keyboard.
    if (card.scrollHeight > card.clientHeight + 1) card.tabIndex = 0;
    else card.removeAttribute('tabindex');
  }
  allow();
  begun = performance.now();
  window.scrollTo(0, 0);
  one('question').focus({ preventScroll: true });
}

function finish(next) {
  player.stop();
  const isRefused = next.status === 'not admitted';
  one('done-head').textContent = isRefused ? 'Thank you for taking the test.' : 'All done. Thank you.';
  one('done-text').textContent = isRefused
    ? `You answered ${next.right_in_test} test items correctly, which is fewer than this study requires. ${next.message || 'There is nothing more to do.'}`
    : 'There is nothing left for you to judge. You may close this page.';
  one('done-undo').hidden = !next.can_undo;
  allow();
  show('done');
  one('done-head').focus();
}

async function choose(choice) {
  const open = allow();
  if (!(choice === 'skip' ? open.skip : open.judge)) return;
  const seconds = (performance.now() - begun) / 1000;
  mark(choice);
  const isSaved = await deliver('/api/vote', { id: makeId(), rater, shown: screen.shown, choice, seconds, ...player.played() });
  if (isSaved) one('said').textContent = `${WORDS[choice]}. Saved.`;
}

async function undo() {
  if (isBusy || isResting || !screen || !screen.can_undo) return;
  const isSaved = await deliver('/api/undo', { id: makeId(), rater });
  if (isSaved) one('said').textContent = 'The last choice is taken back.';
}

function mark(choice) {
  one(`choose-${choice}`).classList.add('chosen');
  if (choice === 'left' || choice === 'right') one(`${choice}-card`).classList.add('chosen');
}

// Whether the server has stored it; what it refused is not sent again.
async function deliver(path, body) {
  isBusy = true;
  allow();
  try {
    draw(await send(rater, path, body, (error) => warn(whyUnsaved(error))));
    return true;
  } catch (error) {
    await recover(error.message);
    return false;
  }
}

function whyUnsaved(error) {
  if (error.status === 403) return 'Your choice is kept here, but the server no longer knows this page. Open the link that you were given again.';
  if (error.status === 503) return 'Not saved yet: the disk of the server is full, or cannot be written. Your choice is kept here and sent again. Please tell whoever gave you the link.';
  return 'Not saved yet: the server does not answer. Your choice is kept here and sent again.';
}

// What the server refused is discarded; it answers with the rater's current question.
async function recover(why) {
  try {
    draw(await ask('/api/join', { rater }));
    warn(why);
  } catch (error) {
    warn(error instanceof Refused ? error.message : 'The server does not answer. Trying again.');
    setTimeout(() => recover(why), 1500);
  }
}

async function join(name) {
  rater = name.trim().replace(/\s+/g, ' ');
  const held = unsent(rater);
  const next = await ask('/api/join', { rater });
  try { localStorage.setItem(NAME, rater); } catch { /* asked again next time */ }
  draw(next);
  for (const [path, body] of held) await deliver(path, body);
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
      warn(error instanceof Refused ? 'The disk of the server is full, or cannot be written. Trying again.' : 'The server does not answer. Trying again.');
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
// A press that began on the question before does not choose on this one, however late it is released.
document.addEventListener('pointerdown', () => { pressedOn = allow().skip ? screen.shown : ''; }, true);
document.querySelectorAll('[data-choice]').forEach((button) => button.addEventListener('click', (event) => {
  if (event.detail === 0 || (screen && pressedOn === screen.shown)) choose(button.dataset.choice);
}));
one('undo').addEventListener('click', undo);
one('done-undo').addEventListener('click', undo);
one('done-other').addEventListener('click', () => {
  if (isResting) return;
  localStorage.removeItem(NAME);
  one('name').value = '';
  warn('');
  show('enter');
  one('name').focus();
});
one('help').addEventListener('click', () => one('keys').showModal());
// A key that is held chooses once, also where the system does not mark its repeats; on a focused button it would click.
document.addEventListener('keyup', (event) => pressed.delete(event.code));
window.addEventListener('blur', () => pressed.clear());
document.addEventListener('keydown', (event) => {
  const isRepeated = event.repeat || (event.code && pressed.has(event.code));
  pressed.add(event.code);
  if (isRepeated) {
    if (event.target.matches('button') || KEYS[event.key]) event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || one('work').hidden || one('keys').open) return;
  const isControl = event.target.matches('input, select, button');
  if (event.target.matches('input, select') && event.key.startsWith('Arrow')) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const acts = {
    ' ': isControl ? null : player.toggle, r: player.replay, ',': () => player.faster(-1), '.': () => player.faster(1),
    u: undo, '?': () => one('keys').showModal(),
  };
  const act = KEYS[key] ? () => choose(KEYS[key]) : acts[key];
  if (!act) return;
  event.preventDefault();
  act();
});
window.addEventListener('hashchange', begin);
begin();
