"""Import of a folder as a manifest: `import_corpus` finds the matching layout, reads it, and notes what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affekt.corpora import acted, affwild2, challenges, described, dialogues, encounters, films, own, sentiment
from affekt.corpora.manifest import MEDIA, Facts, Manifest
from affekt.corpora.release import Corpus, Layout, Release
from affekt.corpora.sample_table import SampleTable
from affekt.errors import CorpusError, UnknownNameError, listed
from affekt.frames import FrameTable
from affekt.plugins import Members, named_as
from affekt.wording import counted


def corpus_named(name: str) -> Corpus:
    """The corpus with a name; capitals, `_` for `-`, and hyphens that the name lacks are accepted.

    Raises:
        UnknownNameError: unknown corpus.
    """
    normalized = name.lower().replace('_', '-')
    corpus = CORPORA.get(name) or CORPORA.get(normalized) or CORPORA.get(normalized.replace('-', ''))
    if corpus is None:
        raise UnknownNameError(
            expected=f'one of {", ".join(CORPORA)}', came=repr(name), todo='see `affekt corpus list`'
        )
    return corpus


def import_corpus(corpus: Corpus | str, folder: Path) -> Manifest:
    """The manifest of a release; `import_with_frames` also returns frame labels.

    Args:
        corpus: corpus, or its name; `folder` for your own data.
        folder: folder of the release, or the one above it.

    Raises:
        UnknownNameError, CorpusError, TableError, ArchiveError: see `import_with_frames`.
    """
    return import_with_frames(corpus, folder)[0]


def import_with_frames(corpus: Corpus | str, folder: Path) -> tuple[Manifest, FrameTable | None]:
    """The manifest of a release, and its frame labels where it has any.

    1. The first layout with an existing file is chosen, in the folder, in a folder of a usual name below it, or further
       down.
    2. Its function reads label files and finds media.
    3. Missing files of the layout, and numbers that differ from the published ones, become notes.

    Args:
        corpus: corpus, or its name; `folder` for your own data.
        folder: folder of the release, or the one above it.

    Raises:
        UnknownNameError: unknown corpus.
        CorpusError: the folder has no part of the release.
        TableError, ArchiveError: a label file is damaged or has contents that the corpus does not have.
    """
    corpus = corpus_named(corpus) if isinstance(corpus, str) else corpus
    base, layout = _layout_in(corpus, folder)
    release = Release(base.resolve())
    missing = [path for path in layout.needs if not layout.says_missing and release.first(path) is None]
    samples = SampleTable.of(layout.read(release))
    if not len(samples):
        raise CorpusError(
            expected=f'samples of {corpus.title}', came=f'{base} without any', todo='check that the release is unpacked'
        )
    notes = dict.fromkeys(
        [*(f'{path} is missing' for path in missing), *release.notes, *_without_media(samples, release)]
    )
    by_split = samples.coded('split').counts()
    for split, size in corpus.published.items():
        count = by_split.get(split, 0) if split else len(samples)
        if count != size:
            notes[f'{split or "all"}: {counted(count, "sample")}, {size} were published'] = None
    facts = Facts(
        corpus=corpus.title,
        version=layout.version,
        language=corpus.language,
        categories=corpus.categories or tuple(sorted(filter(None, samples.coded('category').values))),
        ranges=corpus.ranges,
        published=corpus.published,
        root=str(release.folder),
        sources=release.sources,
        notes=tuple(notes),
    )
    return Manifest(facts, samples), release.frames


def _without_media(samples: SampleTable, release: Release) -> list[str]:
    """A note on samples of which no media file was found, and on the folders that were searched."""
    has_no_clip = ~np.any([samples.filled(column) for column in MEDIA], axis=0)
    without_clip = samples.column('sample')[has_no_clip].tolist()
    if not without_clip or not release.places:
        return []
    folders = list(release.places)
    searched = ', '.join(folders[:6]) + (f' and {len(folders) - 6} more' if len(folders) > 6 else '')
    whose = f'{len(without_clip):,} of {len(samples):,} samples'
    if len(without_clip) == len(samples):
        whose = f'all {len(samples):,} samples' if len(samples) > 1 else 'the only sample'
    return [
        f'no video, audio or face images found for {whose}: {listed(without_clip, 3)}; searched {searched}, and '
        'folders of these names further down'
    ]


def _layout_in(corpus: Corpus, folder: Path) -> tuple[Path, Layout]:
    """Folder of a release, and its layout; see `import_with_frames`.

    Raises:
        CorpusError: no layout matches.
    """
    if not folder.is_dir():
        raise CorpusError(expected='a folder', came=f'{folder}', todo='name the folder of the release')
    for base in (folder, *(folder / name for name in corpus.folders)):
        for layout in corpus.layouts:
            if any((base / path).exists() for path in layout.needs):
                return (folder if _is_spread(corpus, folder, base, layout) else base), layout
    release = Release(folder.resolve())
    for layout in corpus.layouts if corpus.cite else ():  # a user's own table is read only where it was named
        if any(release.every(path) for path in layout.needs):
            return folder, layout
    expected = [', '.join(layout.needs[:3]) + (' …' if len(layout.needs) > 3 else '') for layout in corpus.layouts]
    entries = sorted(path.name for path in folder.iterdir())[:5]
    raise CorpusError(
        expected=f'{" or ".join(expected)} in {folder}',
        came=', '.join(entries) or 'an empty folder',
        todo=f'get {corpus.title} from {corpus.source}' if corpus.cite else 'write samples.csv there',
    )


def _is_spread(corpus: Corpus, folder: Path, base: Path, layout: Layout) -> bool:
    """Whether a needed file that the base lacks is in another folder of the release."""
    others = [folder / name for name in corpus.folders if folder / name != base]
    missing = [path for path in layout.needs if not (base / path).exists()]
    return base != folder and any((other / path).exists() for other in others for path in missing)


_FILES = (challenges, described, dialogues, sentiment, acted, films, affwild2, encounters, own)
CORPORA: Members[Corpus] = Members(
    'corpora', {corpus.name: corpus for file in _FILES for corpus in file.CORPORA}, named_as(Corpus)
)
"""Name to corpus; other packages add theirs as `affekt.corpora`."""
