// Lanes: who showed what when. One clock across, one cursor; per person one canvas that holds that person's lanes.
// The view is the span of time on screen: drag narrows it, double click or escape widens it again.

import { CODES, SOURCES, clockTime, fitCanvas, h, part, percent, signed } from './marks.js';
import { PAINTERS, ROW, paintEvidence, paintRuler } from './paint.js';
import { indexAt, readingAt, spanAt } from './series.js';

const HEIGHTS = { fused: 28, face: 18, valence: 64, arousal: 64, voice: 22, words: 24, weights: 14 };
const ENDS = { valence: ['pleasant', 'unpleasant'], arousal: ['stirred', 'calm'] };
const TITLES = {
  fused: 'Together',
  face: 'Face',
  valence: 'Valence',
  arousal: 'Arousal',
  voice: 'Voice',
  words: 'Words',
  weights: 'Weights',
};
const [SPACE, LABEL, RULER] = [10, 17, 36];

export function makeLanes(report, clock, tooltip) {
  const { categories } = report;
  const view = { from: 0, to: clock.duration, width: 0 };
  const state = { lit: [], allRows: false };
  const select = h('div', { class: 'lanes-selection', hidden: true });
  const cursor = h('div', { class: 'lanes-cursor', 'aria-hidden': 'true' });
  const ruler = h('canvas', {
    class: 'lanes-ruler',
    role: 'slider',
    tabindex: '0',
    'aria-label': 'Time',
    'aria-valuemin': '0',
    'aria-valuemax': clock.duration,
  });
  const groups = report.people.map(makeGroup);
  const plot = h(
    'div',
    { class: 'lanes-plot' },
    ruler,
    groups.map((group) => group.root),
    select,
    cursor,
  );
  const whole = h('button', {
    class: 'quiet',
    type: 'button',
    disabled: true,
    onclick: reset,
    text: 'Whole recording',
  });
  const rows = h('button', {
    class: 'quiet',
    type: 'button',
    'aria-pressed': 'false',
    onclick: toggleRows,
    text: 'All seven',
  });
  const root = h(
    'div',
    { class: 'lanes' },
    h('div', { class: 'lanes-head' }, legend(report), h('div', { class: 'lanes-tools' }, rows, whole)),
    plot,
  );

  function makeGroup(person) {
    const canvas = h('canvas', { role: 'img', 'aria-label': describe(person) });
    const labels = h('div', { class: 'lanes-labels', 'aria-hidden': 'true' });
    const share = (seconds, is, not) => (seconds ? `${is} ${percent(seconds / clock.duration)}` : not);
    const heard = report.heard ? 'no speech tied to this face' : 'no speech was heard';
    const head = h(
      'div',
      { class: 'lanes-person' },
      h('h3', { text: person.title }),
      h('span', {
        class: 'faint',
        text: [
          ...(report.source.kind === 'audio' ? [] : [share(person.seen, 'seen', 'no face seen')]),
          share(person.heard, 'heard', heard),
        ].join(' · '),
      }),
    );
    return {
      person,
      canvas,
      labels,
      lanes: [],
      height: 0,
      root: h('section', { class: 'lanes-group' }, head, h('div', { class: 'lanes-body' }, labels, canvas)),
    };
  }

  // ---- layout and drawing

  const gutter = () => parseFloat(getComputedStyle(plot).getPropertyValue('--gutter')) || 0;
  const frame = () => ({ ...view, categories, xOf });
  const xOf = (time) => ((time - view.from) / (view.to - view.from)) * view.width;
  const timeOf = (x) => view.from + (x / view.width) * (view.to - view.from);

  function layout() {
    view.width = plot.clientWidth - gutter();
    const above = gutter() === 0 ? LABEL : 0;
    for (const group of groups) {
      let y = 0;
      group.lanes = lanesOf(group.person).map((name) => {
        const banded = state.allRows && Boolean(group.person.series[name]);
        const lane = { name, banded, y: y + above, height: banded ? ROW * categories.length : HEIGHTS[name] };
        y = lane.y + lane.height + SPACE;
        return lane;
      });
      group.height = y - SPACE + 2;
      group.labels.replaceChildren(
        ...group.lanes.map((lane) =>
          h(
            'span',
            { style: { top: `${lane.y - above}px`, height: `${above || lane.height}px` } },
            h('b', { text: TITLES[lane.name] }),
            side(lane, above),
          ),
        ),
      );
    }
    draw();
  }

  function side(lane, above) {
    if (lane.banded && !above)
      return h(
        'i',
        { class: 'codes' },
        categories.map((name) => h('span', { text: CODES[name] })),
      );
    return ENDS[lane.name]
      ? h(
          'i',
          {},
          h('span', { text: ENDS[lane.name][0] }),
          above ? ' to ' : '',
          h('span', { text: ENDS[lane.name][1] }),
        )
      : null;
  }

  function draw() {
    if (view.width <= 0) return;
    const now = frame();
    paintRuler(fitCanvas(ruler, view.width, RULER), now, report.moments, clockTime);
    for (const group of groups) {
      const pen = fitCanvas(group.canvas, view.width, group.height);
      pen.textBaseline = 'middle';
      for (const lane of group.lanes) PAINTERS[lane.name](pen, now, group.person, lane);
      if (state.lit.length) paintEvidence(pen, now, group.height, litBoxes(group));
    }
    moveCursor(clock.now());
    whole.disabled = !zoomed();
  }

  function litBoxes(group) {
    return state.lit
      .filter((one) => !one.person || one.person === group.person.name)
      .flatMap((one) => {
        const names = one.source === 'fused' ? ['fused', 'valence', 'arousal'] : [one.source];
        const x = Math.max(1, xOf(one.start));
        const width = Math.max(3, Math.min(view.width - 1, xOf(one.end)) - x);
        return x > view.width || xOf(one.end) < 0
          ? []
          : group.lanes.filter((lane) => names.includes(lane.name)).map((lane) => [x, lane.y, width, lane.height]);
      });
  }

  function moveCursor(time) {
    const x = xOf(time);
    cursor.style.transform = `translateX(${gutter() + x}px)`;
    cursor.style.opacity = x < -1 || x > view.width + 1 ? '0' : '1';
    ruler.setAttribute('aria-valuenow', time.toFixed(1));
    ruler.setAttribute('aria-valuetext', `${clockTime(time)} of ${clockTime(clock.duration)}`);
  }

  // ---- the view

  const zoomed = () => view.to - view.from < clock.duration - 1e-6;

  function zoomTo(from, to) {
    const span = Math.min(clock.duration, Math.max(0.5, to - from));
    view.from = Math.max(0, Math.min(clock.duration - span, from));
    view.to = view.from + span;
    plot.dataset.view = `${view.from.toFixed(2)} ${view.to.toFixed(2)}`;
    draw();
  }

  function zoomBy(factor, around = clock.now()) {
    const at = around < view.from || around > view.to ? (view.from + view.to) / 2 : around;
    zoomTo(at - (at - view.from) * factor, at + (view.to - at) * factor);
  }

  function reset() {
    zoomTo(0, clock.duration);
  }

  function toggleRows() {
    state.allRows = !state.allRows;
    rows.setAttribute('aria-pressed', String(state.allRows));
    layout();
  }

  // ---- pointer: click seeks, drag zooms, hover tells; touch: tap seeks, slide scrubs, pinch zooms

  const touches = new Map();
  let drag = null;
  const at = (event) => event.clientX - plot.getBoundingClientRect().left - gutter();
  const apart = () => {
    const [one, two] = touches.values();
    return Math.max(20, Math.abs(one - two));
  };
  const pinAt = (event) =>
    event.target === ruler ? report.moments.find((moment) => Math.abs(xOf(moment.time) - at(event)) < 9) : undefined;

  plot.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || at(event) < -6) return;
    touches.set(event.pointerId, at(event));
    drag = {
      x: at(event),
      moved: false,
      pin: pinAt(event),
      pinch: touches.size > 1 ? { ...view, apart: apart() } : null,
    };
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener('pointermove', (event) => {
    if (!drag) return void hover(event);
    touches.set(event.pointerId, at(event));
    tooltip.hide();
    if (drag.pinch && touches.size > 1) return void pinch();
    if (event.pointerType === 'touch') return void clock.seek(timeOf(at(event)));
    drag.moved = drag.moved || Math.abs(at(event) - drag.x) > 5;
    if (drag.moved) showSelection(...inOrder(drag.x, at(event)));
    return undefined;
  });
  plot.addEventListener('pointerup', (event) => {
    if (drag && drag.moved) zoomTo(...inOrder(drag.x, at(event)).map(timeOf));
    else if (drag && !drag.pinch) clock.seek(drag.pin ? drag.pin.time : timeOf(Math.max(0, at(event))));
    release(event);
  });
  plot.addEventListener('pointercancel', release);
  plot.addEventListener('pointerleave', () => tooltip.hide());
  plot.addEventListener('dblclick', reset);
  plot.addEventListener(
    'wheel',
    (event) => {
      const sideways = zoomed() && Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (!event.ctrlKey && !event.metaKey && !sideways) return;
      event.preventDefault();
      const by = (event.deltaX / view.width) * (view.to - view.from);
      if (sideways) zoomTo(view.from + by, view.to + by);
      else zoomBy(Math.exp(event.deltaY / 300), timeOf(at(event)));
    },
    { passive: false },
  );

  function inOrder(...xs) {
    return xs.map((x) => Math.max(0, Math.min(view.width, x))).sort((one, two) => one - two);
  }

  function showSelection(x0, x1) {
    select.hidden = false;
    select.style.left = `${gutter() + x0}px`;
    select.style.width = `${x1 - x0}px`;
  }

  function release(event) {
    touches.delete(event.pointerId);
    select.hidden = true;
    if (!touches.size) drag = null;
  }

  function pinch() {
    const center = (drag.pinch.from + drag.pinch.to) / 2;
    const half = ((drag.pinch.to - drag.pinch.from) / 2) * (drag.pinch.apart / apart());
    zoomTo(center - half, center + half);
  }

  function hover(event) {
    const pin = pinAt(event);
    if (pin) return void tooltip.show(event, `${pin.when} · ${pin.kind}`, [[pin.sentence, '']]);
    const group = groups.find((one) => one.canvas === event.target);
    const y = group && event.clientY - group.canvas.getBoundingClientRect().top;
    const lane = group && group.lanes.find((one) => y >= one.y - 4 && y <= one.y + one.height + 5);
    if (!lane) return void tooltip.hide();
    const time = timeOf(at(event));
    return void tooltip.show(
      event,
      `${clockTime(time)} · ${TITLES[lane.name]} · ${group.person.title}`,
      tell(report, group.person, lane.name, time),
    );
  }

  new ResizeObserver(() => {
    if (plot.clientWidth - gutter() !== view.width) layout();
  }).observe(plot);
  clock.watch((time, playing) => {
    if (playing && zoomed() && (time > view.to || time < view.from)) zoomTo(time, time + view.to - view.from);
    else moveCursor(time);
  });

  return {
    root,
    draw,
    layout,
    zoomBy,
    reset,
    reveal: (time) => {
      if (time < view.from || time > view.to)
        zoomTo(time - (view.to - view.from) / 2, time + (view.to - view.from) / 2);
    },
    light: (evidence) => {
      state.lit = evidence;
      plot.dataset.lit = String(evidence.length);
      draw();
    },
  };
}

