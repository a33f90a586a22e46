"""Division of a manifest's clips into training, validation and test, with notes on each part.

Validation and test are named by a column, `split=val` or `fold=1,2` or `speaker=03`, or by a share such as `0.15`,
which takes whole speakers where the manifest knows them. All other clips are for training.

N labelled clips, K classes, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints
from affekt.corpora import Manifest, find_leaks
from affekt.errors import CorpusError, UnknownNameError, ValueRangeError, listed
from affekt.experiments.folds import BELONGS_TOGETHER, held_out
from affekt.wording import counted

LABELS: Mapping[str, str] = {'emotion': 'category', 'label': 'category', 'category': 'category'}
"""Accepted names of the label to its column in the manifest."""
NUMBERS = ('valence', 'arousal', 'dominance', 'sentiment')
"""Columns of the manifest that are dimensions."""
VALIDATING = ('val', 'valid', 'validation', 'dev', 'devel')
"""Names of splits that serve as validation."""
DEFAULT_SHARE = 0.15
"""Share of the clips for validation where nothing names them."""


@dataclass(frozen=True)
class ClipParts:
    """Labelled clips, divided into parts."""

    manifest: Manifest = field(repr=False)
    """The N clips that have a label."""
    columns: tuple[str, ...]
    """`('category',)`, or the names of the D dimensions."""
    classes: tuple[str, ...]
    """(K,) classes of the training clips, in the corpus's order; () for dimensions."""
    parts: Mapping[str, Ints]
    """Name of a part (`train`, `validation` and, where there is one, `test`) to the row numbers of its clips."""
    stated: Mapping[str, str]
    """Name of a part to the rule that chose it: `COLUMN=VALUE,VALUE` or a share."""
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs: the classes, or the dimensions."""
        return self.classes or self.columns

    def truth(self, index: Ints) -> Any:
        """(n,) int64 class numbers or (n, D) float64 values of the clips at `index`."""
        if self.classes:
            number_of = {name: position for position, name in enumerate(self.classes)}
            categories = self.manifest.column('category')
            return np.array([number_of[categories[position]] for position in index.tolist()], dtype=np.int64)
        return np.stack([self.manifest.column(name)[index] for name in self.columns], axis=1)

    def take(self, is_kept: npt.NDArray[np.bool_]) -> ClipParts:
        """The parts of the clips that are kept, with the notes on what these parts share.

        Args:
            is_kept: (N,) True for clips to keep.
        """
        parts = {name: index[is_kept[index]] for name, index in self.parts.items()}
        before = shared_notes(self.manifest, self.parts)
        notes = [note for note in self.notes if note not in before] + shared_notes(self.manifest, parts)
        return replace(self, parts=parts, notes=tuple(notes))


def divided_clips(manifest: Manifest, label: str, *, validation: str = '', test: str = '', seed: int = 0) -> ClipParts:
    """The clips that have a label, divided into training, validation and test.

    Args:
        manifest: manifest of the corpus.
        label: `emotion` (the column `category`), or one or several of `NUMBERS` with commas between.
        validation: `COLUMN=VALUE,VALUE`, or a share; '' for the split of that name, else for a share of 0.15.
        test: the same; '' for the splits whose names begin with test, else for none.
        seed: seed of the draw where a part is a share.

    Raises:
        UnknownNameError: unknown column, or no clip with such a value.
        CorpusError: no clip has the label, a part is empty, there is one class only or a class without training clips,
            or the numbers of all training clips are the same.
        ValueRangeError: a share is not between 0 and 1.
    """
    # 1. labelled clips
    columns = _columns(label)
    has_label = np.all([manifest.samples.known(name) for name in columns], axis=0)
    names = ' and '.join(columns)
    if not has_label.any():
        has = [name for name in ('category', *NUMBERS) if manifest.samples.known(name).any()]
        raise CorpusError(
            expected=f'clips with {names}', came=f'none among the {len(manifest):,} of the manifest',
            todo=f'choose --label among those that it has: {", ".join(has)}' if has else 'import it with its labels',
        )  # fmt: skip
    notes = (
        [] if has_label.all() else [f'{int((~has_label).sum()):,} of {len(manifest):,} clips have no {names}: left out']
    )
    manifest = manifest.take(has_label)
    # 2. parts
    stated = {'test': test or split_of(manifest, 'test'), 'validation': validation or split_of(manifest, 'val')}
    remaining = np.arange(len(manifest))
    parts: dict[str, Ints] = {}
    for name in ('test', 'validation'):
        rule = stated[name] or (str(DEFAULT_SHARE) if name == 'validation' else '')
        stated[name] = rule
        if rule:
            parts[name] = chosen_clips(manifest, remaining, rule, seed, notes)
            remaining = np.setdiff1d(remaining, parts[name])
    parts = {'train': remaining, **{name: parts[name] for name in ('validation', 'test') if name in parts}}
    _require_clips(parts, stated)
    notes += shared_notes(manifest, parts)
    # 3. classes, or numbers
    classes: tuple[str, ...] = ()
    if columns == ('category',):
        classes = _classes(manifest, parts)
    else:
        _require_variety(manifest, columns, parts['train'])
    stated = {name: part_rule for name, part_rule in stated.items() if part_rule}
    return ClipParts(manifest, columns, classes, parts, stated, tuple(dict.fromkeys(notes)))


def _columns(label: str) -> tuple[str, ...]:
    names = tuple(LABELS.get(name.strip(), name.strip()) for name in label.split(','))
    is_valid = names == ('category',) or (all(name in NUMBERS for name in names) and len(set(names)) == len(names))
    if not is_valid:
        raise UnknownNameError(
            expected=f'emotion, or some of {", ".join(NUMBERS)} with commas between', came=repr(label),
            todo='name a column of the manifest that has labels',
        )  # fmt: skip
    return names


def split_of(manifest: Manifest, part: str) -> str:
    """The rule `split=NAME,NAME` for a part that the manifest's own splits contain; '' if they do not."""
    splits = [str(name) for name in manifest.coded('split').values if name]
    if part == 'test':
        matching = [name for name in splits if name.lower().startswith('test')]
    else:
        matching = [name for name in splits if name.lower() in VALIDATING]
    return f'split={",".join(matching)}' if matching else ''


