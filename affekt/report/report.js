// The report: reads the embedded analysis, builds the page, ties clock, stage, lanes and prose together.

import { makeClock } from './clock.js';
import { makeLanes } from './lanes.js';
import { clockTime, fitCanvas, h, ink, lengthOf, part, readInks, unbroken } from './marks.js';
import { paintStrips } from './paint.js';
import { described, description, moments, people, section } from './prose.js';
import { makeStage } from './stage.js';
import { sure } from './sure.js';

const report = JSON.parse(document.getElementById('analysis').textContent);
const main = document.getElementById('report');
const still = report.source.kind === 'image';
const media = openMedia();
const clock = makeClock(media, report.source.duration);
const tooltip = makeTooltip();
const dark = matchMedia('(prefers-color-scheme: dark)');
document.documentElement.dataset.theme = dark.matches ? 'dark' : 'light';
readInks(report.categories);

const lanes = !still && report.people.length && clock.duration > 0 ? makeLanes(report, clock, tooltip) : null;
const stage = makeStage(report, clock, media);
const act = {
  light: (evidence) => lanes && lanes.light(evidence),
  go: (time, evidence) => {
    clock.seek(time);
    if (lanes) lanes.reveal(time);
    act.light(evidence);
  },
  watch: clock.watch,
  redraw: () => {},
};

const onClock = still
  ? []
  : [
      section(
        'lanes',
        'Lanes',
        lanes ? 'Drag to zoom, click to seek.' : null,
        lanes ? lanes.root : h('p', { class: 'empty', text: report.empty }),
      ),
    ];
main.append(
  head(),
  stage.root,
  ...onClock,
  description(report, act),
  ...described(report),
  ...(still ? [] : [moments(report, act)]),
  people(report),
  sure(report),
  foot(),
);
const dock = makeDock();
const help = makeHelp();
document.body.append(tooltip.root, dock, help);
bindKeys();
bindTheme();
if (lanes) lanes.layout();
stage.redraw();
document.documentElement.dataset.ready = 'yes';

// ---- parts

function openMedia() {
  const box = document.getElementById('media');
  if (!box) return null;
  const url = URL.createObjectURL(blobOf(box));
  box.remove();
  report.media.url = url;
  return still
    ? null
    : h(report.media.kind === 'audio' ? 'audio' : 'video', {
        src: url,
        playsinline: true,
        preload: 'auto',
        'aria-label': report.source.name,
        tabindex: '-1',
      });
}

