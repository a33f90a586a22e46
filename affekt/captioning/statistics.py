"""Statistics of captions before and after a filter: counts, labels, lengths, and whether merging helps.

Votes of closed-set classifiers bias the kept captions towards their few emotions, so the entropy of the labels is
reported with the number of their types:

    H = -sum over labels of p log2 p,  p the label's share of all labels

If truth is given, labels of the merged description are compared with those of the better single clue; if there is a
second language, the labels of both versions are compared:

    agreement of two sets = 2 |A and B| / (|A| + |B|);  1 if both are empty
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.captioning.captions import DESCRIBED, SECOND, SECOND_COLUMNS, CaptionTable
from affekt.captioning.votes import AGAINST
from affekt.errors import TableError, listed
from affekt.labels import WordTable
from affekt.llm import LexiconExtractor
from affekt.metrics import Interval, bootstrap_interval, compare_open_vocabulary, set_scores
from affekt.tables import read_table

PUBLISHED = {
    'clips': (115_595, 31_327),
    'label types': (2_932, 1_972),
    'agreement of two languages': (0.82, 0.82, 0.78, 0.73),
    'gain of merging over the better clue': (3.6, 5.4),
}
"""Published figures: MER-Caption before and after its filter, OV-MERD's four pairs of label sets, and the smallest and
largest gain in points of F."""


@dataclass(frozen=True)
class LabelSpace:
    """Counts and variety of the labels of some captions."""

    clips: int
    labels: int
    """Number of labels of all clips together."""
    types: int
    """Number of different labels."""
    entropy: float
    """Bits; nan without labels."""
    sectors: int
    """Number of inner sectors of affekt's wheel that the labels cover."""
    sector_entropy: float
    most: tuple[tuple[str, int], ...]
    """The most frequent labels, with their counts."""
    without: int
    """Number of clips without a label."""

    @property
    def per_clip(self) -> float:
        """Mean number of labels per clip; nan without clips."""
        return self.labels / self.clips if self.clips else math.nan


@dataclass(frozen=True)
class Lengths:
    """Lengths of descriptions in characters."""

    count: int
    mean: float
    standard_deviation: float
    shortest: int
    longest: int
    log_mean: float
    log_standard_deviation: float


@dataclass(frozen=True)
class Gain:
    """Merged description against single clues, by mean F over the five wheels' inner rings, in [0, 1]."""

    clips: int
    audio: float
    visual: float
    merged: float
    over_better: Interval
    """Merged minus the better single clue, with its paired interval."""
    p: float

    @property
    def better(self) -> str:
        """The single clue that scores higher."""
        return 'audio' if self.audio >= self.visual else 'visual'


@dataclass(frozen=True)
class Agreement:
    """Agreement of two sets of labels per description."""

    name: str
    words: Interval
    """Mean agreement of exact labels."""
    groups: Interval | None
    """Mean agreement of their groups on affekt's wheel; None for languages other than English."""
    clips: int


