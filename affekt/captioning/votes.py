"""Predictions of classifiers for clips, as votes: the emotion and the sentiment predicted most often.

Accepts any table of predictions: `predictions.parquet` of `affekt bench merbench` (each system and seed is a voter,
except the constant answer and the published protocol), `predictions.csv` of `affekt track train`, or a table of names
with a category, a sentiment or a value. Several files vote together. A tie is no vote.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from affekt.errors import TableError
from affekt.labels import WordTable
from affekt.metrics import shares_any_group
from affekt.tables import Table, read_columns

NAMES = ('name', 'sample', 'names', 'clip')
EMOTIONS = ('category', 'discrete', 'discrete_emotion', 'emotion', 'emo', 'label', 'prediction')
SENTIMENTS = ('sentiment', 'value', 'valence', 'val')
"""Columns of votes, the first that a table has; a number votes by its sign."""
SYSTEM = ('modalities', 'model', 'protocol', 'seed')
"""Columns that identify a voter within a file."""
POSITIVE, NEGATIVE, NEUTRAL = 'positive', 'negative', 'neutral'
TIED = 'tied'
"""Result of a vote in which two answers are tied."""
AGAINST = 'against the voted '
"""Beginning of the reasons for which votes leave a clip out."""


@dataclass(frozen=True)
class Votes:
    """Votes of several classifiers for clips."""

    emotions: Mapping[str, Mapping[str, int]]
    """Sample to emotion to number of votes."""
    sentiments: Mapping[str, Mapping[str, int]]
    voters: int

    def emotion(self, sample: str) -> str:
        """The emotion with most votes; `TIED`, or '' without votes."""
        return _most(self.emotions.get(sample, {}))

    def sentiment(self, sample: str) -> str:
        """The sentiment with most votes, positive, negative or neutral; `TIED`, or '' without votes."""
        return _most(self.sentiments.get(sample, {}))


def read_votes(paths: Sequence[Path], *, neutral_within: float = 0.0) -> Votes:
    """The votes of all tables together.

    Args:
        paths: tables of predictions; see the module.
        neutral_within: values whose magnitude is at most this are neutral.

    Raises:
        TableError: a table has no column of names or of votes, or a sentiment is neither a number nor a known word.
    """
    emotions: dict[str, Counter[str]] = {}
    sentiments: dict[str, Counter[str]] = {}
    voters: set[tuple[object, ...]] = set()
    for path in paths:
        table = read_columns(path)
        lower = {name.lower(): name for name in table}
        names = next((table[lower[name]] for name in NAMES if name in lower), None)
        readers: tuple[tuple[tuple[str, ...], dict[str, Counter[str]], Callable[[Any], str]], ...] = (
            (EMOTIONS, emotions, _emotion),
            (SENTIMENTS, sentiments, partial(_sentiment, neutral_within=neutral_within, path=path)),
        )
        columns = [
            (table[lower[column]], votes, read)
            for known, votes, read in readers
            for column in [next((name for name in known if name in lower), None)]
            if column is not None
        ]
        if names is None or not columns:
            raise TableError(
                expected='a column of names, and one of emotions or sentiments', came=f'{path} with {table.seen()}',
                todo=f'name them {NAMES[0]}, {EMOTIONS[0]} and {SENTIMENTS[0]}',
            )  # fmt: skip
        for row in _voting_rows(table, lower):
            voters.add((path, *(table[lower[name]][row] for name in SYSTEM if name in lower)))
            for cells, votes, read in columns:
                if answer := read(cells[row]):
                    votes.setdefault(str(names[row]).strip(), Counter())[answer] += 1
    return Votes(emotions, sentiments, len(voters))


def _voting_rows(table: Table, lower: Mapping[str, str]) -> Iterable[int]:
    """Indices of the rows that vote: of systems in the fair protocol with all their modalities, except the constant."""
    size = len(table.rows)
    cells = {name: table[lower[name]] if name in lower else [None] * size for name in ('model', 'protocol', 'given')}
    for row in range(size):
        is_fair = cells['protocol'][row] in (None, '', 'fair')
        if is_fair and not cells['given'][row] and cells['model'][row] != 'constant':
            yield row


def _emotion(cell: Any) -> str:
    return '' if cell is None or cell != cell else str(cell).strip().lower()


def _sentiment(cell: Any, neutral_within: float, path: Path) -> str:
    if cell is None or cell != cell or str(cell).strip() == '':
        return ''
    word = str(cell).strip().lower()
    if word in (POSITIVE, NEGATIVE, NEUTRAL):
        return word
    try:
        value = float(word.replace(',', '.'))
    except ValueError:
        raise TableError(
            expected='a number, or positive, negative or neutral', came=f'{word[:40]!r} in {path}', todo='correct it'
        ) from None
    if math.isnan(value):
        return ''
    return NEUTRAL if abs(value) <= neutral_within else POSITIVE if value > 0 else NEGATIVE


def _most(counts: Mapping[str, int]) -> str:
    """The answer with the most votes; `TIED` if several have them, '' if there is none.

    >>> _most({'sad': 2, 'angry': 1}), _most({'sad': 1, 'angry': 1}), _most({})
    ('sad', 'tied', '')
    """
    if not counts:
        return ''
    most = max(counts.values())
    first = [answer for answer, count in counts.items() if count == most]
    return first[0] if len(first) == 1 else TIED


def sentiment_of(labels: Iterable[str], table: WordTable) -> str:
    """The sentiment of labels: the sign of their mean valence in the table; neutral if it has none of them.

    >>> from affekt.labels import load_table
    >>> sentiment_of(['happy', 'a bit worried'], load_table('affekt')), sentiment_of([], load_table('affekt'))
    ('positive', 'neutral')
    """
    valences = [
        sense.valence
        for label in labels
        if label != NEUTRAL
        for base in table.bases.get(label, ())[:1]
        if (sense := table.senses.get(base)) is not None
    ]
    mean = sum(valences) / len(valences) if valences else 0.0
    return POSITIVE if mean > 0 else NEGATIVE if mean < 0 else NEUTRAL


def unplaced_votes(votes: Votes, samples: Iterable[str], table: WordTable) -> Counter[str]:
    """Voted emotions on no wheel of the table, with the number of samples; no label can agree with them."""
    folds = [table.fold(f'{table.wheels[index].short}-L1') for index in table.published]
    voted = Counter(votes.emotion(sample) for sample in samples)
    known = ('', TIED, NEUTRAL)
    return Counter(
        {word: count for word, count in voted.items() if word not in known and not any(word in fold for fold in folds)}
    )


def agrees_with_emotion(labels: Sequence[str], vote: str, table: WordTable) -> bool:
    """Whether labels share an inner sector with a voted emotion on any of the five wheels.

    Without labels they count as neutral. This is the published `hit_or_not`.
    """
    return shares_any_group([vote], list(labels), table)


def agrees_with_sentiment(labels: Sequence[str], vote: str, table: WordTable) -> bool:
    """Whether the sentiment of labels equals the voted one; without labels it is neutral."""
    return sentiment_of(labels, table) == vote