function lanesOf(person) {
  const { fused, face } = person.series;
  const has = {
    fused: true,
    face,
    valence: fused && fused.v,
    arousal: fused && fused.a,
    voice: person.turns.length,
    words: person.utterances.length,
    weights: fused && Object.keys(fused.w).length > 1,
  };
  return Object.keys(HEIGHTS).filter((name) => has[name]);
}

function describe(person) {
  const top = Object.entries(person.categories).sort((one, two) => two[1] - one[1])[0];
  return `Lanes of ${person.name}: ${top ? `mostly ${top[0]}, ${percent(top[1])}` : 'nothing measured'}. Description and moments below say the same in words.`;
}

function legend(report) {
  const key = (name, text) => h('span', { role: 'listitem' }, h('i', { class: `swatch ${name}` }), text);
  return h(
    'div',
    { class: 'legend', role: 'list', 'aria-label': 'Colours' },
    report.categories.map((name) => h('span', { role: 'listitem' }, part(name), h('b', { text: CODES[name] }), name)),
    key('fade', 'certainty'),
    key('hatched', 'abstains'),
    key('dotted', 'nothing measured'),
    report.readFrom.length > 1 ? report.readFrom.map((name) => key(`w-${name}`, `weight of ${name}`)) : null,
  );
}

// ---- what a lane says at a time, as [name, value, category] rows for the tooltip

