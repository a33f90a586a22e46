"""The card of the small describer for people, and the tables of `docs/describing.md`, from its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT, RESULT, TRIED = HERE.parents[1], HERE / 'results' / 'describer.json', HERE / 'results' / 'tried.json'
BEGIN, END = '<!-- results of the small describer -->', '<!-- end of results -->'
"""Between these lines of the page on describing, tables are written."""


def page(card: Mapping[str, Any]) -> str:
    """The card."""
    result = card['metrics']
    megabytes = card['bytes'] / 1e6
    lines = ['# The small describer', '']
    lines += [f'{card["task"][:1].upper()}{card["task"][1:]}. {card["data"]}.', '']
    lines += [f'Licence: {card["licence"]}. {megabytes:.1f} MB in `affekt/models/describer`.', '']
    lines += [
        'SmolLM2-135M reads a soft token for each source that a clip has and the question *Feeling*, and generates '
        'labels. A grammar makes sentences from these and from measured readings (`affekt.description.grounded`).', '',
        '| source | features |', '|---|---|',
        *(f'| {name} | `{recipe}` |' for name, recipe in card['sources'].items()), '',
    ]  # fmt: skip
    lines += ['## Targets', '', *_targets(result), '']
    lines += tables(result)
    lines += ['## Training', '', *_training(result), '']
    if TRIED.exists():
        lines += ['## Alternatives tried', '', *_tried(json.loads(TRIED.read_text())), '']
    lines += ['## Limits', '', *[f'- {text}' for text in card['limits']], '']
    lines += [f'Made by `{card["recipe"]}`; sha256 of both files together `{card["sha256"]}`.', '']
    return '\n'.join(lines)


def _targets(result: Mapping[str, Any]) -> list[str]:
    rows = ['| target | value | reached | by the whole interval |', '|---|---|---|---|']
    for name, score in result['targets'].items():
        whole = 'yes' if score['reached_by_interval'] else 'no'
        rows.append(f'| {name} | {number(score, 3)} | {"yes" if score["reached"] else "**no**"} | {whole} |')
    return rows


def tables(result: Mapping[str, Any]) -> list[str]:
    """All scores, by corpus."""
    folds, clues = result['folds'], result['clues']
    lines = [f'## Voices: RAVDESS, {folds["actors"]} actors in three folds, {folds["clips"]:,} clips', '']
    lines += [
        'Mean recall over eight labels (UAR) of the first label that is generated; 95 % intervals over actors.',
        '',
    ]
    lines += ['| | UAR |', '|---|---|', *(f'| {name} | {number(score)} |' for name, score in folds['uar'].items()), '']
    lines += [
        f'Difference from the head on the same clips: {number(folds["less_than_head"])} with words, '
        f'{number(folds["less_than_head_voice_alone"])} without. Agreement with the head: '
        f'{number(folds["same_label_as_head"])}. Loss with the voice of another clip: '
        f'{number(folds["lost_when_shuffled"])}. Answers of valid form: '
        f'{number(folds["valid"]["voice and words"], 4)}; before the second part of training '
        f'{folds["valid_before_training"]:.3f}.', '',
        'Recall: ' + ', '.join(f'{word} {value:.2f}' for word, value in folds['recall'].items()) + '.', '',
    ]  # fmt: skip
    if nemo := result.get('nemo'):
        lines += [
            f'## A corpus outside training: nEMO, Polish, {nemo["speakers"]} speakers, {nemo["clips"]:,} clips',
            '',
        ]
        lines += ['| | UAR, six labels |', '|---|---|']
        lines += [f'| {name} | {number(score)} |' for name, score in nemo['uar'].items()]
        lines += [
            '',
            f'Valid form: {number(nemo["valid"], 4)}. Difference from the head: {number(nemo["less_than_head"])}.',
            '',
        ]
    if 'goemotions' in result:
        lines += _words(result)
    for name, title in (('meld', 'MELD'), ('emobank', 'EmoBank, thirds of valence')):
        if lines_of := result.get(f'sentiment_{name}'):
            scores = ', '.join(f'{who} {number(score)}' for who, score in lines_of['uar'].items())
            lines += [f'Sentiment, {title}, {lines_of["lines"]:,} test lines, UAR of three: {scores}.', '']
    if faces := result.get('fer2013'):
        lines += [f'## Faces: FER2013, {faces["stills"]:,} stills of PrivateTest with a detected face', '']
        lines += ['| | UAR, seven labels |', '|---|---|']
        lines += [f'| {name} | {number(score)} |' for name, score in faces['uar'].items()]
        lines += [
            '',
            f'Valid form: {number(faces["valid"], 4)}. '
            f'Difference from the network: {number(faces["less_than_network"])}.',
            '',
        ]
    if certainty := result.get('certainty'):
        lines += _certainty({**certainty, 'familiar': result['familiar']})
    lines += [f'## Clues: {clues["statements"]:,} statements on pitch, loudness and tempo of tested actors', '']
    lines += ['| | true |', '|---|---|']
    lines += [
        f'| {name} | {number(clues[name])} |'
        for name in ('by terciles of training', 'by terciles of the tested', 'drawn')
    ]
    stages = result.get('stages')
    if stages and stages['free_statements_true']:
        free = stages['free_statements']
        lines += [
            f'| written freely after coarse data ({free:,} statements) | {number(stages["free_statements_true"])} |'
        ]
    lines += [
        '',
        'The first row holds by construction: the grammar writes what was measured, by these terciles.',
        '',
    ]
    if stages:
        lines += _stages(stages)
    return lines


def _words(result: Mapping[str, Any]) -> list[str]:
    """Scores on comments, beside those of the head of text."""
    texts, chosen, before = result['goemotions'], result['share'], result.get('goemotions_as_one_answer')
    count, first = texts['labels_a_comment'], texts['first_is_true']
    agreement = ', '.join(f'{value:.3f} at {least}' for least, value in chosen['agreement'].items())
    lines = [
        f'## Words: GoEmotions, {texts["comments"]:,} comments that chose neither step nor threshold, 28 labels', '',
        '| | macro-F1 |', '|---|---|',
        *(f'| {name} | {number(score)} |' for name, score in texts['macro_f1'].items()), '',
        f'Difference from the head: {number(texts["less_than_head"])}; from the head with its nearest label where it '
        f'gives none: {number(texts["less_than_head_that_always_names"])}. The first label is correct for '
        f'{number(first["the describer"])} of the comments, that of the head for {number(first["head of text"])}. The '
        f'describer names {count["the describer"]:.2f} labels per comment, the head {count["head of text"]:.2f}. One '
        f'greedy answer names {count["the describer, one greedy answer"]:.2f}; labels by probability exceed it by '
        f'{number(texts["more_than_one_greedy_answer"])}.', '',
        f'From words alone a label is named if at least {texts["least"]:g} of the answers contain it (`LikelyLabels`), '
        f'so every answer has valid form. This threshold was chosen on {chosen["comments"]:,} random comments of the '
        f'development part by agreement with the labels of the head (macro-F1 {agreement}), without looking at the '
        'truth. The test uses the other comments of that part. Calibration and thresholds '
        "of the head, from which the describer's reader of words also starts, were fitted on the whole part: "
        'this favours both, and the scores of either may be slightly optimistic.', '',
    ]  # fmt: skip
    if before:
        lines += [
            f'Earlier, with one greedy answer per comment, on {before["comments"]:,} comments of the test part: '
            f'{number(before["macro_f1"]["the describer"])} with {before["labels_a_comment"]["the describer"]:.2f} '
            f'labels, difference from the head {number(before["less_than_head"])}; valid form '
            f'{number(before["valid"], 4)}. The test part is spent: an earlier describer was scored on its other '
            'comments.', '',
        ]  # fmt: skip
    return lines


def _certainty(certainty: Mapping[str, Any]) -> list[str]:
    """Calibration of the stated certainties."""
    fitted, tested = certainty['temperatures'], certainty['tested']
    lines = [
        '## Certainty of the first label', '',
        'Certainty is a softmax over all known labels as the first of the answer. Its temperature is fitted for voices '
        f'on the two validation actors ({fitted["voice"]:.2f} as shipped), for words on '
        f'{certainty["clips"]["sentence"]} comments of the development part ({fitted["sentence"]:.2f}). Calibration '
        'error, with 95 % intervals:', '',
        '| | first label correct | mean certainty | error | without a temperature |', '|---|---|---|---|---|',
    ]  # fmt: skip
    for name, score in tested.items():
        at, before = score['at its temperature'], score['as it comes']
        lines.append(
            f'| {name} | {score["right"]["value"]:.3f} | {at["mean"]:.3f} | {number(at["error"])} | '
            f'{number(before["error"])} |'
        )
    return [*lines, '', *_familiar(certainty['familiar'])]


def _familiar(limits: Mapping[str, Any]) -> list[str]:
    """The limit beyond which a voice has no certainty, and its effect."""
    lines = [
        'A voice unlike those of training has no certainty: the root mean square of its standardised columns exceeds '
        f'{limits["limit"]:.3f}, which 98 % of the {limits["clips"]} clips of the validation actors do not.', '',
        '| | clips | with a certainty | first label correct, of those | error of those |', '|---|---|---|---|---|',
    ]  # fmt: skip
    for name, row in limits['tested'].items():
        own = row.get('of_those')
        right, error = (
            (f'{own["right"]["value"]:.3f}', number(own['at its temperature']['error'])) if own else ('none', 'none')
        )
        lines.append(f'| {name} | {row["clips"]:,} | {number(row["stated"])} | {right} | {error} |')
    return [*lines, '']


def _stages(stages: Mapping[str, Any]) -> list[str]:
    """The 2x2 of data and order."""
    uar = stages['uar']
    return [
        '## Coarse and fine', '',
        f'Voices alone, {stages["steps"]} steps of 16 in every cell from the same start, {stages["clips"]:,} clips of '
        f'tested actors (folds: {stages["folds"]}), UAR. Coarse data are descriptions by template, fine data '
        'are labels. The runs are short: only differences between cells count.', '',
        '| | one stage | two stages |', '|---|---|---|',
        f'| fine alone | {number(uar["fine-one-stage"])} | {number(uar["fine-two-stages"])} |',
        f'| coarse and fine | {number(uar["coarse-and-fine-one-stage"])} | {number(uar["coarse-then-fine"])} |', '',
        f'Coarse, then fine, minus fine alone: {number(stages["coarse_then_fine_less_fine_alone"])}; minus both mixed: '
        f'{number(stages["coarse_then_fine_less_mixed"])}; mixed minus fine alone: '
        f'{number(stages["mixed_less_fine_alone"])}.', '',
    ]  # fmt: skip


def _training(result: Mapping[str, Any]) -> list[str]:
    first, choice, runs = result['first_part'], result['choice'], result['folds']['runs']
    minutes = sum(run['cpu_s'] for run in (first, *runs)) / 60
    before, then = first['settings'], runs[0]['settings']
    steps, scores = (', '.join(map(str, each)) for each in ((run['step'] for run in runs), choice['f']))
    return [
        f'First on words and faces ({before["steps"]} steps of {before["batch_size"]}, without speakers of RAVDESS), '
        'then for each fold on as many examples of voices, mixed voices and artificial pairs as of words and faces '
        f'({then["steps"]} steps of {then["batch_size"]}). Two actors outside training and test and 120 comments of '
        f'the development part chose the steps: {steps}. Training took {minutes:.0f} minutes on one shared processor '
        'core.', '',
        f'affekt contains the describer of fold {choice["fold"] + 1} in float16, which of the three names the '
        f'emotions of {choice["comments"]} comments of the development part best (F {scores}). Of the voice scores '
        'above, those of this fold are therefore of the shipped weights: the 8 actors tested in it were not used, and '
        '2 more only chose the step.', '',
        'All folds of RAVDESS had been scored with earlier describers before training was changed to improve '
        'words. Those scores chose nothing.',
    ]  # fmt: skip


def _tried(tried: Mapping[str, Any]) -> list[str]:
    """Other ways to get labels from the same weights, and why they were rejected."""
    half, whole, agreed, areas = (tried[name] for name in ('other_half', 'macro_f1', 'agreement_with_head', 'area'))
    return [
        f'All on the {tried["comments"]:,} random comments of the development part (`recipes/describer/tried.py`), by '
        'macro-F1. `docs/LOG.md` has earlier runs, whose weights are gone.', '',
        '- Offsets for each label word and for the end, like the thresholds of the head of text, fitted by coordinate '
        f'ascent on one half and scored on the other: {half["offsets by what is true"]:.3f} if chosen by the truth, '
        f'{half["offsets by agreement with the head"]:.3f} by agreement with the head. On that half one greedy '
        f'answer has {half["greedy"]:.3f}, labels by probability {half["shares"]:.3f}, and the head '
        f'{half["head of text"]:.3f}.',
        "- The logits of the first label already rank the head's labels (mean area under the curve "
        f'{areas["first label, mean over labels of the head"]:.3f}), and those of the second predict whether it gives '
        f'a second one ({areas["second label"]:.2f}), so a greedy answer loses what other likely answers contain. '
        f'Labels by probability agree with the head at {agreed["shares"]:.3f}, greedy ones at {agreed["greedy"]:.3f}. '
        f'Against the truth they have {whole["shares behind 1"]:.3f} and {whole["greedy"]:.3f}; '
        f'{whole["shares behind 2"]:.3f} and {whole["shares behind 3"]:.3f} if two or three first labels are expanded; '
        f'the head has {whole["head of text"]:.3f}.',
    ]  # fmt: skip


def number(score: Mapping[str, float], digits: int = 3) -> str:
    """A value with its interval."""
    return f'{score["value"]:.{digits}f} [{score["low"]:.{digits}f}, {score["high"]:.{digits}f}]'


def with_tables(text: str, result: Mapping[str, Any]) -> str:
    """The page on describing with the tables of the results in their place."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    inner = '\n'.join(line.replace('## ', '### ', 1) if line.startswith('## ') else line for line in tables(result))
    return f'{before}{BEGIN}\n\n' + '\n'.join(_targets(result)) + f'\n\n{inner}\n{END}{after}'


def main() -> None:
    """Write the page of the card, and the tables into `docs/describing.md`."""
    card = ROOT / 'affekt' / 'models' / 'describer.json'
    card.with_suffix('.md').write_text(page(json.loads(card.read_text())))
    result = json.loads(RESULT.read_text())
    path = ROOT / 'docs' / 'describing.md'
    path.write_text(with_tables(path.read_text(), result))


if __name__ == '__main__':
    main()
