"""The contract of corpora: their properties, and the manifests of their releases."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from affekt.corpora import Corpus, Manifest, corpus_named, import_corpus
from affekt.testing.contract import promised, refuses, require

MEDIA = ('video', 'audio', 'frames')
WHAT = ('text', 'category')
VALUES = ('valence', 'arousal', 'dominance', 'sentiment')
"""Columns that can have a range."""


def check_corpus(corpus: Corpus | str, folder: Path | None = None, *, has_media: bool = True) -> None:
    """Check that a corpus describes itself, and that its importer makes a valid manifest of a release.

    1. Its name can be typed, it states where to get it, each layout lists files that identify it, ranges increase, and
       no category is duplicated.
    2. An empty folder, and a missing one, are refused with what was expected there.
    3. A release gives samples of known categories within the ranges, with unique names, with text, media or labels;
       media exist below the folder; the manifest is the same a second time, and after saving and loading.

    Args:
        corpus: corpus, or its name.
        folder: a release, or a small synthetic one in its layout; None to check 1 and 2 only.
        has_media: whether media that the release refers to must exist.

    Raises:
        ContractError: a check fails.
    """
    with promised('a corpus of that name'):
        member = corpus_named(corpus) if isinstance(corpus, str) else corpus
    require(isinstance(member, Corpus), 'a Corpus', f'an object of type {type(member).__name__}')
    _check_facts(member)
    with TemporaryDirectory() as empty:
        promise = f'{member.name} to refuse a folder without any of its files'
        refuses(promise, import_corpus, member, Path(empty))
        refuses(f'{member.name} to refuse a folder that is not there', import_corpus, member, Path(empty) / 'none')
    if folder is not None:
        _check_release(member, Path(folder), has_media=has_media)


def _check_facts(corpus: Corpus) -> None:
    name = corpus.name
    typed = bool(re.fullmatch(r'[a-z0-9]+([-_][a-z0-9]+)*', name))
    require(typed, 'a name of small letters, digits and hyphens', repr(name))
    require(bool(corpus.title and corpus.source), f'a title of {name}, and where to get it', 'an empty one')
    require(bool(corpus.layouts), f'one layout of {name} or more', 'none')
    for layout in corpus.layouts:
        needs = layout.needs and all(need and not Path(need).is_absolute() for need in layout.needs)
        require(bool(needs), f'files below the folder that tell a layout of {name}', repr(layout.needs))
        require(bool(layout.version), f'a version of each layout of {name}', 'an empty one')
    once = len(set(corpus.categories)) == len(corpus.categories) and all(corpus.categories)
    require(once, f'every category of {name} once', repr(corpus.categories))
    for column, (low, high) in corpus.ranges.items():
        require(column in VALUES, f'ranges of {name} for {", ".join(VALUES)}', repr(column))
        require(low < high, f'a range of {column} of {name} that rises', f'{low:g} to {high:g}')
    counts = all(size > 0 for size in corpus.published.values())
    require(counts, f'published numbers of samples of {name} above 0', repr(dict(corpus.published)))


def _check_release(corpus: Corpus, folder: Path, *, has_media: bool) -> None:
    name = corpus.name
    with promised(f'a manifest of {name} from {folder}'):
        manifest, again = import_corpus(corpus, folder), import_corpus(corpus, folder)
    require(manifest == again, f'the same manifest of {name} twice', 'another', 'read folders in sorted order')
    says = any(getattr(row, column) is not None for row in manifest.samples for column in (*WHAT, *MEDIA, *VALUES))
    require(says, f'text, media or a label of some samples of {name}', 'names alone')
    for row in manifest.samples:
        named = [Path(getattr(row, medium)) for medium in MEDIA if getattr(row, medium)]
        below = not any(path.is_absolute() or '..' in path.parts for path in named)
        require(below, f'media of {name} below the folder', f'others for {row.sample!r}')
    if has_media:
        placed = [manifest.media(row, medium) for row in manifest.samples for medium in MEDIA]
        gone = [str(path) for path in placed if path is not None and not path.exists()]
        require(not gone, f'the media that the manifest of {name} names', f'none at {", ".join(gone[:3])}')
    with TemporaryDirectory() as place, promised(f'the manifest of {name} to come back from its file'):
        manifest.save(Path(place) / 'manifest.parquet')
        came_back = Manifest.load(Path(place) / 'manifest.parquet') == manifest
    require(came_back, f'the same manifest of {name} from its file', 'another')
