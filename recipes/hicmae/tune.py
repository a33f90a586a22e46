"""Whether a network that was pre-trained on speech is the better start for learning emotions than one just drawn.

    python recipes/hicmae/tune.py --ravdess DIR --nemo DIR --out DIR [--folds 3 4 5]

All weights are tuned on RAVDESS's speech by folds of actors, once from the last weights of `voices.py` and once from
those it began with, with the same settings; the epoch is chosen on the fold that follows the tested one. The last fold
has the people that pre-training never heard. Goes on where it was stopped, and writes `tuned.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from read import scored
from speech import labelled, turns
from voices import FORM

from affekt.clips import Clip
from affekt.metrics import categorical_measure, compare
from affekt.pretraining import HicmaeClassifier, LabelledClip, TuningSettings, classifier_from, predict_proba, tune

SETTINGS = TuningSettings(
    epochs=12, batch_size=32, learning_rate=4e-3, warm_up=2, mixing=None, patience=None, layer_decay=0.9
)
"""Few epochs without mixing: a processor's share of an hour, the same for both starts."""


def main() -> None:
    """Tunes both starts on each fold, and compares them on all tested clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder of `voices.py`')
    parser.add_argument('--turns', type=Path, help='features of recipes/vocal_emotion, read where they are there')
    parser.add_argument('--folds', type=int, nargs='+', default=[5, 4, 3], help='tested folds, from 0')
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpus, store = labelled(given.ravdess, given.nemo, given.turns or given.out / 'turns')['ravdess']
    sounds = zip(corpus.files, turns(store), corpus.truth.tolist(), strict=True)
    clips = [LabelledClip(Clip(name, None, None, sound), truth) for name, sound, truth in sounds]
    answers: dict[str, dict[int, Any]] = {'as drawn': {}, 'pre-trained': {}}
    for fold in given.folds:
        for start, by_fold in answers.items():
            path = given.out / 'tuned' / f'{start.replace(" ", "-")}-{fold}'
            by_fold[fold] = tuned_answers(clips, corpus.fold, fold, start, given.out / 'pretrained', path)
            tested = np.isin(corpus.fold, list(by_fold))
            predicted = np.concatenate([by_fold[number] for number in sorted(by_fold)])
            order = np.concatenate([np.flatnonzero(corpus.fold == number) for number in sorted(by_fold)])
            value = categorical_measure(corpus.truth[order], predicted, range(8)).scores()['balanced_accuracy']
            print(f'fold {fold}, {start}: {value:.4f} over {int(tested.sum())} clips so far', flush=True)
    folds = sorted(given.folds)
    order = np.concatenate([np.flatnonzero(corpus.fold == fold) for fold in folds])
    truth, speakers = corpus.truth[order], corpus.speaker[order]
    guesses = {start: np.concatenate([by_fold[fold] for fold in folds]) for start, by_fold in answers.items()}
    measures = {start: categorical_measure(truth, guess, range(8)) for start, guess in guesses.items()}
    test = compare(measures['pre-trained'], measures['as drawn'], rng=np.random.default_rng(0), groups=speakers)[
        'balanced_accuracy'
    ]
    unheard = corpus.fold[order] == corpus.fold.max()
    results = {
        'folds': folds,
        'clips': len(order),
        'epochs': SETTINGS.epochs,
        'starts': {
            start: scored(truth, guess, speakers, 8)
            | {'never heard in pre-training': scored(truth[unheard], guess[unheard], speakers[unheard], 8)}
            for start, guess in guesses.items()
        },
        'pre-trained less as drawn': {
            'UAR': round(test.difference.value, 4),
            'low': round(test.difference.low, 4),
            'high': round(test.difference.high, 4),
            'p': round(test.p, 4),
        },
    }
    (given.out / 'tuned.json').write_text(json.dumps(results, indent=1) + '\n')
    print(json.dumps(results, indent=1))


def tuned_answers(
    clips: list[LabelledClip], folds: Any, test: int, start: str, pretrained: Path, folder: Path
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Labels of the tested fold's clips."""
    validation = (test + 1) % (int(folds.max()) + 1)
    parts = {
        name: [clips[at] for at in np.flatnonzero(chosen)]
        for name, chosen in (
            ('train', (folds != test) & (folds != validation)),
            ('validation', folds == validation),
            ('test', folds == test),
        )
    }
    torch.manual_seed(test)
    model: Any = HicmaeClassifier(FORM, 8)
    if start == 'pre-trained':
        model, _ = classifier_from(pretrained, 8)
    tuned = tune(model, parts['train'], parts['validation'], SETTINGS, folder=folder, resume=True, report=_say)
    scores = predict_proba(tuned.model, [clip.opened() for clip in parts['test']], batch_size=32)
    return np.asarray(scores.argmax(axis=1))


def _say(row: dict[str, float]) -> None:
    if 'score' in row or 'uar' in row:
        print(' '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)


if __name__ == '__main__':
    main()
