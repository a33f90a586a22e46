// Reading: what one person shows at one instant. All seven categories stay in one order (bars that jump about cannot be
// read), with what each source says alone as a sign on the bar; the plane of valence and arousal; the words.

import {
  CODES,
  SOURCES,
  css,
  fitCanvas,
  h,
  ink,
  percent,
  sentenceCase,
  signed,
  type,
  valenceInk,
} from './marks.js';
import { indexAt, readingAt, spanAt } from './series.js';

const TRAIL_S = 8;

export function makeReading(report, clock, person, follow) {
  const { categories, people } = report;
  const still = report.source.kind === 'image';
  const chips = people.map((one) =>
    h(
      'button',
      { type: 'button', class: 'chip', 'aria-pressed': 'false', onclick: () => follow(one.name) },
      one.thumb ? h('img', { src: one.thumb, alt: '' }) : null,
      one.title,
    ),
  );
  const headline = h('p', { class: 'headline' });
  const state = h('p', { class: 'state faint' });
  const bars = categories.map((name) => {
    const fill = h('i', { class: 'bar-fill', style: { background: `var(--c-${name})` } });
    const signs = Object.fromEntries(
      ['face', 'voice', 'words'].map((source) => [
        source,
        h('span', { class: 'bar-sign', text: SOURCES[source].sign }),
      ]),
    );
    const value = h('output', { class: 'number' });
    const root = h(
      'div',
      { class: 'bar' },
      h('span', { class: 'bar-name' }, h('b', { text: CODES[name] }), ` ${name}`),
      h('span', { class: 'bar-track' }, fill, Object.values(signs)),
      value,
    );
    return { root, fill, signs, value };
  });
  const plane = h('canvas', {
    class: 'plane',
    role: 'img',
    'aria-label': 'Valence and arousal, with the last seconds',
  });
  const numbers = h('dl', { class: 'numbers' });
  const [v, a] = ['valence', 'arousal'].map((name) => {
    const value = h('dd', { class: 'number' });
    numbers.append(h('div', {}, h('dt', { text: sentenceCase(name) }), value));
    return value;
  });
  const saying = h('p', { class: 'saying', 'aria-label': 'Words being said' });
  const signs = h(
    'p',
    { class: 'signs faint' },
    report.readFrom.map((source) => h('span', {}, h('i', { text: SOURCES[source].sign }), ` ${source} alone`)),
  );
  const root = h(
    'div',
    { class: 'reading' },
    people.length > 1 ? h('div', { class: 'chips', role: 'group', 'aria-label': 'Person followed' }, chips) : null,
    h('div', { class: 'reading-head' }, headline, state),
    people.length
      ? h(
          'div',
          { class: 'reading-body' },
          h(
            'div',
            { class: 'bars' },
            bars.map((bar) => bar.root),
            signs,
          ),
          h('div', { class: 'plane-box' }, plane, numbers),
        )
      : null,
    report.worded ? saying : null,
  );
  const shown = { utterance: undefined, spans: [] };

  function update(time) {
    const one = person();
    chips.forEach((chip, k) => chip.setAttribute('aria-pressed', String(Boolean(one) && people[k].name === one.name)));
    if (!one) {
      headline.textContent = 'Nobody to read';
      state.textContent = report.empty;
      return;
    }
    const fused = readingAt(one.series.fused, time);
    const labels = report.labels
      .filter(
        (label) =>
          label.person === one.name &&
          (!label.whole || still) &&
          time >= label.start - 1e-9 &&
          time <= label.end + 1e-9,
      )
      .slice(0, 3);
    headline.replaceChildren(
      ...(labels.length
        ? labels.map((label) =>
            h('span', { class: 'label' }, label.word, h('small', { text: ` ${percent(label.certainty)}` })),
          )
        : [headlineOf(fused)]),
    );
    state.textContent = stateOf(one, fused, time);
    showBars(one, fused, time);
    showNumber(v, fused && fused.valence, fused && fused.valenceLow, fused && fused.valenceHigh);
    showNumber(a, fused && fused.arousal, fused && fused.arousalLow, fused && fused.arousalHigh);
    showWords(time);
    drawPlane(one, time);
  }

  function headlineOf(fused) {
    if (!fused || fused.abstains || !fused.categories)
      return h('span', { class: 'label none', text: fused ? 'Abstains' : 'No reading' });
    const likeliest = fused.categories.indexOf(Math.max(...fused.categories));
    return h(
      'span',
      { class: 'label' },
      categories[likeliest],
      h('small', { text: ` ${percent(fused.categories[likeliest])}` }),
    );
  }

  function stateOf(one, fused, time) {
    if (!fused) return 'Neither seen nor heard at this instant. That is missing data, not “neutral”.';
    if (fused.abstains) return 'The sources contradict each other or are too unsure to name one category.';
    const shares = Object.entries(fused.weights);
    const from = shares.map(([source, share]) => `${source} ${percent(share)}`).join(', ');
    const certainty = fused.categories
      ? `certainty ${percent(fused.certainty)}`
      : 'no emotion is sure enough to be named';
    return sentenceCase([from && `from ${from}`, certainty].filter(Boolean).join('; '));
  }

  function showBars(one, fused, time) {
    const alone = {
      face: (readingAt(one.series.face, time) || {}).categories,
      voice: (spanAt(one.turns, time) || {}).p,
      words: (spanAt(one.utterances, time) || {}).p,
    };
    bars.forEach((bar, k) => {
      const share = fused && fused.categories && !fused.abstains ? fused.categories[k] : null;
      bar.fill.style.transform = `scaleX(${share || 0})`;
      bar.value.textContent = share === null ? '–' : percent(share);
      for (const [source, sign] of Object.entries(bar.signs)) {
        const known = alone[source];
        sign.style.opacity = known ? '1' : '0';
        if (known) sign.style.left = `${known[k] * 100}%`;
      }
    });
  }

  function showNumber(cell, value, low, high) {
    const known = value !== null && value !== undefined;
    const half = known && low !== null && low !== undefined ? Math.min(1, Math.max(high - value, value - low)) : null;
    cell.replaceChildren(
      known ? signed(value) : '–',
      h('small', { text: half === null ? '' : ` ±${half.toFixed(2)}` }),
    );
  }

  function showWords(time) {
    let utterance = null;
    for (const one of people) utterance = utterance || spanAt(one.utterances, time);
    if (utterance !== shown.utterance) {
      shown.utterance = utterance;
      shown.spans = utterance
        ? utterance.words.map((word) => ({ ...word, element: h('span', { text: word.text }) }))
        : [];
      saying.replaceChildren(
        ...(shown.spans.length
          ? [unheard(utterance), ...shown.spans.flatMap((word) => [word.element, ' '])]
          : [utterance ? utterance.text : h('span', { class: 'faint', text: 'No words at this instant' })]),
      );
    }
    for (const word of shown.spans) word.element.classList.toggle('now', time >= word.start && time < word.end);
  }

  function unheard(utterance) {
    return utterance.reason === 'not understood' ? h('span', { class: 'faint', text: '[not understood] ' }) : '';
  }

  function drawPlane(one, time) {
    const side = 176;
    const pen = fitCanvas(plane, side, side);
    drawAxes(pen, side);
    const { fused } = one.series;
    if (!fused || !fused.v || !fused.a) return;
    const place = (valence, arousal) => [side / 2 + valence * (side / 2 - 8), side / 2 - arousal * (side / 2 - 8)];
    drawTrail(pen, place, fused, time);
    const now = readingAt(fused, time);
    if (now && now.valence !== null && now.arousal !== null) drawHere(pen, place, now);
  }

  function drawAxes(pen, side) {
    pen.fillStyle = css(ink.wash);
    pen.beginPath();
    pen.roundRect(0, 0, side, side, 8);
    pen.fill();
    pen.fillStyle = css(ink.line);
    pen.fillRect(side / 2 - 0.5, 18, 1, side - 36);
    pen.fillRect(0, side / 2 - 0.5, side, 1);
    pen.font = type(11);
    pen.fillStyle = css(ink.faint);
    pen.textAlign = 'center';
    pen.fillText('stirred', side / 2, 13);
    pen.fillText('calm', side / 2, side - 6);
    pen.textAlign = 'left';
    pen.fillText('unpleasant', 6, side / 2 - 5);
    pen.textAlign = 'right';
    pen.fillText('pleasant', side - 6, side / 2 - 5);
    pen.textAlign = 'left';
  }

  function drawTrail(pen, place, fused, time) {
    const steps = 48;
    pen.lineCap = 'round';
    for (let k = steps, last = null; k >= 0; k -= 1) {
      const i = indexAt(fused, time - (k / steps) * TRAIL_S);
      const [valence, arousal] = i < 0 ? [null, null] : [fused.v[i], fused.a[i]];
      const here = valence === null || arousal === null ? null : place(valence / 100, arousal / 100);
      if (last && here && (last[0] !== here[0] || last[1] !== here[1])) {
        pen.strokeStyle = css(valenceInk(valence / 100), 0.15 + 0.85 * (1 - k / steps));
        pen.lineWidth = 1 + 2 * (1 - k / steps);
        pen.beginPath();
        pen.moveTo(...last);
        pen.lineTo(...here);
        pen.stroke();
      }
      last = here;
    }
  }

  function drawHere(pen, place, now) {
    const [x, y] = place(now.valence, now.arousal);
    if (now.valenceLow !== null && now.arousalLow !== null) {
      const [x0, y0] = place(now.valenceLow, now.arousalLow);
      const [x1, y1] = place(now.valenceHigh, now.arousalHigh);
      pen.fillStyle = css(valenceInk(now.valence), 0.18);
      pen.beginPath();
      pen.ellipse((x0 + x1) / 2, (y0 + y1) / 2, Math.max(1, (x1 - x0) / 2), Math.max(1, (y0 - y1) / 2), 0, 0, 7);
      pen.fill();
    }
    pen.fillStyle = css(valenceInk(now.valence));
    pen.strokeStyle = css(ink.surface);
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 6, 0, 7);
    pen.fill();
    pen.stroke();
  }

  return { root, update };
}