function blobOf(box) {
  const text = atob(box.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new Blob([bytes], { type: report.media.mime });
}

/** How many people there are; a voice without a face is none. */
function countOfPeople() {
  const count = report.people.filter((one) => one.is_person).length;
  if (count === report.people.length) return String(count);
  return count ? `${count}, and a voice` : 'a voice alone';
}

function head() {
  const facts = [
    ['Length', still ? 'an image' : lengthOf(report.source.duration)],
    ['People', countOfPeople()],
    [
      'Image',
      report.source.width
        ? `${report.source.width} × ${report.source.height}${report.source.rate ? `, ${report.source.rate.toFixed(0)} fps` : ''}`
        : 'none',
    ],
    ...(report.source.lost ? [['Not read', report.source.lost]] : []),
    ['Read from', report.readFrom.join(', ') || 'nothing'],
    ['Models', report.models.length ? String(report.models.length) : 'none'],
  ];
  return h(
    'header',
    { class: 'head' },
    h(
      'div',
      { class: 'head-bar' },
      h('span', { class: 'wordmark', text: 'affekt' }),
      h('span', { class: 'file', text: report.source.file, title: report.source.file }),
      h('button', {
        class: 'quiet',
        type: 'button',
        text: 'Keys',
        'aria-keyshortcuts': '?',
        onclick: () => help.showModal(),
      }),
      h('button', { class: 'quiet', type: 'button', id: 'theme', text: 'Dark' }),
    ),
    h('h1', { text: unbroken(report.summary) }),
    h(
      'p',
      { class: 'cannot' },
      report.cannot[0] || '',
      ' ',
      h('a', { href: '#sure', text: 'How sure, and what this cannot know' }),
    ),
    h(
      'dl',
      { class: 'head-facts' },
      facts.map(([name, value]) => h('div', {}, h('dt', { text: name }), h('dd', { text: value }))),
    ),
  );
}

function foot() {
  return h(
    'footer',
    { class: 'foot faint' },
    h('span', {
      text: `Made by affekt ${report.versions.affekt || ''}${report.made ? `, ${report.made}` : ''}. This file loads nothing from anywhere.`,
    }),
  );
}

// A small transport that appears at the foot of the window while the stage is out of sight.
function makeDock() {
  const root = h('div', { class: 'dock', role: 'region', 'aria-label': 'Player', inert: true });
  if (still || !(clock.duration > 0)) return root;
  const button = h(
    'button',
    { class: 'play small', type: 'button', 'aria-label': 'Play', onclick: clock.toggle },
    h('span', { class: 'play-icon', 'aria-hidden': 'true' }),
  );
  const time = h('output', { class: 'time' });
  const here = h('i', { class: 'dock-here' });
  const strips = h('canvas', { 'aria-hidden': 'true' });
  const track = h(
    'div',
    {
      class: 'dock-track',
      onclick: (event) => {
        const area = track.getBoundingClientRect();
        clock.seek(((event.clientX - area.left) / area.width) * clock.duration);
      },
    },
    strips,
    here,
  );
  const light = act.light;
  act.light = (evidence) => {
    light(evidence);
    track.querySelectorAll('b').forEach((mark) => mark.remove());
    for (const one of evidence)
      track.append(
        h('b', {
          style: {
            left: `${(one.start / clock.duration) * 100}%`,
            width: `${Math.max(0.3, ((one.end - one.start) / clock.duration) * 100)}%`,
          },
        }),
      );
  };
  root.append(
    button,
    time,
    track,
    h('button', { class: 'quiet', type: 'button', text: 'To the top', onclick: () => window.scrollTo({ top: 0 }) }),
  );
  clock.watch((now, playing) => {
    button.classList.toggle('playing', playing);
    button.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    time.textContent = clockTime(now);
    here.style.left = `${(now / clock.duration) * 100}%`;
  });
  act.redraw = () => {
    const [width, height] = [track.clientWidth, track.clientHeight];
    if (!width || !report.people.length) return;
    const pen = fitCanvas(strips, width, height);
    pen.textBaseline = 'middle';
    paintStrips(
      pen,
      { from: 0, to: clock.duration, width, categories: report.categories, xOf: (at) => (at / clock.duration) * width },
      report.people,
      height,
    );
  };
  new ResizeObserver(() => act.redraw()).observe(track);
  new IntersectionObserver(([seen]) => {
    root.classList.toggle('shown', !seen.isIntersecting);
    root.inert = seen.isIntersecting;
  }).observe(stage.root);
  return root;
}

function makeTooltip() {
  const root = h('div', { class: 'tooltip', role: 'tooltip', hidden: true });
  return {
    root,
    hide: () => {
      root.hidden = true;
    },
    show: ({ clientX: x, clientY: y }, title, rows) => {
      root.replaceChildren(
        h('p', { class: 'tooltip-title', text: title }),
        h(
          'table',
          {},
          h(
            'tbody',
            {},
            rows.map(([name, value, category]) =>
              h(
                'tr',
                {},
                h('td', {}, category ? part(category) : null, name),
                h('td', { class: 'number', text: value }),
              ),
            ),
          ),
        ),
      );
      root.hidden = false;
      const [w, t] = [root.offsetWidth, root.offsetHeight];
      root.style.left = `${Math.max(8, Math.min(window.innerWidth - w - 8, x + 14))}px`;
      root.style.top = `${y + t + 24 > window.innerHeight ? y - t - 12 : y + 16}px`;
    },
  };
}

function makeHelp() {
  const keys = [
    ['Space', 'play or pause'],
    ['← →', 'one second back or on'],
    ['Shift ← →', 'five seconds'],
    ['1 – 9', 'go to a moment'],
    ['+ −', 'zoom the lanes'],
    ['Esc or double click', 'whole recording'],
    ['Drag over lanes', 'zoom to a span'],
    ['Click in lanes', 'seek'],
    ['?', 'this list'],
  ];
  const dialog = h(
    'dialog',
    { class: 'help', 'aria-label': 'Keys' },
    h('h2', { text: 'Keys' }),
    h(
      'dl',
      {},
      keys.map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', { text: key })), h('dd', { text: what }))),
    ),
    h('form', { method: 'dialog' }, h('button', { type: 'submit', class: 'quiet', text: 'Close' })),
  );
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}

function bindKeys() {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const onControl = event.target.closest('button, summary, a, input, [role="button"]');
    const step = event.shiftKey ? 5 : 1;
    const does = {
      ' ': () => !onControl && (clock.toggle(), true),
      ArrowLeft: () => (clock.seek(clock.now() - step), true),
      ArrowRight: () => (clock.seek(clock.now() + step), true),
      '+': () => lanes && (lanes.zoomBy(0.6), true),
      '=': () => lanes && (lanes.zoomBy(0.6), true),
      '-': () => lanes && (lanes.zoomBy(1 / 0.6), true),
      Escape: () => lanes && (lanes.reset(), act.light([]), true),
      '?': () => (help.showModal(), true),
    }[event.key];
    if (does ? !still && does() : /^[1-9]$/.test(event.key) && goToMoment(Number(event.key) - 1))
      event.preventDefault();
  });
}

function goToMoment(i) {
  const moment = report.moments[i];
  if (moment && !still) act.go(moment.time, moment.evidence);
  return Boolean(moment);
}

function bindTheme() {
  const root = document.documentElement;
  const button = document.getElementById('theme');
  const show = (theme) => {
    root.dataset.theme = theme;
    button.textContent = theme === 'dark' ? 'Light' : 'Dark';
    readInks(report.categories);
    if (lanes) lanes.draw();
    stage.redraw();
    act.redraw();
  };
  // Paper is narrower than the window and finer than the screen.
  const setPaper = (ratio) => {
    ink.ratio = ratio;
    root.classList.toggle('paper', ratio > 0);
    if (lanes) lanes.layout();
  };
  let chosen = root.dataset.theme;
  const choose = (theme) => show((chosen = theme));
  button.addEventListener('click', () => choose(chosen === 'dark' ? 'light' : 'dark'));
  dark.addEventListener('change', () => choose(dark.matches ? 'dark' : 'light'));
  window.addEventListener('beforeprint', () => {
    document.querySelectorAll('details').forEach((one) => {
      one.open = true;
    });
    if (lanes) lanes.reset();
    setPaper(3);
    show('light');
  });
  window.addEventListener('afterprint', () => {
    setPaper(0);
    show(chosen);
  });
  show(chosen);
}
