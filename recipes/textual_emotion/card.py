"""The card of textual emotion for people (Markdown), made from the card for machines, and its two figures (SVG).

Read by `train.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Card = Mapping[str, Any]

HEAD = """# Textual emotion

{task}. A frozen sentence encoder (MiniLM-L6, all layers) and small heads trained here.

- **File**: `textual_emotion.npz`, {bytes:,} bytes, sha256 `{sha256}`
- **Data**: {data}
- **Licence**: {licence}; commercial use is allowed, but for the map that reads spoken words, which learned from MELD:
  `--license commercial-ok` leaves it out and reads words as written comments
- **Split**: official: {split}
- **Selection**: {selection}
- **Made by**: `{recipe}`

"""
HOW = """## How it reads

Each of 28 labels adds two things: the mean of all seven layers over the word pieces, and what its own attention
finds at single pieces. The last layer alone, which is what a sentence embedding is, has lost much of how a thing is
said; the layers below it still have it (see *What was compared*). Labels have a slope, an offset and a threshold each,
all fitted on dev. The seven categories of what is *said* (register `dialogue`, the default) are a linear map of the 28
outputs, fitted on MELD's training part; those of what is *written* are the sums of their labels in GoEmotions' own
grouping, sharpened by one temperature. Valence, arousal and dominance are linear in the means and the labels.