def chosen_clips(manifest: Manifest, candidates: Ints, rule: str, seed: int, notes: list[str]) -> Ints:
    """Row numbers of those clips among `candidates` that a column or a share selects."""
    column, has_values, text = rule.partition('=')
    if not has_values:
        return _share(manifest, candidates, rule, seed, notes)
    values = [value.strip() for value in text.split(',')]
    cells = manifest.column(column)
    present = {str(cell) for cell in cells if cell is not None}
    if missing := [value for value in values if value not in present]:
        raise UnknownNameError(
            expected=f'values of the column {column}: {listed(sorted(present), 8)}', came=listed(missing),
            todo='choose among those that the manifest has',
        )  # fmt: skip
    return np.array([row for row in candidates.tolist() if str(cells[row]) in values], dtype=np.int64)


def _share(manifest: Manifest, candidates: Ints, text: str, seed: int, notes: list[str]) -> Ints:
    """Row numbers of about a share of the clips: whole groups, balanced over classes."""
    try:
        share = float(text)
    except ValueError:
        share = float('nan')
    if not 0 < share <= 0.5:
        raise ValueRangeError(
            expected='COLUMN=VALUE, or a share above 0 and up to 0.5', came=repr(text),
            todo='write for example split=val, fold=1 or 0.15',
        )  # fmt: skip
    candidate_manifest = manifest.take(candidates)
    column = next((name for name in BELONGS_TOGETHER if candidate_manifest.samples.known(name).all()), '')
    groups = len(set(candidate_manifest.column(column).tolist())) if column else len(candidate_manifest)
    if groups < 2:
        raise CorpusError(
            expected=f'clips of several {column}s, to validate on others than are learnt from',
            came=f'one {column}', todo='add clips of others, or name a part by a column such as --validation split=val',
        )  # fmt: skip
    if not column:
        notes.append('speakers are not known: the same may be learnt from and scored, which flatters scores')
    is_selected, _, _ = held_out(candidate_manifest, share, seed)
    selected: Ints = candidates[is_selected]
    return selected


def _require_clips(parts: Mapping[str, Ints], stated: Mapping[str, str]) -> None:
    empty = [name for name, index in parts.items() if not len(index)]
    if empty:
        raise CorpusError(
            expected='clips in every part', came=f'none in {listed(empty)} ({stated.get(empty[0]) or "what is left"})',
            todo='choose other values of --validation and --test',
        )  # fmt: skip


def shared_notes(manifest: Manifest, parts: Mapping[str, Ints]) -> list[str]:
    """Notes on speakers and dialogues that are in two parts."""
    part_of_row = [''] * len(manifest)
    for name, index in parts.items():
        for row in index.tolist():
            part_of_row[row] = name
    counts = Counter(leak.kind for leak in find_leaks(manifest, part_of_row, ('speaker', 'dialogue')))
    return [
        f'{counted(count, kind)} in more than one part: scores are too high for {kind}s that are new'
        for kind, count in counts.items()
    ]


def _classes(manifest: Manifest, parts: Mapping[str, Ints]) -> tuple[str, ...]:
    """The classes of the training clips, in the corpus's order.

    Raises:
        CorpusError: there are fewer than two, or another part has a class that training lacks.
    """
    categories = manifest.column('category')
    by_part = {name: {str(categories[row]) for row in index.tolist()} for name, index in parts.items()}
    training_classes = by_part['train']
    if len(training_classes) < 2:
        raise CorpusError(
            expected='training clips of two classes at least', came=f'{listed(sorted(training_classes))} alone',
            todo='add clips of other classes, or choose other parts',
        )  # fmt: skip
    for name, present in by_part.items():
        if untrained := sorted(present - training_classes):
            raise CorpusError(
                expected=f'training clips of every class of {name}', came=f'none of {listed(untrained)}',
                todo='choose other parts, or leave these clips out of the manifest',
            )  # fmt: skip
    return tuple(name for name in manifest.facts.categories if name in training_classes)


def _require_variety(manifest: Manifest, columns: Sequence[str], train: Ints) -> None:
    if constant := [name for name in columns if np.ptp(manifest.column(name)[train]) == 0]:
        raise CorpusError(
            expected='numbers that differ among the training clips', came=f'one value of {listed(constant)} for all',
            todo='leave it out of --label, or choose other parts',
        )  # fmt: skip


def described_parts(parts: ClipParts, groups: Any) -> list[tuple[str, int, int, str]]:
    """Name, number of clips, number of groups and selection rule of each part."""
    return [
        (name, len(index), len({groups[row] for row in index.tolist()}), parts.stated.get(name, 'the rest'))
        for name, index in parts.parts.items()
    ]
