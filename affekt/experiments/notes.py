"""What a reader of an experiment's tables must know of the data: who stands on both sides, what was never learnt from.

None of it stops a run; all of it changes what its numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affekt.corpora import Manifest, find_leaks
from affekt.experiments.cross_corpus import Part
from affekt.experiments.folds import Fold
from affekt.wording import counted, subject

if TYPE_CHECKING:
    from affekt.experiments.task import Task


def store_notes(parts: Sequence[Part], there: Mapping[str, npt.NDArray[np.bool_]]) -> list[str]:
    """Features that were made of another corpus, and samples that do without.

    Args:
        parts: corpora and their stores.
        there: name of a set of features to (N,) which samples have them.
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


def task_notes(task: Task) -> list[str]:
    """All that the samples and their division tell."""
    return [*_sides(task.manifest, task.fair), *_unlearnt(task), *group_notes(task.manifest), *_repeated(task)]


def _sides(manifest: Manifest, folds: Sequence[Fold]) -> Iterator[str]:
    """Who stands on both sides of the fair division."""
    counts: dict[str, int] = {}
    for fold in folds:
        sides = np.full(len(manifest), '', dtype=object)
        for name in ('train', 'validation', 'test'):
            sides[getattr(fold, name)] = name
        for leak in find_leaks(manifest, list(sides), ('speaker', 'dialogue', 'window')):
            counts[leak.kind] = counts.get(leak.kind, 0) + 1
    for kind, count in counts.items():
        yield f'{counted(count, kind)} on more than one side of the division'


def _unlearnt(task: Task) -> Iterator[str]:
    """Categories that are tested and never or hardly learnt from."""
    if task.labels is None:
        return
    names = task.manifest.facts.categories
    learnt = [np.bincount(task.labels[fold.train], minlength=len(names)) for fold in task.fair]
    asked = [
        np.bincount(task.labels[np.union1d(fold.validation, fold.test)], minlength=len(names)) for fold in task.fair
    ]
    for at, name in enumerate(names):
        never = sum(int(answers[at]) for train, answers in zip(learnt, asked, strict=True) if not train[at])
        if never:
            yield f'category {name!r} is never learnt from, so that {subject(never, "answer")} wrong beforehand'
        elif min(int(train[at]) for train in learnt) == 1:
            yield f'category {name!r} is learnt from one sample'


def group_notes(manifest: Manifest) -> Iterator[str]:
    """Whether samples that belong together are known."""
    if len(manifest) and np.array_equal(manifest.groups(), np.array(manifest.names)):
        yield 'no speaker, dialogue, recording or session is known of every sample: they count as independent, and ' \
            'folds may share people'  # fmt: skip


def _repeated(task: Task) -> Iterator[str]:
    """Features that tell nothing, and samples that stand on both sides under two names."""
    for name, rows in task.features.items():
        present = rows[task.present[name]]
        if len(present) > 1 and (present == present[0]).all():
            yield f'features of {name} are the same for all samples: they tell nothing'
    whole = np.concatenate(list(task.features.values()), axis=1)
    same = [row.tobytes() for row in whole]
    twice = set()
    for fold in task.fair:
        learnt = {same[at] for at in fold.train.tolist()}
        twice |= {at for at in fold.test.tolist() if same[at] in learnt}
    if twice:
        yield f'{counted(len(twice), "tested sample")} with the very features of one that is learnt from'
