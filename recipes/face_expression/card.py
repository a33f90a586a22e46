"""The card of the face expression model for people (Markdown), written from the card for machines, and its
two figures (SVG)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Card = Mapping[str, Any]

HEAD = """# Face expression

{task}.

- **File**: `face_expression.onnx`, {bytes:,} bytes, {parameters:,} parameters, sha256 `{sha256}`
- **Data**: {data}
- **Licence**: {licence}. Not for commercial use: `--license commercial-ok` takes the prototypes instead.
- **Split**: {train:,} training, {validation:,} validation faces; {note}.
- **Selection**: {selection}.
- **Made by**: `{recipe}`
- **Labels**: {labels}
- **Numbers**: {numbers}
{note_line}
"""


def percent(found: Mapping[str, float]) -> str:
    return f'{100 * found["value"]:.1f} [{100 * found["low"]:.1f}, {100 * found["high"]:.1f}]'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers stand to the right."""
    lines = ['| ' + ' | '.join(head) + ' |', '|' + ' --- |' + ' ---: |' * (len(head) - 1)]
    lines += ['| ' + ' | '.join(str(cell) for cell in row) + ' |' for row in rows]
    return '\n'.join(lines) + '\n\n'


def three(name: str, found: Mapping[str, Any]) -> list[object]:
    return [name, found['n'], *(percent(found[key]) for key in ('accuracy', 'balanced_accuracy', 'macro_f1'))]


def render_card(card: Card) -> str:
    """The Markdown page: what it is, how good it is beside trivial and published scores, and what it
    cannot do."""
    run_note = card['architecture'].get('note', '')
    text = HEAD.format(
        **{key: card[key] for key in ('task', 'data', 'licence', 'selection', 'recipe', 'sha256')},
        bytes=card['architecture']['bytes'],
        parameters=card['architecture']['parameters'],
        train=card['split']['train'],
        validation=card['split']['validation'],
        note=card['split']['note'],
        labels=', '.join(card['labels']),
        numbers=numbers_line(card['eight_bits']),
        note_line=f'- **This run**: {run_note}\n' if run_note else '',
    )
    metrics = card.get('metrics')
    text += render_test(card, metrics) if metrics else '## Test\n\nNot read for this version.\n\n'
    text += render_validation(card)
    speed = card['latency_ms_per_face_one_thread']
    text += '## Speed\n\nMedian processor milliseconds a face on one thread:\n\n'
    text += table(['call', 'ms'], list(speed.items()))
    text += '## Limits\n\n' + '\n'.join(f'- {limit}' for limit in card['limits']) + '\n'
    return text


def numbers_line(bits: Mapping[str, float]) -> str:
    """What the file counts in, and what that changes on the validation split."""
    return (
        f'convolutions in eight bits, ranges from 512 training faces; the same answer as in float on '
        f'{100 * bits["same_answer"]:.1f} % of the validation faces, accuracy {100 * bits["accuracy"]:.1f} % '
        f'against {100 * bits["accuracy_in_float"]:.1f} %'
    )


def render_test(card: Card, metrics: Card) -> str:
    head = ['', 'faces', 'accuracy', 'balanced accuracy', 'macro-F1']
    rows = [
        three('**this model**, faces aligned as at run time', metrics),
        *(three(f'this model, {name}', found) for name, found in metrics['variants'].items()),
        *(three(name, found) for name, found in metrics['baselines'].items()),
    ]
    text = '## Test (PrivateTest), per cent with 95 % bootstrap intervals\n\n' + table(head, rows)
    read = metrics['variants']['where a face was read']['n']
    text += f'The landmarker reads {read:,} of the {metrics["n"]:,} faces.\n\n'
    text += 'Accuracy published by others, not measured here:\n\n'
    published = [[name, f'{100 * value:.1f}'] for name, value in card['published'].items()]
    text += table(['', 'accuracy'], published)
    names = card['labels']
    confused = [
        [name, f'{100 * metrics["recall"][name]:.0f}', *row]
        for name, row in zip(names, metrics['confusion'], strict=True)
    ]
    text += 'Recall (per cent) and confusion (rows truth, columns answer):\n\n'
    text += table(['truth', 'recall', *names], confused)
    error = metrics['calibration']
    text += (
        f'Expected calibration error (15 bins): {error["ece_before"]:.3f} for the bare network, '
        f'{error["ece_after"]:.3f} as shipped.\n\n## What video does to it (1,200 test faces, picture only)\n\n'
    )
    faults = [
        [name, f'{100 * found["accuracy"]:.1f}', f'{100 * found["balanced_accuracy"]:.1f}']
        for name, found in metrics['robustness_picture_only'].items()
    ]
    return text + table(['', 'accuracy', 'balanced accuracy'], faults)


