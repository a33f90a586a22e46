"""Notes on the data for readers of an experiment's tables: overlap between parts, unseen categories, missing features.

None of these stops a run; each changes how its results should be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from affekt.arrays import Bools, Floats32, Ints
from affekt.corpora import Manifest, find_leaks
from affekt.experiments.cross_corpus import Part
from affekt.experiments.folds import Fold
from affekt.wording import counted, subject


def store_notes(parts: Sequence[Part], there: Mapping[str, Bools]) -> list[str]:
    """Notes on features that were extracted from another corpus, and on samples without features.

    Args:
        parts: corpora and their stores.
        there: name of a set of features to (N,), True for samples that have them.
    """
    notes = []
    for part in parts:
        corpus = part.manifest.facts.corpus
        for name, store in part.stores.items():
            other = store.provenance.corpus
            if other and other != corpus:
                notes.append(f'features of {name} were made of {other}, the samples are those of {corpus}')
    for name, present in there.items():
        if not present.all():
            notes.append(f'{counted(int((~present).sum()), "sample")} without features of {name}')
    return notes


def task_notes(
    manifest: Manifest,
    folds: Sequence[Fold],
    labels: Ints | None,
    features: Mapping[str, Floats32],
    present: Mapping[str, Bools],
) -> list[str]:
    """Notes on the samples and their fair division.

    Args:
        manifest: manifest of N samples.
        folds: folds of the fair division.
        labels: (N,) categories; None for a task of values alone.
        features: name of a set of features to (N, D).
        present: name of a set of features to (N,), False where a sample has none.
    """
    unlearnt = [] if labels is None else _unlearnt(manifest.facts.categories, folds, labels)
    return [*_sides(manifest, folds), *unlearnt, *group_notes(manifest), *_repeated(folds, features, present)]


def _sides(manifest: Manifest, folds: Sequence[Fold]) -> Iterator[str]:
    """Number of groups (speaker, dialogue, window) that are on more than one side of the fair division."""
    counts: dict[str, int] = {}
    for fold in folds:
        sides = np.full(len(manifest), '', dtype=object)
        for name in ('train', 'validation', 'test'):
            sides[getattr(fold, name)] = name
        for leak in find_leaks(manifest, list(sides), ('speaker', 'dialogue', 'window')):
            counts[leak.kind] = counts.get(leak.kind, 0) + 1
    for kind, count in counts.items():
        yield f'{counted(count, kind)} on more than one side of the division'


def _unlearnt(names: Sequence[str], folds: Sequence[Fold], labels: Ints) -> Iterator[str]:
    """Categories that are tested but have no training samples, or one."""
    learnt = [np.bincount(labels[fold.train], minlength=len(names)) for fold in folds]
    asked = [np.bincount(labels[np.union1d(fold.validation, fold.test)], minlength=len(names)) for fold in folds]
    for at, name in enumerate(names):
        never = sum(int(answers[at]) for train, answers in zip(learnt, asked, strict=True) if not train[at])
        if never:
            yield f'category {name!r} is never learnt from, so that {subject(never, "answer")} wrong beforehand'
        elif min(int(train[at]) for train in learnt) == 1:
            yield f'category {name!r} is learnt from one sample'


def group_notes(manifest: Manifest) -> Iterator[str]:
    """A note where no column links the samples of one group."""
    if len(manifest) and np.array_equal(manifest.groups(), np.array(manifest.names)):
        yield 'no speaker, dialogue, recording or session is known of every sample: they count as independent, and ' \
            'folds may share people'  # fmt: skip


def _repeated(folds: Sequence[Fold], features: Mapping[str, Floats32], present: Mapping[str, Bools]) -> Iterator[str]:
    """Features that are constant, and tested samples whose features equal those of a training sample."""
    for name, rows in features.items():
        given = rows[present[name]]
        if len(given) > 1 and (given == given[0]).all():
            yield f'features of {name} are the same for all samples: they tell nothing'
    if not features:
        return
    whole = np.concatenate(list(features.values()), axis=1)
    same = [row.tobytes() for row in whole]
    twice = set()
    for fold in folds:
        learnt = {same[at] for at in fold.train.tolist()}
        twice |= {at for at in fold.test.tolist() if same[at] in learnt}
    if twice:
        yield f'{counted(len(twice), "tested sample")} with the very features of one that is learnt from'