@dataclass(frozen=True)
class CaptionStatistics:
    """All statistics of captions."""

    statuses: Mapping[str, int]
    clue_statuses: Mapping[str, Mapping[str, int]]
    """Step, audio or visual, to the number of clips by status."""
    before: LabelSpace
    lengths: Lengths
    after: LabelSpace | None = None
    left_out: Mapping[str, int] | None = None
    """First reason to the number of clips."""
    gain: Gain | None = None
    language: str = ''
    agreements: tuple[Agreement, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, for JSON."""
        from dataclasses import asdict

        return asdict(self) | {'notes': list(self.notes())}

    def notes(self) -> Iterable[str]:
        """Caveats for the reader."""
        if self.after is not None and self.after.entropy < self.before.entropy:
            lost = self.before.entropy - self.after.entropy
            has_votes = any(reason.startswith(AGAINST) for reason in self.left_out or ())
            yield f'the filter lowers the entropy of the labels by {lost:.2f} bits' + (
                ': captions that agree with classifiers of few emotions are kept more often' if has_votes else ''
            )
        if self.gain is not None and self.gain.over_better.high < 0:
            yield 'merging is worse than the better single clue: the whole interval lies below 0'
        elif self.gain is not None and self.gain.over_better.low <= 0:
            yield 'merging is not shown to be better than the better single clue: its interval contains 0'


def statistics_of(
    captions: CaptionTable,
    table: WordTable,
    *,
    left_out: Mapping[str, str] | None = None,
    truth: Mapping[str, object] | None = None,
    second: Path | None = None,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> CaptionStatistics:
    """The statistics of captions.

    Args:
        captions: captions of a run.
        table: word table; groups are counted on the wheel of affekt's.
        left_out: clip to the reason for which a filter left it out; None without a filter.
        truth: clip to true labels, for the gain of merging over these clips; None to leave it out.
        second: table of the second language; None to leave it out.
        rng: generator of the resamples.
        resamples: number of resamples for intervals.

    Raises:
        TableError: no clip has true labels, or the second table cannot be read.
    """
    if truth is not None and truth.keys().isdisjoint(captions.names):
        raise TableError(
            expected=f'true labels of clips of {captions.path}, such as {next(iter(captions.names), "a")!r}',
            came=f'none; there are labels of {listed(sorted(truth), 2) or "no clip"}',
            todo='give labels under the names of these clips',
        )  # fmt: skip
    statuses = captions.columns['status']
    described = [
        (name, labels)
        for name, labels, status, text in zip(
            captions.names, captions.labels, statuses, captions.columns['description'], strict=True
        )
        if text and (not status or status in DESCRIBED)
    ]
    texts = captions.column('description')
    kept = None if left_out is None else [labels for name, labels in described if name not in left_out]
    rows = None if second is None else second_rows(second)
    return CaptionStatistics(
        statuses=dict(Counter(statuses)),
        clue_statuses={step: dict(Counter(captions.columns[f'{step}_status'])) for step in ('audio', 'visual')},
        before=label_space([labels for _, labels in described], table),
        lengths=lengths_of([texts[name] for name, _ in described]),
        after=None if kept is None else label_space(kept, table),
        left_out=None if left_out is None else dict(Counter(left_out.values())),
        gain=None if truth is None else gain_of_merging(captions, truth, table, rng=rng, resamples=resamples),
        language='' if not rows else rows[0]['language'],
        agreements=() if not rows else language_agreements(rows, table, rng=rng, resamples=resamples),
    )


def label_space(labels: Sequence[Sequence[str]], table: WordTable) -> LabelSpace:
    """Counts and entropy of the labels of some captions; words count for sectors of affekt's wheel if it has them."""
    words = Counter(label for clip_labels in labels for label in clip_labels)
    sector = table.fold(f'{table.wheels[0].short}-L1')
    sectors = Counter(sector[word] for word in words.elements() if word in sector)
    return LabelSpace(
        len(labels), words.total(), len(words), entropy(words.values()), len(sectors), entropy(sectors.values()),
        tuple(words.most_common(10)), sum(not clip_labels for clip_labels in labels),
    )  # fmt: skip


def entropy(counts: Iterable[int]) -> float:
    """Entropy of counts in bits; nan if there are none.

    >>> entropy([1, 1, 2])
    1.5
    """
    values = np.array([count for count in counts if count], np.float64)
    if not len(values):
        return math.nan
    shares = values / values.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def lengths_of(texts: Sequence[str]) -> Lengths:
    """Lengths of texts in characters; nan if there are none."""
    sizes = np.array([len(text) for text in texts], np.float64)
    if not len(sizes):
        return Lengths(0, math.nan, math.nan, 0, 0, math.nan, math.nan)
    logs = np.log(sizes)
    spread, log_spread = (float(values.std(ddof=1)) if len(sizes) > 1 else math.nan for values in (sizes, logs))
    return Lengths(
        len(sizes), float(sizes.mean()), spread, int(sizes.min()), int(sizes.max()), float(logs.mean()), log_spread
    )


def gain_of_merging(
    captions: CaptionTable,
    truth: Mapping[str, object],
    table: WordTable,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> Gain | None:
    """The score of merged labels compared with that of each clue alone; None if no clip has true labels.

    All three texts are read by the same word list, so that label extraction is not part of the gain.
    """
    extractor = LexiconExtractor(table)
    names = [name for name in captions.names if name in truth]
    if not names:
        return None
    truth_of_clips = {name: truth[name] for name in names}
    texts = {column: captions.column(column) for column in ('audio_clue', 'visual_clue', 'description')}
    answers = {
        column: {name: list(extractor.extract(cells[name]).labels) for name in names} for column, cells in texts.items()
    }
    rings = [f'{table.wheels[index].short}-L1' for index in table.published]
    scores = {
        column: float(set_scores(truth_of_clips, answer, table, rings)['EW-L1'].f) for column, answer in answers.items()
    }
    better = max(('audio_clue', 'visual_clue'), key=lambda column: scores[column])
    compared = compare_open_vocabulary(
        truth_of_clips, answers['description'], answers[better], table, 'official', rng=rng, resamples=resamples
    )
    difference, p = compared['EW-L1 f']
    return Gain(len(names), scores['audio_clue'], scores['visual_clue'], scores['description'], difference, p)


PAIRS = (
    ('labels_ee', 'labels_ce', 'in English, of both texts', True),
    ('labels_cc', 'labels_ec', 'in the second language, of both', False),
)


def second_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table of the second language, its labels as lists.

    Args:
        path: `second_language.csv`, or the folder that holds it.

    Raises:
        TableError: the table cannot be read.
    """
    file = path / SECOND if path.is_dir() else path
    table = read_table(file)
    if lacking := [name for name in SECOND_COLUMNS if name not in table]:
        raise TableError(
            expected=f'a table of a second language, with {", ".join(SECOND_COLUMNS)}',
            came=f'{file} without {", ".join(lacking)}', todo='give the second_language.csv of `affekt caption`',
        )  # fmt: skip
    return [
        {name: _listed(cell) if name.startswith('labels_') else str(cell or '') for name, cell in row.items()}
        for row in table.records()
    ]


def _listed(cell: object) -> list[str]:
    try:
        parsed = json.loads(str(cell))
    except ValueError:
        return []
    return [str(label) for label in parsed] if isinstance(parsed, list) else []


def language_agreements(
    rows: Sequence[Mapping[str, Any]], table: WordTable, *, rng: np.random.Generator, resamples: int = 1000
) -> tuple[Agreement, ...]:
    """Agreement of the labels of both versions; clips without a text in the second language are skipped."""
    folding = table.fold(f'{table.wheels[0].short}-L2')
    translated = [row for row in rows if row.get('description')]
    if not translated:
        return ()
    agreements = []
    for left, right, name, is_english in PAIRS:
        pairs = [({w.lower() for w in row[left]}, {w.lower() for w in row[right]}) for row in translated]
        words = _interval([agreement(*pair) for pair in pairs], rng, resamples)
        grouped = [tuple({folding.get(word, word) for word in side} for side in pair) for pair in pairs]
        groups = _interval([agreement(*pair) for pair in grouped], rng, resamples) if is_english else None
        agreements.append(Agreement(name, words, groups, len(translated)))
    return tuple(agreements)


def agreement(left: set[str], right: set[str]) -> float:
    """2 |A and B| / (|A| + |B|).

    >>> agreement({'sad', 'tired'}, {'sad'}), agreement(set(), set())
    (0.6666666666666666, 1.0)
    """
    total = len(left) + len(right)
    return 2 * len(left & right) / total if total else 1.0


def _interval(values: Sequence[float], rng: np.random.Generator, resamples: int) -> Interval:
    return bootstrap_interval(lambda drawn: float(np.mean(drawn)), np.array(values), rng=rng, resamples=resamples)


def second_table(captions: Path) -> Path | None:
    """The table of the second language of a folder of captions; None if there is none."""
    file = captions / SECOND
    return file if captions.is_dir() and file.is_file() else None
