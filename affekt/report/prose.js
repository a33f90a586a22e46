// Prose: moments, description, people. Each statement leads back to the rows that it rests on.

import { CODES, SOURCES, clockTime, h, lengthOf, part, percent, sentenceCase, signed, told, unbroken } from './marks.js';

export function section(id, title, note, ...children) {
  return h(
    'section',
    { class: 'part', id, 'aria-labelledby': `${id}-title` },
    h(
      'div',
      { class: 'part-head' },
      h('h2', { id: `${id}-title`, text: title }),
      note ? h('p', { class: 'faint', text: note }) : null,
    ),
    h('div', { class: 'part-body' }, children),
  );
}

const isLong = (report) => report.source.kind !== 'image';
const spanOf = (evidence) =>
  evidence.end - evidence.start < 0.05
    ? clockTime(evidence.start)
    : `${clockTime(evidence.start)}–${clockTime(evidence.end)}`;

function sourceOf(one) {
  return [SOURCES[one.source].title, one.person].filter(Boolean).join(', ');
}

function readingsTable(evidence, timed) {
  const spans = new Set(evidence.map(spanOf));
  const groups = evidence
    .map((one) => {
      const titleOf = (part) => (timed && spans.size > 1 ? `${sourceOf(part)}, ${spanOf(part)}` : sourceOf(part));
      const rows = Object.entries(one.readings).map(([name, value]) => told(name, value));
      const cells = rows.map(([name, value]) =>
        h('tr', {}, h('td', { text: name }), h('td', { class: 'number', text: value })),
      );
      const quote = one.quote ? h('tr', {}, h('td', { colspan: '2', text: `“${one.quote}”` })) : null;
      return cells.length || quote
        ? h('tbody', {}, h('tr', {}, h('th', { colspan: '2', scope: 'rowgroup', text: titleOf(one) })), quote, cells)
        : null;
    })
    .filter(Boolean);
  return groups.length ? h('table', { class: 'readings' }, groups) : null;
}

export function moments(report, act) {
  if (!report.moments.length) {
    return section(
      'moments',
      'Moments',
      null,
      h('p', { class: 'empty', text: 'No peak, turn or contradiction stood out enough to be named.' }),
    );
  }
  const cards = report.moments.map((moment, i) => {
    const behind = readingsTable(moment.evidence, isLong(report));
    const go = h(
      'button',
      {
        type: 'button',
        class: 'moment-go',
        onclick: () => act.go(moment.time, moment.evidence),
        'aria-label': `Moment ${i + 1}: ${moment.sentence} ${moment.when}`,
      },
      h('span', { class: 'moment-number', text: String(i + 1) }),
      h('span', { class: 'moment-time', text: isLong(report) ? moment.when : '' }),
      h('span', { class: 'moment-kind', text: [moment.kind, moment.person].filter(Boolean).join(' · ') }),
    );
    const card = h(
      'li',
      { class: `moment${moment.still ? ' pictured' : ''}` },
      moment.still ? h('img', { src: moment.still, alt: '' }) : null,
      h(
        'div',
        {},
        go,
        h('p', { text: moment.sentence }),
        behind ? h('details', {}, h('summary', { text: 'Readings behind it' }), behind) : null,
      ),
    );
    lights(card, go, moment.evidence, act);
    return card;
  });
  return section(
    'moments',
    'Moments',
    isLong(report) ? 'Keys 1–9 lead to them.' : null,
    h('ol', { class: 'moments' }, cards),
  );
}

export function description(report, act) {
  if (!report.sentences.length) {
    return section(
      'description',
      'Description',
      null,
      h('p', { class: 'empty', text: 'There was nothing to describe.' }),
    );
  }
  const rests = report.sentences.some((sentence) => sentence.evidence.length);
  const aside = h('div', { class: 'evidence', 'aria-live': 'polite' });
  const idle = () =>
    aside.replaceChildren(
      h('p', { class: 'faint', text: 'Point at a sentence, or tab to it, to see what it rests on.' }),
    );
  idle();
  const show = (sentence) =>
    aside.replaceChildren(
      ...sentence.evidence.map((one) =>
        h(
          'div',
          { class: 'evidence-one' },
          h(
            'p',
            {},
            h('b', { text: sourceOf(one) }),
            ' ',
            h('span', { class: 'faint number', text: isLong(report) ? spanOf(one) : '' }),
          ),
          one.quote ? h('q', { text: one.quote }) : null,
          h(
            'dl',
            {},
            Object.entries(one.readings)
              .map(([name, value]) => told(name, value))
              .map(([name, value]) => h('div', {}, h('dt', { text: name }), h('dd', { class: 'number', text: value }))),
          ),
        ),
      ),
      sentence.evidence.length
        ? ''
        : h('p', { class: 'faint', text: 'This sentence states what is missing; no rows stand behind it.' }),
    );
  const spans = report.sentences.map((sentence) => {
    const span = h('span', {
      class: 'sentence',
      role: 'button',
      tabindex: '0',
      text: unbroken(sentence.text),
      onclick: () => sentence.evidence.length && act.go(sentence.evidence[0].start, sentence.evidence),
    });
    lights(span, span, sentence.evidence, act);
    for (const event of ['pointerenter', 'focus']) span.addEventListener(event, () => show(sentence));
    span.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        span.click();
      }
    });
    return span;
  });
  act.watch((time, playing) =>
    spans.forEach((span, i) =>
      span.classList.toggle(
        'live',
        playing &&
          report.sentences[i].evidence.some(
            (one) => time >= one.start && time <= one.end && one.end - one.start < 0.6 * report.source.duration,
          ),
      ),
    ),
  );
  return section(
    'description',
    'Description',
    rests ? 'Each sentence rests on rows of the timeline.' : null,
    h(
      'div',
      { class: 'description' },
      h(
        'p',
        { class: 'prose' },
        spans.flatMap((span) => [span, ' ']),
      ),
      rests ? h('div', { class: 'evidence-box' }, aside) : null,
    ),
  );
}

