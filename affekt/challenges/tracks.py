"""Tracks of the MER challenges and their ranking scores.

| track | score | submission |
|---|---|---|
| `mer2024-ov` | mean of P and R over a language model's stored synonym groups | csv, name and openset |
| `mer2025-track2` | mean of EW-L1 F and EW-L2 F, table 2025 | npz, filenames and fileitems |
| `mer2026-track2` | EW-L1 F, table 2026 | npz as the released scorer reads it, or csv |
| `mer2023-multi`, `-noise` | weighted F1 - 0.25 squared error of valence | csv, name, discrete and valence |
| `mer2023-semi`, `mer2024-semi`, `-noise`, `mer2025-track1`, `mer2026-track1` | weighted F1 | csv, name and discrete |

The test samples are a hidden part of the candidates: a submission (`submissions.py`) answers every candidate, and only
those of the truth are scored.

Source: arXiv:2404.17113 (2024); MER2025_Track23/README and MER2026_Track2/evaluation.py in
github.com/zeroQiaoba/MERTools ("only accept *-openset.npz").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.challenges.category_answers import ClosedSet
from affekt.corpora import corpus_named
from affekt.errors import TableError, UnknownNameError, listed
from affekt.labels import WordTable, load_table, read_answers
from affekt.metrics import Interval, LabelledAnswers, OfficialMeasure, grouped_scores, official_parse, require_names
from affekt.metrics.resampling import intervals
from affekt.npz import read_npz
from affekt.tables import by_name, read_columns


@dataclass(frozen=True)
class Track:
    """One track of a challenge."""

    name: str
    score: str
    """The ranking score in words."""
    table: str
    """Name of the word table; '' for tracks with stored groups or categories."""
    rings: tuple[int, ...]
    """Rings whose EW F is averaged."""
    kinds: tuple[str, ...]
    """Accepted file extensions; the first is the one that the organizers request."""
    closed: ClosedSet | None = None
    """Accepted answers; None for open-vocabulary labels."""
    rows: int | None = None
    """Number of rows that the organizers require; None for any."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a submission's csv, besides the name."""
        return self.closed.columns if self.closed else ('openset',)

    def read(self, path: Path) -> dict[str, Any]:
        """Name of a sample to its answer, from your own table or a submission.

        Raises:
            TableError: the file cannot be read, or lacks a column.
            ArchiveError: an archive is damaged.
        """
        return dict(self.closed.read(path) if self.closed else read_answers(path))


def _closed(name: str, corpus: str, rows: int | None = None, has_valence: bool = False) -> Track:
    corpus_facts = corpus_named(corpus)
    score = 'weighted F1 - 0.25 squared error' if has_valence else 'weighted F1'
    answers = ClosedSet(corpus_facts.categories, corpus_facts.ranges['valence'] if has_valence else None)
    return Track(name, score, '', (), ('.csv',), answers, rows)


TRACKS: Mapping[str, Track] = {
    track.name: track
    for track in (
        Track('mer2024-ov', 'mean of precision and recall', '', (), ('.csv',)),
        Track('mer2025-track2', 'mean of EW-L1 F and EW-L2 F', '2025', (1, 2), ('-openset.npz',)),
        Track('mer2026-track2', 'EW-L1 F', '2026', (1,), ('-openset.npz', '.csv')),
        _closed('mer2023-multi', 'mer2023', 411, has_valence=True),
        _closed('mer2023-noise', 'mer2023', 412, has_valence=True),
        _closed('mer2023-semi', 'mer2023'),
        _closed('mer2024-semi', 'mer2024'),
        _closed('mer2024-noise', 'mer2024'),
        _closed('mer2025-track1', 'mer2025', 20_000),
        _closed('mer2026-track1', 'mer2026', 20_000),
    )
}
"""Name to track."""


@dataclass(frozen=True)
class TrackScore:
    """The ranking score of a track, and its parts."""

    track: str
    """Name of the track."""
    metric: str
    """The ranking score in words."""
    score: Interval
    """The ranking score."""
    parts: Mapping[str, Interval]
    """Name of a related score to its value."""
    samples: int
    """Number of scored samples, or of frames."""
    table: str
    """Word table with version and hash; '' if none was used."""
    table_is_official: bool
    """Whether that is the table of the challenge."""


def track_named(name: str) -> Track:
    """The track with a name, such as 'mer2026-track2'.

    Raises:
        UnknownNameError: unknown track.
    """
    if name not in TRACKS:
        raise UnknownNameError(expected=f'one of {", ".join(TRACKS)}', came=repr(name), todo='name one of these')
    return TRACKS[name]


