"""Importers of corpora with free descriptions of emotion, and checks of their descriptions.

| corpus | tables | columns |
|---|---|---|
| EMER, first version | `gt-eng.csv`, `gt-chi.csv` | names, emotions, subtitles, reasons |
| EMER-Fine | `final-EMER-reason.csv`; labels in `check-openset.csv` | name, chinese, english; name, openset |
| OV-MERD | `track2_train_ovmerd.csv`, `track3_train_ovmerd.csv` | name, openset; name, reason |
| OV-MERD+ | `ovlabel.csv`, `subtitle_eng.csv` | name, openset; name, sentence |
| MER-Caption, EMER-Coarse | `track2_train_mercaption.csv`, `track3_train_mercaption.csv` | the same |
| MER-Caption+ | `track2_train_mercaptionplus.csv`, `track3_train_mercaptionplus.csv` | the same |
| Human-OV | `track2_train_human.csv` | name, openset |

Transcripts are in `subtitle_chieng.csv` (name, chinese, english), clips in `video/`, `audio/`, `openface_face/`.

Source: arXiv:2407.07653 (EMER), arXiv:2410.01495 (OV-MER), arXiv:2501.16566 (MER-Caption); huggingface.co/MERChallenge.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from affekt.corpora.manifest import MEDIA, Manifest, Sample
from affekt.corpora.merbench import TRANSCRIPTS, Media
from affekt.corpora.release import Corpus, Layout, Release, need
from affekt.errors import TableError, UnknownNameError, did_you_mean, listed
from affekt.labels import load_table
from affekt.wording import counted

REASONS: Mapping[str, str] = {
    'no clip': 'no clip is named',
    'no description': 'the description is empty',
    'no labels': 'the list of labels is empty',
    'repeated': 'another sample before it has the same description',
    'unknown label': 'a label is in no word table of affekt',
    'language': 'the English text is Chinese, or the Chinese one is not',
}
"""Reason for leaving out a sample, to the sentence that states it."""
_HAN = re.compile(r'[\u3400-\u9fff\uf900-\ufaff]')
_LETTER = re.compile(r'[^\W\d_]')
MOST_HAN, FEWEST_HAN = 0.3, 0.5
"""Largest share of Chinese characters among the letters of an English text, and smallest of a Chinese one."""

Columns = Mapping[str, str]
"""Header to the field of `Sample` that it fills."""
_OPENSET: Columns = {'name': 'sample', 'openset': 'openset'}
_REASON: Columns = {'name': 'sample', 'reason': 'description'}
_NAME_LABELS = {'names': 'sample', 'emotions': 'openset'}
_ENGLISH: Columns = {**_NAME_LABELS, 'subtitles': 'english', 'reasons': 'description'}
_CHINESE: Columns = {**_NAME_LABELS, 'subtitles': 'chinese', 'reasons': 'chinese_description'}
_BOTH: Columns = {'name': 'sample', 'chinese': 'chinese_description', 'english': 'description'}
_TRANSCRIPT: Columns = {'name': 'sample', 'chinese': 'chinese', 'english': 'english'}


@dataclass(frozen=True)
class DescriptionCheck:
    """Statistics and faults of descriptions and free labels."""

    descriptions: int
    """Number of samples with a description in any language."""
    label_lists: int
    """Number of samples with at least one label."""
    labels: int
    """Number of labels over all samples."""
    different_labels: int
    """Number of distinct labels."""
    characters: tuple[int, float, int]
    """Characters per description: fewest, mean, most; nan and 0 where there are none."""
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason of `REASONS` to the samples to which it applies."""

    @property
    def faulty(self) -> int:
        """Number of samples to which any reason applies."""
        return len({name for names in self.reasons.values() for name in names})


def openset_of(cell: object) -> str | None:
    """A cell of labels as a JSON list, lower case, without duplicates; None if it has none.

    A text is read as a list of Python or JSON, else as labels separated by commas; other cells that are no list have
    none.

    >>> openset_of("['happy', 'Self-deprecating', \\"don't care\\"]")
    '["happy", "self-deprecating", "don\\'t care"]'
    >>> openset_of('[angry, negative emotions]')
    '["angry", "negative emotions"]'
    """
    entries = list(cell) if isinstance(cell, Iterable) else []
    parts = _listed(cell.strip()) if isinstance(cell, str) else entries
    labels = dict.fromkeys(text for part in parts if (text := ' '.join(str(part).lower().split())))
    return json.dumps(list(labels), ensure_ascii=False) if labels else None


def _listed(text: str) -> list[object]:
    """The parts of a list in Python or JSON notation, or separated by commas."""
    try:
        parts = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        parts = None
    if isinstance(parts, list | tuple):
        return list(parts)
    return list(re.split(r'[,，]', text.removeprefix('[').removesuffix(']')))