def render_validation(card: Card) -> str:
    """What was tried on the validation split."""
    held = card['validation']
    tried = {**held['compared'], **{f'prior taken off, {k}': v for k, v in held['prior_taken_off'].items()}}
    rows = [
        [name, *(f'{100 * found[key]:.1f}' for key in ('accuracy', 'balanced_accuracy')), found.get('log_loss', '')]
        for name, found in tried.items()
    ]
    for found in card['combination']['candidates_cross_validated']:
        name = 'no blendshapes' if found['penalty'] is None else f'blendshapes, penalty {found["penalty"]}'
        cells = [f'{100 * found[key]:.1f}' for key in ('accuracy', 'balanced_accuracy')]
        rows.append([f'cross-validated: {name}', *cells, f'{found["log_loss"]:.4f}'])
    text = '## Choices, weighed on validation (PublicTest)\n\n'
    text += table(['', 'accuracy', 'balanced accuracy', 'log loss'], rows)
    bias = ', '.join(f'{value:.2f}' for value in card['combination']['bias'])
    return text + f'Temperature {card["combination"]["temperature"]:.3f}; bias per category {bias}.\n\n'


def write_figures(card: Card, folder: Path) -> None:
    """face_expression_reliability.svg and face_expression_confusion.svg."""
    metrics = card['metrics']
    (folder / 'face_expression_reliability.svg').write_text(reliability_svg(metrics['reliability']), 'utf-8')
    (folder / 'face_expression_confusion.svg').write_text(confusion_svg(metrics['confusion'], card['labels']), 'utf-8')


def svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    size = f'width="{width}" height="{height}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{title}</title><rect {size} fill="#fff"/>'
    )
    return head + '\n' + '\n'.join(parts) + '\n</svg>\n'


def reliability_svg(rows: Sequence[Mapping[str, float]]) -> str:
    """Stated confidence against how often the answer was right; dots grow with the number of faces."""
    side, left, top = 260, 48, 16
    total = sum(row['count'] for row in rows)
    parts = [f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="#888"/>']
    parts.append(f'<path d="M{left} {top + side}L{left + side} {top}" stroke="#888" stroke-dasharray="4 4"/>')
    for tick in (0, 0.5, 1):
        across = left + tick * side
        parts.append(f'<text x="{across}" y="{top + side + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{left - 6}" y="{top + side * (1 - tick) + 4}" text-anchor="end">{tick:g}</text>')
    for row in rows:
        x, y = left + row['confidence'] * side, top + (1 - row['right']) * side
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 + 12 * (row["count"] / total) ** 0.5:.1f}" '
            'fill="#3b6fb6" fill-opacity="0.75"/>'
        )
    middle = left + side / 2
    parts.append(f'<text x="{middle}" y="{top + side + 34}" text-anchor="middle">confidence</text>')
    parts.append(
        f'<text x="14" y="{top + side / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {top + side / 2})">share right</text>'
    )
    return svg(left + side + 20, top + side + 44, 'Reliability on the FER2013 test split', parts)


def confusion_svg(counts: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Row-wise shares of the confusion matrix; darker is more."""
    cell, left, top = 46, 84, 34
    parts = []
    for line, row in enumerate(counts):
        y, total = top + line * cell, max(1, sum(row))
        parts.append(f'<text x="{left - 6}" y="{y + cell / 2 + 4}" text-anchor="end">{names[line]}</text>')
        for column, count in enumerate(row):
            share, x = count / total, left + column * cell
            ink = '#fff' if share > 0.45 else '#123'
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="#1f4e8c" '
                f'fill-opacity="{share:.3f}" stroke="#ddd"/>'
                f'<text x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle" fill="{ink}">'
                f'{100 * share:.0f}</text>'
            )
    for column, name in enumerate(names):
        x = left + column * cell + cell / 2
        parts.append(f'<text x="{x}" y="{top - 8}" text-anchor="middle" font-size="9">{name}</text>')
    title = 'Answers per true category on the FER2013 test split, per cent'
    return svg(left + 7 * cell + 12, top + 7 * cell + 12, title, parts)
