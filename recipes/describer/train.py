"""The small describer from corpora to what ships: folds of actors, stages, the final weights, results and card.

    python recipes/describer/train.py --corpora DIR --out DIR [--part folds stages final report] [--steps 100]

Everything is kept below `--out` and reused, so that a run that was stopped goes on where it was: features, runs, and
answers. `report` writes `results.json`, `results.md` and the card from what is there. One thread is enough.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import PROSODY, RECIPES_OF, SENTENCE, VOICE
from evaluate import LIMITS, Answers, answers, read
from readers import DESCRIPTION, KIND, LABELS, SENTIMENT, new_describer
from report import write_report
from runs import (
    FOLDS,
    KNOWN,
    SENTIMENTS,
    Amounts,
    Starts,
    folds,
    prepared,
    settings_of,
    starts_of,
    trained,
    voices_and_all,
    with_starts,
)

from affekt.description import (
    Describer,
    Example,
    Limits,
    Terciles,
    generated_answers,
    open_describer,
    save_describer,
)
from affekt.labels import GOEMOTIONS
from examples import (
    Clips,
    Numbers,
    decided,
    descriptions,
    faces_read,
    of_faces,
    of_mixed,
    of_sentiment,
    of_texts,
    of_voices,
    read_clips,
    readings_of,
    sentiment_word,
    thirds,
)

FREE = Limits(tokens=48)
TESTED = 2500
"""Comments of the test part of GoEmotions that are answered, drawn."""
PARTS = ('folds', 'stages', 'final', 'report')
CELLS = {
    'fine, one stage': (('single', 'fine', 2),),
    'fine, two stages': (('single', 'fine', 1), ('fine', 'fine', 1)),
    'coarse and fine, one stage': (('single', 'both', 2),),
    'coarse, then fine': (('coarse', 'coarse', 1), ('fine', 'fine', 1)),
}
"""The 2x2 of data and order: of each run its stage, its examples, and its share of the steps."""


def asked(clips: Clips, numbers: Numbers, sources: Sequence[str], heard: Numbers | None = None) -> list[Example]:
    """Clips with some of their sources; the voice is that of other clips where `heard` says which."""
    examples = []
    for place, n in enumerate(numbers):
        other = n if heard is None else heard[place]
        perceived = {name: clips.sources[name][n if name == SENTENCE else other] for name in sources}
        examples.append(Example(clips.names[n], perceived, '', LABELS, ' neutral', ()))
    return examples


def kept(path: Path, make: Any) -> dict[str, Any]:
    """What is in a file, or what was made and put there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make(), indent=0) + '\n')
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def plain(given: Answers) -> dict[str, Any]:
    """Answers as they are kept."""
    return {'labels': [list(each) for each in given.labels], 'valid': given.valid.tolist(), 'texts': list(given.texts)}


# By folds of actors


def fold_answers(describer: Describer, clips: Clips, tested: Numbers) -> dict[str, Any]:
    """What is said of clips as they come, and with parts of them withheld or exchanged."""
    shuffled = np.random.default_rng(3).permutation(tested)
    conditions = {
        'voice and words': asked(clips, tested, (VOICE, PROSODY, SENTENCE)),
        'voice alone': asked(clips, tested, (VOICE, PROSODY)),
        'words alone': asked(clips, tested, (SENTENCE,)),
        "another clip's voice": asked(clips, tested, (VOICE, PROSODY, SENTENCE), shuffled),
    }
    return {name: plain(answers(describer, examples, KNOWN)) for name, examples in conditions.items()}


def run_folds(clips: dict[str, Clips], out: Path, steps: int) -> None:
    """A describer a fold; its answers on actors whom it never heard."""
    for number in range(FOLDS):
        kept(out / 'answers' / f'fold-{number}.json', partial(_fold, clips, out, number, steps))
        print(f'fold {number} done', flush=True)