def check_descriptions(manifest: Manifest) -> DescriptionCheck:
    """Count descriptions and labels, and list the samples that are unfit for training, with reasons.

    A sample without a description counts as faulty only where others of the corpus have one; likewise for labels.
    """
    names = manifest.names
    english, chinese = ([_tidy(text) for text in manifest.column(name)] for name in _TEXTS)
    labels = [row.labels for row in manifest.samples] if manifest.samples.known('openset').any() else [()] * len(names)
    any_text = [first or second for first, second in zip(english, chinese, strict=True)]
    known_labels = load_table('affekt').bases if any(labels) else {}
    first_index = {text: index for index, text in reversed(list(enumerate(any_text)))}
    has_clip = np.any([manifest.samples.filled(name) for name in MEDIA], axis=0)
    faults = {
        'no clip': ~has_clip,
        'no description': [not text for text in any_text] if any(any_text) else (),
        'no labels': [not own for own in labels] if any(labels) else (),
        'repeated': [bool(text) and first_index[text] != index for index, text in enumerate(any_text)],
        'unknown label': [any(label not in known_labels for label in own) for own in labels],
        'language': [
            _han(first) > MOST_HAN or (bool(second) and _han(second) < FEWEST_HAN)
            for first, second in zip(english, chinese, strict=True)
        ],
    }
    reasons = {
        reason: tuple(name for name, is_faulty in zip(names, mask, strict=False) if is_faulty)
        for reason, mask in faults.items()
    }
    lengths = [len(text) for text in any_text if text]
    return DescriptionCheck(
        len(lengths), sum(map(bool, labels)), sum(map(len, labels)), len({label for own in labels for label in own}),
        (min(lengths, default=0), float(np.mean(lengths)) if lengths else float('nan'), max(lengths, default=0)),
        {reason: samples for reason, samples in reasons.items() if samples},
    )  # fmt: skip


def fit_to_learn(manifest: Manifest, reasons: Collection[str]) -> Manifest:
    """The samples to which none of the given reasons applies; notes state how many were left out for each.

    Args:
        manifest: manifest of a corpus with descriptions.
        reasons: keys of `REASONS`.

    Raises:
        UnknownNameError: unknown reason.
        TableError: no sample is left.
    """
    for reason in reasons:
        if reason not in REASONS:
            raise UnknownNameError(
                expected=f'a reason among {", ".join(REASONS)}', came=repr(reason), todo=did_you_mean(reason, REASONS)
            )
    checked = check_descriptions(manifest).reasons
    samples_by_reason = {reason: checked.get(reason, ()) for reason in reasons}
    left_out = {name for names in samples_by_reason.values() for name in names}
    if len(left_out) == len(manifest):
        raise TableError(
            expected=f'a sample of {manifest.facts.corpus} that is left',
            came=', '.join(f'{reason}: {len(names)}' for reason, names in samples_by_reason.items()),
            todo='leave fewer of them out',
        )
    notes = [
        f'left out, {reason}: {counted(len(names), "sample")}' for reason, names in samples_by_reason.items() if names
    ]
    remaining = manifest.take(np.array([name not in left_out for name in manifest.names], dtype=np.bool_))
    return replace(remaining, facts=replace(remaining.facts, notes=(*remaining.facts.notes, *notes)))


_TEXTS = ('description', 'chinese_description')


def _tidy(text: str | None) -> str:
    return ' '.join(text.split()) if text else ''


def _han(text: str) -> float:
    """Share of Chinese characters among the letters of a text; 0 without letters."""
    letters = len(_LETTER.findall(text))
    return len(_HAN.findall(text)) / letters if letters else 0.0


def _described(
    release: Release, tables: Mapping[str, Columns], texts: Mapping[str, Columns], types: int
) -> Iterator[Sample]:
    """The samples of all tables that exist, in the order of their first occurrence.

    Args:
        release: folder of the release.
        tables: file to its columns; these tables define the samples.
        texts: file to its columns; these tables only add fields to samples of others.
        types: published number of distinct labels; 0 where none was published.
    """
    rows: dict[str, dict[str, Any]] = {}
    for file, columns in tables.items():
        if release.first(file) is not None:
            for name, cells in _rows(release, file, columns).items():
                rows[name] = {**cells, **rows.get(name, {})}
    for file, columns in texts.items():
        if release.first(file) is not None:
            for name, cells in _rows(release, file, columns, only=rows.keys()).items():
                rows[name] = {**cells, **rows[name]}
            break
    else:
        if texts:
            release.notes.append(f'{" or ".join(texts)} is missing: there are no transcripts')
    media, stacks = Media.of(release), release.media('openface_face', kinds=('.npy',))
    distinct_labels = set()
    for name, cells in rows.items():
        labels = openset_of(cells.pop('openset', None))
        distinct_labels |= set(json.loads(labels or '[]'))
        paths = media.paths(name)
        paths['frames'] = paths['frames'] or stacks.get(name)
        text = cells.get('chinese') or cells.get('english')
        yield Sample(name, text=text, openset=labels, **paths, **cells)
    if types and len(distinct_labels) != types:
        release.notes.append(f'{len(distinct_labels):,} different labels, {types:,} were published')


