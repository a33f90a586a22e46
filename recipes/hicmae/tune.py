"""Whether a network that was pre-trained on speech is the better start for learning emotions than one just drawn.

    python recipes/hicmae/tune.py --ravdess DIR --nemo DIR --out DIR [--corpora ravdess nemo]

All weights are tuned on RAVDESS's speech by six folds of actors and on nEMO by four folds of speakers, once from the
last weights of `voices.py` and once from those it began with, with the same settings; the epoch is chosen on the fold
that follows the tested one, and each fold is tested once. Beside both stand a linear map of acoustic descriptors and
one of the layers of Whisper's encoder, on the same turns and folds (`read.py`). The last fold of a corpus has the
people that pre-training never heard. Goes on where it was stopped, and writes `tuned-CORPUS.json`, and every answer to
`answers-CORPUS.csv`, so that other models can be tested in pairs with these.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from probe import Labels, cross_read
from read import difference, plain_arms, scored
from speech import is_left_out, labelled, turns

from affekt.clips import Clip
from affekt.metrics import balanced_accuracy
from affekt.pretraining import (
    HicmaeClassifier,
    LabelledClip,
    TuningSettings,
    classifier_from,
    predict_proba,
    pretraining_from,
    tune,
)
from affekt.runs import write_atomically
from affekt.tables import csv_bytes
from affekt.typed_json import json_file

SETTINGS = TuningSettings(
    epochs=8, batch_size=16, learning_rate=8e-3, warm_up=1, mixing=None, patience=None, layer_decay=0.9
)
"""Few epochs of small batches without mixing: a processor's share of an hour, the same for both starts. Nothing was
searched."""
STARTS = ('as drawn', 'pre-trained')


def main() -> None:
    """Tunes both starts on each fold of each corpus, and compares them on all tested clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder of `voices.py`')
    parser.add_argument('--turns', type=Path, help='features of recipes/vocal_emotion, read where they are there')
    parser.add_argument('--corpora', nargs='+', choices=('ravdess', 'nemo'), default=['ravdess', 'nemo'])
    parser.add_argument('--networks-alone', action='store_true', help='without the linear maps of other features')
    parser.add_argument('--epochs', type=int, default=SETTINGS.epochs, help=f'of a fold (default {SETTINGS.epochs})')
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = replace(SETTINGS, epochs=given.epochs)
    for name, (corpus, store) in labelled(given.ravdess, given.nemo, given.turns or given.out / 'turns').items():
        if name in given.corpora:
            results = {
                'pre-training': json.loads((given.out / 'pretrained' / 'log.jsonl').read_text().splitlines()[-1]),
                'epochs': settings.epochs,
                **figures(corpus, store, given.out, settings, has_maps=not given.networks_alone),
            }
            write_atomically(given.out / f'tuned-{name}.json', json_file(results))
            print(json.dumps(results, indent=1), flush=True)


def figures(corpus: Any, store: Any, out: Path, settings: TuningSettings, *, has_maps: bool) -> dict[str, Any]:
    """Scores of both starts and of what they stand beside on one corpus, and how far they lie apart."""
    _, truth = np.unique(corpus.truth, return_inverse=True)
    classes, unheard, speakers = int(truth.max()) + 1, is_left_out(corpus), corpus.speaker
    sounds = zip(corpus.files, turns(store), truth.tolist(), strict=True)
    clips = [LabelledClip(Clip(name, None, None, sound), label) for name, sound, label in sounds]
    predicted = {start: np.full(len(truth), -1) for start in STARTS}
    for fold in np.unique(corpus.fold).tolist():
        tested = corpus.fold == fold
        for start in STARTS:
            folder = out / 'tuned' / corpus.name / f'{start.replace(" ", "-")}-{fold}'
            model = started(start, out / 'pretrained', classes, fold)
            predicted[start][tested] = tuned_answers(clips, corpus.fold, fold, model, folder, settings)
            uar = balanced_accuracy(truth[tested], predicted[start][tested])
            print(f'{corpus.name}, fold {fold}, {start}: {uar:.4f}', flush=True)
    for label, rows in (plain_arms(store) if has_maps else {}).items():
        predicted[label] = cross_read(np.nan_to_num(rows), truth, corpus.fold, classes)
    write_answers(out / f'answers-{corpus.name}.csv', corpus, predicted)
    rows = {
        label: scored(truth, guess, speakers, classes)
        | {'never heard in pre-training': scored(truth[unheard], guess[unheard], speakers[unheard], classes)}
        for label, guess in predicted.items()
    }
    others = [label for label in predicted if label != 'pre-trained']
    return {
        'clips': len(truth),
        'speakers': len(set(speakers.tolist())),
        'chance': round(1 / classes, 4),
        'arms': rows,
        'UAR by fold': {start: by_fold(truth, predicted[start], corpus.fold) for start in STARTS},
        'pre-trained less': {
            label: difference(truth, predicted['pre-trained'], predicted[label], speakers, classes)
            for label in others
        },
    }  # fmt: skip


def write_answers(path: Path, corpus: Any, predicted: dict[str, Labels]) -> None:
    """One row per clip: its file, speaker, fold and truth, and what each model answers."""
    names = np.unique(corpus.truth)
    columns = [corpus.files, corpus.speaker, corpus.fold, corpus.truth, *(names[said] for said in predicted.values())]
    header = ('file', 'speaker', 'fold', 'truth', *predicted)
    write_atomically(path, csv_bytes(header, zip(*(np.asarray(column).tolist() for column in columns), strict=True)))


def by_fold(truth: Labels, predicted: Labels, folds: Labels) -> list[float]:
    """UAR of each fold by itself."""
    tested = [folds == fold for fold in np.unique(folds)]
    return [round(balanced_accuracy(truth[part], predicted[part]), 4) for part in tested]


def started(start: str, pretrained: Path, classes: int, seed: int) -> Any:
    """The network that is tuned, with a new head."""
    torch.manual_seed(seed)
    if start == 'pre-trained':
        return classifier_from(pretrained, classes)[0]
    return HicmaeClassifier(pretraining_from(pretrained)[0].form, classes)


def tuned_answers(
    clips: list[LabelledClip], folds: Labels, test: int, model: Any, folder: Path, settings: TuningSettings
) -> Labels:
    """Labels of the tested fold's clips."""
    validation = (test + 1) % (int(folds.max()) + 1)
    train = [clips[at] for at in np.flatnonzero((folds != test) & (folds != validation))]
    chosen_by = [clips[at] for at in np.flatnonzero(folds == validation)]
    tuned = tune(model, train, chosen_by, settings, folder=folder, resume=True, report=_say)
    scores = predict_proba(tuned.model, [clips[at].opened() for at in np.flatnonzero(folds == test)], batch_size=32)
    return np.asarray(scores.argmax(axis=1))


def _say(row: dict[str, float]) -> None:
    print(' '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)


if __name__ == '__main__':
    main()