def _fold(clips: dict[str, Clips], out: Path, number: int, steps: int) -> dict[str, Any]:
    voices, fold = clips['ravdess'], folds(clips['ravdess'])[number]
    starts = starts_of(clips, fold.learnt)
    describer = prepared(clips, fold.learnt, starts, out / 'runs' / 'words-and-faces')
    examples = voices_and_all(clips, fold.learnt, starts, Amounts(), number)
    judged = of_voices(voices, fold.chosen_by, (VOICE, PROSODY, SENTENCE))
    before = plain(answers(describer, asked(voices, fold.tested[::4], (VOICE, PROSODY)), KNOWN))
    settings = settings_of(steps, stage='fine', seed=number)
    record = trained(describer, examples, judged, settings, out / 'runs' / f'fold-{number}')
    wide = starts_of(clips, np.concatenate([fold.learnt, fold.chosen_by]))
    heard = voices.sources[VOICE][fold.tested]
    return {
        'tested': fold.tested.tolist(), 'record': record, 'before': before,
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
    said = answers(describer, asked(voices, tested, (VOICE, PROSODY)), KNOWN)
    return {
        'tested': tested.tolist(), 'answers': plain(said), 'records': records, 'free': free, 'terciles': terciles.bounds
    }  # fmt: skip


def written_freely(describer: Describer, clips: Clips, tested: Numbers) -> dict[str, Any]:
    """Descriptions without any grammar: what a model of this size claims of itself."""
    examples = [
        Example(clips.names[n], clips.perceived(n, (VOICE, PROSODY)), '', DESCRIPTION, ' neutral', ()) for n in tested
    ]
    said = generated_answers(describer, examples, KIND, FREE, batch_size=64)
    return {'clips': tested.tolist(), 'texts': [answer.text for answer in said]}


# What ships


def run_final(clips: dict[str, Clips], out: Path) -> None:
    """The describer of one fold, and its answers on the other corpora's test parts.

    It is the fold that names the emotions of comments of the development part best. A run over all actors was not
    better (see the card), and of this one it is known how it hears actors whom it did not learn from.
    """
    chosen = kept(out / 'answers' / 'choice.json', partial(_choice, clips, out))
    fold = folds(clips['ravdess'])[chosen['fold']]
    starts = starts_of(clips, fold.learnt)
    record = json.loads((out / 'answers' / f'fold-{chosen["fold"]}.json').read_text())['record']
    describer = open_describer(out / 'runs' / f'fold-{chosen["fold"]}' / 'describer')
    terciles = Terciles.of(readings_of(clips['ravdess'], fold.learnt))
    save_describer(describer, out / 'small', dtype='float16', notes=notes_of(terciles, record))
    describer = open_describer(out / 'small')
    for name, make in final_tests(clips, describer, starts).items():
        kept(out / 'answers' / f'final-{name}.json', make)
        print(f'{name} done', flush=True)


def _choice(clips: dict[str, Clips], out: Path) -> dict[str, Any]:
    """F of the describer of each fold on comments of the development part that no run has seen."""
    texts = clips['goemotions']
    lines = texts.of_split('dev')[240:540]
    scores = []
    for number, fold in enumerate(folds(clips['ravdess'])):
        start = starts_of(clips, fold.learnt).by_source[SENTENCE]
        describer = open_describer(out / 'runs' / f'fold-{number}' / 'describer')
        said = answers(describer, of_texts(texts, lines, start), KNOWN)
        pairs = [(set(named), set(texts.truth[n])) for named, n in zip(said.labels, lines, strict=True)]
        scores.append(float(np.mean([2 * len(a & b) / (len(a) + len(b)) for a, b in pairs])))
    return {'fold': int(np.argmax(scores)), 'f': [round(score, 4) for score in scores], 'comments': len(lines)}


def notes_of(terciles: Terciles, record: dict[str, Any]) -> dict[str, Any]:
    """What a program needs to know of the shipped folder, besides its sources and settings."""
    return {
        'recipes': RECIPES_OF,
        'kind': {
            'blocks': [{'source': source, 'lead': ''} for source in KIND.sources], 'words': False, 'opened': True,
            'bare': True,
        },
        'question': LABELS, 'questions': {'labels': LABELS, 'sentiment': SENTIMENT}, 'answer_tokens': LIMITS.tokens,
        'labels': sorted(KNOWN), 'terciles': {name: list(pair) for name, pair in terciles.bounds.items()},
        'name': 'the small describer of affekt', 'training': {'answer_tokens': LIMITS.tokens},
        'reaches_targets': False, 'licence': 'CC BY-NC-SA 4.0', 'recipe': 'recipes/describer/train.py',
        'step': record['step'],
    }  # fmt: skip


def final_tests(clips: dict[str, Clips], describer: Describer, starts: Starts) -> dict[str, Any]:
    """Name of a test to what makes its answers."""
    texts, nemo, faces = clips['goemotions'], clips['nemo'], clips['fer2013']
    start = starts.by_source[SENTENCE]
    lines, stills, everybody = texts.of_split('test'), faces.of_split('test'), np.arange(len(nemo))
    lines = np.sort(np.random.default_rng(3).permutation(lines)[:TESTED])

    def goemotions() -> dict[str, Any]:
        said = answers(describer, of_texts(texts, lines, start), KNOWN)
        teacher = decided(start, texts.sources[SENTENCE][lines])
        scores = texts.sources[SENTENCE][lines] @ start.weight + start.bias
        strict = [
            [start.words[k] for k in range(len(GOEMOTIONS)) if row[k] >= 0] for row in scores[:, : len(GOEMOTIONS)]
        ]
        truth = [list(texts.truth[n]) for n in lines]
        return {**plain(said), 'truth': truth, 'head': [list(each) for each in teacher], 'head, or none': strict}

    def unheard() -> dict[str, Any]:
        examples = asked(nemo, everybody, (VOICE, PROSODY))
        other = asked(nemo, everybody, (VOICE, PROSODY), np.random.default_rng(3).permutation(everybody))
        return {
            'voice alone': plain(answers(describer, examples, KNOWN)),
            "another clip's voice": plain(answers(describer, other, KNOWN)),
            'head': starts.heard(nemo.sources[VOICE]), 'truth': [each[0] for each in nemo.truth],
            'speaker': nemo.speaker.tolist(),
        }  # fmt: skip

    def seen() -> dict[str, Any]:
        said = answers(describer, of_faces(faces, stills), KNOWN)
        truth = [faces.truth[n][0] for n in stills]
        learnt = [faces.truth[n][0] for n in faces.of_split('train')]
        return {**plain(said), 'truth': truth, 'network': faces_read(faces, stills), 'learnt': learnt}

    def sentiment(name: str) -> Any:
        def make() -> dict[str, Any]:
            corpus = clips[name]
            third, test = thirds(corpus, corpus.of_split('train')), corpus.of_split('test')
            test = np.random.default_rng(3).permutation(test)[:600]
            said = read(generated_answers(describer, of_sentiment(corpus, test, third), KIND, LIMITS), SENTIMENTS)
            truth = [sentiment_word(float(corpus.sentiment[n]), third) for n in test]
            learnt = [sentiment_word(float(corpus.sentiment[n]), third) for n in corpus.of_split('train')]
            return {**plain(said), 'truth': truth, 'learnt': learnt}

        return make

    return {
        'goemotions': goemotions, 'nemo': unheard, 'fer2013': seen, 'meld': sentiment('meld'),
        'emobank': sentiment('emobank'),
    }  # fmt: skip


def main() -> None:
    """Runs all parts; each reuses what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--corpora', type=Path, required=True, help='folder with ravdess_speech, nemo, goemotions, …')
    parser.add_argument('--out', type=Path, required=True, help='folder for features, runs, answers and results')
    parser.add_argument('--part', nargs='+', default=list(PARTS), choices=PARTS)
    parser.add_argument('--steps', type=int, default=80, help='of a fold, and of what ships')
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