def _rows(
    release: Release, file: str, columns: Columns, only: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Name to the non-empty cells of a table; duplicated rows count once, with a note.

    Raises:
        TableError: a name has two different rows, or a row has no name.
    """
    table = release.table(file) or {}
    headers = [header for header in columns if header in table]
    needed = [header for header in columns if columns[header] in ('sample', *_REQUIRED)]
    cells = dict(zip(headers, need(table, headers, file), strict=True))
    need(table, needed, file)
    name_header = next(header for header, column in columns.items() if column == 'sample')
    rows: dict[str, dict[str, Any]] = {}
    repeated: list[str] = []
    for index, name in enumerate(str(cell or '').strip() for cell in cells[name_header]):
        if only is not None and name not in only:
            continue
        row = {
            columns[header]: str(values[index]).strip()
            for header, values in cells.items()
            if header != name_header and values[index] is not None and str(values[index]).strip() not in ('', 'nan')
        }
        if name in ('', 'nan') or rows.get(name, row) != row:
            problem = f' with two that differ for {name!r}' if name in rows else f', row {index + 1} without a name'
            raise TableError(
                expected='one row per sample, by name',
                came=f'{file}{problem}',
                todo='keep one row of each',
            )
        if name in rows:
            repeated.append(name)
        rows[name] = row
    if repeated:
        release.notes.append(
            f'{file}: {counted(len(repeated), "row")} left out that repeated another ({listed(repeated, 2)})'
        )
    return rows


_REQUIRED = ('openset',)
"""Fields that a table must have where its columns, as declared here, include them."""
_SUBTITLES = dict.fromkeys(TRANSCRIPTS, _TRANSCRIPT)


def _corpus(
    name: str,
    title: str,
    size: int,
    tables: Mapping[str, Columns],
    *,
    types: int = 0,
    texts: Mapping[str, Columns] = _SUBTITLES,
    source: str = 'huggingface.co/datasets/MERChallenge (agreement)',
    cite: str = 'arXiv:2410.01495',
    folders: Sequence[str] = (),
) -> Corpus:
    read = partial(_described, tables=tables, texts=texts, types=types)
    return Corpus(
        name, title, 'zh', (Layout(tuple(tables), read, 'official'),), source, cite, published={'': size},
        folders=tuple(folders),
    )  # fmt: skip


def _tracks(stem: str) -> dict[str, Columns]:
    return {f'track2_train_{stem}.csv': _OPENSET, f'track3_train_{stem}.csv': _REASON}


_EMER, _CAPTION = 'arXiv:2407.07653', 'arXiv:2501.16566'
CORPORA = (
    _corpus('emer', 'EMER, first version', 100, {'gt-eng.csv': _ENGLISH, 'gt-chi.csv': _CHINESE}, texts={},
            source='github.com/zeroQiaoba/AffectGPT, EMER/dataset-v1', cite='arXiv:2306.15401',
            folders=('dataset-v1',)),
    _corpus('emer-fine', 'EMER-Fine', 332, {'final-EMER-reason.csv': _BOTH, 'check-openset.csv': _OPENSET}, types=248,
            source='github.com/zeroQiaoba/AffectGPT, EMER/dataset-v2; labels in MER2024/ov_store of '
                   'github.com/zeroQiaoba/MERTools', cite=_EMER, folders=('dataset-v2', 'ov_store')),
    _corpus('emer-coarse', 'EMER-Coarse', 115_595, _tracks('mercaption'), types=2932, cite=_EMER),
    _corpus('ov-merd', 'OV-MERD', 332, _tracks('ovmerd'), types=248),
    _corpus('ov-merd-plus', 'OV-MERD+', 532, {'ovlabel.csv': _OPENSET},
            texts={'subtitle_eng.csv': {'name': 'sample', 'sentence': 'english'}, **_SUBTITLES}, cite=_CAPTION,
            folders=('ovmerdplus-process',)),
    _corpus('mer-caption', 'MER-Caption', 115_595, _tracks('mercaption'), types=2932, cite=_CAPTION),
    _corpus('mer-caption-plus', 'MER-Caption+', 31_327, _tracks('mercaptionplus'), types=1972, cite=_CAPTION),
    _corpus('human-ov', 'Human-OV', 1532, {'track2_train_human.csv': _OPENSET},
            cite='github.com/zeroQiaoba/MERTools'),
)  # fmt: skip
