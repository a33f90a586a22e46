// How sure: coverage, calibration, models with their cards, settings, versions, hashes.

import { SOURCES, h, lengthOf, percent, plainNumber, sentenceCase, svg } from './marks.js';
import { section } from './prose.js';

export function sure(report) {
  return section(
    'sure',
    'How sure',
    'Coverage, calibration, models, settings.',
    h('h3', { text: 'What this cannot know' }),
    h(
      'ul',
      { class: 'plain' },
      report.cannot.map((text) => h('li', { text })),
    ),
    h('h3', { text: 'Coverage' }),
    coverage(report),
    report.source.notes.length
      ? [
          h('h3', { text: 'Notes on the file' }),
          h(
            'ul',
            { class: 'plain' },
            report.source.notes.map((text) => h('li', { text })),
          ),
        ]
      : null,
    h('h3', { text: 'Models' }),
    report.models.length
      ? h('div', { class: 'models' }, report.models.map(model))
      : h('p', { class: 'empty', text: 'No model took part.' }),
    h('h3', { text: 'Settings and versions' }),
    pairs([
      ...Object.entries(report.settings),
      ...Object.entries(report.versions),
      ['file sha256', report.source.sha256],
    ]),
  );
}

function coverage(report) {
  if (!report.coverage.length) return h('p', { class: 'empty', text: report.empty });
  const cell = (text) => h('td', { class: 'number', text });
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Coverage table' },
    h(
      'table',
      { class: 'grid' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ['Person', 'Source'].map((text) => h('th', { scope: 'col', text })),
          ['Measured', 'Share of the recording', 'Abstained', 'Mean certainty'].map((text) =>
            h('th', { scope: 'col', class: 'number', text }),
          ),
        ),
      ),
      h(
        'tbody',
        {},
        report.coverage.map((row) =>
          h(
            'tr',
            {},
            h('th', { scope: 'row', text: row.person }),
            h('td', { text: SOURCES[row.source].title }),
            cell(lengthOf(row.seconds)),
            cell(percent(row.share)),
            cell(percent(row.abstained)),
            cell(row.certainty === null ? '–' : percent(row.certainty)),
          ),
        ),
      ),
    ),
  );
}

function model(one) {
  const reliability = one.reliability.length > 1 ? diagram(one) : null;
  return h(
    'details',
    { class: 'model' },
    h(
      'summary',
      {},
      h('b', { text: one.name }),
      h('span', { text: ` ${one.role}` }),
      h('span', { class: 'licence', text: one.licence }),
      one.score ? h('span', { class: 'score', text: sentenceCase(one.score) }) : null,
    ),
    h(
      'div',
      { class: 'model-body' },
      reliability,
      h(
        'div',
        {},
        one.facts.length
          ? pairs(one.facts)
          : h('p', { class: 'faint', text: 'Third-party file; its card is with its authors.' }),
        h('p', { class: 'hash', text: `sha256 ${one.sha256}` }),
      ),
    ),
  );
}

function pairs(rows) {
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Values' },
    h(
      'table',
      { class: 'pairs' },
      h(
        'tbody',
        {},
        rows.map(([name, value]) =>
          h('tr', {}, h('th', { scope: 'row', text: name }), h('td', { text: plainNumber(value) })),
        ),
      ),
    ),
  );
}

// Said against true: on the diagonal, a certainty of 70 % is right 70 % of the time.
function diagram(one) {
  const [side, pad] = [168, 26];
  const x = (value) => pad + value * (side - pad - 6);
  const y = (value) => side - pad - value * (side - pad - 6);
  const line = (x0, y0, x1, y1, name) => svg('line', { x1: x(x0), y1: y(y0), x2: x(x1), y2: y(y1), class: name });
  const label = (at, text, anchor) => svg('text', { x: at[0], y: at[1], 'text-anchor': anchor }, text);
  return h(
    'figure',
    { class: 'reliability' },
    svg(
      'svg',
      { viewBox: `0 0 ${side} ${side}`, role: 'img', 'aria-label': `Reliability of ${one.name}` },
      line(0, 0, 1, 0, 'axis'),
      line(0, 0, 0, 1, 'axis'),
      line(0, 0, 1, 1, 'ideal'),
      svg('polyline', { points: one.reliability.map((bin) => `${x(bin[0])},${y(bin[1])}`).join(' '), class: 'curve' }),
      one.reliability.map((bin) => svg('circle', { cx: x(bin[0]), cy: y(bin[1]), r: 3, class: 'dot' })),
      label([x(0), side - 12], '0', 'middle'),
      label([x(1), side - 12], '1', 'end'),
      label([x(0.5), side - 12], 'said', 'middle'),
      label([pad - 5, y(1) + 8], '1', 'end'),
      label([pad - 5, y(0.5) + 3], 'true', 'end'),
    ),
    h('figcaption', { class: 'faint', text: 'Certainty said against share that was right' }),
  );
}
