"""Importer of your own data: a folder with one table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.containers import AUDIO, PICTURES, VIDEO
from affekt.corpora.described import openset_of
from affekt.corpora.label_columns import tidied
from affekt.corpora.manifest import COLUMNS, NUMBERS, Facts, Manifest, Sample
from affekt.corpora.release import Corpus, Layout, Release, number
from affekt.corpora.sample_table import SampleTable
from affekt.errors import TableError, listed
from affekt.tables import read_columns

TABLES = (
    'samples.csv', 'labels.csv', 'label.csv', 'metadata.csv', 'samples.tsv', 'samples.jsonl', 'samples.json',
    'samples.parquet', 'samples.xlsx',
)  # fmt: skip
NAMES = {
    'sample': ('sample', 'name', 'id', 'file', 'filename', 'path', 'file_id', 'clip'),
    'category': ('category', 'emotion', 'label', 'discrete'),
    'text': ('text', 'transcript', 'utterance'),
    'speaker': ('speaker', 'actor', 'subject', 'speaker_id', 'actor_id', 'subject_id', 'participant'),
    'description': ('description', 'reason'),
    'start_s': ('start_s', 'start'),
    'end_s': ('end_s', 'end'),
}
"""Name of a column to the accepted headers."""
PATHS = ('file', 'filename', 'path')
"""Headers of a column with each sample's file, where another column names the sample."""
VISUAL = (*PICTURES, *VIDEO)
"""Extensions of visual media; a photograph is a clip of one frame; a video of the same name takes precedence."""


def own_samples(release: Release, tables: Sequence[str] = TABLES) -> Iterator[Sample]:
    """One row per sample; columns are named as in a manifest, or as in `NAMES`, others are left out.

    A name that is the path of a file below the folder gives the media; else they are searched by name in `video/`,
    `audio/`, `frames/`, beside the table, and in any other folder below, if exactly one file has that name.

    Args:
        release: the folder.
        tables: names of tables; the first existing one is read.

    Raises:
        TableError: there is no column of names, or a number or the categories are invalid; see `tidied`.
    """
    columns = release.table(*tables) or {}
    file = next(reversed(release.sources))
    header_of = {header.lower(): header for header in columns}
    headers = {
        column: header_of[name]
        for column in COLUMNS
        if (name := next((name for name in NAMES.get(column, (column,)) if name in header_of), None))
    }
    if 'sample' not in headers:
        raise TableError(
            expected=f'a column {" or ".join(NAMES["sample"])}',
            came=f'{file} with {listed(columns, 8)}',
            todo='give each sample a name',
        )
    path_headers = [header_of[name] for name in PATHS if name in header_of]
    path_header = next((header for header in path_headers if header not in headers.values()), None)
    if unused := [header for header in columns if header not in (*headers.values(), path_header)]:
        release.notes.append(f'columns that a manifest does not have, left out: {listed(unused)}')
    media = {
        'video': {
            stem: path
            for kinds in (PICTURES, VIDEO)
            for folder in ('.', 'video')
            for stem, path in release.media(folder, kinds=kinds).items()
        },
        'audio': {**release.media('.', kinds=AUDIO), **release.media('audio', kinds=AUDIO)},
        'frames': release.folders('frames'),
    }
    tidy_columns = [tidied(column, columns[header], file, release.notes) for column, header in headers.items()]
    paths = columns[path_header] if path_header else [None] * len(tidy_columns[0])
    for values, path in zip(zip(*tidy_columns, strict=True), paths, strict=True):
        row = {column: value for column, value in zip(headers, values, strict=True) if value not in ('', None)}
        name = str(row.pop('sample', ''))
        cells = {column: _cell(column, value, name, file) for column, value in row.items()}
        yield Sample(name, **_media(str(path or name).strip(), release, media) | cells)


def own_manifest(table: Path, media: Path | None = None) -> Manifest:
    """The manifest of your own table.

    Args:
        table: table with a column of names, see `own_samples`.
        media: folder that contains the media; None for the folder of the table.

    Raises:
        TableError: see `own_samples`; or there is no sample.
    """
    read_columns(table)  # raises its own errors for a path or a file
    release = Release((media or table.parent).resolve())
    samples = SampleTable.of(own_samples(release, (os.path.relpath(table.resolve(), release.folder),)))
    if not len(samples):
        raise TableError(expected='samples', came=f'{table} without any', todo='write one row per clip')
    categories = tuple(sorted(filter(None, samples.coded('category').values)))
    corpus = f'{table.resolve().parent.name}/{table.name}'
    facts = Facts(
        corpus=corpus, version='own', categories=categories, root=str(release.folder), sources=release.sources,
        notes=tuple(dict.fromkeys(release.notes)),
    )  # fmt: skip
    return Manifest(facts, samples)


def _cell(column: str, value: object, name: str, file: str) -> Any:
    """A cell converted to the type of its column."""
    if column in NUMBERS:
        return number(value, name, file)
    if column == 'openset':
        return openset_of(value)
    return value if column == 'fold' else str(value)


def _media(name: str, release: Release, media: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The media that a sample's name refers to."""
    stem = _stem(name)
    for column, kinds in (('audio', AUDIO), ('video', VISUAL)):
        if '/' in name and name.lower().endswith(kinds) and (release.folder / name).is_file():
            return {column: name}
    named = {column: paths[stem] for column, paths in media.items() if stem in paths}
    for column, kinds in (('audio', AUDIO), ('video', VISUAL)):
        if name.lower().endswith(kinds) and (release.folder / name).is_file():
            named[column] = name
    return named or _media_below(name, release)


def _media_below(name: str, release: Release) -> dict[str, Any]:
    """The media of a name in any folder below; none, with a note, where several folders have one."""
    paths: dict[str, Any] = {}
    if not name or Path(name).is_absolute() or '..' in Path(name).parts:
        return paths
    for column, kinds in (('audio', AUDIO), ('video', VISUAL)):
        exact = [name] if name.lower().endswith(kinds) else []
        recoded = [f'{_stem(name)}{ending}' for ending in kinds]
        files = _files_called(exact, release) or _files_called(recoded, release)
        if len(files) == 1:
            paths[column] = files[0].relative_to(release.folder).as_posix()
        elif files:
            release.notes.append(f'{name} is the name of {len(files)} files in different folders: none was taken')
    return paths


def _stem(name: str) -> str:
    """The name without the extension of a media file, since a corpus may have other formats than its table names."""
    return name.rsplit('.', 1)[0] if name.lower().endswith((*AUDIO, *VISUAL)) else name


def _files_called(names: Sequence[str], release: Release) -> list[Path]:
    return [path for name in names for path in release.every(name) if path.is_file()]


CORPORA = (
    Corpus(
        'folder', 'your own: a folder with a table', '',
        layouts=tuple(Layout((name,), own_samples, 'own') for name in TABLES),
        source='yours: samples.csv with sample, category, speaker …', cite='',
    ),
)  # fmt: skip
