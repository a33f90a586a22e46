"""The card of the small describer for people, and the tables of `docs/describing.md`, from its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT, RESULT = HERE.parents[1], HERE / 'results' / 'describer.json'
BEGIN, END = '<!-- results of the small describer -->', '<!-- end of results -->'
"""Between these lines of the page on describing, tables are written."""
TRIED = (
    'Readers that learn at a tenth of the rate of the adapters (1e-4) lose the heads that they start from: after '
    '20 steps mean recall on the two choosing actors was 0.44, where the head has 0.57. They learn at 2e-6 '
    'instead, which is nearly not at all.',
    'Learning from the clips alone: the head is sure of every clip that it was fitted on, so a describer learnt '
    'to copy sure labels only and agreed with the head on 74 % of the choosing clips after 30 steps. With means '
    'of two voices, named by the head, it agreed on 80 % after 40, and had a recall of 0.61.',
    'An earlier describer named 1.00 labels a comment and was 10.1 points below the head of text on 2,500 test '
    'comments. On 460 other comments of the development part, where the head has a macro-F1 of 0.549 and 1.42 '
    'labels: after its first part 0.461 with 1.36 labels, after its second 0.389 with 1.00. Whether the head '
    'gives a second label was hardly in how likely it was to end after the first: AUC 0.62 after the first part, '
    '0.55 after the second. So no other threshold for ending would have helped (0.412 at best).',
    'Its batches were sorted by length: each had answers of one label alone, or of two, and every step taught to '
    'end, or not to. With the same examples mixed freely, F on 240 comments was 0.46 after 40 steps instead of '
    '0.41; that run was not taken further.',
    'Then three things at once: batches mixed freely; a comma behind every label, so that the end is weighed '
    'against all other labels and not against a comma; means of two comments, named by the head, and rare labels '
    'drawn sooner. On the same 460 comments after the first part: macro-F1 0.487, AUC 0.77, exactly the labels of '
    'the head on 63 % of the comments instead of 50 %.',
    'Half of the second part now is words, sentiment and faces, where it had been 8 %. On the same comments after '
    'it: 0.518 with 1.08 labels, 3.1 points below the head, AUC 0.68; sentiment on lines of the development parts 0.52 '
    '(MELD) and 0.56 (EmoBank), which had been at chance; mean recall on the two choosing actors 0.56, of the '
    'head 0.57.',
    'Making the end less likely when it answers, fitted on these comments, would bring 0.3 points more at 1.3 '
    'labels and cost 1.5 points of valid form. It was left out.',
    'Offsets for each label word and for the end, as the head of text has thresholds, were fitted by coordinate '
    'ascent on one half of 1,000 drawn comments of the development part and scored on the other: macro-F1 0.450 where '
    'they were chosen by what is true, 0.467 where by agreement with the head; one greedy answer has 0.477 there, the '
    'head 0.501. With a dozen examples of a label they fit chance, and were left out.',
    'On the same comments the logits of the first label alone rank what the head gives (mean area over labels 0.985), '
    'and those of the second tell whether the head gives a second one (AUC 0.83): what a greedy answer loses is what '
    'other answers hold. Labels by the share of answers that hold them agree with the head at 0.80 (macro-F1 against '
    'its labels), greedy ones at 0.73, and reach 0.488; looking behind two or three first labels in place of one '
    'changed that by less than 0.004. So these ship for words alone.',
    'Before that, with sorted batches: eight times as many comments in the second part still gave one label a '
    'comment; and a run over 22 actors at once became unsteady (its loss rose to 2 after 25 of 80 steps).',
    'A first run with fewer mixed voices (1,000 beside 840 clips and pairs of clips, 60 steps) had an UAR of '
    '0.729 over all folds, 1.3 points below the head, and 98.4 % of valid answers; the share of mixed voices was '
    'raised after a look at its first fold (2.7 points below). Figures of all folds of RAVDESS were known when '
    'the training above was changed, for the sake of words; nothing was chosen by them.',
    'Arrays that an older run of the recipe of vocal emotion had left were not used: layers agreed but for the '
    'rounding of sound to 16 bits (0.1 standard deviations in the mean), and acoustic readings were of an older '
    'definition.',
)
"""What did not work, or has to be said of how choices were made."""


def page(card: Mapping[str, Any]) -> str:
    """The card."""
    result = card['metrics']
    megabytes = card['bytes'] / 1e6
    lines = ['# The small describer', '']
    lines += [f'{card["task"][:1].upper()}{card["task"][1:]}. {card["data"]}.', '']
    lines += [f'Licence: {card["licence"]}. {megabytes:.1f} MB in `affekt/models/describer`.', '']
    lines += [
        'A soft token for each source that a clip has and the question *Feeling* go into SmolLM2-135M; labels come '
        'out. Sentences are made of them and of measured readings by a grammar (`affekt.description.grounded`).', '',
        '| source | features |', '|---|---|',
        *(f'| {name} | `{recipe}` |' for name, recipe in card['sources'].items()), '',
    ]  # fmt: skip
    lines += ['## Targets', '', *_targets(result), '']
    lines += tables(result)
    lines += ['## How it was trained', '', *_training(result), '']
    lines += ['## What was tried', '', *[f'- {text}' for text in TRIED], '']
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
        'Mean recall over eight labels (UAR) of the first label that is generated; 95 % intervals, actors drawn.',
        '',
    ]
    lines += ['| | UAR |', '|---|---|', *(f'| {name} | {number(score)} |' for name, score in folds['uar'].items()), '']
    lines += [
        f'Less than the head on the same clips: {number(folds["less_than_head"])} with words, '
        f'{number(folds["less_than_head_voice_alone"])} without. The same label as the head: '
        f'{number(folds["same_label_as_head"])}. With the voice of another clip it loses '
        f'{number(folds["lost_when_shuffled"])}. Answers of valid form: '
        f'{number(folds["valid"]["voice and words"], 4)}; before the second part of training '
        f'{folds["valid_before_training"]:.3f}.', '',
        'Recall: ' + ', '.join(f'{word} {value:.2f}' for word, value in folds['recall'].items()) + '.', '',
    ]  # fmt: skip
    if nemo := result.get('nemo'):
        lines += [
            f'## A corpus that was left out: nEMO, Polish, {nemo["speakers"]} speakers, {nemo["clips"]:,} clips',
            '',
        ]
        lines += ['| | UAR, six labels |', '|---|---|']
        lines += [f'| {name} | {number(score)} |' for name, score in nemo['uar'].items()]
        lines += [
            '',
            f'Valid form: {number(nemo["valid"], 4)}. Less than the head: {number(nemo["less_than_head"])}.',
            '',
        ]
    if 'goemotions' in result:
        lines += _words(result)
    for name, title in (('meld', 'MELD'), ('emobank', 'EmoBank, thirds of valence')):
        if lines_of := result.get(f'sentiment_{name}'):
            scores = ', '.join(f'{who} {number(score)}' for who, score in lines_of['uar'].items())
            lines += [f'Sentiment, {title}, {lines_of["lines"]:,} test lines, UAR of three: {scores}.', '']
    if faces := result.get('fer2013'):
        lines += [f'## Faces: FER2013, {faces["stills"]:,} stills of PrivateTest on which a face was read', '']
        lines += ['| | UAR, seven labels |', '|---|---|']
        lines += [f'| {name} | {number(score)} |' for name, score in faces['uar'].items()]
        lines += [
            '',
            f'Valid form: {number(faces["valid"], 4)}. Less than the network: {number(faces["less_than_network"])}.',
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
        'The first row is so by construction: the grammar writes what was measured, by these very terciles.',
        '',
    ]
    if stages:
        lines += _stages(stages)
    return lines


def _words(result: Mapping[str, Any]) -> list[str]:
    """What the describer makes of comments beside what the head of text makes of them."""
    texts, chosen, before = result['goemotions'], result['share'], result.get('goemotions_as_one_answer')
    count, first = texts['labels_a_comment'], texts['first_is_true']
    agreement = ', '.join(f'{value:.3f} at {least}' for least, value in chosen['agreement'].items())
    lines = [
        f'## Words: GoEmotions, {texts["comments"]:,} comments that chose no step and no share, 28 labels', '',
        '| | macro-F1 |', '|---|---|',
        *(f'| {name} | {number(score)} |' for name, score in texts['macro_f1'].items()), '',
        f'Less than the head: {number(texts["less_than_head"])}; less than the head with its nearest label where it '
        f'gives none: {number(texts["less_than_head_that_always_names"])}. The first label is true of '
        f'{number(first["the describer"])} of the comments, of the head of {number(first["head of text"])}; the '
        f'describer names {count["the describer"]:.2f} labels a comment, and the head {count["head of text"]:.2f}. One '
        f'greedy answer names {count["the describer, one greedy answer"]:.2f}; labels by their shares are above it by '
        f'{number(texts["more_than_one_greedy_answer"])}.', '',
        f'Of words alone a label is named where at least {texts["least"]:g} of the answers hold it (`LikelyLabels`); '
        f'so every answer has valid form. The share was chosen on {chosen["comments"]:,} drawn comments of the '
        f'development part, by how well labels agree with those of the head (macro-F1 {agreement}); what is true of '
        'them was not looked at. Tested are the comments of that part that were not drawn. Calibration and thresholds '
        "of the head, from which the describer's reader of words starts too, were fitted on the whole of that part: "
        'that favours both, and what is stated of either may be a little too good.', '',
    ]  # fmt: skip
    if before:
        lines += [
            f'Before that, with one greedy answer a comment, on {before["comments"]:,} comments of the test part: '
            f'{number(before["macro_f1"]["the describer"])} with {before["labels_a_comment"]["the describer"]:.2f} '
            f'labels, {number(before["less_than_head"])} less than the head; valid form {number(before["valid"], 4)}. '
            'The test part is spent: an earlier describer was scored on its other 2,500 comments.', '',
        ]  # fmt: skip
    return lines


def _certainty(certainty: Mapping[str, Any]) -> list[str]:
    """How far stated certainties are off."""
    fitted, tested = certainty['temperatures'], certainty['tested']
    lines = [
        '## How sure it is of the first label', '',
        'The softmax over all known words as the first of the answer, at a temperature: for voices fitted on the two '
        f'choosing actors ({fitted["voice"]:.2f} in what ships), for words on {certainty["clips"]["sentence"]} '
        f'comments of the development part ({fitted["sentence"]:.2f}). Calibration error, 95 % intervals:', '',
        '| | first label true | mean certainty | error | without a temperature |', '|---|---|---|---|---|',
    ]  # fmt: skip
    for name, score in tested.items():
        at, before = score['at its temperature'], score['as it comes']
        lines.append(
            f'| {name} | {score["right"]["value"]:.3f} | {at["mean"]:.3f} | {number(at["error"])} | '
            f'{number(before["error"])} |'
        )
    return [*lines, '', *_familiar(certainty['familiar'])]


def _familiar(limits: Mapping[str, Any]) -> list[str]:
    """Which voices no certainty is stated of, and what that does."""
    lines = [
        'No certainty is stated of a voice that is unlike those of training: its standardised columns have a root mean '
        f'square above {limits["limit"]:.3f}, that of 98 % of the {limits["clips"]} clips of the choosing actors.', '',
        '| | clips | with a certainty | first label true of those | error of those |', '|---|---|---|---|---|',
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
        f'tested actors (folds: {stages["folds"]}), UAR. Coarse are descriptions by template, fine are labels. Short '
        'runs: what counts is how the cells differ.', '',
        '| | one stage | two stages |', '|---|---|---|',
        f'| fine alone | {number(uar["fine-one-stage"])} | {number(uar["fine-two-stages"])} |',
        f'| coarse and fine | {number(uar["coarse-and-fine-one-stage"])} | {number(uar["coarse-then-fine"])} |', '',
        f'Coarse, then fine, less fine alone: {number(stages["coarse_then_fine_less_fine_alone"])}; less both mixed: '
        f'{number(stages["coarse_then_fine_less_mixed"])}; mixed less fine alone: '
        f'{number(stages["mixed_less_fine_alone"])}.', '',
    ]  # fmt: skip


def _training(result: Mapping[str, Any]) -> list[str]:
    first, choice, runs = result['first_part'], result['choice'], result['folds']['runs']
    minutes = sum(run['cpu_s'] for run in (first, *runs)) / 60
    before, then = first['settings'], runs[0]['settings']
    steps, scores = (', '.join(map(str, each)) for each in ((run['step'] for run in runs), choice['f']))
    return [
        f'Words and faces first ({before["steps"]} steps of {before["batch_size"]}; no speaker of RAVDESS is in them), '
        f'then as many voices, mixed voices and made-up pairs as words and faces ({then["steps"]} steps of '
        f'{then["batch_size"]}) for each fold. Steps were chosen by two actors who are neither learnt from nor tested '
        f'on, and by 120 comments of the development part: {steps}. All of it took {minutes:.0f} minutes of one '
        'processor core, which was shared.', '',
        f'What ships is the describer of fold {choice["fold"] + 1}, written in float16: of the three it names the '
        f'emotions of {choice["comments"]} comments of the development part best (F {scores}). So the figures of this '
        'fold, among those of the voices above, are of the very weights that ship; the 8 actors tested in it took no '
        'part in them, and 2 more only chose the step.',
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
    """Write the tables into `docs/describing.md`."""
    result = json.loads(RESULT.read_text())
    path = ROOT / 'docs' / 'describing.md'
    path.write_text(with_tables(path.read_text(), result))


if __name__ == '__main__':
    main()