"""


def render_card(card: Card) -> str:
    """The Markdown page: what it is, how good it is beside trivial and published scores, and what it cannot do."""
    split = ', '.join(f'{name} {count:,}' for name, count in card['split'].items() if name != 'note')
    facts = {key: card[key] for key in ('task', 'data', 'licence', 'selection', 'recipe', 'sha256')}
    metrics = card['metrics']
    return ''.join(
        [
            HEAD.format(**facts, split=split, bytes=card['architecture']['bytes']),
            HOW,
            dialogue_part(card) if 'dialogue' in metrics else '',
            goemotions_part(metrics['goemotions']),
            emobank_part(metrics['emobank']),
            meld_part(metrics['meld'], card['labels']['categories']),
            dialogue_choices(card) if 'dialogue' in metrics else '',
            valence_part(card['validation']['valence_of_spoken_lines']) if 'dialogue' in metrics else '',
            '## Published, by their authors\n\n',
            table(['', 'score'], [[name, f'{score:.3g}'] for name, score in card['published'].items()]),
            validation_part(card),
            '## Limits\n\n' + ''.join(f'- {limit}\n' for limit in card['limits']),
        ]
    )


def dialogue_part(card: Card) -> str:
    """How well it reads what people say, on corpora of which nothing was learned or chosen."""
    text = "## Spoken lines\n\nThe map and its penalty, prior and abstention come from MELD's training and development "
    text += (
        "parts. IEMOCAP is another corpus altogether; MELD's test part is the same series. Each line is read alone, "
    )
    text += 'and the labels rest on picture and sound too, which words cannot know.\n\n'
    keys = ('accuracy', 'macro_f1', 'log_loss', 'calibration_error')
    for name, figures in card['metrics']['dialogue'].items():
        rows = []
        for shown, values in figures['rows'].items():
            row = ['' if key not in values else f'{values[key]:.3f}' for key in keys]
            if 'macro_f1_low' in values:
                row[1] += f' [{values["macro_f1_low"]:.3f}, {values["macro_f1_high"]:.3f}]'
            rows.append([f'**{shown}**' if shown.startswith('this model') else shown, *row])
        left_out = 'a left-out corpus' if name == 'IEMOCAP' else 'the same series'
        text += f'### {name} ({left_out}): {figures["n"]:,} lines, {", ".join(figures["categories"])}\n\n'
        text += table(['', 'accuracy', 'macro-F1', 'log loss', 'calibration error'], rows)
        text += f'It names a category for {figures["coverage"]:.0%} of the lines and abstains from the rest, '
        text += 'which are worded too plainly.\n\n'
    other = card['metrics']['dialogue_other_direction']
    text += (
        f'The other way round, the same map fitted on IEMOCAP reads {other["n"]:,} test lines of MELD in these four '
    )
    text += f'categories at macro-F1 {other["macro_f1"]:.3f}, log loss {other["log_loss"]:.3f} '
    text += f'({other["prior_log_loss"]:.3f} for the prior alone), '
    return text + f'calibration error {other["calibration_error"]:.3f}.\n\n'


def dialogue_choices(card: Card) -> str:
    """What was chosen for spoken lines, and what other choices would score."""
    chosen = card['validation']['dialogue']
    text = '## The choices for spoken lines\n\n'
    text += (
        f'Penalty {chosen["penalty"]:g}: the strongest within one standard error ({chosen["standard_error"]:.3f}) of '
    )
    text += "the least log loss on MELD's development part ("
    text += ', '.join(f'{loss:.3f} at {name}' for name, loss in chosen['log_loss_on_dev_by_penalty'].items())
    text += (
        f'). Below {chosen["least_evidence_bits"]:.2f} bits of evidence it abstains: up to there the category that it '
    )
    text += (
        'would name is right at most two points more often than always naming the commonest. Probabilities are stated '
    )
    text += 'under the prior ' + ', '.join(f'{name} {share:.3f}' for name, share in card['reported_prior'].items())
    text += (
        ": MELD's training shares to the power of one half. The exponent of the evidence with the least log loss on "
    )
    text += f'IEMOCAP, which the fusion starts from, is {card["carries_over"]:.2f}. At other powers of the shares:\n\n'
    rows = [
        [power, *(f'{at[name][key]:.3f}' for name in at for key in at[name])]
        for power, at in card['metrics']['dialogue_powers'].items()
    ]
    heads = [f'{name}: {key}' for name in ('MELD dev', 'MELD test', 'IEMOCAP') for key in ('F1', 'loss', 'error')]
    return text + table(['power', *heads], rows)


def valence_part(figures: Card) -> str:
    """How far the valence of words follows the place of what was felt."""
    rows = [[name, *(f'{value:.3f}' for value in scores.values())] for name, scores in figures.items()]
    text = '## Valence of spoken lines, against the place of the true category on the plane\n\n'
    return text + table(['', 'Pearson', 'residual deviation', 'deviation of the places', 'mean over neutral'], rows)


def goemotions_part(found: Card) -> str:
    labels, categories, single = found['labels'], found['categories'], found['categories']['single_category']
    rows = [['**28 labels**', *(spread(labels[key]) for key in ('macro_f1', 'micro_f1', 'mean_average_precision'))]]
    for name, scores in found['baselines'].items():
        given = (scores.get(key) for key in ('macro_f1', 'micro_f1', 'mean_average_precision'))
        rows.append([name, *('' if score is None else f'{score:.3f}' for score in given)])
    text = f'## GoEmotions, {found["n"]:,} test comments, 95 % bootstrap intervals\n\n'
    text += table(['', 'macro-F1', 'micro-F1', 'mean average precision'], rows)
    text += table(
        ['seven categories', 'score'],
        [
            ['multi-label macro-F1 (at least one label of the category)', spread(categories['multilabel_macro_f1'])],
            ['the strongest category is among the true ones', spread(categories['strongest_is_right'])],
            [f'accuracy, {single["n"]:,} comments of one category', spread(single['accuracy'])],
            ['balanced accuracy, the same', spread(single['balanced_accuracy'])],
            ['accuracy of always neutral, the same', f'{single["majority_accuracy"]:.3f}'],
        ],
    )
    fit, of_labels = categories['calibration'], found['calibration_of_labels']
    text += (
        'Calibration error of the strongest category, comments of one: '
        f'{fit["ece_before"]:.3f} before, {fit["ece_after"]:.3f} after '
        f'temperature {fit["temperature"]:.2f}; of the labels, all together: {of_labels["ece_before"]:.4f} before, '
        f'{of_labels["ece_after"]:.4f} after.\n\n'
        '![F1 of each label](../../docs/figures/textual_emotion_labels.svg)\n\n'
        '![Stated and true certainty](../../docs/figures/textual_emotion_calibration.svg)\n\n'
    )
    each = [
        [label, scores['positives'], f'{scores["f1"]:.2f}', f'{scores["average_precision"]:.2f}']
        for label, scores in found['per_label'].items()
    ]
    return text + table(['label', 'test comments', 'F1', 'average precision'], each)


def emobank_part(found: Card) -> str:
    rows = [
        [
            name,
            spread(found[name]['pearson']),
            spread(found[name]['concordance']),
            f'{found[name]["error"]:.3f}',
            f'{found[name]["error_of_the_mean"]:.3f}',
            ' to '.join(f'{value:.2f}' for value in found[name]['middle_90_percent']),
        ]
        for name in ('valence', 'arousal', 'dominance')
    ]
    text = f'## EmoBank, {found["n"]:,} test sentences, intervals by document ({found["documents"]})\n\n'
    text += (
        'Errors are root mean squares on the scale of 1 to 5; the mean of the training ratings has correlation 0.\n\n'
    )
    return text + table(
        ['', 'Pearson', 'concordance', 'error', 'error of the mean', '90 % of outputs, in [-1, 1]'], rows
    )


def meld_part(found: Card, names: Sequence[str]) -> str:
    keys = ('accuracy', 'weighted_f1', 'balanced_accuracy')
    rows = [['**this model**', *(spread(found[key]) for key in keys)]]
    rows += [[name, *(f'{scores[key]:.3f}' for key in keys)] for name, scores in found['baselines'].items()]
    text = (
        f'## The register for written text on spoken lines: MELD, {found["n"]:,} test lines, intervals by dialogue\n\n'
    )
    text += 'What the map of spoken lines replaces. Nothing of it was trained or chosen on MELD.\n\n'
    text += table(['', 'accuracy', 'weighted F1', 'balanced accuracy'], rows)
    text += f'Calibration error there: {found["calibration"]["ece_after"]:.3f}. Rows truth, columns answer:\n\n'
    return text + table(['', *names], [[name, *row] for name, row in zip(names, found['confusion'], strict=True)])


def validation_part(card: Card) -> str:
    found = card['validation']
    keys = ('loss', 'mean_average_precision', 'macro_f1_cross', 'categories_loss')
    rows = [[name, *(f'{scores[key]:.4f}' for key in keys)] for name, scores in found['goemotions'].items()]
    text = '## What was compared, on dev\n\n' + table(
        [
            'heads',
            'loss of labels',
            'mean average precision',
            'macro-F1, thresholds of the other half',
            'loss of categories',
        ],
        rows,
    )
    text += table(
        ['seven categories, comments of one', 'loss', 'accuracy'],
        [
            [name, f'{scores["loss"]:.4f}', f'{scores["accuracy"]:.4f}']
            for name, scores in found['categories_on_dev'].items()
        ],
    )
    path = [
        [f'{inputs}, penalty {penalty}', *(f'{score:.3f}' for score in scores)]
        for inputs, penalties in found['emobank_pearson_by_penalty'].items()
        for penalty, scores in penalties.items()
    ]
    return text + table(['EmoBank, Pearson', 'valence', 'arousal', 'dominance'], path)


def spread(found: Mapping[str, float]) -> str:
    return f'{found["value"]:.3f} [{found["low"]:.3f}, {found["high"]:.3f}]'


def spread_of(figures: Mapping[str, float]) -> str:
    """Macro-F1 with its interval."""
    return f'{figures["macro_f1"]:.3f} [{figures["macro_f1_low"]:.3f}, {figures["macro_f1_high"]:.3f}]'


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; all but the first column stand to the right."""
    lines = [f'| {" | ".join(str(cell) for cell in row)} |' for row in [head, *rows]]
    return '\n'.join([lines[0], '|' + ' --- |' + ' ---: |' * (len(head) - 1), *lines[1:]]) + '\n\n'


