"""The small describer from corpora to what ships: folds of actors, stages, the final weights, results and card.

    python recipes/describer/train.py --corpora DIR --out DIR [--part folds stages final report] [--steps N]

Everything is kept below `--out` and reused, so that a run that was stopped goes on where it was: features, runs, and
answers. `report` writes `results.json`, `results.md` and the card from what is there. One thread is enough.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from certainty import WORDS, logits_of, temperature
from data import PROSODY, RECIPES_OF, SENTENCE, VOICE
from evaluate import LIMITS, answers
from likely import chosen_share, familiar_voices, words_tested
from readers import DESCRIPTION, KIND, LABELS, SENTIMENT, new_describer
from report import write_report
from runs import (
    FOLDS,
    KNOWN,
    Amounts,
    Starts,
    comments_as_rated,
    folds,
    prepared,
    settings_of,
    starts_of,
    trained,
    voices_and_all,
    with_starts,
)
from tested import asked, final_tests, kept, plain

from affekt.description import (
    Describer,
    Example,
    Limits,
    Terciles,
    generated_answers,
    open_describer,
    save_describer,
)
from examples import Clips, Numbers, descriptions, of_mixed, of_texts, of_voices, read_clips, readings_of

FREE = Limits(tokens=48)
HEARD = (VOICE, PROSODY, SENTENCE)
CHOOSING = slice(240, 540)
"""Comments of the development part of GoEmotions that choose the fold; the ones before choose steps."""
PARTS = ('folds', 'stages', 'final', 'report')
CELLS = {
    'fine, one stage': (('single', 'fine', 2),),
    'fine, two stages': (('single', 'fine', 1), ('fine', 'fine', 1)),
    'coarse and fine, one stage': (('single', 'both', 2),),
    'coarse, then fine': (('coarse', 'coarse', 1), ('fine', 'fine', 1)),
}
"""The 2x2 of data and order: of each run its stage, its examples, and its share of the steps."""


# By folds of actors


def fold_answers(describer: Describer, clips: Clips, tested: Numbers) -> dict[str, Any]:
    """What is said of clips as they come, and with parts of them withheld or exchanged."""
    shuffled = np.random.default_rng(3).permutation(tested)
    conditions = {
        'voice and words': asked(clips, tested, HEARD),
        'voice alone': asked(clips, tested, (VOICE, PROSODY)),
        'words alone': asked(clips, tested, (SENTENCE,)),
        "another clip's voice": asked(clips, tested, HEARD, shuffled),
    }
    return {name: plain(answers(describer, examples, KNOWN)) for name, examples in conditions.items()}


def run_folds(clips: dict[str, Clips], out: Path, steps: int) -> None:
    """A describer a fold; its answers on actors whom it never heard.

    The step is chosen by two actors and as many comments: by F, since comments have several labels.
    """
    for number in range(FOLDS):
        kept(out / 'answers' / f'fold-{number}.json', partial(_fold, clips, out, number, steps))
        print(f'fold {number} done', flush=True)


def _fold(clips: dict[str, Clips], out: Path, number: int, steps: int) -> dict[str, Any]:
    voices, fold = clips['ravdess'], folds(clips['ravdess'])[number]
    starts = starts_of(clips, fold.learnt)
    describer = prepared(clips, fold.learnt, starts, out / 'runs' / 'words-and-faces')
    examples = voices_and_all(clips, fold.learnt, starts, Amounts(), number)
    chosen_by = of_voices(voices, fold.chosen_by, HEARD)
    judged = [*chosen_by, *comments_as_rated(clips, starts, slice(0, len(chosen_by)))]
    before = plain(answers(describer, asked(voices, fold.tested[::4], (VOICE, PROSODY)), KNOWN))
    settings = settings_of(steps, stage='fine', seed=number, batch=40, score='f')
    record = trained(describer, examples, judged, settings, out / 'runs' / f'fold-{number}')
    wide = starts_of(clips, np.concatenate([fold.learnt, fold.chosen_by]))
    heard = voices.sources[VOICE][fold.tested]
    return {
        'tested': fold.tested.tolist(), 'chosen_by': fold.chosen_by.tolist(), 'record': record, 'before': before,
        'logits': {
            'chosen_by': logits_of(describer, chosen_by),
            'tested': logits_of(describer, asked(voices, fold.tested, HEARD)),
        },
        'answers': fold_answers(describer, voices, fold.tested), 'head': starts.heard(heard),
        'head of all others': wide.heard(heard), 'terciles': Terciles.of(readings_of(voices, fold.learnt)).bounds,
    }  # fmt: skip


# Coarse and fine


def run_stages(clips: dict[str, Clips], out: Path, steps: int) -> None:
    """Voices alone, the same number of steps in each cell: what coarse data and a stage of their own bring."""
    for number in range(FOLDS):
        for cell in CELLS:
            name = cell.replace(', ', '-').replace(' ', '-')
            kept(out / 'answers' / f'stages-{number}' / f'{name}.json', partial(_cell, clips, out, number, cell, steps))
            print(f'fold {number}, {cell} done', flush=True)


def _cell(clips: dict[str, Clips], out: Path, number: int, cell: str, steps: int) -> dict[str, Any]:
    voices, fold = clips['ravdess'], folds(clips['ravdess'])[number]
    starts, rng = starts_of(clips, fold.learnt), np.random.default_rng([number, 2])
    terciles = Terciles.of(readings_of(voices, fold.learnt))
    fine = of_voices(voices, fold.learnt)
    fine += of_mixed(voices, fold.learnt, len(fine), starts.by_source[VOICE], rng)
    coarse = descriptions(voices, fold.learnt, terciles, rng)
    described = descriptions(voices, fold.chosen_by[::4], terciles, rng)
    sets = {'fine': fine, 'coarse': coarse, 'both': [*fine, *coarse]}
    describer = with_starts(new_describer(seed=number), starts, (VOICE, PROSODY), of_voices(voices, fold.learnt))
    records, free = [], None
    for place, (stage, examples, share) in enumerate(CELLS[cell]):
        settings = settings_of(share * steps // 2, stage=stage, seed=number, batch=16)
        judged = described if examples == 'coarse' else of_voices(voices, fold.chosen_by)
        folder = out / 'runs' / f'stages-{number}' / f'{cell.replace(", ", "-").replace(" ", "-")}-{place}'
        records.append(trained(describer, sets[examples], judged, settings, folder))
        if examples == 'coarse':
            free = written_freely(describer, voices, fold.tested[::4])
    tested = fold.tested[::2]
    given = answers(describer, asked(voices, tested, (VOICE, PROSODY)), KNOWN)
    return {
        'tested': tested.tolist(), 'answers': plain(given), 'records': records, 'free': free,
        'terciles': terciles.bounds,
    }  # fmt: skip


def written_freely(describer: Describer, clips: Clips, tested: Numbers) -> dict[str, Any]:
    """Descriptions without any grammar: what a model of this size claims of itself."""
    examples = [
        Example(clips.names[n], clips.perceived(n, (VOICE, PROSODY)), '', DESCRIPTION, ' neutral', ()) for n in tested
    ]
    given = generated_answers(describer, examples, KIND, FREE, batch_size=64)
    return {'clips': tested.tolist(), 'texts': [answer.text for answer in given]}


# What ships


def run_final(clips: dict[str, Clips], out: Path) -> None:
    """The describer of one fold, and its answers on the other corpora's test parts.

    It is the fold that names the emotions of comments of the development part best. A describer of all actors would
    hear some better, but nobody would know how it hears actors whom it did not learn from.
    """
    chosen = kept(out / 'answers' / 'choice.json', partial(_choice, clips, out))
    folded = json.loads((out / 'answers' / f'fold-{chosen["fold"]}.json').read_text())
    fold = folds(clips['ravdess'])[chosen['fold']]
    starts = starts_of(clips, fold.learnt)
    describer = open_describer(out / 'runs' / f'fold-{chosen["fold"]}' / 'describer')
    terciles = Terciles.of(readings_of(clips['ravdess'], fold.learnt))
    sure = kept(out / 'answers' / 'certainty.json', partial(_certainty, clips, describer, starts, folded))
    notes = notes_of(terciles, folded['record'], sure['temperatures'])
    save_describer(describer, out / 'small', dtype='float16', notes=notes)
    describer = open_describer(out / 'small')
    for name, make in final_tests(clips, describer, starts).items():
        kept(out / 'answers' / f'final-{name}.json', make)
        print(f'{name} done', flush=True)
    texts, start = clips['goemotions'], starts.by_source[SENTENCE]
    share = kept(out / 'answers' / 'share.json', partial(chosen_share, describer, texts, start))
    kept(out / 'answers' / 'held.json', partial(words_tested, describer, texts, start, share['least']))
    kept(
        out / 'answers' / 'familiar.json',
        partial(
            familiar_voices, describer, clips['ravdess'], clips['nemo'], fold.chosen_by, fold.tested,
            sure['temperatures'][VOICE],
        ),
    )  # fmt: skip


def _choice(clips: dict[str, Clips], out: Path) -> dict[str, Any]:
    """F of the describer of each fold on comments of the development part that no run has seen."""
    texts = clips['goemotions']
    lines = texts.of_split('dev')[CHOOSING]
    scores = []
    for number, fold in enumerate(folds(clips['ravdess'])):
        start = starts_of(clips, fold.learnt).by_source[SENTENCE]
        describer = open_describer(out / 'runs' / f'fold-{number}' / 'describer')
        given = answers(describer, of_texts(texts, lines, start), KNOWN)
        pairs = [(set(named), set(texts.truth[n])) for named, n in zip(given.labels, lines, strict=True)]
        scores.append(float(np.mean([2 * len(a & b) / (len(a) + len(b)) for a, b in pairs])))
    return {'fold': int(np.argmax(scores)), 'f': [round(score, 4) for score in scores], 'comments': len(lines)}


def _certainty(clips: dict[str, Clips], describer: Describer, starts: Starts, folded: dict[str, Any]) -> dict[str, Any]:
    """Temperatures of what is heard and of what is read, from clips that are neither learnt from nor tested."""
    texts, voices = clips['goemotions'], clips['ravdess']
    lines = texts.of_split('dev')[CHOOSING]
    examples = of_texts(texts, lines, starts.by_source[SENTENCE])
    heard = temperature(folded['logits']['chosen_by'], [voices.truth[n] for n in folded['chosen_by']])
    stated = temperature(logits_of(describer, examples), [texts.truth[n] for n in lines])
    return {
        'temperatures': {VOICE: heard, SENTENCE: stated},
        'clips': {VOICE: len(folded['chosen_by']), SENTENCE: len(lines)},
    }  # fmt: skip


def notes_of(terciles: Terciles, record: dict[str, Any], temperatures: dict[str, float]) -> dict[str, Any]:
    """What a program needs to know of the shipped folder, besides its sources and settings."""
    return {
        'recipes': RECIPES_OF,
        'kind': {
            'blocks': [{'source': source, 'lead': ''} for source in KIND.sources], 'words': False, 'opened': True,
            'bare': True,
        },
        'question': LABELS, 'questions': {'labels': LABELS, 'sentiment': SENTIMENT}, 'answer_tokens': LIMITS.tokens,
        'labels': list(WORDS), 'certainty': temperatures,
        'terciles': {name: list(pair) for name, pair in terciles.bounds.items()},
        'name': 'the small describer of affekt', 'training': {'answer_tokens': LIMITS.tokens},
        'reaches_targets': False, 'licence': 'CC BY-NC-SA 4.0', 'recipe': 'recipes/describer/train.py',
        'step': record['step'], 'validation': record['validation'],
    }  # fmt: skip


def main() -> None:
    """Runs all parts; each reuses what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--corpora', type=Path, required=True, help='folder with ravdess_speech, nemo, goemotions, …')
    parser.add_argument('--out', type=Path, required=True, help='folder for features, runs, answers and results')
    parser.add_argument('--part', nargs='+', default=list(PARTS), choices=PARTS)
    parser.add_argument('--steps', type=int, default=100, help='of the second part of each fold')
    parser.add_argument('--stage-steps', type=int, default=30, help='of each cell of coarse and fine')
    parser.add_argument('--threads', type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clips = read_clips(options.corpora, options.out)
    if 'folds' in options.part:
        run_folds(clips, options.out, options.steps)
    if 'final' in options.part:
        run_final(clips, options.out)
    if 'stages' in options.part:
        run_stages(clips, options.out, options.stage_steps)
    if 'report' in options.part:
        write_report(clips, options.out)


if __name__ == '__main__':
    main()