def score_track(
    name: str,
    truth: Mapping[str, Any],
    prediction: Mapping[str, Any],
    *,
    rng: np.random.Generator,
    table: WordTable | str | Path | None = None,
    groups: Mapping[str, str] | None = None,
    resamples: int = 1000,
) -> TrackScore:
    """A track's score, with bootstrap intervals over samples.

    Args:
        name: name of the track.
        truth: name of a sample to its answer: words, or as `ClosedSet.cells` takes it.
        prediction: name of a sample to its answer; samples outside the truth are ignored.
        rng: generator of the resamples.
        table: word table to use instead of the challenge's; None for the challenge's.
        groups: name of a sample to a language model's raw synonym groups, for `mer2024-ov`.
        resamples: number of resamples for the intervals.

    Raises:
        UnknownNameError: unknown track.
        TableError: samples are missing, or groups that the track needs.
        WeightsError: the official table is not available.
    """
    track = track_named(name)
    if track.closed:
        columns = track.closed.sums(truth, prediction)
        parts = dict(intervals(columns, track.closed.statistic, rng=rng, resamples=resamples))
        return TrackScore(name, track.score, parts.pop('score'), parts, len(truth), '', True)
    if not track.table:
        return _grouped(track, truth, prediction, groups, rng, resamples)
    word_table = table if isinstance(table, WordTable) else load_table(table or track.table)
    measure = OfficialMeasure(word_table, LabelledAnswers.of(truth, prediction, official_parse))
    rows = [f'EW-L{ring} f' for ring in track.rings]

    def statistic(sums: Floats) -> dict[str, Floats]:
        values = measure.statistic(sums)
        shown = {key: value for key, value in values.items() if key.startswith('EW') and not key.endswith(' n')}
        return {**shown, 'score': np.mean([values[row] for row in rows], axis=0)}

    parts = intervals(measure.columns, statistic, rng=rng, resamples=resamples)
    score = parts.pop('score')
    return TrackScore(name, track.score, score, parts, len(truth), word_table.label, word_table.name == track.table)


def _grouped(
    track: Track,
    truth: Mapping[str, Any],
    prediction: Mapping[str, Any],
    groups: Mapping[str, str] | None,
    rng: np.random.Generator,
    resamples: int,
) -> TrackScore:
    if not groups:
        raise TableError(
            expected='the stored synonym groups of every sample',
            came='none',
            todo='give them with --groups (openset-synonym.zip of the release); another model would group otherwise',
        )
    require_names(groups, truth, 'the truth')
    require_names(groups, prediction, 'the prediction')
    scores = [grouped_scores(truth, prediction, {name: raw_groups}) for name, raw_groups in groups.items()]
    columns = np.array([[1.0, sample.precision, sample.recall] for sample in scores])

    def statistic(sums: Floats) -> dict[str, Floats]:
        precision, recall = sums[:, 1] / sums[:, 0], sums[:, 2] / sums[:, 0]
        return {'precision': precision, 'recall': recall, 'score': (precision + recall) / 2}

    parts = intervals(columns, statistic, rng=rng, resamples=resamples)
    score = parts.pop('score')
    return TrackScore(track.name, track.score, score, parts, len(groups), '', True)


def read_groups(path: Path) -> dict[str, str]:
    """Name of a sample to its raw synonym groups: from the released zip of .npy files, or a table with name and groups.

    Raises:
        TableError: the file is missing or damaged, lacks these columns, or has a sample without a name or twice.
        ArchiveError: an archive is damaged.
    """
    if path.suffix in ('.zip', '.npz'):
        # A zip of .npy files has the format of an .npz.
        arrays = read_npz(path)
        names = Counter(Path(name).name for name in arrays)
        if twice := [name for name, count in names.items() if count > 1]:
            raise TableError(
                expected='each sample once', came=f'{path} with two files of {listed(twice, 3)}',
                todo='keep the one with its groups',
            )  # fmt: skip
        return {Path(name).name: str(array) for name, array in arrays.items()}
    columns = read_columns(path)
    groups = by_name(columns, path, ('name',), ('groups',))
    if groups is None:
        raise TableError(
            expected='the columns name and groups', came=f'{path} with {columns.seen()}', todo='name them so'
        )
    return {name: str(raw_groups) for name, raw_groups in groups.items()}