export function described(report) {
  return report.described.map((one) =>
    section(
      'described',
      `Described by model ${one.by}`,
      'Words of a language model. Nothing above rests on them.',
      h(
        'div',
        { class: 'described' },
        h('p', { class: one.failure ? 'empty' : 'prose', text: unbroken(one.text || one.failure || 'The answer is empty.') }),
        h(
          'table',
          { class: 'facts' },
          h(
            'tbody',
            {},
            one.facts.map(([name, text]) => h('tr', {}, h('th', { scope: 'row', text: name }), h('td', { text }))),
          ),
        ),
      ),
    ),
  );
}

function lights(area, focusable, evidence, act) {
  area.addEventListener('pointerenter', () => act.light(evidence));
  area.addEventListener('pointerleave', () => act.light([]));
  focusable.addEventListener('focus', () => act.light(evidence));
  focusable.addEventListener('blur', () => act.light([]));
}

export function people(report) {
  if (!report.people.length) {
    return section('people', 'People', null, h('p', { class: 'empty', text: report.empty }));
  }
  return section(
    'people',
    'People',
    null,
    h(
      'div',
      { class: 'people' },
      report.people.map((person) => card(report, person)),
    ),
  );
}

function card(report, person) {
  const shares = report.categories.map((name) => [name, person.categories[name] || 0]);
  const known = Object.keys(person.categories).length > 0;
  const words = report.labels.filter((label) => label.person === person.name && label.whole);
  const facts = [
    ['Seen', { audio: 'audio only', image: 'in the image' }[report.source.kind] || lengthOf(person.seen)],
    ['Heard', report.source.kind === 'image' ? 'an image has no audio' : lengthOf(person.heard)],
    ['Valence', interval(person.valence)],
    ['Arousal', interval(person.arousal)],
    ...Object.entries(person.quality).map(([name, value]) => told(name, value).map(sentenceCase)),
  ];
  return h(
    'article',
    { class: 'person' },
    h(
      'header',
      {},
      person.thumb
        ? h('img', { src: person.thumb, alt: `Face of ${person.name}` })
        : h('span', { class: 'person-mark', 'aria-hidden': 'true', text: (person.name.match(/\d+$/) || ['V'])[0] }),
      h('h3', { text: person.title }),
    ),
    person.course.length
      ? h('p', { class: 'person-course', text: unbroken(sentenceCase(person.course.join(', '))) })
      : null,
    words.length && !person.course.length
      ? h(
          'ul',
          { class: 'person-words', 'aria-label': 'Words for how this person comes across' },
          words.map((label) => h('li', {}, label.word, h('small', { text: ` ${percent(label.certainty)}` }))),
        )
      : null,
    known
      ? h(
          'div',
          {
            class: 'spread',
            role: 'img',
            'aria-label': `Mean over time: ${shares.map(([name, share]) => `${name} ${Math.round(share * 100)} %`).join(', ')}`,
          },
          shares.map(([name, share]) =>
            h('span', { style: { 'flex-grow': String(Math.max(0.0001, share)), background: `var(--c-${name})` } }),
          ),
        )
      : h('p', {
          class: 'empty',
          text:
            person.valence || person.arousal
              ? 'No emotion is sure enough to be named.'
              : `Nothing was measured for this ${person.is_person ? 'person' : 'voice'}.`,
        }),
    known
      ? h(
          'ul',
          { class: 'spread-key' },
          shares
            .filter(([, share]) => share >= 0.005)
            .sort((one, two) => two[1] - one[1])
            .map(([name, share]) =>
              h(
                'li',
                {},
                part(name),
                h('b', { text: CODES[name] }),
                name,
                h('span', { class: 'number', text: percent(share) }),
              ),
            ),
        )
      : null,
    h(
      'table',
      { class: 'facts' },
      h(
        'tbody',
        {},
        facts.map(([name, value]) =>
          h('tr', {}, h('th', { scope: 'row', text: name }), h('td', { class: 'number', text: value })),
        ),
      ),
    ),
  );
}

function interval(triple) {
  return triple ? `${signed(triple[0])} (${signed(triple[1])} to ${signed(triple[2])})` : 'not measured';
}
