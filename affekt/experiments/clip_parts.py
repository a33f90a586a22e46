"""Division of a manifest's clips into training, validation and test, with notes on each part.

Validation and test are named by a column, `split=val` or `fold=1,2` or `speaker=03`, or by a share such as `0.15`,
which takes whole speakers where the manifest knows them. All other clips are for training.

N labelled clips, K classes, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from affekt.arrays import Ints
from affekt.corpora import Manifest, find_leaks
from affekt.errors import CorpusError, UnknownNameError, ValueRangeError, listed
from affekt.experiments.folds import BELONGS_TOGETHER, held_out
from affekt.wording import counted

LABELS: Mapping[str, str] = {'emotion': 'category', 'label': 'category', 'category': 'category'}
"""Accepted names of the label to its column in the manifest."""
NUMBERS = ('valence', 'arousal', 'dominance', 'sentiment')
VALIDATING = ('val', 'valid', 'validation', 'dev', 'devel')
"""Names of splits that serve as validation."""
DEFAULT_SHARE = 0.15


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
            place = {name: at for at, name in enumerate(self.classes)}
            categories = self.manifest.column('category')
            return np.array([place[categories[at]] for at in index.tolist()], dtype=np.int64)
        return np.stack([self.manifest.column(name)[index] for name in self.columns], axis=1)


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
        CorpusError: no clip has the label, a part is empty, there is one class only, or a class without training clips.
        ValueRangeError: a share is not between 0 and 1.
    """
    # 1. labelled clips
    columns = _columns(label)
    known = np.all([manifest.samples.known(name) for name in columns], axis=0)
    wanted = ' and '.join(columns)
    if not known.any():
        has = [name for name in ('category', *NUMBERS) if manifest.samples.known(name).any()]
        raise CorpusError(
            expected=f'clips with {wanted}', came=f'none among the {len(manifest):,} of the manifest',
            todo=f'choose --label among those that it has: {", ".join(has)}' if has else 'import it with its labels',
        )  # fmt: skip
    notes = [] if known.all() else [f'{int((~known).sum()):,} of {len(manifest):,} clips have no {wanted}: left out']
    manifest = manifest.take(known)
    # 2. parts
    stated = {'test': test or split_of(manifest, 'test'), 'validation': validation or split_of(manifest, 'val')}
    left = np.arange(len(manifest))
    parts: dict[str, Ints] = {}
    for name in ('test', 'validation'):
        chosen = stated[name] or (str(DEFAULT_SHARE) if name == 'validation' else '')
        stated[name] = chosen
        if chosen:
            parts[name] = chosen_clips(manifest, left, chosen, seed, notes)
            left = np.setdiff1d(left, parts[name])
    parts = {'train': left, **{name: parts[name] for name in ('validation', 'test') if name in parts}}
    _require_clips(parts, stated)
    notes += shared_notes(manifest, parts)
    # 3. classes
    classes = _classes(manifest, parts) if columns == ('category',) else ()
    stated = {name: how for name, how in stated.items() if how}
    return ClipParts(manifest, columns, classes, parts, stated, tuple(dict.fromkeys(notes)))


def _columns(label: str) -> tuple[str, ...]:
    names = tuple(LABELS.get(name.strip(), name.strip()) for name in label.split(','))
    is_fine = names == ('category',) or (all(name in NUMBERS for name in names) and len(set(names)) == len(names))
    if not is_fine:
        raise UnknownNameError(
            expected=f'emotion, or some of {", ".join(NUMBERS)} with commas between', came=repr(label),
            todo='name a column of the manifest that has labels',
        )  # fmt: skip
    return names


def split_of(manifest: Manifest, part: str) -> str:
    """The rule `split=NAME,NAME` for a part that the manifest's own splits contain; '' if they do not."""
    splits = [str(name) for name in manifest.coded('split').values if name]
    if part == 'test':
        named = [name for name in splits if name.lower().startswith('test')]
    else:
        named = [name for name in splits if name.lower() in VALIDATING]
    return f'split={",".join(named)}' if named else ''


def chosen_clips(manifest: Manifest, left: Ints, how: str, seed: int, notes: list[str]) -> Ints:
    """Row numbers of those clips among `left` that a column or a share selects."""
    column, has_values, text = how.partition('=')
    if not has_values:
        return _share(manifest, left, how, seed, notes)
    wanted = [value.strip() for value in text.split(',')]
    cells = manifest.column(column)
    present = {str(cell) for cell in cells if cell is not None}
    if absent := [value for value in wanted if value not in present]:
        raise UnknownNameError(
            expected=f'values of the column {column}: {listed(sorted(present), 8)}', came=listed(absent),
            todo='choose among those that the manifest has',
        )  # fmt: skip
    return np.array([at for at in left.tolist() if str(cells[at]) in wanted], dtype=np.int64)


def _share(manifest: Manifest, left: Ints, text: str, seed: int, notes: list[str]) -> Ints:
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
    among = manifest.take(left)
    column = next((name for name in BELONGS_TOGETHER if among.samples.known(name).all()), '')
    groups = len(set(among.column(column).tolist())) if column else len(among)
    if groups < 2:
        raise CorpusError(
            expected=f'clips of several {column}s, to validate on others than are learnt from',
            came=f'one {column}', todo='add clips of others, or name a part by a column such as --validation split=val',
        )  # fmt: skip
    if not column:
        notes.append('speakers are not known: the same may be learnt from and scored, which flatters scores')
    choosing, _, _ = held_out(among, share, seed)
    chosen: Ints = left[choosing]
    return chosen


def _require_clips(parts: Mapping[str, Ints], stated: Mapping[str, str]) -> None:
    empty = [name for name, index in parts.items() if not len(index)]
    if empty:
        raise CorpusError(
            expected='clips in every part', came=f'none in {listed(empty)} ({stated.get(empty[0]) or "what is left"})',
            todo='choose other values of --validation and --test',
        )  # fmt: skip


def shared_notes(manifest: Manifest, parts: Mapping[str, Ints]) -> list[str]:
    """Notes on speakers and dialogues that are in two parts."""
    sides = [''] * len(manifest)
    for name, index in parts.items():
        for at in index.tolist():
            sides[at] = name
    counts = Counter(leak.kind for leak in find_leaks(manifest, sides, ('speaker', 'dialogue')))
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
    by_part = {name: {str(categories[at]) for at in index.tolist()} for name, index in parts.items()}
    learnt = by_part['train']
    if len(learnt) < 2:
        raise CorpusError(
            expected='training clips of two classes at least', came=f'{listed(sorted(learnt))} alone',
            todo='add clips of other classes, or choose other parts',
        )  # fmt: skip
    for name, present in by_part.items():
        if strange := sorted(present - learnt):
            raise CorpusError(
                expected=f'training clips of every class of {name}', came=f'none of {listed(strange)}',
                todo='choose other parts, or leave these clips out of the manifest',
            )  # fmt: skip
    return tuple(name for name in manifest.facts.categories if name in learnt)


def described_parts(parts: ClipParts, groups: Any) -> list[tuple[str, int, int, str]]:
    """Name, number of clips, number of groups and selection rule of each part."""
    return [
        (name, len(index), len({groups[at] for at in index.tolist()}), parts.stated.get(name, 'the rest'))
        for name, index in parts.parts.items()
    ]
