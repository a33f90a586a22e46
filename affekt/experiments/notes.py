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


def store_notes(parts: Sequence[Part], present_in: Mapping[str, Bools]) -> list[str]:
    """Notes on features that were extracted from another corpus, and on samples without features.

    Args:
        parts: corpora and their stores.
        present_in: name of a set of features to (N,), True for samples that have them.
    """
    notes = []
    for part in parts:
        corpus = part.manifest.facts.corpus
        for name, store in part.stores.items():
            other = store.provenance.corpus
            if other and other != corpus:
                notes.append(f'features of {name} were made of {other}, the samples are those of {corpus}')
    for name, has_features in present_in.items():
        if not has_features.all():
            notes.append(f'{counted(int((~has_features).sum()), "sample")} without features of {name}')
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
    untrained = [] if labels is None else _untrained(manifest.facts.categories, folds, labels)
    return [*_shared_groups(manifest, folds), *untrained, *group_notes(manifest), *_repeated(folds, features, present)]


def _shared_groups(manifest: Manifest, folds: Sequence[Fold]) -> Iterator[str]:
    """Sentences on groups (speaker, dialogue, window) that are in more than one part of the fair division."""
    shared: dict[str, set[str]] = {}
    for fold in folds:
        sides = np.full(len(manifest), '', dtype=object)
        for name in ('train', 'validation', 'test'):
            sides[getattr(fold, name)] = name
        for leak in find_leaks(manifest, list(sides), ('speaker', 'dialogue', 'window')):
            shared.setdefault(leak.kind, set()).add(leak.what)  # often in several folds
    for kind, names in shared.items():
        yield f'{counted(len(names), kind)} on more than one side of the division'


def _untrained(names: Sequence[str], folds: Sequence[Fold], labels: Ints) -> Iterator[str]:
    """Sentences on categories that are tested but have no training sample, or only one."""
    learnt = [np.bincount(labels[fold.train], minlength=len(names)) for fold in folds]
    counts = [np.bincount(labels[np.union1d(fold.validation, fold.test)], minlength=len(names)) for fold in folds]
    for index, name in enumerate(names):
        never = sum(int(tested[index]) for trained, tested in zip(learnt, counts, strict=True) if not trained[index])
        if never:
            yield f'category {name!r} is never learnt from, so that {subject(never, "answer")} wrong beforehand'
        elif min(int(trained[index]) for trained in learnt) == 1:
            yield f'category {name!r} is learnt from one sample'


def group_notes(manifest: Manifest) -> Iterator[str]:
    """A note where no column links the samples of one group."""
    if len(manifest) and np.array_equal(manifest.groups(), np.array(manifest.names)):
        yield 'no speaker, dialogue, recording or session is known of every sample: they count as independent, and ' \
            'folds may share people'  # fmt: skip


def _repeated(folds: Sequence[Fold], features: Mapping[str, Floats32], present: Mapping[str, Bools]) -> Iterator[str]:
    """Sentences on constant features, and on tested samples whose features equal those of a training sample."""
    for name, rows in features.items():
        present_rows = rows[present[name]]
        if len(present_rows) > 1 and (present_rows == present_rows[0]).all():
            yield f'features of {name} are the same for all samples: they tell nothing'
    if not features:
        return
    has_any = np.any([present[name] for name in features], axis=0)  # without features, rows of zeros are equal
    joined_rows = np.concatenate(list(features.values()), axis=1)
    row_bytes = [row.tobytes() for row in joined_rows]
    repeated = set()
    for fold in folds:
        training_bytes = {row_bytes[index] for index in fold.train[has_any[fold.train]].tolist()}
        repeated |= {index for index in fold.test[has_any[fold.test]].tolist() if row_bytes[index] in training_bytes}
    if repeated:
        yield f'{counted(len(repeated), "tested sample")} with the very features of one that is learnt from'
