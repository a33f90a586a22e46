"""Importers of the MER challenges: MER2023, MER2024, MER2025 track 1, MER2026 track 1.

Labels of the hidden tests are placeholders in MERBench's archives (*neutral*), so candidates have no category here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from affekt.corpora.manifest import Sample
from affekt.corpora.merbench import Media, labelled, transcripts
from affekt.corpora.release import Corpus, Layout, Release, need, number

MER6 = ('neutral', 'angry', 'happy', 'sad', 'worried', 'surprise')
_VALENCE = {'valence': (-5.0, 5.0)}
_SOURCE = 'huggingface.co/MERChallenge (agreement), labels of 2023 in MERBench'


def _merbench(
    release: Release, archives: tuple[str, ...], splits: Mapping[str, str], hidden: tuple[str, ...]
) -> Iterator[Sample]:
    rows = list(labelled(release, archives, splits, MER6))
    texts, media = transcripts(release, [row.name for row in rows]), Media.of(release)
    for row in rows:
        chinese, english = texts.get(row.name, (None, None))
        yield Sample(
            row.name, text=chinese, chinese=chinese, english=english,
            category=None if row.split in hidden else row.category, valence=row.value, split=row.split,
            **media.paths(row.name),
        )  # fmt: skip


def _official(
    release: Release, tables: Mapping[str, tuple[str, str]], candidates: Mapping[str, str]
) -> Iterator[Sample]:
    """Labelled tables (name, discrete, valence) with their folders of clips, then candidates by name or by clip.

    Args:
        release: folder of the release.
        tables: split to label table and folder of clips.
        candidates: split to a table of names, or to a folder whose clips are the candidates.
    """
    rows: list[tuple[str, str, str | None, float | None, str | None]] = []
    for split, (file, clips) in tables.items():
        columns = release.table(file, f'test-labels/{file}')
        if columns is None:
            continue
        names, categories = need(columns, ('name', 'discrete'), file)
        values = columns.get('valence', [None] * len(names))
        video = release.media(clips)
        rows += [
            (name, split, category, number(value, name, file), video.get(name))
            for name, category, value in zip(names, categories, values, strict=True)
        ]
    known = {row[0] for row in rows}
    for split, file in candidates.items():
        path = release.first(file)
        is_folder = path is not None and path.is_dir()
        video = release.media(file if is_folder else 'video')
        columns = None if is_folder else release.table(file)
        names = list(video) if columns is None else need(columns, ('name',), file)[0]
        rows += [(name, split, None, None, video.get(name)) for name in names if name not in known]
    texts, media = transcripts(release, [row[0] for row in rows]), Media.of(release)
    for name, split, category, value, clip in rows:
        chinese, english = texts.get(name, (None, None))
        paths = media.paths(name)
        yield Sample(
            name, text=chinese, chinese=chinese, english=english, category=category, valence=value, split=split,
            video=clip or paths['video'], audio=paths['audio'], frames=paths['frames'],
        )  # fmt: skip


_TESTS = {f'{split}_corpus': split for split in ('train', 'test1', 'test2', 'test3')}
_TABLES = {split: (f'{split}-label.csv', split) for split in _TESTS.values()}


def _challenge(
    year: int,
    size: int,
    tables: Mapping[str, tuple[str, str]],
    candidates: Mapping[str, str],
    archives: tuple[str, ...],
) -> Corpus:
    """A year with one labelled training part and one hidden test among candidates."""
    splits = {'train_corpus': 'train', 'test1_corpus': 'candidates'}
    return Corpus(
        f'mer{year}', f'MER{year}' + ('' if year == 2024 else ', track 1'), 'zh', categories=MER6, ranges=_VALENCE,
        published={'train': size}, folders=(f'mer{year}-dataset-process', f'mer{year}-dataset'),
        layouts=(
            Layout(tuple(file for file, _ in tables.values()), partial(_official, tables=tables, candidates=candidates),
                   'official'),
            Layout(archives, partial(_merbench, archives=archives, splits=splits, hidden=('candidates',)), 'MERBench'),
        ),
        source=_SOURCE, cite='arXiv:2404.17113' if year == 2024 else 'github.com/zeroQiaoba/MERTools',
    )  # fmt: skip


CORPORA = (
    Corpus(
        'mer2023', 'MER2023', 'zh', categories=MER6, ranges=_VALENCE,
        published={'train': 3373, 'test1': 411, 'test2': 412, 'test3': 834},
        folders=('mer2023-dataset-process', 'mer2023-dataset'),
        layouts=(
            Layout(tuple(file for file, _ in _TABLES.values()), partial(_official, tables=_TABLES, candidates={}),
                   'official'),
            Layout(('label-6way.npz',),
                   partial(_merbench, archives=('label-6way.npz',), splits=_TESTS, hidden=()), 'MERBench'),
        ),
        source=_SOURCE, cite='arXiv:2304.08981',
    ),
    _challenge(2024, 5030, {'train': ('label-disdim.csv', 'video-labeled')},
               {'candidates': 'video-unlabeled-with-test2noise'}, ('label-6way.npz',)),
    _challenge(2025, 7369, {'train': ('track1_train_disdim.csv', 'video')},
               {'candidates': 'track_all_candidates.csv'}, ('label-6way.npz', 'track1_label_6way.npz')),
    _challenge(2026, 9395, {'train': ('track1_train.csv', 'video')},
               {'candidates': 'track1_track2_candidate.csv'}, ('track1_label_6way.npz',)),
)  # fmt: skip