STYLE = """<style>text{font:12px system-ui,sans-serif;fill:#222}.n{fill:#555}.bar{fill:#1f6f8b}
.line{stroke:#999;stroke-width:1}.ideal{stroke:#999;stroke-dasharray:4 3}.dot{fill:#b5541c}
@media (prefers-color-scheme:dark){text{fill:#eee}.n{fill:#bbb}.bar{fill:#6fc3df}.dot{fill:#f0a35e}}</style>"""


def draw_labels(card: Card) -> str:
    """F1 of each label on the test split, the frequent ones first."""
    found = sorted(card['metrics']['goemotions']['per_label'].items(), key=lambda item: -item[1]['positives'])
    height = 18 * len(found) + 50
    rows = [svg_open(620, height, 'F1 of each GoEmotions label on the test split, most frequent first')]
    rows.append('<text x="130" y="18">F1 on the test split; number of test comments beside the name</text>')
    for at, (label, scores) in enumerate(found):
        y, width = 32 + 18 * at, 400 * scores['f1']
        rows.append(f'<text x="120" y="{y + 11}" text-anchor="end">{escape(label)}</text>')
        rows.append(f'<text class="n" x="160" y="{y + 11}" text-anchor="end">{scores["positives"]}</text>')
        rows.append(f'<rect class="bar" x="170" y="{y}" width="{width:.1f}" height="13"/>')
        rows.append(f'<text x="{176 + width:.1f}" y="{y + 11}">{scores["f1"]:.2f}</text>')
    return '\n'.join([*rows, '</svg>\n'])


def draw_calibration(card: Card) -> str:
    """How often the strongest category is right, for each tenth of stated certainty."""
    bins = card['metrics']['goemotions']['categories']['calibration']['bins']
    rows = [svg_open(420, 400, 'Stated certainty of the strongest category against how often it is right')]
    rows.append(
        '<line class="ideal" x1="60" y1="340" x2="380" y2="20"/><line class="line" x1="60" y1="340" x2="380" y2="340"/>'
    )
    rows.append('<line class="line" x1="60" y1="340" x2="60" y2="20"/>')
    for tenth in range(0, 11, 2):
        at = 32 * tenth
        rows.append(f'<text x="{60 + at}" y="358" text-anchor="middle">{tenth / 10:.1f}</text>')
        rows.append(f'<text x="52" y="{344 - at}" text-anchor="end">{tenth / 10:.1f}</text>')
    rows.append('<text x="220" y="384" text-anchor="middle">stated certainty</text>')
    rows.append('<text transform="translate(16 180) rotate(-90)" text-anchor="middle">share that is right</text>')
    for found in bins:
        if found['n']:
            x, y = 60 + 320 * found['stated'], 340 - 320 * found['right']
            radius = 3 + 9 * (found['n'] / max(each['n'] for each in bins)) ** 0.5
            rows.append(
                f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{found["n"]}</title></circle>'
            )
    return '\n'.join([*rows, '</svg>\n'])


def svg_open(width: int, height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
        f'<title>{escape(title)}</title>{STYLE}'
    )