function tell(report, person, name, time) {
  if (name === 'voice' || name === 'words')
    return tellSpan(report, spanAt(name === 'voice' ? person.turns : person.utterances, time), name);
  const series = person.series[name === 'face' ? 'face' : 'fused'];
  const reading = readingAt(series, time);
  if (!reading) return [['nothing measured', '']];
  if (name === 'weights')
    return Object.entries(reading.weights).map(([source, share]) => [SOURCES[source].title, percent(share)]);
  if (name === 'valence' || name === 'arousal') return dimensions(reading, name);
  if (!reading.abstains && reading.categories) return [...ranked(report, reading.categories), ...dimensions(reading)];
  return [
    ['abstains', report.reasons[(series.x ? series.x[indexAt(series, time)] : 0) - 1] || 'unsure'],
    ...dimensions(reading),
  ];
}

function tellSpan(report, span, name) {
  if (!span) return [[name === 'voice' ? 'no speech' : 'no words', '']];
  const quote = span.text ? [[`“${span.text}”`, '']] : [];
  return span.category === null
    ? [...quote, ['abstains', 'unsure']]
    : [...quote, ...ranked(report, span.p), ...dimensions(span)];
}

function ranked(report, values) {
  const best = values.map((share, k) => [share, report.categories[k]]).sort((one, two) => two[0] - one[0]);
  return best.slice(0, 3).map(([share, category]) => [category, percent(share), category]);
}

function dimensions(reading, only) {
  return ['valence', 'arousal'].flatMap((name) => {
    const [value, low, high] = [reading[name], reading[`${name}Low`], reading[`${name}High`]];
    if (typeof value !== 'number' || (only && only !== name)) return [];
    return only && typeof low === 'number'
      ? [
          [name, signed(value)],
          ['95\u2009% interval', `${signed(low)} to ${signed(high)}`],
        ]
      : [[name, signed(value)]];
  });
}
